"""One task with all its tries, and the files of a job with who holds them: what a person looks at closely.

Only reads, in one turn, from the live state. What the files are stands in the manifest, which clients fetch as a blob
and read themselves; who holds all of them is replicated, how much is still lacking is known of this node alone.

Called by `farmd.core.door`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core import views
from farmd.core.arguments import job_of, number_of, task_of
from farmd.core.effects import Reply
from farmd.core.jobstatus import task_state
from protocol.errors import NotFound
from protocol.ids import TaskIndex
from protocol.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked
    from farmd.core.explain import Explain
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

MAX_TRIES = 1000
"""Tries of one task that are told, the latest ones; a task that was retried for months has more."""


class Inspecting:
    """Answers `task.show` and `asset.show`."""

    def __init__(self, node: Node, explain: Explain) -> None:
        self._node = node
        self._explain = explain
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "task.show": self._task,
            "asset.show": self._assets,
        }

    def _task(self, turn: Turn, event: ClientAsked) -> None:
        job = job_of(self._node, event)
        task = _meant(job, event)
        tries = sorted(job.tasks.attempts_of(task), key=lambda attempt: (attempt.started_ms, attempt.id))
        data = {
            "schema": "farm.task.v1",
            "job": job.id,
            **views.task_view(self._node, job, task, task_state(job, task).value),
            "tries": [self._try(attempt) for attempt in tries[-MAX_TRIES:]],
            "reasons": self._explain.why(job, task, turn.now)["reasons"],
        }
        turn.effects.append(Reply(event.client, data))

    def _try(self, attempt: Attempt) -> dict[str, Any]:
        body = attempt.body
        return {
            "attempt": str(attempt.id),
            "state": AttemptState(attempt.state).name.lower(),
            "generation": attempt.generation,
            "node": attempt.node,
            "node_name": self._node.registry.name_of(attempt.node),
            "started_ms": attempt.started_ms,
            "ended_ms": attempt.ended_ms,
            "seconds": max(0, attempt.ended_ms - attempt.started_ms) / 1000 if attempt.ended_ms else None,
            "peak_ram_bytes": attempt.peak_ram_bytes,
            "exit_code": body.exit_code,
            "cause": attempt.cause,
            "text": body.text,
        }

    def _assets(self, turn: Turn, event: ClientAsked) -> None:
        job = job_of(self._node, event)
        manifest = job.spec.manifest
        data = {
            "schema": "farm.assets.v1",
            "job": job.id,
            "name": job.spec.name,
            "scene": job.spec.scene,
            "manifest": None if manifest is None else str(manifest),
            "manifest_bytes": 0 if manifest is None else manifest.size,
            "holders": [] if manifest is None else [self._holder(node) for node in job.copies.asset_holders()],
            "here": self._node.assets.holds(job.id, job.spec),
            "missing_bytes": self._node.assets.missing_bytes(job.id),
        }
        turn.effects.append(Reply(event.client, data))

    def _holder(self, node: NodeId) -> dict[str, Any]:
        alive = node == self._node.id or node in self._node.membership.alive()
        return {"id": node, "name": self._node.registry.name_of(node), "alive": alive}


def _meant(job: Job, event: ClientAsked) -> TaskIndex:
    """Find the task that is meant by its number, or by a frame of it.

    Raises:
        NotFound: The job has no such task.
    """
    if event.args.get("task") is None:
        return task_of(job, number_of(event, "frame", 1))
    task = TaskIndex(number_of(event, "task", 0))
    if not job.has_task(task):
        raise NotFound(
            f"job {job.id} has no task {task}", f"it has {job.plan.task_count}", f"farmctl task list {job.id}"
        )
    return task
