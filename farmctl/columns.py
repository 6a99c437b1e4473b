"""What the tables show: one list of columns for each kind of row, and the small texts in their cells.

Rows are plain data of a node of any version, so every cell stands a missing field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from farmctl.money import money
from farmctl.output import Column, Listing, View
from protocol.human import format_age, format_duration, format_progress, format_size, printable, relative_time
from protocol.states import (
    ATTEMPT_LOOKS,
    GROUP_COLOURS,
    JOB_LOOKS,
    NODE_LOOKS,
    TASK_LOOKS,
    FailureClass,
    JobState,
    Look,
    NodeState,
    TaskState,
    word_of,
)
from protocol.whereabouts import Whereabouts, away_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_K = TypeVar("_K", bound=str)
_CAUSES: Final = {int(cause): word_of(cause) for cause in FailureClass}


def text(name: str) -> Callable[[View, int], str]:
    """Make a cell of a field as it is."""
    return lambda row, _now: "" if row.get(name) is None else str(row[name])


def size(name: str) -> Callable[[View, int], str]:
    """Make a cell of a number of bytes."""
    return lambda row, _now: "" if row.get(name) is None else format_size(int(row[name]))


def duration(name: str) -> Callable[[View, int], str]:
    """Make a cell of a number of seconds."""
    return lambda row, _now: "" if row.get(name) is None else format_duration(float(row[name]))


def when(name: str) -> Callable[[View, int], str]:
    """Make a cell of an instant in milliseconds."""
    return lambda row, now: relative_time(int(row[name]), now) if row.get(name) else ""


def _state(
    looks: Mapping[_K, Look], kind: Callable[[str], _K]
) -> tuple[Callable[[View, int], str], Callable[[View], str]]:
    """Make cell and colour of a state; a word that a newer node made up is shown as it is."""

    def look(row: View) -> Look | None:
        try:
            return looks[kind(str(row.get("state")))]
        except (KeyError, ValueError):
            return None

    def cell(row: View, _now: int) -> str:
        found = look(row)
        return f"{found.glyph if found else '?'} {row.get('state', '')}"

    def colour(row: View) -> str:
        found = look(row)
        return GROUP_COLOURS[found.group] if found else ""

    return cell, colour


job_state, job_colour = _state(JOB_LOOKS, JobState)
task_state, task_colour = _state(TASK_LOOKS, TaskState)
node_state, node_colour = _state(NODE_LOOKS, NodeState)
attempt_state, attempt_colour = _state({word_of(state): look for state, look in ATTEMPT_LOOKS.items()}, str)


def _progress(row: View, _now: int) -> str:
    return format_progress(int(row.get("done") or 0), int(row.get("total") or 0))


def _reason(row: View, _now: int) -> str:
    return str((row.get("reason") or {}).get("text") or row.get("why_stopped") or "")


def _gpus(row: View, _now: int) -> str:
    gpus = row.get("gpus") or []
    models = [str(gpu.get("model", "GPU")) for gpu in gpus]
    return ", ".join(f"{models.count(model)}x {model}" for model in dict.fromkeys(models))


def renderers(row: View, _now: int = 0) -> str:
    """Name the renderers of a machine with their versions."""
    return ", ".join(f"{item.get('name')} {item.get('version', '')}".strip() for item in row.get("renderers") or [])


def _slots(row: View, _now: int) -> str:
    running, slots = int(row.get("running") or 0), int(row.get("slots") or 0)
    return f"{running} of {slots}" if slots else str(running)  # without slots, cores and memory decide how many


def load(row: View, _now: int = 0) -> str:
    """Write the load of a machine with one decimal."""
    return f"{float(row['load']):.1f}" if row.get("load") is not None else ""


def _seen(row: View, _now: int) -> str:
    return format_age(float(row["last_seen_s"])) if row.get("last_seen_s") is not None else ""


def cause_text(row: View, _now: int = 0) -> str:
    """Name a failure class; one that a newer node made up is shown by its number."""
    number = row.get("cause")
    return "" if not number else _CAUSES.get(number, str(number))


def _copies(row: View, _now: int) -> str:
    copies = row.get("copies")
    return (
        "" if copies is None or row.get("state") != TaskState.DONE else "1 copy" if copies == 1 else f"{copies} copies"
    )


def result_text(row: View, _now: int = 0) -> str:
    """Say where the result of a task is; what a newer node calls otherwise is shown as it is."""
    where = str(row.get("result") or "")
    if where == Whereabouts.AWAY:
        return away_text([str(node.get("name")) for node in row.get("holders") or []])
    return "" if where == Whereabouts.NONE else where


JOBS: Final = Listing(
    "jobs",
    (
        Column("ID", text("id")),
        Column("NAME", text("name"), cut=True),
        Column("STATE", job_state, colour=job_colour),
        Column("DONE", _progress, right=True),
        Column("RUNNING", text("running"), right=True, spare=2),
        Column("FAILED", text("failed"), right=True, spare=5),
        Column("PRIO", text("priority"), right=True, spare=4),
        Column("OWNER", text("owner"), spare=3),
        Column("AGE", when("submitted_ms"), spare=1),
        Column("RENDERER", text("renderer"), wide=True),
        Column("FRAMES", text("frames"), wide=True),
        Column("LEFT", duration("eta_s"), wide=True),
        Column("OUTPUT", text("output_dir"), wide=True),
        Column("PROJECT", text("project"), wide=True),
        Column("COST", lambda row, _now: money(row.get("cost_micros") or None), wide=True, right=True),
        Column("REASON", _reason, told=16),
    ),
    "id",
    "no jobs",
)

TASKS: Final = Listing(
    "tasks",
    (
        Column("TASK", text("index"), right=True),
        Column("FRAMES", text("frames")),
        Column("STATE", task_state, colour=task_colour),
        Column("TEST", lambda row, _now: "test" if row.get("test") else ""),
        Column("NODE", text("node_name")),
        Column("TRIES", text("attempts"), right=True),
        Column("TIME", duration("seconds"), right=True),
        Column("MEMORY", size("peak_ram_bytes"), right=True),
        Column("COPIES", _copies),
        Column("RESULT", result_text),
        Column("GENERATION", text("generation"), wide=True, right=True),
        Column("CAUSE", cause_text, wide=True),
        Column("TEXT", text("text")),
    ),
    "index",
    "no tasks",
)

NODES: Final = Listing(
    "nodes",
    (
        Column("ID", text("id")),
        Column("NAME", text("name")),
        Column("STATE", node_state, colour=node_colour),
        Column("TASKS", _slots, right=True),
        Column("CORES", text("cores"), right=True),
        Column("RAM", size("ram_bytes"), right=True),
        Column("GPUS", _gpus),
        Column("SEEN", _seen, right=True),
        Column("ADDRESS", text("address"), wide=True),
        Column("FREE RAM", size("free_ram_bytes"), wide=True, right=True),
        Column("FREE DISK", size("free_disk_bytes"), wide=True, right=True),
        Column("LOAD", load, wide=True, right=True),
        Column("RENDERERS", renderers, wide=True),
        Column("SOFTWARE", text("software"), wide=True),
        Column("REASON", lambda row, _now: plain_reason(row.get("reason"))),
    ),
    "id",
    "no machines",
)

LOGS: Final = Listing(
    "attempts",
    (
        Column("ATTEMPT", text("attempt")),
        Column("FRAMES", text("frames")),
        Column("STATE", attempt_state, colour=attempt_colour),
        Column("NODE", lambda row, _now: f"{row.get('node_name', '')}{'' if row.get('here', True) else ' (off)'}"),
        Column("STARTED", when("started_ms"), spare=1),
        Column("SIZE", size("size"), right=True),
        Column("CAUSE", text("cause"), spare=2),
        Column("TEXT", text("text")),
    ),
    "attempt",
    "nothing of it has run",
)

EVENTS: Final = Listing(
    "events",
    (
        Column("WHEN", when("at_ms")),
        Column("WHAT", text("what")),
        Column("BY", text("actor"), spare=2),
        Column("JOB", text("job")),
        Column("NODE", lambda row, _now: str(row.get("node_name") or row.get("node") or ""), spare=1),
        Column("TEXT", text("text")),
    ),
    "id",
    "nothing has happened",
)


def plain_reason(reason: object) -> str:
    """Print a reason that is a text, or a map with one."""
    if isinstance(reason, dict):
        reason = reason.get("text")
    return printable(str(reason)) if reason else ""
