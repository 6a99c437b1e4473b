"""The live feed of one job: where each of its tasks stands, one byte a task, and what runs.

Theory. As with the feed of the farm, a viewer's question stays open until something is different (a long poll), and
answers go out at most `RATE` times a second, made once for all who look at the same job. The states of all tasks are
told whole and compressed each time: a hundred thousand tasks are read off the marks by three translations in well
under a millisecond and take a few kilobytes, so there are no differences that could be lost. What never changes, the
frames of the tasks, is told once, with `reset`.

Operation `job.feed`; the shapes stand in `protocol.feed`. Called by `farmd.core.door`. Changes nothing.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farmd.core.arguments import job_of, number_of, seconds_of
from farmd.core.effects import Reply
from farmd.core.feed import PATIENCE_S, RATE
from farmd.core.jobstatus import task_states
from protocol.frames import FrameSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import JobId

RUNNING_S = 1.0
"""What runs makes progress: a job with running tasks is told again after this time."""
RUNNING_SHOWN = 1000
TASKS_A_TICK = 200_000
"""A job with more tasks is told less often, in proportion, so that looking costs the same part of a second."""


@dataclass(frozen=True, slots=True)
class _Viewer:
    """A question that is open."""

    job: JobId
    reset: bool
    due: float


class JobFeed:
    """Answers `job.feed`; `view` makes what a job's own page shows."""

    def __init__(self, node: Node, view: Callable[[Job, Turn], dict[str, Any]]) -> None:
        self._node = node
        self._view = view
        self._viewers: dict[int, _Viewer] = {}
        self._told_at: dict[JobId, float] = {}
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"job.feed": self._ask}

    def _ask(self, turn: Turn, event: ClientAsked) -> None:
        job, after = job_of(self._node, event), number_of(event, "after", -1)
        patience = seconds_of(event, "patience_s", PATIENCE_S)
        reset = after < 0 or event.args.get("life") != self._node.door.feed.life
        if job.running:
            patience = min(patience, RUNNING_S)
        now = turn.now.mono
        due = now if reset else now + patience
        if not reset and after != self._node.chronicle.version_of(job.id):
            due = min(due, self._next_at(job, now))
        self._viewers[event.client] = _Viewer(job.id, reset, due)

    def _next_at(self, job: Job, now: float) -> float:
        pause = max(1.0, job.plan.task_count / TASKS_A_TICK) / RATE
        return max(now, self._told_at.get(job.id, -pause) + pause)

    def left(self, client: int) -> None:
        """A viewer has gone."""
        self._viewers.pop(client, None)

    def review(self, turn: Turn, changed: dict[JobId, None]) -> None:
        """Jobs have changed: tell who looks at them, soon."""
        for client, viewer in list(self._viewers.items()):
            if viewer.job not in changed:
                continue
            job = self._node.jobs.get(viewer.job)
            at = turn.now.mono if job is None else self._next_at(job, turn.now.mono)
            if at < viewer.due:
                self._viewers[client] = _Viewer(viewer.job, viewer.reset, at)

    def next_deadline(self) -> float | None:
        """When a viewer is told something."""
        return min([viewer.due for viewer in self._viewers.values()]) if self._viewers else None

    def on_timer(self, turn: Turn) -> None:
        """Answer those whose time has come."""
        made: dict[tuple[JobId, bool], dict[str, Any]] = {}
        for client, viewer in list(self._viewers.items()):
            if viewer.due > turn.now.mono:
                continue
            del self._viewers[client]
            job = self._node.jobs.get(viewer.job)
            if job is None:
                fault = (5, f"job {viewer.job} is no more", "it was deleted", "")
                turn.effects.append(Reply(client, error=fault))
                continue
            key = viewer.job, viewer.reset
            if key not in made:
                made[key] = self._make(turn, job, reset=viewer.reset)
            turn.effects.append(Reply(client, made[key]))
        if not self._viewers:
            self._told_at.clear()

    def _make(self, turn: Turn, job: Job, *, reset: bool) -> dict[str, Any]:
        self._told_at[job.id] = turn.now.mono
        return {
            "schema": "farm.jobfeed.v1",
            "life": self._node.door.feed.life,
            "after": self._node.chronicle.version_of(job.id),
            "as_of_ms": turn.now.wall_ms,
            "reset": reset,
            "job": self._view(job, turn),
            "count": job.plan.task_count,
            "states": zlib.compress(task_states(job), 1),
            "plan": _plan_view(job) if reset else None,
            "running": [self._running_view(job, attempt) for attempt in _shown(job.live_attempts())],
        }

    def _running_view(self, job: Job, attempt: Attempt) -> dict[str, Any]:
        return {
            "task": attempt.task,
            "frames": str(FrameSet.of(job.plan.frames_of(attempt.task))),
            "node": attempt.node,
            "node_name": self._node.registry.name_of(attempt.node),
            "attempt": str(attempt.id),
            "progress": self._node.progress_of(attempt.ref),
            "started_ms": attempt.started_ms,
        }


def _shown(attempts: list[Attempt]) -> Iterable[Attempt]:
    return attempts[:RUNNING_SHOWN]


def _plan_view(job: Job) -> dict[str, Any]:
    """What the tasks render, told in a few bytes: the test frames, then the other frames in chunks."""
    return {"tests": list(job.plan.tests), "rest": str(job.plan.rest), "chunk": job.plan.chunk}
