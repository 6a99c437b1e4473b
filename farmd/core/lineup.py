"""Which jobs could use a grant now, in which order, and which wait until others are completed.

The scheduler must never poll all jobs, so what it asks is kept up to date with every change of a job: `settle` looks at
the one that changed, and at those that wait for it only when it became completed, or no longer is. A job waits for
those in its `after` only until its first attempt: requeueing or deleting the earlier job does not stop it half-way.

Invariant: `candidates` holds every job that may want a grant. Called by `farmd.core.jobs`, whose jobs it only reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.job import GrantOrder, Job
    from protocol.ids import JobId


class Lineup:
    """What is kept across jobs for the scheduler."""

    def __init__(self, jobs: Mapping[JobId, Job]) -> None:
        self._jobs = jobs
        self._candidates: dict[JobId, GrantOrder] = {}
        self._line: list[Job] | None = None
        self._barring: dict[JobId, None] = {}
        self._losing: dict[JobId, None] = {}
        self._dependents: dict[JobId, dict[JobId, None]] = {}
        self._freed: dict[JobId, None] = {}
        self._completed: dict[JobId, None] = {}
        self._unsettled: dict[JobId, None] | None = None

    # -- changes ------------------------------------------------------------------------------------------------------

    def enter(self, job: Job) -> None:
        """A job is new, or its row is."""
        for other in job.spec.after:
            self._dependents.setdefault(other, {})[job.id] = None

    def drop(self, job: Job) -> None:
        """A job is gone, or makes room for a newer version of itself."""
        for other in job.spec.after:
            self._dependents.get(other, {}).pop(job.id, None)
        self._candidates.pop(job.id, None)
        self._barring.pop(job.id, None)
        self._losing.pop(job.id, None)
        self._line = None
        self._completed.pop(job.id, None)

    def put_off(self) -> None:
        """Many rows come now: only note which jobs they change, until `catch_up`."""
        self._unsettled = {}

    def catch_up(self) -> None:
        """Look at all jobs that changed since `put_off`."""
        unsettled, self._unsettled = self._unsettled or {}, None
        for job_id in unsettled:
            if job_id in self._jobs:
                self.settle(self._jobs[job_id])

    def settle(self, job: Job) -> None:
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
        self.settle_dependents(job.id)

    def settle_dependents(self, job_id: JobId) -> None:
        """Look at the jobs that wait for this one."""
        for other in self._dependents.get(job_id, {}):
            if other in self._jobs and other != job_id:
                self._freed[other] = None
                self.settle(self._jobs[other])

    def take_freed(self) -> dict[JobId, None]:
        """Return the jobs whose predecessors became completed, or no longer are, since the last call."""
        freed, self._freed = self._freed, {}
        return freed

    def bars(self, job_id: JobId) -> None:
        """Some node may not be granted tasks of this job."""
        self._barring[job_id] = None

    def loses(self, job_id: JobId) -> None:
        """Some node has lost results of this job."""
        self._losing[job_id] = None

    # -- questions ----------------------------------------------------------------------------------------------------

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._candidates

    def blocked_by(self, job_id: JobId) -> tuple[JobId, ...]:
        """List the jobs that have to be completed before this one starts; none once it has started."""
        job = self._jobs[job_id]
        if not job.spec.after or job.nodes:
            return ()
        return tuple([other for other in job.spec.after if not self._is_completed(other)])

    def _is_completed(self, job_id: JobId) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.state is JobState.COMPLETED

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
