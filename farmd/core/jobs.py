"""All jobs: the fold of the replicated rows into jobs, tasks and what follows from them.

Theory. The replica hands over each row that has changed; here it finds its job and nothing else is computed anew.
Rows come in any order and more than once: a row of a job whose JOB row has not arrived waits, a version that is not
news changes nothing, and one that cannot be read is skipped and counted (an older version that could be read stands).
So the fold depends only on the set of rows, and `from_scratch` over the same rows gives the same jobs.

Kept across jobs: what each node runs, which nodes are sick (`health`), which jobs could use a grant now or wait for
others (`farmd.core.lineup`), and when the next delay is over (`farmd.core.delays`).

Invariants: a deleted job never returns; a change of a job is settled across jobs in the same call.
Called by `farmd.core.node` and its machines. Never sends, saves or schedules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from farmd.core.attempts import Attempt, Lives, read_attempt
from farmd.core.delays import Delays, waits_of
from farmd.core.job import Job
from farmd.core.jobrows import JOB_BYTES, EarlyRows, JobNames
from farmd.core.jobstatus import status_of
from farmd.core.lineup import Lineup
from farmd.core.retry import NodeHealth
from protocol.bodies import ControlBody, HoldingBody, unpack_body
from protocol.errors import PeerError, UserError
from protocol.ids import AttemptRef, JobId, NodeId, TaskIndex, unpack_node
from protocol.jobspec import JobSpec, spec_from_bytes
from protocol.records import HoldingWhat, JobField, Kind, Rank, Rec, stamp
from protocol.states import AttemptState, JobState

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterable, Iterator

    from farmd.core.job import Eligible
    from farmd.core.jobstatus import JobStatus
    from farmd.core.turn import Instant
    from protocol.bodies import AttemptBody


class Folded(NamedTuple):
    """What a row changed: its job, and the tasks that have another result now, or none any more."""

    job: JobId
    results: tuple[TaskIndex, ...] = ()


class Jobs:
    """The fold.

    Attributes:
        health: Which nodes are sick.
        skipped: Rows that could not be read.
    """

    def __init__(self, eligible: Eligible | None = None) -> None:
        """Start empty; `eligible(spec, node)` says whether a node could ever run tasks of a job (default: all)."""
        self.health = NodeHealth()
        self.skipped = 0
        self._eligible = eligible or _anyone
        self._lives = Lives()
        self._jobs: dict[JobId, Job] = {}
        self._names = JobNames()
        self._early = EarlyRows()
        self._deleted: dict[JobId, None] = {}
        self._running: dict[NodeId, dict[AttemptRef, Attempt]] = {}
        self._lineup = Lineup(self._jobs)
        self._delays = Delays()
        self._refreshed: dict[JobId, None] = {}

    @classmethod
    def from_scratch(cls, rows: Iterable[Rec], now: Instant, eligible: Eligible | None = None) -> Jobs:
        """Fold all rows of a replica."""
        jobs = cls(eligible)
        jobs.load(rows, now)
        return jobs

    # -- rows ---------------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[Rec], now: Instant) -> None:
        """Fold many rows, as at a start; what is kept across jobs is brought up to date once, at the end."""
        self._lineup.put_off()
        for rec in rows:
            self.apply(rec, now)
        self._lineup.catch_up()

    def apply(self, new: Rec, now: Instant) -> Folded | None:
        """Fold one row that has changed; None if it says nothing new about any job."""
        job_id = self._names.of(new)
        if job_id is None or job_id in self._deleted:
            return None
        try:
            return self._apply(job_id, new, now)
        except (PeerError, UserError):
            self.skipped += 1
            return None

    def _apply(self, job_id: JobId, new: Rec, now: Instant) -> Folded | None:
        if new.kind == Kind.JOB:
            return self._put_job(job_id, new, now)
        if new.kind == Kind.JOB_CONTROL and new.pk[JOB_BYTES:] == bytes((JobField.DELETED,)):
            return self._put_deleted(job_id, new)
        job = self._jobs.get(job_id)
        if job is None:
            self._early.put(job_id, new)
            return None
        results = self._put(job, new, now)
        if results is None:
            return None
        self._lineup.settle(job)
        return Folded(job_id, tuple(results))

    def _put_job(self, job_id: JobId, new: Rec, now: Instant) -> Folded | None:
        known = self._jobs.get(job_id)
        if known is not None and stamp(known.rec) >= stamp(new):
            return None
        job = Job(job_id, new, spec_from_bytes(new.body), lives=self._lives, eligible=self._eligible)
        rows = list(known.rows()) if known is not None else self._early.take(job_id)
        if known is not None:
            self._drop(known)
        self._jobs[job_id] = job
        self._lineup.enter(job)
        for rec in rows:
            try:
                self._put(job, rec, now)
            except PeerError:
                self.skipped += 1
        self._lineup.settle(job)
        return Folded(job_id, tuple(job.done_tasks()))

    def _put_deleted(self, job_id: JobId, new: Rec) -> Folded | None:
        if new.rank < Rank.FINAL:
            return None
        self.forget(job_id)
        return Folded(job_id)

    def _put(self, job: Job, new: Rec, now: Instant) -> Iterable[TaskIndex] | None:
        """Fold one row of a known job; return the tasks whose result it changed, None if it is no news."""
        if new.kind == Kind.ATTEMPT:
            return self._put_attempt(job, new, now)
        if new.kind == Kind.JOB_CONTROL:
            return job.put_control(new, new.pk[JOB_BYTES], unpack_body(ControlBody, new.body))
        try:
            what = HoldingWhat(new.pk[8])
        except ValueError:
            return None
        news = job.put_holding(new, unpack_node(new.pk[:8]), what, unpack_body(HoldingBody, new.body))
        if what is HoldingWhat.LOST:
            self._note_losses(job)
        return () if news else None

    def _put_attempt(self, job: Job, new: Rec, now: Instant) -> Iterable[TaskIndex] | None:
        attempt = read_attempt(new)
        if not job.has_task(attempt.task):
            raise PeerError(f"job {job.id} has no task {attempt.task}")
        before = waits_of(job, attempt.task)
        replaced = job.put_attempt(attempt, now)
        if replaced is None:
            return None
        if job.retries.bars_any:
            self._lineup.bars(job.id)
        if self._lives.is_evicted(attempt.node):
            self._note_losses(job)
        self._index(job.id, replaced.old, attempt)
        self._delays.note(job, attempt.task, before)
        return (attempt.task,) if replaced.result_changed else ()

    def _index(self, job_id: JobId, old: Attempt | None, new: Attempt) -> None:
        self.health.replace(job_id, old, new)
        ref = AttemptRef(job_id, new.task, new.id)
        if new.state == AttemptState.RUNNING:
            self._running.setdefault(new.node, {})[ref] = new
        elif old is not None and old.state == AttemptState.RUNNING:
            self._running.get(old.node, {}).pop(ref, None)

    def forget(self, job_id: JobId) -> None:
        """Drop a deleted job for ever: rows that come late change nothing."""
        self._deleted[job_id] = None
        self._early.take(job_id)
        job = self._jobs.get(job_id)
        if job is not None:
            self._drop(job)
            self._lineup.settle_dependents(job_id)

    def _drop(self, job: Job) -> None:
        del self._jobs[job.id]
        for attempt in job.running.values():
            self._running.get(attempt.node, {}).pop(attempt.ref, None)
        self.health.forget(job.id)
        self._lineup.drop(job)

    # -- questions ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def items(self) -> ItemsView[JobId, Job]:
        """All jobs by id, in the order in which they came here."""
        return self._jobs.items()

    def get(self, job_id: JobId) -> Job | None:
        """Return a job, or None if it is not known, not yet known, or deleted."""
        return self._jobs.get(job_id)

    def is_deleted(self, job_id: JobId) -> bool:
        """Tell whether a job was deleted."""
        return job_id in self._deleted

    def state_of(self, job_id: JobId) -> JobState:
        """Return where a job stands; one that waits for other jobs is queued, whatever its files do."""
        state = self._jobs[job_id].state
        return JobState.QUEUED if state is JobState.PREPARING and self.blocked_by(job_id) else state

    def status_of(self, job_id: JobId, now: Instant, *, frames: bool = True) -> JobStatus:
        """Return a snapshot for clients, without lists of `frames` if they are not wanted."""
        status = status_of(self._jobs[job_id], now, self.blocked_by(job_id), frames=frames)
        return replace(status, state=self.state_of(job_id))

    def candidates(self) -> list[Job]:
        """List the jobs with a task that may be granted now, or when a delay is over; no order is promised."""
        return self._lineup.candidates()

    def line(self) -> list[Job]:
        """List the candidates in the order in which they are granted tasks; the same list until that changes."""
        return self._lineup.line()

    def barred_candidates(self) -> list[Job]:
        """List the candidates that some nodes may not be granted, since their renderers lack a feature."""
        return self._lineup.barred_candidates()

    def losing(self) -> list[Job]:
        """List the jobs of which some node has lost results of its own."""
        return self._lineup.losing()

    def blocked_by(self, job_id: JobId) -> tuple[JobId, ...]:
        """List the jobs that have to be completed before this one starts; none once it has started."""
        return self._lineup.blocked_by(job_id)

    def ready_tasks(self, job_id: JobId, limit: int, now: Instant, *, reverse: bool = False) -> list[TaskIndex]:
        """List up to `limit` tasks of a job that may be granted now."""
        self.release(now)
        return self._jobs[job_id].ready_tasks(limit, now, reverse=reverse) if job_id in self._lineup else []

    def running_attempts(self, job_id: JobId) -> list[Attempt]:
        """List the attempts of a job that are believed to be executing."""
        return self._jobs[job_id].live_attempts()

    def running_on(self, node: NodeId) -> list[Attempt]:
        """List the attempts that are believed to be executing on a node."""
        running = self._running.get(node, {})
        return [running[ref] for ref in sorted(running) if self._lives.is_live(running[ref])]

    def nodes_running(self) -> tuple[NodeId, ...]:
        """List the nodes that have rows which say running, for a leader that has to find out which of them live."""
        return tuple(sorted(node for node, running in self._running.items() if running))

    def running_rows_of(self, node: NodeId) -> list[tuple[AttemptRef, AttemptBody]]:
        """List all attempt rows of a node that say running, of jobs not known yet too."""
        found = [(ref, attempt.body) for ref, attempt in self._running.get(node, {}).items()]
        found.extend(self._early.running_on(node))
        return sorted(found, key=lambda row: row[0])

    # -- facts of the moment ------------------------------------------------------------------------------------------

    def grant(self, ref: AttemptRef) -> None:
        """Mark a task as granted or adopted by this leader, until a row of that attempt arrives or `ungrant`.

        An attempt that was marked lost and is adopted again is running again.
        """
        job = self._jobs.get(ref.job)
        if job is not None and job.has_task(ref.task):
            self._lives.find(ref)
            job.tasks.grant(ref.task, ref.attempt)
            job.refresh(ref.task)
            self._grants_changed(job)

    def ungrant(self, ref: AttemptRef) -> None:
        """Take the mark away: refused, void after 10 s, or its node is lost."""
        job = self._jobs.get(ref.job)
        if job is not None:
            job.tasks.ungrant(ref.task, ref.attempt)
            self._grants_changed(job)

    def ungrant_all(self) -> None:
        """Take all marks away: this node leads no longer."""
        for job in self._jobs.values():
            job.tasks.ungrant_all()
            self._grants_changed(job)

    def _grants_changed(self, job: Job) -> None:
        """Before the first attempt of a job its state depends on whether anything of it is granted."""
        if not job.nodes:
            self._refreshed[job.id] = None
        self._lineup.settle(job)

    def node_lost(self, node: NodeId, epoch: int) -> list[AttemptRef]:
        """This life of a node, and all before it, are over; list the attempts that died with it."""
        before = self.running_on(node)
        self._lives.end(node, epoch)
        self._refresh(self._running.get(node, {}))
        return [attempt.ref for attempt in before if self._lives.is_lost(attempt)]

    def node_evicted(self, node: NodeId) -> None:
        """What this node holds counts for nothing any more, and never will."""
        self._lives.evict(node)
        for job in self._jobs.values():
            held = [task for task in job.done_tasks() if job.tasks.names_holder(task, node)]
            for task in held:
                job.refresh(task)
            if held:
                self._refreshed[job.id] = None
                self._note_losses(job)

    def is_evicted(self, node: NodeId) -> bool:
        """Tell whether what a node holds counts for nothing."""
        return self._lives.is_evicted(node)

    def _note_losses(self, job: Job) -> None:
        if job.tasks.has_lost:
            self._lineup.loses(job.id)

    def node_back(self, node: NodeId, epoch: int) -> None:
        """A node lives in this epoch: what it runs is running again, what older lives ran is lost."""
        running = self._running.get(node, {})
        if self._lives.begin(node, epoch):
            for ref in running:
                self._lives.find(ref)
        self._refresh(running)

    def mark_lost(self, ref: AttemptRef) -> None:
        """Its node says that it does not have this attempt, though the row still says running."""
        self._lives.drop(ref)
        self._refresh((ref,))

    def _refresh(self, refs: Iterable[AttemptRef]) -> None:
        for ref in list(refs):
            job = self._jobs.get(ref.job)
            if job is not None and job.has_task(ref.task):
                job.refresh(ref.task)
                self._refreshed[job.id] = None
                self._lineup.settle(job)

    def take_refreshed(self) -> dict[JobId, None]:
        """Return the jobs that changed without a row of theirs: something became of a node, or of a job before them."""
        refreshed, self._refreshed = self._refreshed, {}
        return {job_id: None for job_id in (*refreshed, *self._lineup.take_freed()) if job_id in self._jobs}

    def next_due(self) -> float | None:
        """Return when the next delay is over, on the local clock."""
        return self._delays.next_due()

    def release(self, now: Instant) -> list[JobId]:
        """End the delays that are over; list the jobs concerned."""
        released: dict[JobId, None] = {}
        for job_id, task in self._delays.take_due(now.mono):
            job = self._jobs.get(job_id)
            if job is None:
                continue
            if task is not None:
                job.tasks.release(task, now.mono)
            released[job_id] = None
            self._lineup.settle(job)
        return list(released)


def _anyone(spec: JobSpec, node: NodeId) -> bool:  # noqa: ARG001  # the default of `eligible`
    return True
