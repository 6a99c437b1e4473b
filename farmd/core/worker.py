"""What this node runs: takes grants, fences them, keeps an attempt row for each, and ends what has become pointless.

Theory: a grant is a *permission*, not a fact. The fact is the attempt row, which this node alone writes: `running`
before the process starts, then `done`, `failed` or `stopped` when it has ended. Four fences stand before a start:
the (term, leader) accepted durably, this life's epoch, the attempt id never seen before, and room beside what lives
here. A task is free again for others only through what this row says (or through this node's loss).

Invariants: an attempt id starts at most once; exactly one process per live entry; no attempt lives that this node
does not report in its inventory; rows of an earlier life that say `running` are ended at start, because the daemon
has ended their processes before it spoke.

Called by `farmd.core.node`. Never schedules, never looks at other nodes' capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from farmd.core.capacity import Capacity, Claim, need_of
from farmd.core.cost import price_of_share
from farmd.core.effects import StartAttempt, StopAttempt
from farmd.core.fence import Fence
from farmd.core.plan import Plan
from protocol.bodies import AttemptBody, pack_body
from protocol.errors import PeerError, UserError
from protocol.jobspec import JobSpec, spec_from_bytes
from protocol.messages import Grant, GrantReply, Inventory, Refusal, Running, Stop
from protocol.records import JobField, Kind, Rank, attempt_pk, attempt_ref_of
from protocol.states import AttemptState, FailureClass

if TYPE_CHECKING:
    from farmd.core.assets import Assets
    from farmd.core.election import Election
    from farmd.core.events import AttemptEnded, AttemptProgressed
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.replica import Replica
    from farmd.core.turn import Turn
    from protocol.bodies import ControlBody, NodeBody
    from protocol.ids import AttemptRef, JobId, NodeId
    from protocol.pathrules import PathRule
    from protocol.records import Rec

PAUSE_NOW = 2
"""Value of the PAUSED register that stops running attempts too; 1 lets them finish."""
STOP_NOW = 2
"""Value of the HELD register of a node that stops running attempts too; 1 lets them finish."""
STOP_CAUSES = (FailureClass.CANCELLED, FailureClass.SUPERSEDED, FailureClass.PREEMPTED, FailureClass.NODE_LOST)
"""Ends that say nothing against the frame: the row becomes `stopped`, not `failed`."""


@dataclass(slots=True)
class Live:
    """One attempt in flight here."""

    spec: JobSpec
    generation: int
    claim: Claim
    epoch: int
    started_mono: float
    started_ms: int
    price: int = 0
    progress: float = 0.0
    stopping: bool = False
    stopped_by: str = ""


class _Order(NamedTuple):
    """A grant that passed every fence."""

    spec: JobSpec
    frames: tuple[int, ...]
    claim: Claim


class _End(NamedTuple):
    """Why a live attempt has become pointless, and by whose order."""

    cause: FailureClass
    text: str
    actor: str = ""

    @classmethod
    def ordered(cls, cause: FailureClass, text: str, order: ControlBody | None) -> Self:
        """Tell whose order it was, and the reason that was given."""
        if order is None or not order.actor:
            return cls(cause, text)
        why = f": {order.why}" if order.why else ""
        return cls(cause, f"{text} by {order.actor}{why}", order.actor)


class _Refused(Exception):  # not an error: the answer to a grant
    """A fence holds."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.name)
        self.reason = reason


class Worker:
    """Runs what it is granted; `live` is the only truth about what runs here."""

    def __init__(
        self,
        node: NodeId,
        epoch: int,
        *,
        replica: Replica,
        jobs: Jobs,
        election: Election,
        assets: Assets,
    ) -> None:
        self._node = node
        self._epoch = epoch
        self._replica = replica
        self._jobs = jobs
        self._election = election
        self._assets = assets
        self._fence = Fence()
        self._capacity: Capacity | None = None
        self.live: dict[AttemptRef, Live] = {}
        self.held = False
        self.price: int | None = None
        self.path_rules: tuple[PathRule, ...] = ()
        self.disk_full = False
        self.refused = 0

    def offer(self, body: NodeBody) -> None:
        """Set what this node offers."""
        claims = {ref: live.claim for ref, live in self.live.items()}
        self._capacity = Capacity(self._node, body, claims)

    def reconcile(self, turn: Turn) -> None:
        """End the rows of earlier lives that still say `running`; their processes are gone."""
        for ref, body in self._jobs.running_rows_of(self._node):
            if body.epoch < self._epoch and ref not in self.live:
                self._end(turn, ref, body, FailureClass.NODE_LOST, text="the node was restarted while this ran")

    def disown(self, turn: Turn, rec: Rec, job: Job) -> None:
        """End rows of ours that say `running` and came back from peers: a lying disk had lost even the row."""
        if rec.kind == Kind.JOB:
            attempts = list(job.running.values())
        elif rec.kind == Kind.ATTEMPT and rec.rank == Rank.NORMAL:
            ref = attempt_ref_of(rec.pk)
            attempts = list(filter(None, [job.running.get((ref.task, ref.attempt))]))
        else:
            return
        for attempt in attempts:
            if attempt.node == self._node and attempt.ref not in self.live:
                text = "the node was restarted while this ran, and its disk had forgotten it"
                self._end(turn, attempt.ref, attempt.body, FailureClass.NODE_LOST, text=text)

    def running(self, now_mono: float) -> tuple[Running, ...]:
        """List what runs here, for adverts and inventories."""
        return tuple(
            [
                Running(ref, live.generation, live.progress, int(now_mono - live.started_mono))
                for ref, live in self.live.items()
            ]
        )

    def on_inventory_ask(self, turn: Turn, sender: NodeId, term: int) -> None:
        """Tell a new leader what runs here, before it grants anything; nothing of an older leader starts after it."""
        if self._election.obey(term, sender):
            turn.send(sender, Inventory(term, self._epoch, self.running(turn.now.mono)))

    def on_grant(self, turn: Turn, sender: NodeId, grant: Grant) -> None:
        """Start the attempt, or refuse it with the reason; the row of a started attempt is its acceptance.

        A grant that comes twice is passed over in silence: a refusal would free, at the leader, what runs here.

        Raises:
            PeerError: The grant names no attempt.
        """
        pk = attempt_pk(grant.ref)
        if self._fence.has_seen(grant.ref.attempt):
            self.refused += 1
            return
        try:
            order = self._admit(turn, sender, grant)
        except _Refused as refused:
            self.refused += 1
            turn.send(sender, GrantReply(grant.ref, accepted=False, reason=refused.reason))
            return
        self._start(turn, pk, grant, order)

    def _admit(self, turn: Turn, sender: NodeId, grant: Grant) -> _Order:
        """Check a grant against every fence, in an order that changes nothing before the last."""
        refusal = self._refusal(sender, grant)
        if refusal is not Refusal.NONE:
            raise _Refused(refusal)
        job = self._jobs.get(grant.ref.job)
        try:
            spec = job.spec if job is not None else spec_from_bytes(grant.spec)
            plan = job.plan if job is not None else Plan(spec)
        except (PeerError, UserError) as error:
            raise _Refused(Refusal.UNREADABLE) from error
        if not 0 <= grant.ref.task < plan.task_count or grant.generation < 0:
            raise _Refused(Refusal.UNREADABLE)
        if not self._assets.holds(grant.ref.job, spec):
            self._assets.missed(turn, grant.ref.job, spec, (sender, spec.submit_node))
            raise _Refused(Refusal.NO_ASSETS)
        claim = self._claim_for(grant.ref, spec)
        if claim is None:
            raise _Refused(Refusal.BUSY)
        if not self._fence.admit(grant.ref.attempt):
            raise _Refused(Refusal.SEEN_BEFORE)
        self._election.obey(grant.ref.attempt.term, sender)
        return _Order(spec, plan.frames_of(grant.ref.task), claim)

    def _refusal(self, sender: NodeId, grant: Grant) -> Refusal:
        ref = grant.ref
        if ref.attempt.leader != sender or not self._election.accepts(ref.attempt.term, sender):
            return Refusal.OLD_TERM
        if grant.epoch != self._epoch:
            return Refusal.OTHER_LIFE
        if self.held:
            return Refusal.HELD
        if self.disk_full:
            return Refusal.DISK_FULL
        if self._capacity is None:
            return Refusal.BUSY
        return self._job_refusal(ref, grant.generation)

    def _job_refusal(self, ref: AttemptRef, generation: int) -> Refusal:
        job = self._jobs.get(ref.job)
        if self._jobs.is_deleted(ref.job):
            return Refusal.JOB_STOPPED
        if job is None:
            return Refusal.NONE
        if job.cancelled or job.paused_by_person:
            return Refusal.JOB_STOPPED
        if job.is_done(ref.task) and job.generation_of(ref.task) >= generation:
            return Refusal.DONE_ALREADY
        return Refusal.NONE

    def _claim_for(self, ref: AttemptRef, spec: JobSpec) -> Claim | None:
        job = self._jobs.get(ref.job)
        if self._capacity is None:
            return None
        learned = job.ram_floor_bytes if job is not None else 0
        need = need_of(spec, min(learned, self._capacity.body.ram_bytes))
        if self._capacity.never_fits(need) is not None:
            return None
        return self._capacity.fit_now(need)

    def _start(self, turn: Turn, pk: bytes, grant: Grant, order: _Order) -> None:
        live = Live(order.spec, grant.generation, order.claim, self._epoch, turn.now.mono, turn.now.wall_ms)
        self.live[grant.ref] = live
        if self._capacity is not None:
            self._capacity.claims[grant.ref] = order.claim
            live.price = price_of_share(self.price, order.claim, self._capacity.body)
        running, generation = AttemptState.RUNNING, grant.generation
        body = AttemptBody(self._node, self._epoch, generation, running, started_ms=live.started_ms, price=live.price)
        self._replica.write(turn, Kind.ATTEMPT, pk, pack_body(body))
        claim = order.claim
        rules = self.path_rules if order.spec.manifest is not None else ()
        turn.effects.append(
            StartAttempt(grant.ref, order.spec, order.frames, claim.cores, claim.ram_bytes, claim.gpus, rules)
        )

    def on_progress(self, event: AttemptProgressed) -> None:
        """Remember progress; it travels in adverts, never in rows."""
        live = self.live.get(event.ref)
        if live is not None:
            live.progress = max(live.progress, min(1.0, event.progress))

    def on_ended(self, turn: Turn, event: AttemptEnded) -> None:
        """Write the row that frees the task, or makes it done."""
        live = self.live.pop(event.ref, None)
        if live is None:
            return
        if self._capacity is not None:
            self._capacity.claims.pop(event.ref, None)
        body = AttemptBody(
            node=self._node,
            epoch=live.epoch,
            generation=live.generation,
            state=AttemptState.RUNNING,
            started_ms=live.started_ms,
            exit_code=event.exit_code,
            peak_ram_bytes=event.peak_ram_bytes,
            outputs=event.outputs,
            last_lines=event.last_lines[-2048:],
            price=live.price,
            actor=live.stopped_by if event.cause in STOP_CAUSES else "",
        )
        self._end(turn, event.ref, body, event.cause, event.text)

    def _end(self, turn: Turn, ref: AttemptRef, body: AttemptBody, cause: int, text: str) -> None:
        if cause == 0:
            state, rank = AttemptState.DONE, Rank.FINAL
        elif cause in STOP_CAUSES:
            state, rank = AttemptState.STOPPED, Rank.ENDED
        else:
            state, rank = AttemptState.FAILED, Rank.ENDED
        ended = body._replace(state=state, cause=cause, ended_ms=turn.now.wall_ms, text=text[:400])
        self._replica.write(turn, Kind.ATTEMPT, attempt_pk(ref), pack_body(ended), rank=rank)

    def on_stop(self, turn: Turn, sender: NodeId, message: Stop) -> None:
        """The leader wants an attempt ended; one that never started here never will.

        Raises:
            PeerError: The sender may not order that.
        """
        if sender not in (message.ref.attempt.leader, self._election.leader):
            raise PeerError(f"{sender} neither granted {message.ref} nor leads")
        if message.ref in self.live:
            cause = message.cause if message.cause in STOP_CAUSES else FailureClass.SUPERSEDED
            self.stop(turn, message.ref, cause, message.text)
        else:
            self._fence.admit(message.ref.attempt)

    def stop(
        self, turn: Turn, ref: AttemptRef, cause: int, text: str, grace_s: float = 10.0, *, actor: str = ""
    ) -> None:
        """End a live attempt, wanted by `actor` if by anybody; asking twice changes nothing."""
        live = self.live.get(ref)
        if live is None or live.stopping:
            return
        live.stopping, live.stopped_by = True, actor
        turn.effects.append(StopAttempt(ref, cause, text, grace_s))

    def begin_life(self, turn: Turn, epoch: int) -> None:
        """Another number was found for this life: what was started under the old one counts as lost, so it ends."""
        self._epoch = epoch
        self.stop_all(turn, "this node was restored from an older state")

    def obey_hold(self, turn: Turn, hold: ControlBody | None, price: int | None) -> None:
        """This node was held or released, or has another price; a hold may want all stopped that runs."""
        self.held, self.price = hold is not None, price
        if hold is not None and hold.value == STOP_NOW:
            for ref in list(self.live):
                text = f"the machine was held at once by {hold.actor}"
                self.stop(turn, ref, FailureClass.PREEMPTED, text, actor=hold.actor)

    def stop_all(self, turn: Turn, text: str) -> None:
        """End everything, because the daemon stops."""
        for ref in list(self.live):
            self.stop(turn, ref, FailureClass.PREEMPTED, text, grace_s=3.0)

    def on_job_changed(self, turn: Turn, job_id: JobId) -> None:
        """End attempts that have become pointless: job cancelled or deleted, task done elsewhere, new generation."""
        for ref, live in list(self.live.items()):
            if ref.job == job_id and not live.stopping:
                end = self._pointless(ref, live)
                if end is not None:
                    self.stop(turn, ref, end.cause, end.text, actor=end.actor)

    def _pointless(self, ref: AttemptRef, live: Live) -> _End | None:
        job = self._jobs.get(ref.job)
        if job is None:
            deleted = self._jobs.is_deleted(ref.job)
            return _End(FailureClass.CANCELLED, "the job was deleted") if deleted else None
        cancelled, paused = job.control(JobField.CANCELLED), job.control(JobField.PAUSED)
        if cancelled is not None and job.cancelled:
            return _End.ordered(FailureClass.CANCELLED, "the job was cancelled", cancelled)
        if paused is not None and paused.value == PAUSE_NOW:
            return _End.ordered(FailureClass.PREEMPTED, "the job was paused at once", paused)
        if job.generation_of(ref.task) > live.generation:
            return _End.ordered(FailureClass.SUPERSEDED, "the task was requeued", job.requeued_by(ref.task))
        if job.is_done(ref.task):
            return _End(FailureClass.SUPERSEDED, "the task is done elsewhere")
        return None
