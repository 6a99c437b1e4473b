"""What a notice says: one document for programs, with one line in it for people.

The document has the schema `farm.notice.v1` and only ever grows. Its `id` is made of facts that every node knows alike
(the job, the event, which time it came to that), so that a notice which two leaders sent carries the same one.

Called by `farmd.core.notices` and `farmd.core.alertwatch`. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core import views
from farmd.core.bitmap import Mark
from protocol.hooks import JOB_EVENTS, SCHEMA, TEST_EVENT
from protocol.human import counted, format_duration, printable
from protocol.ids import TaskIndex
from protocol.records import JobField
from protocol.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.alerts import Alert
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Instant

MAX_WHY_CHARS = 300
RESOLVED = "/resolved"
"""Ends the id of a notice that says that an alert is over; the rest is the id of the one that it began with."""


def job_notice(node: Node, job: Job, state: JobState, time: int, now: Instant) -> dict[str, Any]:
    """Say that a job is in this state.

    Args:
        node: Whose view of it is told.
        job: Which.
        state: The state.
        time: Which time the job is in that state.
        now: When it is told.
    """
    event = f"job.{JOB_EVENTS[state]}"
    notice = _notice(node, event, f"{event}/{job.id}/{time:x}", job_line(node, job, state), now)
    return notice | {"job": views.job_view(node, job, now, brief=True)}


def alert_notice(node: Node, alert: Alert, mark: str, now: Instant, *, resolved: bool) -> dict[str, Any]:
    """Say that there is something to look at, or no more."""
    event = f"alert.{alert.code}"
    name = f"{event}/{alert.job or ''}{alert.node or ''}/{mark}" + (RESOLVED if resolved else "")
    hint = "" if resolved or not alert.hint else f" ({alert.hint})"
    notice = _notice(node, event, name, f"{'over: ' if resolved else ''}{alert.text}{hint}", now)
    job = node.jobs.get(alert.job) if alert.job is not None else None
    view = views.job_view(node, job, now, brief=True) if job is not None else None
    return notice | {"job": view, "alert": alert._asdict(), "resolved": resolved}


def test_notice(node: Node, actor: str, number: int, now: Instant) -> dict[str, Any]:
    """Say that somebody tries a hook out."""
    text = f"a test by {actor} from {node.registry.name_of(node.id)}: this hook works"
    return _notice(node, TEST_EVENT, f"{TEST_EVENT}/{node.id}/{node.epoch}.{number}", text, now)


def _notice(node: Node, event: str, name: str, text: str, now: Instant) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": name,
        "at_ms": now.wall_ms,
        "farm": node.registry.farm.name if node.registry.farm is not None else "",
        "event": event,
        "text": printable(" ".join(text.split())),
        "job": None,
        "alert": None,
        "resolved": False,
    }


# -- one line about a job ------------------------------------------------------------------------------------------


def job_line(node: Node, job: Job, state: JobState) -> str:
    """Say in one line where a job stands and why."""
    return f"{job.spec.name} ({job.spec.owner}) {_LINES[state](node, job)}"


def _submitted(_node: Node, job: Job) -> str:
    return f"is submitted: {counted(job.plan.frame_count, 'frame')}"


def _testing(_node: Node, job: Job) -> str:
    return f"renders its {counted(job.plan.test_count, 'test frame')}"


def _rendering(_node: Node, job: Job) -> str:
    return f"renders: {job.tasks.done_frames} of {counted(job.plan.frame_count, 'frame')} are done"


def _awaiting(_node: Node, job: Job) -> str:
    return f"waits for its {counted(job.plan.test_count, 'test frame')} to be approved: farmctl job approve {job.id}"


def _paused(_node: Node, job: Job) -> str:
    if job.paused_by_person:
        return "is paused" + _by(job, JobField.PAUSED)
    failed = f"paused itself: {counted(job.count(Mark.FAILED), 'task')} failed for good"
    return failed + _colon(_last_failure(job))


def _completed(node: Node, job: Job) -> str:
    machines = counted(len(dict.fromkeys(job.frames_by)), "machine")
    return f"is completed: {counted(job.plan.frame_count, 'frame')}{_duration(job)} on {machines}" + _tries(node, job)


def _failed(_node: Node, job: Job) -> str:
    if job.given_up:
        return f"failed: no machine can render it: {job.given_up[:MAX_WHY_CHARS]}"
    tasks = f"{job.failed_count} of {counted(job.plan.task_count, 'task')}"
    return f"failed{_duration(job)}: {tasks} failed for good" + _colon(_last_failure(job))


def _cancelled(_node: Node, job: Job) -> str:
    return "is cancelled" + _by(job, JobField.CANCELLED)


def _rejected(_node: Node, job: Job) -> str:
    return "is rejected" + _by(job, JobField.GATE)


_LINES: dict[JobState, Callable[[Node, Job], str]] = {
    JobState.QUEUED: _submitted,
    JobState.PREPARING: _submitted,
    JobState.TESTING: _testing,
    JobState.AWAITING_APPROVAL: _awaiting,
    JobState.RENDERING: _rendering,
    JobState.PAUSED: _paused,
    JobState.COMPLETED: _completed,
    JobState.FAILED: _failed,
    JobState.CANCELLED: _cancelled,
    JobState.REJECTED: _rejected,
}


def _by(job: Job, field: JobField) -> str:
    order = job.control(field)
    if order is None:
        return ""
    return (f" by {order.actor}" if order.actor else "") + _colon(order.why)


def _colon(text: str) -> str:
    return f": {text[:MAX_WHY_CHARS]}" if text else ""


def _duration(job: Job) -> str:
    """Say how long it took, if the clocks of first and last machine agree that it took time at all."""
    took_ms = job.ended_ms - job.started_ms
    return f" in {format_duration(took_ms / 1000)}" if job.started_ms and took_ms > 0 else ""


def _tries(_node: Node, job: Job) -> str:
    extra = sum(job.frames_by.values()) - job.plan.frame_count
    return f", {counted(extra, 'frame')} of them rendered again" if extra > 0 else ""


def _last_failure(job: Job) -> str:
    """Return what the first task that failed said last."""
    first = next(iter(job.tasks.marks.failed_runs()), None)
    if first is None:
        return ""
    attempts = job.tasks.attempts_of(TaskIndex(first[0]))
    said = sorted((attempt.started_ms, attempt.body.text) for attempt in attempts if attempt.body.text)
    return said[-1][1].partition("\n")[0] if said else ""
