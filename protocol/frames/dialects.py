"""Frame ranges as tools write them, each in its dialect: one strict parser that guesses nothing.

What a dialect does not know is refused with the column and a proposal. Whitespace stands around commas only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.errors import UsageError
from protocol.frames.frameset import FrameSet
from protocol.frames.runs import MAX_FRAMES, too_many

MAX_FRAME: Final = 2**31 - 1
MAX_TEXT_CHARS: Final = 262_144


class Dialect(StrEnum):
    """Whose way of writing frame ranges a text follows."""

    FARM = "farm"
    DEADLINE = "deadline"
    NUKE = "nuke"
    RENDERBUS = "renderbus"
    BLENDER = "blender"
    FLAMENCO = "flamenco"
    OPENJD = "openjd"
    FILESEQ = "fileseq"


@dataclass(frozen=True, slots=True)
class _Grammar:
    """What one dialect allows; the named group of `step` says what its number means."""

    separator: re.Pattern[str]
    step: re.Pattern[str] | None
    signed: bool
    example: str
    exclude: str = ""


_DASH, _DOTS, _EITHER = re.compile("-"), re.compile(r"\.\."), re.compile(r"-|\.\.")
_X_STEP = re.compile("x(?P<every>-?[0-9]+)")
_NUMBER = {True: re.compile("-?[0-9]+"), False: re.compile("[0-9]+")}
_BLANKS = re.compile("[ \t]*")

# Flamenco splits at every dash, and Blender reads a sign as "relative to the scene's range": no negatives there.
_GRAMMARS: Final = {
    Dialect.FARM: _Grammar(_EITHER, _X_STEP, True, "1-10  1-10x2  1..10  1,5-7  -5--1  1-10,^5", "^"),
    Dialect.DEADLINE: _Grammar(_DASH, _X_STEP, True, "1-10  1-10x2  1,5-7"),
    Dialect.NUKE: _Grammar(_DASH, _X_STEP, True, "1-10  1-10x2  1,5-7"),
    Dialect.RENDERBUS: _Grammar(_DASH, re.compile(r"\[(?P<every>-?[0-9]+)\]"), True, "1-10  1-10[2]  1,3-4[1]"),
    Dialect.BLENDER: _Grammar(_DOTS, None, False, "1..10  1,5..7"),
    Dialect.FLAMENCO: _Grammar(_DASH, None, False, "1-10  1,5-7"),
    Dialect.OPENJD: _Grammar(_DASH, re.compile(":(?P<every>-?[0-9]+)"), True, "1-10  1-10:2  1,5-7"),
    Dialect.FILESEQ: _Grammar(
        _DASH,
        re.compile("x(?P<every>-?[0-9]+)|y(?P<fill>-?[0-9]+)|:(?P<stagger>-?[0-9]+)"),
        True,
        "1-10  1-10x2 (every second)  1-10y2 (all but those)  1-10:2 (all, coarse first)",
    ),
}

_FARM_ADVICE: Final = {
    ":": (
        "':' has two meanings: every Nth frame (openjd), or all frames with coarse ones first (fileseq)",
        "write 1-10x2 for every second frame, 1-10 for all, or name the dialect: openjd or fileseq",
    ),
    "[": ("'[' is a step only in the renderbus dialect", "write 1-10x2, or name the dialect: renderbus"),
    "y": ("'y' is a fill only in the fileseq dialect", "write 1-10,^1-10x2, or name the dialect: fileseq"),
    "!": ("'!' is the shell's history sign and leaves nothing out here", "leave frames out with ^, as in 1-10,^5"),
}


class _Scanner:
    """Reads one text from left to right; `at` is where it stands and what an error points at."""

    __slots__ = ("at", "dialect", "grammar", "text")

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.grammar = _GRAMMARS[dialect]
        self.at = 0

    def read(self) -> FrameSet:
        kept: list[range] = []
        left_out: list[range] = []
        while True:
            self._take(_BLANKS)
            exclude = self.grammar.exclude
            excluded = bool(exclude) and self.text.startswith(exclude, self.at)
            self.at += excluded
            (left_out if excluded else kept).extend(self._piece())
            self._take(_BLANKS)
            if self.at == len(self.text):
                return FrameSet(tuple(kept)) - FrameSet(tuple(left_out))
            if self.text[self.at] != ",":
                raise self._unexpected()
            self.at += 1

    def _piece(self) -> tuple[range, ...]:
        begin = self.at
        first = last = self._frame()
        if not self._take(self.grammar.separator):
            return (range(first, last + 1),)
        last = self._frame()
        if last < first:
            raise self._fault(f"the range runs backwards from {first} to {last}", f"write {last}-{first}", begin)
        step = self._take(self.grammar.step) if self.grammar.step else None
        by = self._number(step[step.lastgroup or 0], step.start()) if step else 1
        if step and by < 1:
            raise self._fault("a step is 1 or more", f"an example: {self.grammar.example}", step.start())
        whole, stepped = range(first, last + 1), range(first, last + 1, by)
        if len(stepped) > MAX_FRAMES:
            raise self._fault(f"more than {MAX_FRAMES:,} frames", "split it into several jobs", begin)
        if step is None or step.lastgroup == "every":
            return (stepped,)
        # A stagger only reorders, and a set has no order of its own; a fill is all frames but every Nth.
        if len(whole) > MAX_FRAMES:
            raise self._fault(f"more than {MAX_FRAMES:,} frames", "split it into several jobs", begin)
        return (whole,) if step.lastgroup == "stagger" else (FrameSet((whole,)) - FrameSet((stepped,))).runs

    def _frame(self) -> int:
        found = self._take(_NUMBER[self.grammar.signed])
        if found is None:
            raise self._unexpected("a frame number is missing")
        return self._number(found[0], found.start())

    def _number(self, digits: str, at: int) -> int:
        size = digits.lstrip("-0")
        if len(size) > 10 or int(size or "0") > MAX_FRAME:
            raise self._fault(f"the number is larger than {MAX_FRAME}", "write a smaller number", at)
        return -int(size or "0") if digits.startswith("-") else int(size or "0")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def _unexpected(self, why: str = "") -> UsageError:
        seen = self.text[self.at : self.at + 1]
        if self.dialect is Dialect.FARM and seen in _FARM_ADVICE:
            return self._fault(*_FARM_ADVICE[seen])
        if _NUMBER[False].match(seen) or self.text[self.at - 1 : self.at].isspace():
            return self._fault(why or "a comma is missing", "separate frames and ranges by commas, as in 1,5-7")
        why = why or f"{seen!r} does not belong here"
        return self._fault(why, f"the {self.dialect} dialect is written like: {self.grammar.example}")

    def _fault(self, why: str, hint: str, at: int | None = None) -> UsageError:
        at = self.at if at is None else at
        begin = max(0, at - 30)
        shown = "…" * (begin > 0) + self.text[begin : at + 30] + "…" * (len(self.text) > at + 30)
        return UsageError(f"cannot read the frames {shown!r}", f"column {at + 1}: {why}", hint)


def parse_frames(text: str, dialect: Dialect = Dialect.FARM) -> FrameSet:
    """Read a frame range; what is left out with `^` stays out wherever it stands in the list.

    Raises:
        UsageError: The dialect does not know this writing, no frame is left, or there are too many frames.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise UsageError(
            "the frame range is too long", f"more than {MAX_TEXT_CHARS} characters", "use ranges and steps"
        )
    if not text.strip(" \t"):
        example = _GRAMMARS[dialect].example
        raise UsageError("no frames were given", "the frame range is empty", f"an example: {example}")
    frames = _Scanner(text, dialect).read()
    if not frames:
        raise UsageError(f"no frame is left of {text[:60]!r}", "everything is left out", "leave fewer frames out")
    if len(frames) > MAX_FRAMES:
        raise too_many()
    return frames


def example_of(dialect: Dialect) -> str:
    """Show how a dialect writes ranges."""
    return _GRAMMARS[dialect].example
