"""One task as a person reads it: how it stands, what every try of it was, why it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmctl.columns import cause_text, result_text, task_colour, task_state
from farmctl.output import fields, paint
from protocol.human import format_duration, format_percent, format_size, plain_table, printable, relative_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View


def task_card(task: View, now_ms: int) -> Iterator[str]:
    """Describe one task."""
    frames = printable(str(task.get("frames", "")))
    kind = ", a test frame" if task.get("test") else ""
    yield from fields(
        [
            ("frame" if frames.isdecimal() else "frames", f"{frames}{kind}"),
            ("task", f"{task.get('index')} of job {task.get('job')}"),
            ("state", paint(task_state(task, now_ms), task_colour(task)) + _running(task)),
            ("result", _result(task)),
            ("problem", printable(str(task.get("text") or ""))),
        ]
    )
    for reason in task.get("reasons") or []:
        hint = f" ({reason['hint']})" if reason.get("hint") else ""
        yield printable(f"waits   {reason.get('text', '')}{hint}")
    yield from _tries(task.get("tries") or [], now_ms)
    yield from _last_lines(task)


def _running(task: View) -> str:
    share = task.get("progress")
    return f", {format_percent(int(float(share) * 1000), 1000)}" if share and task.get("state") == "running" else ""


def _result(task: View) -> str:
    names = ", ".join(str(output.get("name", "")) for output in task.get("outputs") or [])
    where = result_text(task)
    return printable(f"{names}  {where}".strip())


def _tries(tries: list[View], now_ms: int) -> Iterator[str]:
    if not tries:
        return
    yield ""
    rows = [
        (
            str(one.get("attempt", "")),
            str(one.get("state", "")),
            str(one.get("node_name", "")),
            relative_time(int(one["started_ms"]), now_ms) if one.get("started_ms") else "",
            format_duration(one["seconds"]) if one.get("seconds") is not None else "",
            format_size(one["peak_ram_bytes"]) if one.get("peak_ram_bytes") else "",
            cause_text(one),
            str(one.get("text") or ""),
        )
        for one in tries
    ]
    yield from plain_table(("TRY", "STATE", "NODE", "BEGAN", "TIME", "MEMORY", "CAUSE", "TEXT"), rows, right=(4, 5))


def _last_lines(task: View) -> Iterator[str]:
    """Show how the log of a failed task ends; the rest is asked for with `farmctl logs`."""
    if task.get("state") != "failed" or not task.get("last_lines"):
        return
    yield from ("", "end of its log")
    yield from (f"  {printable(line)}" for line in str(task["last_lines"]).splitlines()[-10:])
