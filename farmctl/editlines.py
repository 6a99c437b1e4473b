"""What was changed of a job since it was submitted, as a person reads it: what, from what, by whom, when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.human import plain_table, printable, relative_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View


def edit_lines(edits: list[View], now_ms: int) -> Iterator[str]:
    """List changes below an empty line; nothing if there is none."""
    if not edits:
        return
    from farmctl.revising import value_text

    rows = []
    for edit in edits:
        field = str(edit.get("field", ""))
        at_ms = int(edit.get("at_ms") or 0)
        who = (edit.get("actor"), relative_time(at_ms, now_ms) if at_ms else "", edit.get("why"))
        values = (value_text(field, edit.get(side)) for side in ("value", "submitted"))
        rows.append(tuple(printable(str(text or "")) for text in (field, *values, *who)))
    yield from ("", "changed since it was submitted")
    yield from plain_table(("FIELD", "IS", "WAS", "BY", "WHEN", "WHY"), rows)
