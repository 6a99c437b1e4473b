"""Questions to the event log, in SQL: which lines, how many, from where.

The log is read on a connection of its own, which is closed at once; a filter is part of the statement, so that a page
of what is rare costs a walk over the log in SQLite and not in Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from farmd.core.effects import Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    Value = str | int

COLUMNS: Final = "at_ms, what, text, node, job, actor, cause, task, why, key, noted_ms"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which lines are wanted; what is empty is not asked for.

    Attributes:
        job: Id of a job.
        node: Id of the machine that it is about.
        actor: Who did it: "anna@ws07", or "anna" wherever she sat.
        what: Words, or patterns such as `attempt-*`.
        since_ms: Not before.
        until_ms: Before.
        keyed: Only what every node tells.
    """

    job: str = ""
    node: str = ""
    actor: str = ""
    what: tuple[str, ...] = ()
    since_ms: int = 0
    until_ms: int = 0
    keyed: bool = False

    def where(self) -> tuple[str, list[Value]]:
        """Return a condition and its values."""
        tests: list[tuple[str, Sequence[Value]]] = []
        if self.job:
            tests.append(("job = ?", [self.job]))
        if self.node:
            tests.append(("node = ?", [self.node]))
        if self.actor == "farmd":
            tests.append(("actor IN ('', 'farmd')", []))
        elif self.actor:
            tests.append(
                ("(actor = ? OR substr(actor, 1, ?) = ?)", [self.actor, len(self.actor) + 1, f"{self.actor}@"])
            )
        if self.what:
            tests.append((f"({' OR '.join(['what GLOB ?'] * len(self.what))})", self.what))
        if self.since_ms:
            tests.append(("at_ms >= ?", [self.since_ms]))
        if self.until_ms:
            tests.append(("at_ms < ?", [self.until_ms]))
        if self.keyed:
            tests.append(("key != ''", []))
        return " AND ".join([test for test, _ in tests]) or "1", [value for _, values in tests for value in values]


def question(limit: int, after: int | None, wanted: EventFilter) -> tuple[str, list[Value]]:
    """Return a statement and its values: the first lines after a number, or the last ones, oldest first."""
    where, values = wanted.where()
    order = "" if after is not None else " DESC"
    lines = f"SELECT id, {COLUMNS} FROM note WHERE id > ? AND {where} ORDER BY id{order} LIMIT ?"  # noqa: S608  # constants
    sql = lines if after is not None else f"SELECT * FROM ({lines}) ORDER BY id"  # noqa: S608  # constants, too
    return sql, [after or 0, *values, limit]


def note_of(line: Sequence[object]) -> tuple[int, Note]:
    """Read one line: its number, and what was noted."""
    number, *rest = line
    return int(str(number)), Note(*rest)  # type: ignore[arg-type]  # the columns are the fields, in their order
