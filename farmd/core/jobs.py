"""All jobs: the fold of the replicated rows into jobs, tasks and what follows from them.

Theory. The replica hands over each row that has changed; here it finds its job and nothing else is computed anew.
Rows come in any order and more than once: a row of a job whose JOB row has not arrived waits, a version that is not
news changes nothing, and one that cannot be read is skipped and counted (an older version that could be read stands).
So the fold depends only on the set of rows, and `from_scratch` over the same rows gives the same jobs.

Kept across jobs: which jobs could use a grant now (for the scheduler, which must never poll them all), which wait for
others to complete, what each node runs, which nodes are sick, and when the next delay is over. A job waits for those
in its `after` only until its first attempt: requeueing or deleting the earlier job does not stop it half-way.

Invariants: a deleted job never returns; `candidates()` holds every job that may want a grant.
Called by `farmd.core.node` and its machines. Never sends, saves or schedules.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from farmd.core.attempts import Attempt, Lives, read_attempt
from farmd.core.job import GrantOrder, Job
from farmd.core.jobstatus import status_of
from farmd.core.retry import NodeHealth
from protocol.bodies import AttemptBody, ControlBody, HoldingBody, unpack_body
from protocol.errors import PeerError, UserError
from protocol.ids import AttemptRef, JobId, NodeId, TaskIndex, unpack_job, unpack_node
from protocol.jobspec import JobSpec, spec_from_bytes
from protocol.records import HoldingWhat, JobField, Kind, Rank, Rec, attempt_ref_of, stamp
from protocol.states import AttemptState, JobState

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterable, Iterator

    from farmd.core.job import Eligible
    from farmd.core.jobstatus import JobStatus
    from farmd.core.turn import Instant

_JOB_BYTES = 10
_HOLDING_BYTES = 19
_JOB_WIDE = TaskIndex(-1)


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
        self._ids: dict[bytes, JobId] = {}
        self._early: dict[JobId, dict[tuple[int, bytes], Rec]] = {}
        self._deleted: dict[JobId, None] = {}
        self._running: dict[NodeId, dict[AttemptRef, Attempt]] = {}
        self._candidates: dict[JobId, GrantOrder] = {}
        self._barring: dict[JobId, None] = {}
        self._losing: dict[JobId, None] = {}
        self._line: list[Job] | None = None
        self._dependents: dict[JobId, dict[JobId, None]] = {}
        self._completed: dict[JobId, None] = {}
        self._unsettled: dict[JobId, None] | None = None
        self._timers: list[tuple[float, JobId, TaskIndex]] = []

    @classmethod
    def from_scratch(cls, rows: Iterable[Rec], now: Instant, eligible: Eligible | None = None) -> Jobs:
        """Fold all rows of a replica."""
        jobs = cls(eligible)
        jobs.load(rows, now)
        return jobs

    # -- rows ---------------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[Rec], now: Instant) -> None:
        """Fold many rows, as at a start; what is kept across jobs is brought up to date once, at the end."""
        self._unsettled = {}
        for rec in rows:
            self.apply(rec, now)
        unsettled, self._unsettled = self._unsettled, None
        for job_id in unsettled:
            if job_id in self._jobs:
                self._settle(self._jobs[job_id])

    def apply(self, new: Rec, now: Instant) -> Folded | None:
        """Fold one row that has changed; None if it says nothing new about any job."""
        job_id = self._job_named_by(new)
        if job_id is None or job_id in self._deleted:
            return None
        try:
            return self._apply(job_id, new, now)
        except (PeerError, UserError):
            self.skipped += 1
            return None

    def _job_named_by(self, rec: Rec) -> JobId | None:
        packed = _packed_job(rec)
        if not packed:
            return None
        job_id = self._ids.get(packed)
        if job_id is None:
            job_id = self._ids[packed] = unpack_job(packed)
        return job_id

    def _apply(self, job_id: JobId, new: Rec, now: Instant) -> Folded | None:
        if new.kind == Kind.JOB:
            return self._put_job(job_id, new, now)
        if new.kind == Kind.JOB_CONTROL and new.pk[_JOB_BYTES:] == bytes((JobField.DELETED,)):
            return self._put_deleted(job_id, new)
        job = self._jobs.get(job_id)
        if job is None:
            self._put_early(job_id, new)
            return None
        results = self._put(job, new, now)
        if results is None:
            return None
        self._settle(job)
        return Folded(job_id, tuple(results))

    def _put_job(self, job_id: JobId, new: Rec, now: Instant) -> Folded | None:
        known = self._jobs.get(job_id)
        if known is not None and stamp(known.rec) >= stamp(new):
            return None
        job = Job(job_id, new, spec_from_bytes(new.body), lives=self._lives, eligible=self._eligible)
        rows = list(known.rows()) if known is not None else list(self._early.pop(job_id, {}).values())
        if known is not None:
            self._drop(known)
        self._jobs[job_id] = job
        for other in job.spec.after:
            self._dependents.setdefault(other, {})[job_id] = None
        for rec in rows:
            try:
                self._put(job, rec, now)
            except PeerError:
                self.skipped += 1
        self._settle(job)
        return Folded(job_id, tuple(job.done_tasks()))

    def _put_deleted(self, job_id: JobId, new: Rec) -> Folded | None:
        if new.rank < Rank.FINAL:
            return None
        self.forget(job_id)
        return Folded(job_id)

    def _put_early(self, job_id: JobId, new: Rec) -> None:
        _check(new)
        rows = self._early.setdefault(job_id, {})
        old = rows.get((new.kind, new.pk))
        if old is None or stamp(old) < stamp(new):
            rows[new.kind, new.pk] = new

    def _put(self, job: Job, new: Rec, now: Instant) -> Iterable[TaskIndex] | None:
        """Fold one row of a known job; return the tasks whose result it changed, None if it is no news."""
        if new.kind == Kind.ATTEMPT:
            return self._put_attempt(job, new, now)
        if new.kind == Kind.JOB_CONTROL:
            return job.put_control(new, new.pk[_JOB_BYTES], unpack_body(ControlBody, new.body))
        try:
            what = HoldingWhat(new.pk[8])
        except ValueError:
            return None
        news = job.put_holding(new, unpack_node(new.pk[:8]), what, unpack_body(HoldingBody, new.body))
        if what is HoldingWhat.LOST and job.tasks.has_lost:
            self._losing[job.id] = None
        return () if news else None

    def _put_attempt(self, job: Job, new: Rec, now: Instant) -> Iterable[TaskIndex] | None:
        attempt = read_attempt(new)
        if not job.has_task(attempt.task):
            raise PeerError(f"job {job.id} has no task {attempt.task}")
        before = (job.tasks.due_of(attempt.task), job.retries.license_until)
        replaced = job.put_attempt(attempt, now)
        if replaced is None:
            return None
        if job.retries.bars_any:
            self._barring[job.id] = None
        self._index(job.id, replaced.old, attempt)
        self._wake(job, attempt.task, before)
        return (attempt.task,) if replaced.result_changed else ()

    def _wake(self, job: Job, task: TaskIndex, before: tuple[float, float]) -> None:
        """Note when delays end that were not there before."""
        due, license_until = job.tasks.due_of(task), job.retries.license_until
        if due > before[0]:
            heapq.heappush(self._timers, (due, job.id, task))
        if license_until > before[1]:
            heapq.heappush(self._timers, (license_until, job.id, _JOB_WIDE))

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
        self._early.pop(job_id, None)
        job = self._jobs.get(job_id)
        if job is not None:
            self._drop(job)
            self._settle_dependents(job_id)

    def _drop(self, job: Job) -> None:
        del self._jobs[job.id]
        for attempt in job.running.values():
            self._running.get(attempt.node, {}).pop(attempt.ref, None)
        for other in job.spec.after:
            self._dependents.get(other, {}).pop(job.id, None)
        self.health.forget(job.id)
        self._candidates.pop(job.id, None)
        self._barring.pop(job.id, None)
        self._losing.pop(job.id, None)
        self._line = None
        self._completed.pop(job.id, None)

    # -- across jobs --------------------------------------------------------------------------------------------------

    def _settle(self, job: Job) -> None:
        """Bring what is kept across jobs up to date after a change of one."""
        if self._unsettled is not None:
            self._unsettled[job.id] = None
            return
        if job.may_want_grants and not self.blocked_by(job.id):
            order = job.grant_order
            if self._candidates.get(job.id) != order:
                self._candidates[job.id], self._line = order, None
        elif self._candidates.pop(job.id, None) is not None:
            self._line = None
        completed = job.id in self._dependents and job.state is JobState.COMPLETED
        if completed == (job.id in self._completed):
            return
        if completed:
            self._completed[job.id] = None
        else:
            del self._completed[job.id]
        self._settle_dependents(job.id)

    def _settle_dependents(self, job_id: JobId) -> None:
        for other in self._dependents.get(job_id, {}):
            if other in self._jobs and other != job_id:
                self._settle(self._jobs[other])

    def blocked_by(self, job_id: JobId) -> tuple[JobId, ...]:
        """List the jobs that have to be completed before this one starts; none once it has started."""
        job = self._jobs[job_id]
        if not job.spec.after or job.nodes:
            return ()
        return tuple([other for other in job.spec.after if not self._is_completed(other)])

    def _is_completed(self, job_id: JobId) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.state is JobState.COMPLETED

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

    def status_of(self, job_id: JobId, now: Instant) -> JobStatus:
        """Return a snapshot for clients."""
        status = status_of(self._jobs[job_id], now, self.blocked_by(job_id))
        return replace(status, state=self.state_of(job_id))

    def candidates(self) -> list[Job]:
        """List the jobs with a task that may be granted now, or when a delay is over; no order is promised."""
        return [self._jobs[job_id] for job_id in self._candidates]

    def line(self) -> list[Job]:
        """List the candidates in the order in which they are granted tasks; the same list until that changes."""
        if self._line is None:
            self._line = [self._jobs[job_id] for job_id in sorted(self._candidates, key=self._candidates.__getitem__)]
        return self._line

    def barred_candidates(self) -> list[Job]:
        """List the candidates that some nodes may not be granted, since their renderers lack a feature."""
        return [self._jobs[job_id] for job_id in self._barring if job_id in self._candidates]

    def losing(self) -> list[Job]:
        """List the jobs of which some node has lost results of its own."""
        for job_id in [job_id for job_id in self._losing if not self._jobs[job_id].tasks.has_lost]:
            del self._losing[job_id]
        return [self._jobs[job_id] for job_id in self._losing]

    def ready_tasks(self, job_id: JobId, limit: int, now: Instant, *, reverse: bool = False) -> list[TaskIndex]:
        """List up to `limit` tasks of a job that may be granted now."""
        self.release(now)
        return self._jobs[job_id].ready_tasks(limit, now, reverse=reverse) if job_id in self._candidates else []

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
        for rows in self._early.values():
            for rec in rows.values():
                body = _running_body(rec)
                if body is not None and body.node == node:
                    found.append((attempt_ref_of(rec.pk), body))
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
            self._refresh((ref,))

    def ungrant(self, ref: AttemptRef) -> None:
        """Take the mark away: refused, void after 10 s, or its node is lost."""
        job = self._jobs.get(ref.job)
        if job is not None:
            job.tasks.ungrant(ref.task, ref.attempt)
            self._settle(job)

    def ungrant_all(self) -> None:
        """Take all marks away: this node leads no longer."""
        for job in self._jobs.values():
            job.tasks.ungrant_all()
            self._settle(job)

    def node_lost(self, node: NodeId, epoch: int) -> list[AttemptRef]:
        """This life of a node, and all before it, are over; list the attempts that died with it."""
        before = self.running_on(node)
        self._lives.end(node, epoch)
        self._refresh(self._running.get(node, {}))
        return [attempt.ref for attempt in before if self._lives.is_lost(attempt)]

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
                self._settle(job)

    def next_due(self) -> float | None:
        """Return when the next delay is over, on the local clock."""
        return self._timers[0][0] if self._timers else None

    def release(self, now: Instant) -> list[JobId]:
        """End the delays that are over; list the jobs concerned."""
        released: dict[JobId, None] = {}
        while self._timers and self._timers[0][0] <= now.mono:
            _, job_id, task = heapq.heappop(self._timers)
            job = self._jobs.get(job_id)
            if job is None:
                continue
            if task != _JOB_WIDE:
                job.tasks.release(task, now.mono)
            released[job_id] = None
            self._settle(job)
        return list(released)


def _anyone(spec: JobSpec, node: NodeId) -> bool:  # noqa: ARG001  # the default of `eligible`
    return True


def _packed_job(rec: Rec) -> bytes:
    """Return the packed job that a row speaks of, or nothing if it is of a kind that is not folded here."""
    if rec.kind == Kind.HOLDING:
        return rec.pk[-_JOB_BYTES:] if len(rec.pk) == _HOLDING_BYTES else b""
    if rec.kind == Kind.JOB:
        return rec.pk if len(rec.pk) == _JOB_BYTES else b""
    if rec.kind in (Kind.JOB_CONTROL, Kind.ATTEMPT):
        return rec.pk[:_JOB_BYTES] if len(rec.pk) > _JOB_BYTES else b""
    return b""


def _check(rec: Rec) -> None:
    """Read a row that has to wait, so that one which cannot be read never takes the place of one which can."""
    if rec.kind == Kind.ATTEMPT:
        read_attempt(rec)
    else:
        unpack_body(ControlBody if rec.kind == Kind.JOB_CONTROL else HoldingBody, rec.body)


def _running_body(rec: Rec) -> AttemptBody | None:
    if rec.kind != Kind.ATTEMPT:
        return None
    try:
        attempt = read_attempt(rec)
    except PeerError:
        return None
    return attempt.body if attempt.state == AttemptState.RUNNING else None
