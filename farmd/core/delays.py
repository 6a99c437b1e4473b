"""When the waits of failed tasks, and of jobs without a licence, are over: one heap for all jobs.

A wait that was lengthened meanwhile stands there twice; whoever is told that a wait is over asks the task itself.

Called by `farmd.core.jobs`.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

from protocol.ids import TaskIndex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.core.job import Job
    from protocol.ids import JobId

_JOB_WIDE = TaskIndex(-1)


class Waits(NamedTuple):
    """Until when a task, and its whole job, is not tried again; local monotonic seconds, 0 if there is no wait."""

    task_until: float
    job_until: float


def waits_of(job: Job, task: TaskIndex) -> Waits:
    """Read off how long a task has to wait."""
    return Waits(job.tasks.due_of(task), job.retries.license_until)


class Delays:
    """Ends of waits, the earliest first."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, JobId, TaskIndex]] = []

    def note(self, job: Job, task: TaskIndex, before: Waits) -> None:
        """Note when waits end that were not there before."""
        now = waits_of(job, task)
        if now.task_until > before.task_until:
            heapq.heappush(self._ends, (now.task_until, job.id, task))
        if now.job_until > before.job_until:
            heapq.heappush(self._ends, (now.job_until, job.id, _JOB_WIDE))

    def next_due(self) -> float | None:
        """Return when the next wait is over, on the local clock."""
        return self._ends[0][0] if self._ends else None

    def take_due(self, now_mono: float) -> Iterator[tuple[JobId, TaskIndex | None]]:
        """Yield whose wait is over: a task's, or, with None, a whole job's."""
        while self._ends and self._ends[0][0] <= now_mono:
            _, job_id, task = heapq.heappop(self._ends)
            yield job_id, (None if task == _JOB_WIDE else task)
