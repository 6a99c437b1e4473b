"""The log that is looked at, as a window of lines that are known, out of a file that may have gigabytes.

The window is contiguous: it grows at both ends by what the node answers, and drops lines at the far end when it gets too
large. A line is known by its offset; the cursor and the matches are offsets too, so nothing moves when lines come in
front. The last line may be partial and is replaced when it comes again.

Called by the log screen; must not import textual.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_LINES: Final = 20_000
PAGE_LINES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log."""

    offset: int
    next: int
    number: int | None
    at_ms: int | None
    text: str
    level: str = ""

    @classmethod
    def of(cls, told: dict[str, Any], fallback: int) -> Line:
        """Read a line of an answer; lines that were spread without their place get one of their own."""
        offset = told.get("offset")
        begin = fallback if offset is None else int(offset)
        text = str(told.get("text", ""))
        end = told.get("next")
        return cls(
            begin,
            begin + 1 if end is None else int(end),
            told.get("number"),
            told.get("at_ms"),
            text,
            str(told.get("level") or ""),
        )


@dataclass(slots=True)
class LogWindow:
    """The known lines of one attempt's log.

    Attributes:
        about: What the last answer said besides lines: attempt, machine, state, size, …
        lines: Known lines, contiguous.
        at_begin: The first known line is the first of the log.
        at_end: The last known line is the last of the log, as far as is known.
        end: Offset to go on with.
        cursor: Offset of the line that the cursor is on.
        matches: Spans to show, by offset of the line.
        following: New lines are shown as they come, and the cursor stays on the last one.
        is_placed: The lines are those of the file; else, if there are any, the last ones that its machine spread, which
            have no place in it.
    """

    about: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    at_begin: bool = False
    at_end: bool = False
    end: int = 0
    cursor: int = 0
    matches: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    following: bool = True
    is_placed: bool = False

    def begin_at_end(self, answer: dict[str, Any]) -> None:
        """Take the answer of `log.tail`: the end of the log, and nothing else."""
        if self._says_less(answer):
            return
        self._replace(answer)
        self.at_begin, self.at_end = bool(answer.get("complete")), True
        self.cursor = self.lines[-1].offset if self.lines else 0

    def begin_at(self, answer: dict[str, Any], cursor: int | None = None) -> None:
        """Take the answer of `log.read` as a new window."""
        if self._says_less(answer):
            return
        self._replace(answer)
        self.at_begin = not self.lines or self.lines[0].offset == 0
        self.at_end = bool(answer.get("complete"))
        self.cursor = cursor if cursor is not None else self.lines[0].offset if self.lines else 0
        self.following = False

    def _says_less(self, answer: dict[str, Any]) -> bool:
        """Note an answer without the log (its machine is away): the lines that are known are worth more than its last ones."""
        if answer.get("found", True) or not self.is_placed:
            return False
        self._note(answer | {"size": self.about.get("size")})
        return True

    def _replace(self, answer: dict[str, Any]) -> None:
        self._note(answer)
        self.is_placed = bool(answer.get("found", True))
        self.lines = _lines_of(answer)
        self.end = int(answer.get("next") or (self.lines[-1].next if self.lines else 0))

    def put_before(self, answer: dict[str, Any]) -> int:
        """Take the answer of `log.tail` with `before`; returns how many lines came in front.

        Lines without their place, of a machine that is away, belong nowhere in front of those that have one.
        """
        if not answer.get("found", True) or (self.lines and not self.is_placed):
            self._says_less(answer)
            return 0
        self.about["away"] = None
        begin = self.lines[0].offset if self.lines else 0
        older = [line for line in _lines_of(answer) if line.offset < begin]
        self.lines[:0] = older
        self.at_begin = bool(answer.get("complete")) or not older
        if len(self.lines) > KEPT_LINES:
            del self.lines[KEPT_LINES:]
            self.end, self.at_end, self.following = self.lines[-1].next, False, False
        return len(older)

    def put_after(self, answer: dict[str, Any]) -> int:
        """Take the answer of `log.read` or `log.follow` from `end`; returns how many lines are new or different.

        An answer that is not complete leaves the end open, also of a log that has ended: more is there already.
        """
        if self._says_less(answer):
            return 0
        self._note(answer)
        newer = _lines_of(answer)
        if newer:
            begin = newer[0].offset
            while self.lines and self.lines[-1].offset >= begin:
                self.lines.pop()
            self.lines += newer
        self.end = int(answer.get("next") or self.end)
        self.at_end = bool(answer.get("complete", True))
        over = len(self.lines) - KEPT_LINES
        if over > 0:
            del self.lines[:over]
            self.at_begin = False
        if self.following and self.lines:
            self.cursor = self.lines[-1].offset
        return len(newer)

    def _note(self, answer: dict[str, Any]) -> None:
        self.about = {name: value for name, value in answer.items() if name != "lines"}

    # -- where things are -----------------------------------------------------------------------------------------

    @property
    def cursor_index(self) -> int:
        """The number of the known line that the cursor is on."""
        if not self.lines:
            return 0
        at = bisect_right(self.lines, self.cursor, key=lambda line: line.offset) - 1
        return max(0, at)

    def index_of(self, offset: int) -> int | None:
        """Return the number of the known line at an offset, or None if it is not known."""
        at = bisect_left(self.lines, offset, key=lambda line: line.offset)
        return at if at < len(self.lines) and self.lines[at].offset == offset else None

    def move(self, lines: int) -> None:
        """Move the cursor by lines; away from the end it stops to follow."""
        if self.lines:
            at = max(0, min(self.cursor_index + lines, len(self.lines) - 1))
            self.cursor = self.lines[at].offset
            if lines < 0:
                self.following = False

    def found(self, answer: dict[str, Any]) -> int | None:
        """Take the answer of `log.find`: remember where it matched; returns the offset of the first match."""
        hits = [told for told in answer.get("lines") or [] if told.get("match")]
        for told in hits:
            self.matches[int(told["offset"])] = [(int(a), int(b)) for a, b in told.get("spans") or []]
        return int(hits[0]["offset"]) if hits else None

    @property
    def is_over(self) -> bool:
        """Tell whether all is known and nothing more will be written; of a machine that is away, nobody knows that."""
        return bool(self.about.get("ended")) and self.at_end and not self.about.get("away")


def _lines_of(answer: dict[str, Any]) -> list[Line]:
    told: Iterable[Any] = answer.get("lines") or []
    lines: list[Line] = []
    for item in told:
        lines.append(Line.of(item, lines[-1].next if lines else 0))
    return lines
