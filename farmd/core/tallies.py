"""Counts over all jobs, kept as jobs change: what every viewer is shown and nobody may count anew for each of them.

Each job's part is remembered, so that a change costs what one job costs; `from_scratch` over the same jobs gives the
same counts. Tasks of a job that is over and that never ran count as cancelled, not as waiting.

Called by `farmd.core.chronicle`. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.states import JOB_TERMINAL, JobState

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from protocol.ids import JobId

_CARDS = {
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
    JobState.REJECTED: "cancelled",
    JobState.TESTING: "running",
    JobState.RENDERING: "running",
}
JOB_CARDS = ("total", "pending", "running", "completed", "failed", "cancelled")
TASK_CARDS = ("total", "waiting", "running", "done", "failed", "cancelled")


class Share(NamedTuple):
    """What one job adds to the counts: the card of its state, its tasks as in `TASK_CARDS`, and its done frames."""

    card: str
    tasks: tuple[int, ...]
    done_frames: int


class Tallies:
    """The counts.

    Attributes:
        jobs: Jobs by the cards of a board.
        tasks: Tasks of all jobs by where they stand.
    """

    def __init__(self) -> None:
        self._shares: dict[JobId, Share] = {}
        self.jobs = dict.fromkeys(JOB_CARDS, 0)
        self.tasks = dict.fromkeys(TASK_CARDS, 0)

    @classmethod
    def from_scratch(cls, jobs: Jobs) -> Tallies:
        """Count all jobs."""
        tallies = cls()
        for job in jobs:
            tallies.put(job.id, share_of(jobs, job.id))
        return tallies

    def put(self, job_id: JobId, share: Share | None) -> int:
        """Take a job's part as it is now, None if the job is no more; returns by how many frames more are done.

        Frames of a job that was not counted before are no news: it may have been brought back from the archive.
        """
        old = self._shares.pop(job_id, None)
        if old is not None:
            self._add(old, -1)
        if share is None:
            return 0
        self._shares[job_id] = share
        self._add(share, 1)
        return share.done_frames - old.done_frames if old is not None else 0

    def _add(self, share: Share, sign: int) -> None:
        self.jobs["total"] += sign
        self.jobs[share.card] += sign
        for name, count in zip(TASK_CARDS, share.tasks, strict=True):
            self.tasks[name] += sign * count


def share_of(jobs: Jobs, job_id: JobId) -> Share | None:
    """Read off what a job adds to the counts; None if there is no such job, or if it was put away."""
    job = jobs.get(job_id)
    if job is None or job.archived:
        return None
    state = jobs.state_of(job_id)
    running, done, failed = job.running_count, job.done_count, job.failed_count
    waiting = job.plan.task_count - running - done - failed
    left, gone = (0, waiting) if state in JOB_TERMINAL else (waiting, 0)
    tasks = (job.plan.task_count, left, running, done, failed, gone)
    return Share(_CARDS.get(state, "pending"), tasks, job.tasks.done_frames)
