"""Results of this node that no other node holds yet: asks others to keep a copy until one says that it does.

A done frame is *safe* when its outputs stand on two nodes. Asked is the node where the job was submitted if it is
alive, since it will need the files anyway, otherwise the leader or any other. While no other node is there nothing is
asked and nothing is remembered: which results are lonely is known to the fold, and `rescan` reads it when company
comes. So a farm of one pays nothing for being alone.

Called by `farmd.core.outputs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.messages import Keep

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.turn import Turn
    from protocol.ids import AttemptRef, JobId, NodeId, TaskIndex

RETRY_S = 5.0
"""Pause before another node is asked."""
AT_ONCE = 64
"""Most questions in one turn."""


class Lonely:
    """Asks others to keep copies; the oldest question is repeated first."""

    def __init__(self, node: NodeId, jobs: Jobs, pick_keeper: Callable[[NodeId], NodeId | None]) -> None:
        """Prepare; `pick_keeper(preferred)` names a live other node, or None if there is none."""
        self._node = node
        self._jobs = jobs
        self._pick_keeper = pick_keeper
        self._asked: dict[tuple[JobId, TaskIndex], tuple[AttemptRef, float]] = {}

    def add(self, turn: Turn, job: Job, task: TaskIndex) -> None:
        """A task has a new result: if it is ours and nobody else holds it, have it kept."""
        result = job.result_of(task)
        self._asked.pop((job.id, task), None)
        if result is not None and self._is_alone(job, task, result.node):
            self._ask(turn, job, task, result.ref)

    def forget(self, job_id: JobId) -> None:
        """The job is deleted."""
        for key in [key for key in self._asked if key[0] == job_id]:
            del self._asked[key]

    def rescan(self, turn: Turn) -> None:
        """Others have come: ask for everything that is still lonely."""
        for job in self._jobs:
            for task in job.lonely_tasks() if job.spec.leaves_outputs else ():
                if (job.id, task) not in self._asked:
                    self.add(turn, job, task)

    def next_deadline(self) -> float | None:
        """When the oldest question is repeated."""
        for _, due in self._asked.values():
            return due
        return None

    def on_timer(self, turn: Turn) -> None:
        """Repeat the questions that are due; what is held by now is dropped."""
        due = [
            key for _, (key, (_, at)) in zip(range(AT_ONCE), self._asked.items(), strict=False) if at <= turn.now.mono
        ]
        for key in due:
            ref, _ = self._asked.pop(key)
            job = self._jobs.get(key[0])
            result = job.result_of(key[1]) if job is not None else None
            if (
                job is not None
                and result is not None
                and result.ref == ref
                and self._is_alone(job, key[1], result.node)
            ):
                self._ask(turn, job, key[1], ref)

    def _is_alone(self, job: Job, task: TaskIndex, node: NodeId) -> bool:
        ours = node == self._node or self._jobs.is_evicted(node)  # then whoever has the last copy looks after it
        return ours and job.copies_of(task) == (self._node,)

    def _ask(self, turn: Turn, job: Job, task: TaskIndex, ref: AttemptRef) -> None:
        result, keeper = job.result_of(task), self._pick_keeper(job.spec.submit_node)
        blobs = tuple([output.blob for output in result.body.outputs]) if result is not None else ()
        if keeper is None or not blobs:
            return
        self._asked[job.id, task] = (ref, turn.now.mono + RETRY_S)
        turn.send(keeper, Keep(ref, blobs))
