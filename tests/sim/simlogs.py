"""Logs of simulated renders: a line a second, and what a test puts there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.logquery import How, LogExcerpt, LogLine

if TYPE_CHECKING:
    from protocol.ids import AttemptRef
    from protocol.logquery import LogQuery


class SimLogs:
    """What a simulated machine's renders have printed, in memory; offsets are those of the bytes."""

    def __init__(self) -> None:
        self.texts: dict[AttemptRef, bytearray] = {}
        self.left: list[int] = []
        self.seeks = 0

    def print(self, ref: AttemptRef, line: str) -> None:
        """Add a line."""
        self.texts.setdefault(ref, bytearray()).extend(line.encode() + b"\n")

    def read(self, ref: AttemptRef, offset: int, limit: int) -> tuple[int, int, bytes] | None:
        """Return offset, size and bytes of a part."""
        text = self.texts.get(ref)
        if text is None:
            return None
        start = max(0, len(text) + offset) if offset < 0 else min(offset, len(text))
        return start, len(text), bytes(text[start : start + limit])

    def seek(self, ref: AttemptRef, query: LogQuery) -> LogExcerpt:
        """Answer as a node's disk would."""
        self.seeks += 1
        text = self.texts.get(ref)
        if text is None:
            return LogExcerpt(found=False, complete=True)
        size = len(text)
        if query.size >= 0 and size <= query.size:
            return LogExcerpt(True, size, min(query.offset, size), complete=True)
        lines, at = [], 0
        for raw in bytes(text).splitlines(keepends=True):
            lines.append(LogLine(at, at + len(raw), raw.decode().rstrip("\n")))
            at += len(raw)
        if query.how & How.FIND:
            lines = [line for line in lines if line.offset >= query.offset and query.pattern in line.text]
        elif query.how & How.BACKWARDS:
            lines = lines[-query.lines :] if query.lines else []
            return LogExcerpt(True, size, size, complete=not lines or lines[0].offset == 0, lines=tuple(lines))
        else:
            lines = [line for line in lines if line.offset >= query.offset]
        lines = lines[: query.lines]
        following = lines[-1].next if lines else min(max(0, query.offset), size)
        return LogExcerpt(True, size, following, complete=following >= size, lines=tuple(lines))
