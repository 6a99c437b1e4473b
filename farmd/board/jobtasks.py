"""Jobs of a farm as a board shows them: a job is a group, its frames are tasks. Pure: from views to views.

The words stay the farm's; the four groups of colours that cards and filters count are those of `protocol.states`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.board.ops import COMPLETED, FAILED, PENDING, RUNNING
from farmd.board.tasks import Counts, Task
from farmd.board.words import ABOUT_CHARS, ERROR_CHARS, shortened
from protocol.human import format_duration
from protocol.states import JOB_TERMINAL, TASK_STATES, FailureClass, JobState, TaskState, look_of, word_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from protocol.feed import JobPicture

_GROUPS: Final = [look_of(state).group.value for state in TASK_STATES]
_WHOLE: Final = 100
"""Renderers tell progress as a share."""


def group_key(job_id: str) -> str:
    """Name the group of a job."""
    return f"job:{job_id}"


def job_id_of(key: str) -> str | None:
    """Return the job of a group; None if it is none of a job."""
    return key.removeprefix("job:") if key.startswith("job:") else None


def counts_of(job: Mapping[str, Any]) -> Counts:
    """Count the tasks of a job by colour; those that never ran when it ended count as failed."""
    counts = {PENDING: job["waiting"], RUNNING: job["running"], COMPLETED: job["done_tasks"], FAILED: job["failed"]}
    rest = max(0, job["total_tasks"] - sum(counts.values()))
    counts[FAILED if JobState(job["state"]) in JOB_TERMINAL else PENDING] += rest
    return counts


def facts_of(job: Mapping[str, Any]) -> dict[str, str]:
    """Say what a person wants to know of a job, in the order in which it is shown."""
    state = JobState(job["state"])
    eta_s = job.get("eta_s")
    facts = {
        "state": state.value.replace("_", " "),
        "group": look_of(state).group.value,
        "reason": (job.get("reason") or {}).get("text", ""),
        "owner": job.get("owner") or "",
        "renderer": job.get("renderer") or "",
        "frames": f"frames {job['frames']}" if job.get("frames") else "",
        "eta": f"{format_duration(eta_s)} left" if eta_s and state not in JOB_TERMINAL else "",
    }
    return {name: text for name, text in facts.items() if text}


class Detail(NamedTuple):
    """What is known of a task beyond its state: where it ran and how long, and why it failed."""

    about: str = ""
    error: str = ""


def detail_of(row: Mapping[str, Any]) -> Detail:
    """Read a line of `task.list`."""
    if not row.get("node_name"):
        return Detail(error=str(row.get("text") or "") if row["state"] == TaskState.FAILED else "")
    tries = f", try {row['attempts']}" if row.get("attempts", 1) > 1 else ""
    took = f", {format_duration(row['seconds'])}" if row.get("seconds") else ""
    error = ""
    if row["state"] == TaskState.FAILED:
        texts = (
            word_of(FailureClass(row["cause"])).replace("_", " ") if row.get("cause") else "",
            row.get("text") or "",
        )
        error = ": ".join(filter(None, texts))
    return Detail(shortened(f"on {row['node_name']}{took}{tries}", ABOUT_CHARS), shortened(error, ERROR_CHARS))


def changed_tasks(
    picture: JobPicture,
    states: bytes,
    running: Mapping[int, Any],
    details: Mapping[int, Detail],
    detailed: Container[int],
) -> Iterator[Task]:
    """Make the tasks that look different from what was shown.

    Args:
        picture: The job as it is.
        states: Its states when it was shown last; empty = nothing was.
        running: What ran then.
        details: What more is known.
        detailed: Tasks of which that has changed.
    """
    for task, state in enumerate(picture.states):
        is_known = task < len(states) and states[task] == state
        if not is_known or task in detailed or running.get(task) != picture.running.get(task):
            yield _task(picture, task, state, details.get(task, Detail()))


def _task(picture: JobPicture, number: int, state: int, detail: Detail) -> Task:
    key = group_key(picture.id)
    first, last = picture.first[number], picture.last[number]
    frames = f"Frame {first}" if first == last else f"Frames {first}–{last}"
    name = f"Test f{frames[1:]}" if number < picture.tests else frames
    which = f"{picture.id}/{first}" if first == last else f"{picture.id}/{first}-{last}"
    task = Task(f"{key}/{number}", which, key, name, state=_GROUPS[state])
    now = picture.running.get(number)
    if now is not None and task.state == RUNNING:
        task.about = f"on {now['node_name']}"
        task.started_at_ms = now.get("started_ms")
        if now.get("progress") is not None:
            task.total, task.done = _WHOLE, int(_WHOLE * now["progress"])
    elif task.state in (COMPLETED, FAILED):
        task.about = detail.about
        task.error = detail.error if task.state == FAILED else ""
    else:
        task.about = TASK_STATES[state].value
    return task
