"""The node: composes the machines of the core and is the only thing that the driver knows.

    start(now)         -> effects        what is said first
    handle(event, now) -> effects        the only way state changes
    next_deadline()    -> mono or None   one timer for all machines

A turn: the event is given to the machine that it concerns; then the consequences run through in a fixed order (rows
changed -> folds -> worker, outputs, leader; members changed -> losses, links, leader; leader changed -> office; ready
tasks -> grants) until nothing is left; then gossip announces what was written, and everything to be saved is put in
front of all effects. What the node sends to itself is handled in the same turn.

A machine that is new here is made in `_build`. What brings it work stands elsewhere: events and messages in
`farmd.core.dispatch`, rows in `farmd.core.folding`, news of other machines in `farmd.core.following`, the start in
`farmd.core.life`, the clock in `farmd.core.timers`.

Invariant: the first effect of a turn that changed anything durable is its one `Save`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import Acknowledge
from farmd.core.alerts import Alerts
from farmd.core.arrivals import Arrivals
from farmd.core.assets import Assets
from farmd.core.capacity import MIN_FREE_BYTES
from farmd.core.chronicle import Chronicle
from farmd.core.condition import Condition
from farmd.core.dispatch import Dispatch
from farmd.core.door import Door
from farmd.core.effects import Note, Send
from farmd.core.election import Election
from farmd.core.folding import Folding
from farmd.core.following import Following
from farmd.core.gossip import Gossip
from farmd.core.hooks import Hooks
from farmd.core.jobs import Jobs
from farmd.core.leader import Leader
from farmd.core.life import Life
from farmd.core.links import Links
from farmd.core.logs import Logs
from farmd.core.losses import Losses
from farmd.core.membership import Membership
from farmd.core.notices import Notices
from farmd.core.outlook import Outlook
from farmd.core.outputs import Outputs
from farmd.core.pathrules import PathRules
from farmd.core.questions import first_number
from farmd.core.recalling import Recalling
from farmd.core.registry import Registry
from farmd.core.releasing import Releasing
from farmd.core.replica import Replica
from farmd.core.rerender import Rerender
from farmd.core.retention import Retention
from farmd.core.room import BEGAN_MS, Room
from farmd.core.rounds import Rounds
from farmd.core.saving import Saving
from farmd.core.swarm import Swarm
from farmd.core.thumbnails import Thumbnails
from farmd.core.timers import Timers
from farmd.core.turn import Turn
from farmd.core.users import Users
from farmd.core.verdicts import Verdicts
from farmd.core.worker import Worker
from protocol.clock import HybridClock
from protocol.ids import node_id_of
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from farmd.core.effects import Effect
    from farmd.core.events import Event, Measured
    from farmd.core.life import Loaded, Self
    from farmd.core.turn import Instant
    from protocol.bodies import NodeBody
    from protocol.ids import AttemptRef, JobId, NodeId


class Node:
    """One daemon's core. Machines are attributes; only `handle` changes them."""

    def __init__(self, me: Self, loaded: Loaded, rng: Random, now: Instant) -> None:
        meta = dict(loaded.meta or {})
        self.id: NodeId = node_id_of(me.public_key)
        self.public_key = me.public_key
        self._rng = rng
        self._cause = 0
        self._now = now
        self.life = Life(self, me, int(meta.get("epoch", 0)), now)
        self.registry = Registry()
        self.path_rules = PathRules()
        self.users = Users()
        self.hooks = Hooks()
        self.replica = Replica(rng, HybridClock())
        self.jobs = Jobs(self._may_ever_run)
        self.membership = Membership(self.id, self.epoch, self.body.address, rng, admitted=self._is_trusted)
        self.links = Links(self.id, self.registry, learn=self._learn, forget=self._forget)
        self.condition = Condition(self.id, self.membership, self.body, now)
        self.chronicle = Chronicle(self.jobs)
        self.alerts = Alerts(self)
        self.notices = Notices(self, now)
        self.notes = 0
        self._build(rng, meta, me.transfer_limit_bytes_s)
        self.room = Room(self, me.store_quota_bytes)
        self.retention = Retention(self, me.archive_after_s)
        self._connect()
        self.replica.load(loaded.rows, loaded.vector or {}, meta.get("origin"), wall_ms=now.wall_ms)
        self._folding.load(now)
        doubted = loaded.power_cut or bool(meta.get("doubted"))
        self._saving = Saving(self.replica, self.election, self.membership, epoch=self.epoch, doubted=doubted)
        began_ms = meta.get(BEGAN_MS)
        if not isinstance(began_ms, int):
            began_ms = now.wall_ms
            self._saving.keep(BEGAN_MS, began_ms)
        self.room.evictable.began_ms = began_ms
        if doubted:
            self.gossip.doubt(lambda: self.registry.keys)

    def _build(self, rng: Random, meta: Mapping[str, Any], transfer_limit_bytes_s: int) -> None:
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
        first_ask = first_number(self.epoch)
        self.gossip = Gossip(self.id, self.replica, rng, self.membership.alive_others, first_ask=first_ask)
        self.swarm = Swarm(self.id, rng, self.membership.alive_others, transfer_limit_bytes_s)
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
            self.id,
            replica=self.replica,
            jobs=self.jobs,
            swarm=self.swarm,
            pick_keeper=self._pick_keeper,
            heir_of=self.registry.heirs.of,
        )
        self.rerender = Rerender(replica=self.replica, jobs=self.jobs)
        self.rounds = Rounds(self.id, jobs=self.jobs, assets=self.assets, outputs=self.outputs, is_open=self.is_open)
        self.losses = Losses(self.jobs)
        self.releasing = Releasing(self)
        self.recalling = Recalling(self, self._now.mono)
        self.thumbnails = Thumbnails(self.id, jobs=self.jobs, swarm=self.swarm, name_of=self.registry.name_of)
        self.logs = Logs(self)
        self.acknowledge = Acknowledge(
            self.gossip,
            leader=lambda: self.election.leader,
            others_alive=lambda: bool(self.membership.alive_others()),
            others_known=self.links.expects_others,
            name_of=self.registry.name_of,
        )
        self.door = Door(self, self.acknowledge, rng)

    def _connect(self) -> None:
        """Make what carries events, rows and news from one machine to another."""
        self.arrivals = Arrivals(self)
        self.timers = Timers(self)
        self._dispatch = Dispatch(self)
        self._folding = Folding(self)
        self._following = Following(self)

    @property
    def epoch(self) -> int:
        """Number of this life."""
        return self.life.epoch

    @property
    def body(self) -> NodeBody:
        """This node's own row."""
        return self.life.body

    # -- the driver's side ----------------------------------------------------------------------------------------

    def start(self, now: Instant) -> list[Effect]:
        """Speak first: raise the epoch durably, end what an earlier life left, look for the others."""
        turn = self._turn(now)
        self.life.start(turn)
        return self._finish(turn)

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """Take one event; returns what must be done, in order."""
        turn = self._turn(now)
        self._dispatch.event(turn, event)
        return self._finish(turn)

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of all machines."""
        return self.timers.next_deadline(self._now.mono)

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
        self.notes += sum([isinstance(effect, Note) for effect in turn.effects])
        save = self._saving.take()
        return [save, *turn.effects] if save is not None else turn.effects

    def _consequences(self, turn: Turn) -> None:
        self.life.introduce(turn)
        self.fold(turn)
        self.life.leap(turn)
        self._following.follow(turn)
        self.fold(turn)
        if self.leader.is_ready(turn):
            self.rerender.review(turn)  # before grants: a test frame that is asked for anew closes the gate
            self.fold(turn)
            self.leader.pump(turn)
            self.verdicts.review(turn)
            self.fold(turn)
        self.links.follow_keys(turn)
        self.users.follow_keys(turn)

    def fold(self, turn: Turn) -> None:
        """Let every change of a row have its consequences here."""
        self._folding.fold(turn)

    def _answer_clients(self, turn: Turn) -> None:
        if self.gossip.take_acks():
            self.acknowledge.review(turn)
        changed = self.chronicle.take_changed()
        for job_id in changed:
            if self.chronicle.note_state(turn, job_id):
                self.assets.stop(job_id)
        if changed:
            self.alerts.on_jobs_changed(turn, changed)
        self.notices.on_turn(turn, changed)
        self.door.on_turn(turn, changed)

    def follow_orders(self, turn: Turn) -> None:
        """This node was held, released or given a price, or has just started."""
        price = self.registry.prices.of(self.id, self.body)
        self.worker.obey_hold(turn, self.registry.hold_of(self.id), price.value if price is not None else None)
        self.releasing.review(turn)

    # -- what the machines ask of each other ----------------------------------------------------------------------

    def is_open(self, job_id: JobId) -> bool:
        """True if a job is not over."""
        return self.jobs.state_of(job_id) not in JOB_TERMINAL

    def _is_trusted(self, node: NodeId) -> bool:
        return self.links.is_trusted(node)

    def _learn(self, turn: Turn, node: NodeId, address: str) -> None:
        self.membership.learn(turn, node, address)

    def _forget(self, turn: Turn, node: NodeId) -> None:
        self.membership.forget(node)
        self.gossip.forget(node)
        self.losses.evicted(turn, node)

    def measure(self, turn: Turn, event: Measured) -> None:
        """Take the machine's state, and spread it."""
        self.condition.measured(event)
        self.room.measured(turn, event)
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
        preferred = self.registry.heirs.of(preferred)
        if preferred in others:
            return preferred
        leader = self.election.leader
        return leader if leader in others else self._rng.choice(others)
