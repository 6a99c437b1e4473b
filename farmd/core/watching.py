"""Clients that wait: for a job to change, or for a result to arrive on this node.

An answer says everything anew, so that a client that missed some has missed nothing; changes are told together, a
moment after the first of them, so that a watcher costs little whatever happens. Called by `farmd.core.door`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farmd.core.arguments import job_of, number_of, seconds_of
from farmd.core.effects import Reply
from protocol.errors import NotFound
from protocol.ids import TaskIndex
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import JobId

WATCH_PATIENCE_S = 30.0
WATCH_PAUSE_S = 0.1
"""A change is told after this time, together with those that follow it, so that a watcher costs little."""


@dataclass(slots=True)
class _Watch:
    """A client that waits for a job to change."""

    client: int
    job: JobId
    since: int
    due: float


class Watching:
    """Answers `job.watch` and `result.fetch`."""

    def __init__(self, node: Node, view: Callable[[Job, Turn], dict[str, Any]]) -> None:
        self._node = node
        self._view = view
        self._watches: dict[int, _Watch] = {}
        self._fetches: dict[int, tuple[JobId, TaskIndex, float]] = {}
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "job.watch": self._watch,
            "result.fetch": self._result_fetch,
        }

    def left(self, client: int) -> None:
        """A client no longer waits."""
        self._watches.pop(client, None)
        self._fetches.pop(client, None)

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""
        if not (self._watches or self._fetches):
            return None
        times = [watch.due for watch in self._watches.values()]
        times.extend(due for _, _, due in self._fetches.values())
        return min(times)

    def on_timer(self, turn: Turn) -> None:
        """Answer those who have waited long enough."""
        now = turn.now.mono
        for watch in list(self._watches.values()):
            if watch.due <= now:
                self._answer_watch(turn, watch)
        for client, (job_id, task, due) in list(self._fetches.items()):
            if due <= now:
                self._answer_fetch(turn, client, job_id, task)

    def _watch(self, turn: Turn, event: ClientAsked) -> None:
        job = job_of(self._node, event)
        patience = seconds_of(event, "timeout_s", WATCH_PATIENCE_S)
        since = number_of(event, "since", -1)
        watch = _Watch(event.client, job.id, since, turn.now.mono + patience)
        if self._node.chronicle.version_of(job.id) != since or patience <= 0:
            self._answer_watch(turn, watch)
        else:
            self._watches[event.client] = watch

    def review(self, turn: Turn, changed: dict[JobId, None]) -> None:
        """Jobs have changed: answer who waits for them."""
        soon = turn.now.mono + WATCH_PAUSE_S
        for watch in list(self._watches.values()):
            if watch.job not in changed:
                continue
            if self._is_over(watch.job):
                self._answer_watch(turn, watch)
            else:
                watch.due = min(watch.due, soon)
        for client, (job_id, task, _) in list(self._fetches.items()):
            if job_id in changed and self._node.outputs.is_here(job_id, task):
                self._answer_fetch(turn, client, job_id, task)

    def _is_over(self, job_id: JobId) -> bool:
        return self._node.jobs.get(job_id) is None or self._node.jobs.state_of(job_id) in JOB_TERMINAL

    def _answer_watch(self, turn: Turn, watch: _Watch) -> None:
        self._watches.pop(watch.client, None)
        job = self._node.jobs.get(watch.job)
        if job is None:
            fault = (5, f"job {watch.job} is no more", "it was deleted", "")
            turn.effects.append(Reply(watch.client, error=fault))
            return
        data = {"version": self._node.chronicle.version_of(watch.job), "job": self._view(job, turn)}
        turn.effects.append(Reply(watch.client, data))

    def _result_fetch(self, turn: Turn, event: ClientAsked) -> None:
        job, task = job_of(self._node, event), TaskIndex(number_of(event, "task", 0))
        if not job.has_task(task):
            raise NotFound(f"job {job.id} has no task {task}")
        due = turn.now.mono + WATCH_PATIENCE_S
        if self._node.outputs.bring_here(turn, job, task):
            self._answer_fetch(turn, event.client, job.id, task)
        else:
            self._fetches[event.client] = (job.id, task, due)

    def _answer_fetch(self, turn: Turn, client: int, job_id: JobId, task: TaskIndex) -> None:
        self._fetches.pop(client, None)
        turn.effects.append(Reply(client, {"here": self._node.outputs.is_here(job_id, task)}))
