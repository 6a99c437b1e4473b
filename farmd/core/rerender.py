"""Results of which no copy is left: said, and rendered again where somebody still waits for them.

A node that misses its own result says so (HOLDING, `LOST`), and fetches it from whoever keeps a copy. Where nobody does,
the leader raises the task's generation, as a person's retry would: done is done within a generation, and this one's
pictures are gone. It does so if the job is not over, or if the result has to be delivered by a node and was not; what
was delivered already, and results of old jobs that wait for nobody, are only said to be lost.

Called by `farmd.core.node` on the node that leads. Never touches a task of which some node, alive or not, has a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.evictable import is_delivered
from protocol.bodies import ControlBody, pack_body
from protocol.records import JobField, Kind, job_control_pk
from protocol.states import JOB_TERMINAL, JobState

if TYPE_CHECKING:
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.replica import Replica
    from farmd.core.turn import Turn

ACTOR = "farmd"
WHY = "no copy of its result is left"


class Rerender:
    """Asks for results anew, on the node that leads."""

    def __init__(self, *, replica: Replica, jobs: Jobs) -> None:
        self._replica = replica
        self._jobs = jobs

    def review(self, turn: Turn) -> bool:
        """Requeue every task whose result is lost and needed; True if there was one."""
        jobs = [job for job in self._jobs.losing() if _waits(job)]
        found = [(job, task) for job in jobs for task in job.lost_tasks() if not job.copies.is_delivered(task)]
        for job, task in found:
            sub = task.to_bytes(4, "big") * 2
            body = ControlBody(job.generation_of(task) + 1, ACTOR, WHY)
            self._replica.write(turn, Kind.JOB_CONTROL, job_control_pk(job.id, JobField.REQUEUE, sub), pack_body(body))
        return bool(found)


def _waits(job: Job) -> bool:
    """Tell whether somebody waits for results of a job: a job with thousands that were dropped costs no search."""
    if job.state in (JobState.CANCELLED, JobState.REJECTED):
        return False
    return job.state not in JOB_TERMINAL or not is_delivered(job)
