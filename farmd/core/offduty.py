"""Can this machine be switched off? What it alone has or does, thing by thing, and what to do about each.

A machine may be switched off at any time: nothing that was finished is lost for good. But what only it has cannot be
had while it is off, and what it renders is rendered again. So before people go home they ask, and this lists
- records of its own that no other machine here is known to have (from the acknowledgements of its change stream),
- results that no other machine here has and that stand in no output folder (from the fold of HOLDING rows),
- files of jobs that are not over and that no other machine here has complete,
- attempts that run there,
and, as remarks that keep nobody from it, what else will be different. *Here* is a machine that answers now: a copy on
one that is off helps nobody tonight.

Only the machine itself knows what it has not told anybody, so a question about another machine is carried there and
back. Of one that does not answer, this tells what the rows say, and that this is not all.

Called by `farmd.core.door` and `dispatch`. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farmd.core.arguments import find_node
from farmd.core.effects import Reply
from farmd.core.questions import first_number
from protocol.frames import FrameSet
from protocol.human import counted
from protocol.jobspec import DeliverBy
from protocol.messages import Finding, SafeAsk, SafeIs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId, TaskIndex

PATIENCE_S = 5.0
MOST_FINDINGS = 200
MOST_LETTERS = 200
"""So much of a list of frames is told."""


@dataclass(slots=True)
class _Asked:
    """A client that waits for what another machine says."""

    client: int
    node: NodeId
    due: float


class OffDuty:
    """Answers `node.safe`, here and for others."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked: dict[int, _Asked] = {}
        self._number = first_number(node.epoch)
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"node.safe": self._ask}

    def _ask(self, turn: Turn, event: ClientAsked) -> None:
        node = self._node
        which = find_node(node, str(event.args.get("node") or node.id))
        if which == node.id:
            self._answer(turn, event.client, which, findings_of(node, which))
        elif not node.membership.is_alive(which):
            self._answer(turn, event.client, which, [_silent(node, which), *findings_of(node, which)])
        else:
            self._number += 1
            self._asked[self._number] = _Asked(event.client, which, turn.now.mono + PATIENCE_S)
            turn.send(which, SafeAsk(self._number), volatile=True)

    def on_ask(self, turn: Turn, sender: NodeId, message: SafeAsk) -> None:
        """Another machine asks for one of its clients."""
        found = findings_of(self._node, self._node.id)
        turn.send(sender, SafeIs(message.ask, tuple(found[:MOST_FINDINGS])), volatile=True)

    def on_is(self, turn: Turn, sender: NodeId, message: SafeIs) -> None:
        """Another machine says what only it has."""
        asked = self._asked.get(message.ask)
        if asked is not None and asked.node == sender:
            del self._asked[message.ask]
            self._answer(turn, asked.client, sender, list(message.findings))

    def left(self, client: int) -> None:
        """A client no longer waits."""
        self._asked = {number: asked for number, asked in self._asked.items() if asked.client != client}

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""
        return min((asked.due for asked in self._asked.values()), default=None)

    def on_timer(self, turn: Turn) -> None:
        """Answer those who have waited long enough with what is known here."""
        for number, asked in list(self._asked.items()):
            if asked.due <= turn.now.mono:
                del self._asked[number]
                known = [_silent(self._node, asked.node), *findings_of(self._node, asked.node)]
                self._answer(turn, asked.client, asked.node, known)

    def _answer(self, turn: Turn, client: int, which: NodeId, findings: list[Finding]) -> None:
        data: dict[str, Any] = {
            "schema": "farm.safe-to-off.v1",
            "node": which,
            "node_name": self._node.registry.name_of(which),
            "safe": not any(finding.blocks for finding in findings),
            "findings": [finding._asdict() for finding in findings[:MOST_FINDINGS]],
        }
        turn.effects.append(Reply(client, data))


def findings_of(node: Node, which: NodeId) -> list[Finding]:
    """List what a machine alone has or does, as far as it is known here; what keeps it from being switched off first."""
    here = {other: None for other in node.membership.alive() if other != which}
    found = [*_running(node, which), *_records(node, which, here)]
    for job in node.jobs:
        found += _results(node, job, which, here)
        found += _files(node, job, which, here)
    found += _remarks(node, which, here)
    return sorted(found, key=lambda finding: not finding.blocks)


def _silent(node: Node, which: NodeId) -> Finding:
    name = node.registry.name_of(which)
    return Finding("unknown", True, 0, f"{name} does not answer: what only it knows cannot be seen from here", "")


def _running(node: Node, which: NodeId) -> Iterator[Finding]:
    running = node.worker.live if which == node.id else node.jobs.running_on(which)
    if running:
        text = f"{counted(len(running), 'task')} running there would be rendered again elsewhere"
        hint = f"farmctl node drain {node.registry.name_of(which)} --wait"
        yield Finding("running", True, len(running), text, hint)


def _records(node: Node, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    """Only the machine itself knows how far others have come in its stream."""
    if which != node.id or not node.replica.seq:
        return
    holders = [peer for peer in node.gossip.acked_by(node.replica.origin, node.replica.seq) if peer in here]
    if holders:
        return
    if here:
        yield Finding("records", True, 0, "its last changes have not reached another machine yet", "wait a few seconds")
    else:
        text = "no other machine answers: nobody else has what is new here, and nobody goes on with the work"
        yield Finding("records", True, 0, text, "switch another machine on first: farmctl node list")


def _results(node: Node, job: Job, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    alone = [task for task in _candidates(node, job, which) if _is_alone(job, task, which, here)]
    home = [task for task in alone if job.copies.is_delivered(task)]
    away = [task for task in alone if not job.copies.is_delivered(task)]
    if away:
        frames = _frames(job, away)
        text = f"{counted(len(away), 'result')} of {job.spec.name} with no copy on a machine that answers"
        hint = f"wait: another machine copies them; or fetch them: farmctl job download {job.id}"
        yield Finding("results", True, len(away), text, hint, job.id, frames)
    if home and node.outputs.home_of(job) == which and job.spec.deliver is DeliverBy.NODE:
        text = f"{counted(len(home), 'result')} of {job.spec.name} delivered into {job.spec.output_dir}"
        hint = "if that is a disk of this machine, they cannot be read while it is off"
        yield Finding("delivered", False, len(home), text, hint, job.id, _frames(job, home))


def _candidates(node: Node, job: Job, which: NodeId) -> Iterable[TaskIndex]:
    """List the tasks whose results may be on one machine alone: while all answer, only those without a second copy."""
    if not job.spec.leaves_outputs:
        return ()
    is_alive = node.membership.is_alive
    others = (other for other in node.registry.bodies if other != which and node.registry.is_admitted(other))
    return job.lonely_tasks() if all(map(is_alive, others)) else job.done_tasks()


def _is_alone(job: Job, task: TaskIndex, which: NodeId, here: Mapping[NodeId, None]) -> bool:
    holders, result = job.copies_of(task), job.result_of(task)
    return which in holders and not any(holder in here for holder in holders) and bool(result and result.body.outputs)


def _files(node: Node, job: Job, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    if job.spec.manifest is None or not node.is_open(job.id):
        return
    holders = job.copies.asset_holders()
    if which in holders and not any(holder in here for holder in holders):
        text = f"the files of {job.spec.name}, which is not over, are complete on no other machine that answers"
        hint = f"wait until another has fetched them, or cancel it: farmctl cancel {job.id}"
        yield Finding("assets", True, 1, text, hint, job.id)


def _remarks(node: Node, which: NodeId, here: Mapping[NodeId, None]) -> Iterator[Finding]:
    name = node.registry.name_of(which)
    if node.registry.hold_of(which) is None and node.membership.is_alive(which):
        yield Finding("open", False, 0, "it may be given work at any moment", f"farmctl node drain {name}")
    if node.election.leader == which and here:
        yield Finding("leader", False, 0, "it leads; another machine takes over within seconds", "")
    waiting = [job for job in node.jobs if _waits_for_delivery(node, job, which)]
    for job in waiting:
        text = f"results of {job.spec.name} are delivered by this machine, so not while it is off"
        hint = f"on another machine: farmctl job download {job.id}"
        yield Finding("delivery", False, 1, text, hint, job.id)


def _waits_for_delivery(node: Node, job: Job, which: NodeId) -> bool:
    spec = job.spec
    if (
        node.outputs.home_of(job) != which
        or spec.deliver is not DeliverBy.NODE
        or spec.output_dir is None
        or job.cancelled
    ):
        return False
    return spec.leaves_outputs and (node.is_open(job.id) or job.copies.delivered_count() < job.done_count)


def _frames(job: Job, tasks: list[TaskIndex]) -> str:
    shown = str(FrameSet.of(frame for task in tasks for frame in job.plan.frames_of(task)))
    return shown if len(shown) <= MOST_LETTERS else shown[:MOST_LETTERS].rpartition(",")[0] + ",…"
