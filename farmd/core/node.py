"""The node: composes the machines of the core and is the only thing that the driver knows.

    start(now)         -> effects        what is said first
    handle(event, now) -> effects        the only way state changes
    next_deadline()    -> mono or None   one timer for all machines

A turn: the event is given to the machine that it concerns; then the consequences run through in a fixed order (rows
changed -> folds -> worker, outputs, leader; members changed -> losses, links, leader; leader changed -> office; ready
tasks -> grants) until nothing is left; then gossip announces what was written, and everything to be saved is put in
front of all effects. What the node sends to itself is handled in the same turn.

Invariant: the first effect of a turn that changed anything durable is its one `Save`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import Acknowledge
from farmd.core.assets import Assets
from farmd.core.capacity import MIN_FREE_BYTES
from farmd.core.chronicle import Chronicle
from farmd.core.condition import Condition
from farmd.core.dispatch import Dispatch
from farmd.core.door import Door
from farmd.core.effects import Save, Send
from farmd.core.election import Election
from farmd.core.gossip import Gossip
from farmd.core.jobs import Jobs
from farmd.core.leader import Leader
from farmd.core.links import Links
from farmd.core.logs import Logs
from farmd.core.losses import Losses
from farmd.core.membership import Membership
from farmd.core.orders import Orders
from farmd.core.outlook import Outlook
from farmd.core.outputs import Outputs
from farmd.core.pathrules import PathRules
from farmd.core.registry import Registry
from farmd.core.replica import Replica
from farmd.core.rerender import Rerender
from farmd.core.rounds import Rounds
from farmd.core.swarm import Swarm
from farmd.core.thumbnails import Thumbnails
from farmd.core.turn import Turn
from farmd.core.verdicts import Verdicts
from farmd.core.worker import Worker
from protocol.bodies import FarmBody, KeyBody, NodeBody, pack_body
from protocol.clock import HybridClock
from protocol.ids import node_id_of, pack_node
from protocol.records import Kind
from protocol.states import JOB_TERMINAL, MemberState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from farmd.core.effects import Effect
    from farmd.core.events import Event, Measured
    from farmd.core.roster import MemberChange
    from farmd.core.turn import Instant
    from protocol.ids import AttemptRef, JobId, NodeId
    from protocol.records import Rec

INTRODUCE_S = 3.0
"""Longest wait for peers to confirm our change stream before the first row is written."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the store held at start.

    Attributes:
        rows: All replicated rows.
        vector: Version vector: origin -> sequence number.
        meta: Local facts.
        power_cut: The machine went down while the store was open: what the disk had confirmed may be missing.
    """

    rows: tuple[Rec, ...] = ()
    vector: Mapping[int, int] | None = None
    meta: Mapping[str, Any] | None = None
    power_cut: bool = False


@dataclass(frozen=True, slots=True)
class Self:
    """What a node is told about itself.

    Attributes:
        public_key: Raw CURVE public key; the node id is derived from it.
        body: Its NODE row without the epoch, which is decided at start.
        transfer_limit_bytes_s: Most bytes a second of blobs from other nodes, and as many to them; 0 = no limit.
        founds: Set on the node that founded the farm: written as the FARM row if there is none.
    """

    public_key: bytes
    body: NodeBody
    founds: FarmBody | None = None
    transfer_limit_bytes_s: int = 0


class Node:
    """One daemon's core. Machines are attributes; only `handle` changes them."""

    def __init__(self, me: Self, loaded: Loaded, rng: Random, now: Instant) -> None:
        meta = dict(loaded.meta or {})
        self.id: NodeId = node_id_of(me.public_key)
        self.public_key = me.public_key
        self._me = me
        self._rng = rng
        self.epoch = int(meta.get("epoch", 0)) + 1
        self._meta: dict[str, Any] = {"epoch": self.epoch}
        self.body = me.body._replace(epoch=self.epoch)
        self.registry = Registry()
        self.path_rules = PathRules()
        self.replica = Replica(rng, HybridClock())
        self.jobs = Jobs(self._may_ever_run)
        self.membership = Membership(self.id, self.epoch, self.body.address, rng, admitted=self._is_trusted)
        self.links = Links(self.id, self.registry, learn=self._learn, forget=self._forget)
        self._started = self._now = now
        self.condition = Condition(self.id, self.membership, self.body, now)
        self.chronicle = Chronicle(self.jobs)
        self._orders = Orders(self.jobs, self.registry)
        self._build(rng, meta)
        self._begin_life()
        self._load(loaded, meta, now)
        self._doubted = loaded.power_cut or bool(meta.get("doubted"))
        if self._doubted:
            self._meta["doubted"] = True
            self.gossip.doubt(lambda: self.registry.keys)

    def _build(self, rng: Random, meta: Mapping[str, Any]) -> None:
        """Make the machines and tell them of each other."""
        outlook = Outlook(
            self.membership.alive,
            self.membership.suspects,
            self.membership.dead,
            lambda: self.condition.advert(self._now),
            lambda: self.condition.standing(self._now),
            lambda: not self.jobs.line() and not self.leader.granted,
        )
        self.election = Election(self.id, rng, outlook, meta)
        self.gossip = Gossip(self.id, self.replica, rng, self.membership.alive_others)
        self.swarm = Swarm(self.id, rng, self.membership.alive_others, self._me.transfer_limit_bytes_s)
        self.assets = Assets(self.id, self.replica, self.swarm)
        self.worker = Worker(
            self.id,
            self.epoch,
            replica=self.replica,
            jobs=self.jobs,
            election=self.election,
            assets=self.assets,
        )
        self.condition.worker = self.worker
        self.leader = Leader(
            self.id,
            election=self.election,
            membership=self.membership,
            jobs=self.jobs,
            nodes=lambda: self.registry.bodies,
            may_work=self._may_work,
        )
        self.verdicts = Verdicts(
            replica=self.replica, jobs=self.jobs, registry=self.registry, need_of=self.leader.need_of
        )
        self.outputs = Outputs(
            self.id, replica=self.replica, jobs=self.jobs, swarm=self.swarm, pick_keeper=self._pick_keeper
        )
        self.rerender = Rerender(replica=self.replica, jobs=self.jobs)
        self.rounds = Rounds(self.id, jobs=self.jobs, assets=self.assets, outputs=self.outputs, is_open=self._is_open)
        self.losses = Losses(self.jobs)
        self.thumbnails = Thumbnails(self.id, jobs=self.jobs, swarm=self.swarm, name_of=self.registry.name_of)
        self.logs = Logs(self.id, is_alive=self.membership.is_alive, name_of=self.registry.name_of)
        acknowledge = Acknowledge(
            self.gossip,
            leader=lambda: self.election.leader,
            others_alive=lambda: bool(self.membership.alive_others()),
            others_known=self.links.expects_others,
            name_of=self.registry.name_of,
        )
        self.acknowledge = acknowledge
        self.door = Door(self, acknowledge, rng)
        self._dispatch = Dispatch(self)
        self._machines = (
            self.membership, self.election, self.gossip, self.swarm, self.outputs, self.losses, self.logs, self.door,
            self.thumbnails, self.rounds,
        )  # fmt: skip
        self._deadlines = (
            *[machine.next_deadline for machine in self._machines],
            self.leader.next_deadline,
            acknowledge.next_deadline,
            self.jobs.next_due,
        )

    def _begin_life(self) -> None:
        """Set what a life begins with."""
        self._cause = 0
        self._introduced = False
        self._introduce_at = self._started.mono + INTRODUCE_S
        self._newcomers: set[NodeId] = set()

    # -- start ----------------------------------------------------------------------------------------------------

    def _load(self, loaded: Loaded, meta: dict[str, Any], now: Instant) -> None:
        origin = meta.get("origin")
        self.replica.load(loaded.rows, loaded.vector or {}, origin, wall_ms=now.wall_ms)
        for rec in self.replica.rows():
            self.registry.apply(rec)
            self.path_rules.apply(rec)
        self.worker.path_rules = self.path_rules.rules
        self.jobs.load(self.replica.rows(), now)
        self.chronicle.load()

    def start(self, now: Instant) -> list[Effect]:
        """Speak first: raise the epoch durably, end what an earlier life left, look for the others."""
        turn = self._turn(now)
        self.worker.offer(self.body)
        if self._me.founds is not None and self.registry.farm is None:
            self._found(turn, self._me.founds)
        self.outputs.load(turn)
        self.rounds.begin_life(turn)
        for job_id, job in self.jobs.items():
            if job.spec.manifest is not None and self.id in job.copies.asset_holders() and self._is_open(job_id):
                self.assets.want(turn, job_id, job.spec, ())
        for node in self.jobs.nodes_running():
            if node != self.id:
                self.losses.expect(turn, node)
        self.membership.start(turn)
        self.election.start(turn)
        for node, body in self.registry.bodies.items():
            if node != self.id and self.registry.is_admitted(node):
                self.membership.learn(turn, node, body.address)
        self.gossip.start(turn)
        turn.note("started", f"epoch {self.epoch}, {len(self.replica)} rows", node=self.id)
        return self._finish(turn)

    def _found(self, turn: Turn, farm: FarmBody) -> None:
        """Write the first rows of a new farm: what it is called, and this node's admission."""
        self.replica.write(turn, Kind.FARM, b"", pack_body(farm))
        key = KeyBody(self._me.public_key, "node", "founder")
        self.replica.write(turn, Kind.KEY, pack_node(self.id), pack_body(key))

    def _introduce(self, turn: Turn) -> None:
        """Write our first rows once peers have confirmed our stream, or nobody is there to do so."""
        if self._introduced or not self.registry.is_admitted(self.id):
            return
        waits = turn.now.mono < self._introduce_at
        if not self.replica.origin_confirmed and waits and self.links.expects_others():
            return
        self._introduced = True
        self.worker.reconcile(turn)
        self.replica.write(turn, Kind.NODE, pack_node(self.id), pack_body(self.body))

    # -- the driver's side ----------------------------------------------------------------------------------------

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """Take one event; returns what must be done, in order."""
        turn = self._turn(now)
        self._dispatch.event(turn, event)
        return self._finish(turn)

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of all machines."""
        earliest = inf
        for next_deadline in self._deadlines:  # asked after every few events: no lists
            at = next_deadline()
            if at is not None and at < earliest:
                earliest = at
        if not self._introduced and self._now.mono < self._introduce_at:
            earliest = min(earliest, self._introduce_at)
        return earliest if earliest < inf else None

    def on_timer(self, turn: Turn, late_s: float) -> None:
        """Give every machine whose time has come its turn."""
        now = turn.now.mono
        if late_s > 0.2:
            self.membership.note_lag(late_s)
        for machine in self._machines:
            deadline = machine.next_deadline()
            if deadline is not None and deadline <= now:
                machine.on_timer(turn)
        self.leader.on_timer(turn)
        for job_id in self.jobs.release(turn.now):
            self.chronicle.touch(job_id)
            self.leader.on_jobs_changed()
        self.acknowledge.review(turn)

    def _turn(self, now: Instant) -> Turn:
        self._cause += 1
        self._now = now
        return Turn(now, self._cause)

    def _finish(self, turn: Turn) -> list[Effect]:
        """Run the consequences through, then put what is to be saved in front."""
        own: deque[Send] = deque()
        while True:
            self._consequences(turn)
            mine = [effect for effect in turn.effects if isinstance(effect, Send) and effect.to == self.id]
            if not mine:
                break
            turn.effects = [
                effect for effect in turn.effects if not (isinstance(effect, Send) and effect.to == self.id)
            ]
            own.extend(mine)
            while own:
                self._dispatch.message(turn, self.id, own.popleft().message)
        self.gossip.flush(turn)
        self._answer_clients(turn)
        save = self._take_save()
        return [save, *turn.effects] if save is not None else turn.effects

    def _consequences(self, turn: Turn) -> None:
        self._introduce(turn)
        self.fold(turn)
        if self.membership.epoch != self.epoch:
            self._leap(turn)
        self._follow_members(turn)
        self._follow_election(turn)
        self._follow_swarm(turn)
        self.fold(turn)
        if self.leader.pump(turn):
            self.verdicts.review(turn)
            self.rerender.review(turn)
            self.fold(turn)
        self.links.follow_keys(turn)

    def _leap(self, turn: Turn) -> None:
        """Peers remember a later life of this node than its own disk does: live on under a number above that."""
        self.epoch = self.membership.epoch
        self.body = self.body._replace(epoch=self.epoch)
        self.worker.begin_life(turn, self.epoch)
        if self._introduced:
            self.replica.write(turn, Kind.NODE, pack_node(self.id), pack_body(self.body))

    def _take_save(self) -> Save | None:
        save = self.replica.take_save()
        if self._doubted and self.replica.origin_confirmed:
            self._doubted = self._meta["doubted"] = False
        meta = self._meta | self.election.dirty_meta | self.membership.dirty_meta
        self._meta = {}
        self.election.dirty_meta.clear()
        self.membership.dirty_meta.clear()
        if not meta:
            return save
        if save is None:
            return Save(meta=tuple(meta.items()))
        return Save(save.rows, save.vector, save.dropped, (*save.meta, *meta.items()))

    # -- rows -----------------------------------------------------------------------------------------------------

    def fold(self, turn: Turn) -> None:
        """Let every change of a row have its consequences here."""
        changes = self.replica.take_changes()
        if not changes:
            return
        for change in changes:
            if change.new is not None:
                self._fold_change(turn, change.new)
        self._introduce(turn)

    def _fold_change(self, turn: Turn, rec: Rec) -> None:
        self._orders.note(turn, rec)
        if rec.kind in (Kind.FARM, Kind.KEY, Kind.NODE, Kind.NODE_CONTROL):
            self._fold_registry(turn, rec)
            return
        if rec.kind == Kind.PATH_RULE:
            self.path_rules.apply(rec)
            self.worker.path_rules = self.path_rules.rules
            return
        folded = self.jobs.apply(rec, turn.now)
        if folded is None:
            return
        job = self.jobs.get(folded.job)
        self.chronicle.touch(folded.job)
        if rec.kind == Kind.ATTEMPT:
            self.leader.on_attempt_row(rec, turn.now.mono)
        else:
            self.leader.on_jobs_changed()
        self.worker.on_job_changed(turn, folded.job)
        if job is None:
            self.outputs.forget(folded.job)
            self.assets.forget(folded.job)
            return
        self.worker.disown(turn, rec, job)
        for task in folded.results:
            self.outputs.on_changed(turn, folded.job, job, task)
            self.thumbnails.on_changed(turn, job, task)

    def _fold_registry(self, turn: Turn, rec: Rec) -> None:
        described = len(self.registry.bodies)
        node = self.registry.apply(rec)
        if rec.kind == Kind.KEY:
            self.links.keys_changed()
        if node is None:
            return
        body = self.registry.bodies.get(node)
        if rec.kind == Kind.NODE and body is not None and node != self.id and self._is_trusted(node):
            self.membership.learn(turn, node, body.address)
            self.links.link(turn, node, body.address)
        if node != self.id and len(self.registry.bodies) > described:
            self._welcome(turn, node)
        if node == self.id:
            self.worker.held = self.registry.hold_of(self.id) is not None
        self.leader.on_nodes_changed()

    def _answer_clients(self, turn: Turn) -> None:
        if self.gossip.take_acks():
            self.acknowledge.review(turn)
        changed = self.chronicle.take_changed()
        for job_id in changed:
            if self.chronicle.note_state(turn, job_id):
                self.assets.stop(job_id)
        if changed:
            self.door.review_watches(turn, changed)

    def _is_open(self, job_id: JobId) -> bool:
        return self.jobs.state_of(job_id) not in JOB_TERMINAL

    # -- members and leader ---------------------------------------------------------------------------------------

    def _is_trusted(self, node: NodeId) -> bool:
        return self.links.is_trusted(node)

    def _learn(self, turn: Turn, node: NodeId, address: str) -> None:
        self.membership.learn(turn, node, address)

    def _forget(self, turn: Turn, node: NodeId) -> None:
        self.membership.forget(node)
        self.gossip.forget(node)
        self.losses.evicted(turn, node)

    def _follow_members(self, turn: Turn) -> None:
        changes = self.membership.take_changes()
        for change in changes:
            self.losses.on_change(turn, change)
            member = self.membership.members().get(change.node)
            if member is not None:
                self.links.link(turn, change.node, member.address)
            if change.restarted:
                self.gossip.forget(change.node)
            if change.new in (MemberState.DEAD, MemberState.LEFT):
                self.swarm.lost(turn, change.node)
            self._tell(turn, change)
            if change.new is MemberState.ALIVE and change.old is not MemberState.SUSPECT:
                self.gossip.pull_from(turn, change.node)
        if any(change.new is MemberState.ALIVE for change in changes):
            self.outputs.lonely.rescan(turn)
        if changes:
            self.election.on_view_changed(turn)
            self.leader.on_nodes_changed()
        for node, epoch in self.losses.take_gone():
            self.leader.on_node_gone(node, epoch)

    def _tell(self, turn: Turn, change: MemberChange) -> None:
        """One line for each change; the first sight of a newcomer is told when its row brings the name."""
        known = change.node in self.registry.bodies and change.node not in self._newcomers
        if change.is_first_sight and not known:
            return
        text = change.text()
        if text:
            turn.note("node", f"{self.registry.name_of(change.node)} {text}", node=change.node)

    def _welcome(self, turn: Turn, node: NodeId) -> None:
        """Tell of a node whose row came for the first time: a newcomer, or, while this one is new, a member."""
        self._newcomers.add(node)
        what = "joined" if self._introduced else "is a member"
        turn.note("node", f"{self.registry.name_of(node)} {what}", node=node)

    def _follow_election(self, turn: Turn) -> None:
        for node in self.election.take_hints():
            self.membership.suspect_now(turn, node)
        for change in self.election.take_changes():
            self.gossip.set_leader(change.new)
            if change.new == self.id:
                self.leader.begin(turn)
            elif self.leader.active:
                self.leader.leave()

    def _follow_swarm(self, turn: Turn) -> None:
        for key in self.swarm.take_finished():
            if isinstance(key, tuple) and key[0] == "outputs":
                self.outputs.on_fetched(turn, key)
                self.chronicle.touch(key[1].job)
            elif isinstance(key, tuple) and key[0] == "thumbnail":
                self.thumbnails.on_fetched(turn, key)
            else:
                self.assets.on_fetched(turn, key)
        for job_id in self.assets.take_newly_held():
            self.door.on_assets_held(turn, job_id)

    # -- what the machines ask of each other ----------------------------------------------------------------------

    def measure(self, turn: Turn, event: Measured) -> None:
        """Take the machine's state, and spread it."""
        self.condition.measured(event)
        advert = self.condition.advert(turn.now)
        self.membership.set_own_advert(advert)
        self.leader.on_advert(turn, advert)

    def progress_of(self, ref: AttemptRef) -> float | None:
        """Progress 0..1 of a running attempt, as far as is known here."""
        live = self.worker.live.get(ref)
        if live is not None:
            return live.progress
        job = self.jobs.get(ref.job)
        attempt = job.running.get((ref.task, ref.attempt)) if job is not None else None
        advert = self.membership.advert_of(attempt.node) if attempt is not None else None
        for running in advert.running if advert is not None else ():
            if running.ref == ref:
                return running.progress
        return None

    def _may_work(self, node: NodeId) -> bool:
        return (
            self.registry.is_admitted(node)
            and self.registry.hold_of(node) is None
            and self.condition.free_disk_of(node) >= MIN_FREE_BYTES
        )

    def _may_ever_run(self, spec: Any, node: NodeId) -> bool:
        del spec
        return self.registry.is_admitted(node)

    def _pick_keeper(self, preferred: NodeId) -> NodeId | None:
        others = self.membership.alive_others()
        if not others:
            return None
        if preferred in others:
            return preferred
        leader = self.election.leader
        return leader if leader in others else self._rng.choice(others)
