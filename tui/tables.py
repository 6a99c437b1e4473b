"""The four tables: columns of jobs, machines, tasks and events, and what each can be filtered by.

Widths are for 80 cells; what grows and what is dropped first is said by each column. The letter of a column sorts by it
with shift; X, D, G, E, N and T are taken by keys that do something.

Called by the console; must not import textual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS, Field, Fields, Kind
from protocol.human import format_age, format_duration, format_size, printable
from protocol.states import ColourGroup
from tui.columns import Column, Moment, Order, Row, by_number, by_word
from tui.filters import Filterable
from tui.looks import Run, Runs, bar_runs, fitted, job_look, node_look, plain, state_runs, styled, task_look

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.filters import Onlooker
    from protocol.states import Look

_DONE, _RUNNING, _FAILED = ColourGroup.COMPLETED.value, ColourGroup.RUNNING.value, ColourGroup.FAILED.value
_BUSY_SHARE, _FULL_SHARE = 0.75, 0.92
"""From these shares on, a bar of something that is used up turns yellow, then red."""
_NEVER_MS: Final = 1e15
"""Later than any clock says."""


def text(name: str, style: str = "plain") -> Callable[[Row, Moment, int], Runs]:
    """Make a cell of a field as it is."""
    return lambda row, _moment, _width: styled(row.get(name), style)


def _count(name: str, style: str) -> Callable[[Row, Moment, int], Runs]:
    """Make a cell of a count; nothing is shown faintly, so that what is there stands out."""
    return lambda row, _moment, _width: styled(row[name], style) if row.get(name) else (Run("·", "muted"),)


def _age(name: str) -> Callable[[Row, Moment, int], Runs]:
    return lambda row, moment, _width: (
        styled(format_age((moment.now_ms - int(row[name])) / 1000), "muted") if row.get(name) else ()
    )


def _state(look: Callable[[str], Look | None], name: str = "id") -> Callable[[Row, Moment, int], Runs]:
    """Make a cell of a state; an order that is not confirmed yet stands in its place."""

    def cell(row: Row, moment: Moment, _width: int) -> Runs:
        word = moment.ordered.get(str(row.get(name)))
        if word is not None:
            return (Run(f"◷ {word}", "warning"),)
        state = str(row.get("state", ""))
        return state_runs(look(state), state)

    return cell


def reason_text(row: Row) -> str:
    """Say why a row does not go on: a text, or a map with one."""
    reason = row.get("reason")
    if isinstance(reason, dict):
        reason = reason.get("text")
    return printable(str(reason or row.get("why_stopped") or ""))


def _reason(row: Row, _moment: Moment, _width: int) -> Runs:
    reason = row.get("reason")
    glyph = str(reason.get("glyph", "")) if isinstance(reason, dict) else ""
    style = {"✖": _FAILED, "◷": "warning", "‖": "warning"}.get(glyph, "muted")
    return styled(reason_text(row), style)


# -- jobs -------------------------------------------------------------------------------------------------------------


def job_bar(row: Row, width: int) -> Runs:
    """Draw how far a job is: done, running, failed."""
    parts = ((int(row.get("done") or 0), _DONE), (int(row.get("running") or 0), _RUNNING))
    return bar_runs((*parts, (int(row.get("failed") or 0), _FAILED)), int(row.get("total") or 0), width)


def _job_done(row: Row, _moment: Moment, _width: int) -> Runs:
    return (Run(str(row.get("done") or 0)), Run(f"/{row.get('total') or 0}", "muted"))


def _share(row: Row) -> Order:
    return (int(row.get("done") or 0) / max(1, int(row.get("total") or 0)), "")


def _eta(row: Row, _moment: Moment, _width: int) -> Runs:
    return plain(format_duration(float(row["eta_s"]))) if row.get("eta_s") is not None else ()


JOB_COLUMNS: Final = (
    Column("state", "STATE", _state(job_look), by_word("state"), 13, grow=16, most=19, letter="S"),
    Column("name", "NAME", text("name", "strong"), by_word("name"), 14, grow=4, most=40, letter="A"),
    Column("progress", "PROGRESS", lambda row, _m, width: job_bar(row, width), _share, 8, 3, grow=1, most=30),
    Column("done", "DONE", _job_done, by_number("done"), 7, right=True, letter="C", downward=True),
    Column("running", "RUN", _count("running", _RUNNING), by_number("running"), 3, 4, right=True, letter="R"),
    Column(
        "failed", "FAIL", _count("failed", _FAILED), by_number("failed"), 4, 2, right=True, letter="F", downward=True
    ),
    Column("priority", "PRIO", text("priority", "muted"), by_number("priority"), 4, 6, right=True, letter="P"),
    Column("owner", "OWNER", text("owner"), by_word("owner"), 8, 7, grow=1, most=14, letter="O"),
    Column("reason", "REASON", _reason, lambda row: (0.0, reason_text(row)), 20, 1, grow=8, letter="W"),
    Column("eta", "LEFT", _eta, by_number("eta_s"), 7, 5, right=True, letter="L"),
    Column("id", "ID", text("id", "muted"), by_word("id"), 16, 9, letter="I"),
    Column("age", "AGE", _age("submitted_ms"), by_number("submitted_ms"), 4, right=True, letter="U", downward=True),
)

# -- machines ---------------------------------------------------------------------------------------------------------


def used_bar(used: float | None, whole: float | None, width: int) -> Runs:
    """Draw what is used of something, coloured by how little is left."""
    if used is None or not whole:
        return styled("·", "muted")
    share = min(1.0, max(0.0, used / whole))
    style = _FAILED if share >= _FULL_SHARE else "warning" if share >= _BUSY_SHARE else "accent"
    cells = round(share * width)
    return (Run("█" * cells, style), Run("·" * (width - cells), "muted"))


def is_away(row: Row) -> bool:
    """Tell whether what a machine said of itself is history."""
    return row.get("state") in ("lost", "left", "reconnecting")


def _ram(row: Row, _moment: Moment, width: int) -> Runs:
    whole, free = row.get("ram_bytes"), row.get("free_ram_bytes")
    used = None if free is None or not whole or is_away(row) else int(whole) - int(free)
    size = format_size(int(whole)) if whole else ""
    bar = width - 6
    return (*fitted(used_bar(used, whole, bar), bar), Run(f" {size:>5}", "muted")) if bar >= 3 else plain(size)


def _load(row: Row, _moment: Moment, width: int) -> Runs:
    cores = int(row.get("cores") or 0)
    bar = width - 4
    load = None if is_away(row) else row.get("load")
    return (*fitted(used_bar(load, cores, bar), bar), Run(f" {cores:>3}", "muted")) if bar >= 3 else plain(cores)


def _tasks(row: Row, _moment: Moment, _width: int) -> Runs:
    running, slots = int(row.get("running") or 0), int(row.get("slots") or 0)
    return (Run(str(running), _RUNNING if running else "muted"), Run(f"/{slots}" if slots else "", "muted"))


def gpu_text(row: Row) -> str:
    """Name the GPUs of a machine, equal ones together."""
    models = [str(gpu.get("model", "GPU")) for gpu in row.get("gpus") or []]
    return ", ".join(f"{models.count(model)}x {model}" for model in dict.fromkeys(models))


def away_s(row: Row, moment: Onlooker) -> float:
    """Return for how long a machine has not been seen: nothing while it is there, whenever it spoke of itself last."""
    at_ms = row.get("last_seen_at_ms")
    return max(0.0, (moment.now_ms - int(at_ms)) / 1000) if at_ms and is_away(row) else 0.0


def _seen(row: Row, moment: Moment, _width: int) -> Runs:
    if not is_away(row):
        return styled("now", "muted")
    return styled(format_age(away_s(row, moment)) if row.get("last_seen_at_ms") else "?", "warning")


def _absence(row: Row) -> Order:
    """Sort by absence without a clock: those that are there, then who was seen last, and so on."""
    return (_NEVER_MS - int(row.get("last_seen_at_ms") or 0) if is_away(row) else 0.0, "")


def _present(row: Row, _moment: Moment, _width: int) -> Runs:
    """Say what a machine does now, or why it does nothing."""
    if row.get("reason"):
        return styled(reason_text(row), "warning")
    doing = row.get("doing") or [f"{task.get('job')} task {task.get('task')}" for task in row.get("tasks") or []]
    return plain(", ".join(map(str, doing)))


def renderer_text(row: Row) -> str:
    """Name the renderers of a machine with their versions."""
    return ", ".join(f"{item.get('name')} {item.get('version', '')}".strip() for item in row.get("renderers") or [])


def _disk(row: Row, _moment: Moment, _width: int) -> Runs:
    free = row.get("free_disk_bytes")
    return plain(format_size(int(free))) if free is not None else ()


NODE_COLUMNS: Final = (
    Column("state", "STATE", _state(node_look), by_word("state"), 14, letter="S"),
    Column("name", "NAME", text("name", "strong"), by_word("name"), 10, grow=2, most=24, letter="A"),
    Column("running", "TASKS", _tasks, by_number("running"), 5, right=True, letter="R", downward=True),
    Column("load", "LOAD/CORES", _load, by_number("load"), 10, 3, grow=1, most=20, letter="C", downward=True),
    Column("ram", "MEMORY", _ram, by_number("ram_bytes"), 12, 4, grow=1, most=22, letter="M", downward=True),
    Column("gpus", "GPUS", lambda row, _m, _w: plain(gpu_text(row)), lambda row: (0.0, gpu_text(row)), 8, 6, 1, 24),
    Column("disk", "DISK", _disk, by_number("free_disk_bytes"), 6, 5, right=True, letter="K"),
    Column("present", "DOES NOW, OR WHY NOT", _present, lambda row: (0.0, reason_text(row)), 24, 1, 6, letter="W"),
    Column("renderers", "RENDERERS", lambda row, _m, _w: styled(renderer_text(row), "muted"), by_word("id"), 14, 8, 2),
    Column("version", "VERSION", text("software", "muted"), by_word("software"), 10, 7, most=14, letter="V"),
    Column("seen", "SEEN", _seen, _absence, 4, 2, right=True, letter="L"),
)

# -- tasks ------------------------------------------------------------------------------------------------------------


def _task_progress(row: Row, _moment: Moment, width: int) -> Runs:
    share = row.get("progress")
    if row.get("state") != "running" or share is None:
        return ()
    return bar_runs(((round(float(share) * 1000), _RUNNING),), 1000, width)


def _seconds(row: Row, moment: Moment, _width: int) -> Runs:
    if row.get("started_ms") and row.get("state") == "running":
        return styled(format_duration(max(0, moment.now_ms - int(row["started_ms"])) // 1000), _RUNNING)
    return plain(format_duration(float(row["seconds"]))) if row.get("seconds") is not None else ()


def _memory(row: Row, _moment: Moment, _width: int) -> Runs:
    return styled(format_size(int(row["peak_ram_bytes"])), "muted") if row.get("peak_ram_bytes") else ()


TASK_COLUMNS: Final = (
    Column("frames", "FRAME", text("frames", "strong"), by_number("first"), 9, right=True, letter="A"),
    Column("state", "STATE", _state(task_look, "task"), by_word("state"), 11, letter="S"),
    Column(
        "test", "", lambda row, _m, _w: styled("test" if row.get("test") else "", "accent"), by_number("test"), 4, 4
    ),
    Column("node", "NODE", text("node_name"), by_word("node_name"), 10, 0, grow=1, most=20, letter="O"),
    Column("attempts", "TRIES", text("attempts", "muted"), by_number("attempts"), 5, 5, right=True, letter="R"),
    Column("seconds", "TIME", _seconds, by_number("seconds"), 7, 0, right=True, letter="L", downward=True),
    Column("memory", "MEMORY", _memory, by_number("peak_ram_bytes"), 6, 3, right=True, letter="M", downward=True),
    Column("progress", "PROGRESS", _task_progress, by_number("progress"), 10, 2, grow=1, most=24),
    Column("text", "WHAT", text("text", "muted"), by_word("text"), 12, 1, grow=6, letter="W"),
)

# -- events -----------------------------------------------------------------------------------------------------------


def _clock(row: Row, _moment: Moment, _width: int) -> Runs:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(int(row.get("at_ms") or 0) / 1000, UTC).astimezone()
    return styled(at.strftime("%H:%M:%S"), "muted")


def _what(row: Row, _moment: Moment, _width: int) -> Runs:
    what = str(row.get("what") or "")
    bad = any(word in what for word in ("fail", "lost", "error", "sick", "fault"))
    return styled(what.replace("_", " "), _FAILED if bad else "plain")


EVENT_COLUMNS: Final = (
    Column("at", "TIME", _clock, by_number("id"), 8, letter="U", downward=True),
    Column("age", "AGO", _age("at_ms"), by_number("at_ms"), 4, 5, right=True),
    Column("what", "WHAT", _what, by_word("what"), 14, 0, most=22, grow=1, letter="S"),
    Column("actor", "BY", text("actor", "accent"), by_word("actor"), 8, 2, grow=1, most=16, letter="O"),
    Column("job", "JOB", text("job", "muted"), by_word("job"), 16, 3, letter="I"),
    Column("node", "NODE", text("node_name"), by_word("node_name"), 8, 4, grow=1, most=16, letter="M"),
    Column("text", "TEXT", text("text"), by_word("text"), 20, 0, grow=8, letter="W"),
)

# -- what can be filtered by ------------------------------------------------------------------------------------------


def _word(name: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(name) or "")


def _also(fields: Fields, **more: Field) -> Fields:
    """Add what only the dashboard knows of its rows, or knows otherwise."""
    return Fields(fields.rows, {**fields.known, **more})


JOBS: Final = Filterable(JOB_FIELDS, (*map(_word, ("name", "id", "owner", "state", "project")), reason_text))
NODES: Final = Filterable(
    # A machine says of itself when it was seen once; from then on, time passes here.
    _also(NODE_FIELDS, seen=Field(Kind.DURATION, "seen", read=away_s)),
    (*map(_word, ("name", "id", "state", "address")), reason_text, renderer_text, gpu_text),
)
TOLD_OF_ALL_TASKS: Final = frozenset({"state", "frames", "frame", "index", "test", "progress"})
"""Fields and columns that the feed tells of all tasks of a job; what else there is of one is asked for."""
TASKS: Final = Filterable(
    _also(
        TASK_FIELDS,
        index=Field(Kind.NUMBER, "task"),
        frame=Field(Kind.NUMBER, "first"),
        test=Field(Kind.WORD, "test", ("yes", "no"), read=lambda row, _: "yes" if row.get("test") else "no"),
    ),
    tuple(map(_word, ("frames", "state", "node_name", "text"))),
)
EVENTS: Final = Filterable(
    Fields(
        "events",
        {
            **{name: Field(Kind.WORD, name) for name in ("what", "actor", "job", "text", "why")},
            "by": Field(Kind.WORD, "actor"),
            "node": Field(Kind.WORD, "node_name"),
            "age": Field(Kind.AGE, "at_ms"),
        },
    ),
    tuple(map(_word, ("what", "actor", "job", "node_name", "text"))),
)
