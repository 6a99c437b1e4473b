"""What each changed row means for the machines of a node: rows are folded once, where they changed, in their order.

It makes no difference who wrote a row: what this node writes and what a peer sends take the same way. A row of the
farm, of a key or of a node changes who is known and what may work; a row of a job changes the fold of that job, and
through it the worker, the outputs and the leader.

Called by `farmd.core.node` until a turn has no changes left, and by whoever reads right after it wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.eventlog import EventLog
from farmd.core.prices import is_hardware_price
from protocol.records import JobField, Kind, NodeField

if TYPE_CHECKING:
    from farmd.core.jobs import Folded
    from farmd.core.node import Node
    from farmd.core.turn import Instant, Turn
    from protocol.records import Rec

_REGISTRY = (Kind.FARM, Kind.KEY, Kind.NODE, Kind.NODE_CONTROL, Kind.SIGNER)
_JOB_BYTES, _TOLD = 10, bytes((JobField.TOLD,))


class Folding:
    """Hands changed rows to the machines that they concern."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._event_log = EventLog(node.jobs, node.registry)

    def load(self, now: Instant) -> None:
        """Fold the rows that an earlier life left; nothing follows from them but what is known."""
        node = self._node
        for rec in node.replica.rows():
            node.registry.apply(rec)
            node.path_rules.apply(rec)
            node.users.apply(rec)
            node.hooks.apply(rec)
        node.worker.path_rules = node.path_rules.rules
        for evicted in node.registry.revoked():
            node.jobs.node_evicted(evicted)
        node.jobs.load(node.replica.rows(), now)
        node.chronicle.load()
        node.alerts.load()

    def fold(self, turn: Turn) -> None:
        """Let every change of a row have its consequences here."""
        changes = self._node.replica.take_changes()
        if not changes:
            return
        for change in changes:
            if change.new is not None:
                self._fold_row(turn, change.new)
        self._node.life.introduce(turn)

    def _fold_row(self, turn: Turn, rec: Rec) -> None:
        node = self._node
        self._event_log.note(turn, rec)
        if rec.kind in _REGISTRY:
            self._fold_registry(turn, rec)
            return
        if rec.kind == Kind.PATH_RULE:
            node.path_rules.apply(rec)
            node.worker.path_rules = node.path_rules.rules
            return
        if rec.kind == Kind.USER:
            node.users.apply(rec)
            return
        if rec.kind == Kind.HOOK:
            node.hooks.apply(rec)
            node.notices.on_hooks_changed(turn, rec.pk)
            return
        folded = node.jobs.apply(rec, turn.now)
        if folded is not None and not _is_told(rec):
            self._follow_job(turn, rec, folded)

    def _follow_job(self, turn: Turn, rec: Rec, folded: Folded) -> None:
        """A row changed its job: tell leader and worker, and whoever looks after results and files."""
        node, job = self._node, self._node.jobs.get(folded.job)
        node.chronicle.touch(folded.job)
        if rec.kind == Kind.ATTEMPT:
            node.leader.on_attempt_row(rec, turn.now.mono)
        else:
            node.leader.on_jobs_changed()
        node.worker.on_job_changed(turn, folded.job)
        node.room.on_job(turn, job)
        if job is None:
            node.outputs.forget(folded.job)
            node.assets.forget(folded.job)
            return
        node.worker.disown(turn, rec, job)
        for task in folded.results:
            node.room.survey.add_result(job, task)
            node.outputs.on_changed(turn, folded.job, job, task)
            node.thumbnails.on_changed(turn, job, task)

    def _fold_registry(self, turn: Turn, rec: Rec) -> None:
        node, registry = self._node, self._node.registry
        described = len(registry.bodies)
        named = registry.apply(rec)
        if is_hardware_price(rec.pk):
            node.follow_orders(turn)
        if rec.kind == Kind.KEY:
            node.links.keys_changed()
            if named is not None and registry.is_revoked(named):
                node.jobs.node_evicted(named)
                node.outputs.lonely.rescan(turn)
        if rec.kind == Kind.NODE_CONTROL and rec.pk[8:] == bytes((NodeField.REPLACED,)):
            node.outputs.inherit(turn)
        if named is None:
            return
        body = registry.bodies.get(named)
        if rec.kind == Kind.NODE and body is not None and named != node.id and node.links.is_trusted(named):
            node.membership.learn(turn, named, body.address)
            node.links.link(turn, named, body.address)
        if named != node.id and len(registry.bodies) > described:
            node.arrivals.welcome(turn, named)
        if named == node.id:
            node.follow_orders(turn)
        node.leader.on_nodes_changed()
        node.door.feed.on_machines_changed()


def _is_told(rec: Rec) -> bool:
    """Tell whether a row only says what a hook was told of a job: that changes nothing for anybody else."""
    return rec.kind == Kind.JOB_CONTROL and rec.pk[_JOB_BYTES : _JOB_BYTES + 1] == _TOLD
