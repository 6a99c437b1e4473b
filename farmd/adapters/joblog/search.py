"""Searches one log, in a process of its own.

Python's regular expressions hold the interpreter while they run, and some take longer than the sun will shine: in a
thread of the daemon one question could stop the farm's heart. A process can be killed, when its time is over or when
nobody waits any more, has limits of its own, and may use another processor. It imports the standard library only.

Reads a question as JSON from standard input and prints the answer as JSON; both are `Question` and `Found` below.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from farmd.adapters.joblog.lines import Shown, raw_lines, shown, start_of_last
from farmd.adapters.joblog.matching import Matcher

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES: Final = 1 << 20
MEMORY_BYTES: Final = 512 << 20
PROCESSOR_S: Final = 10
ROOM_BYTES: Final = 1 << 20
"""Most that one answer weighs, lines around matches included: it has to fit into a message."""
LINE_BYTES: Final = 160
"""What a line weighs beside its text: its place, number, time and level, by their names."""
SPAN_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for, where, and for how long.

    Attributes:
        path: The log.
        pattern: A word or a regular expression.
        regex: Which of the two.
        ignore_case: Whether capitals are small letters.
        backwards: Search the lines before `offset`, the last one first.
        offset: Where a line begins.
        limit: Most matches.
        context: Lines around each match.
        budget_s: Time after which the answer says how far it came.
        words: See `Matcher`.
        unless: See `Matcher`.
        begin: Where a line begins before which nothing is searched.
    """

    path: str
    pattern: str
    regex: bool
    ignore_case: bool
    backwards: bool
    offset: int
    limit: int
    context: int
    budget_s: float
    words: tuple[str, ...] = ()
    unless: str = ""
    begin: int = 0


Spans = tuple[tuple[int, int], ...]
Line = tuple[int, int, str, int, Spans, bool]
"""Offset, next, text, bytes cut, spans, match."""


@dataclass(slots=True)
class Found:
    """What was found.

    Attributes:
        size: Of the log.
        next: Where to go on.
        complete: It was searched to the end (backwards: to where it begins).
        lines: Matches and the lines around them, in the order of the log.
        fault: Why there is no answer.
    """

    size: int = 0
    next: int = 0
    complete: bool = False
    lines: list[Line] = field(default_factory=list)
    fault: str = ""


def search(question: Question) -> Found:
    """Search until the limit, the end, or the time is reached.

    Raises:
        OSError: The log cannot be read.
    """
    try:
        matcher = Matcher(
            question.pattern,
            regex=question.regex,
            ignore_case=question.ignore_case,
            words=question.words,
            unless=question.unless,
        )
    except (re.error, RecursionError, OverflowError) as error:
        return Found(fault=f"{question.pattern!r} is no regular expression: {error}")
    fd = os.open(question.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        found = Found(size)
        found.lines = _walk(fd, size, question, matcher, found)
    finally:
        os.close(fd)
    return found


def _walk(fd: int, size: int, question: Question, matcher: Matcher, found: Found) -> list[Line]:
    """Go from block to block; leaves in `found` where to go on."""
    until = time.monotonic() + question.budget_s
    gathered = _Gathered(fd, size, question.context)
    found.next = question.offset
    if question.backwards:
        blocks = _backwards(fd, question.offset, question.begin)
    else:
        blocks = _forwards(fd, question.offset, size)
    for start, end, block in blocks:
        here = list(_matches_in(fd, start, end, matcher)) if matcher.may_match(block) else []
        for line in reversed(here) if question.backwards else here:
            if not gathered.take(line):
                return gathered.in_order()
            found.next = line[0] if question.backwards else line[1]
            if gathered.matches >= question.limit or time.monotonic() >= until:
                return gathered.in_order()
        found.next = start if question.backwards else end
        if time.monotonic() >= until:
            break
    found.complete = found.next <= question.begin if question.backwards else found.next >= size
    if not question.backwards and question.offset >= size:
        found.next, found.complete = size, True
    return gathered.in_order()


class _Gathered:
    """Matches and the lines around them, each line once, as many as fit into an answer.

    Attributes:
        matches: How many were taken.
    """

    def __init__(self, fd: int, size: int, context: int) -> None:
        self._fd = fd
        self._size = size
        self._context = context
        self._lines: dict[int, Line] = {}
        self._weight = 0
        self.matches = 0

    def take(self, match: Line) -> bool:
        """Take a match with what is around it, or nothing of it; of the first one what fits is taken."""
        added = {match[0]: match}
        weight = self._weight + _weight_of(match)
        for line in self._around(match) if self._context else ():
            if line[0] in self._lines or line[0] in added:
                continue
            weight += _weight_of(line)
            if weight > ROOM_BYTES and not self.matches:
                break
            added[line[0]] = line
        if weight > ROOM_BYTES and self.matches:
            return False
        self._lines |= added
        self._weight = weight
        self.matches += 1
        return True

    def _around(self, match: Line) -> Iterator[Line]:
        """Yield the lines around a match, the nearest first."""
        begin = start_of_last(self._fd, match[0], self._context)
        before = list(_some(self._fd, begin, match[0], self._context))
        after = _some(self._fd, match[1], self._size, self._context)
        for pair in zip_longest(reversed(before), after):
            yield from ((*line, (), False) for line in pair if line is not None)

    def in_order(self) -> list[Line]:
        """Return all of them in the order of the log."""
        return [self._lines[offset] for offset in sorted(self._lines)]


def _weight_of(line: Line) -> int:
    text = line[2]
    return LINE_BYTES + SPAN_BYTES * len(line[4]) + (len(text) if text.isascii() else len(text.encode()))


def _matches_in(fd: int, start: int, end: int, matcher: Matcher) -> Iterator[Line]:
    for raw in raw_lines(fd, start, end):
        line = shown(raw)
        spans = matcher.spans(line.text)
        if spans:
            yield (*line, spans, True)


def _forwards(fd: int, start: int, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield blocks of whole lines: from, to, bytes; a line that is longer than a block is a block."""
    while start < size:
        block = os.pread(fd, min(BLOCK_BYTES, size - start), start)
        end = start + len(block)
        while end < size and b"\n" not in block and len(block) < 16 * BLOCK_BYTES:
            block += os.pread(fd, min(BLOCK_BYTES, size - end), end)
            end = start + len(block)
        if not block:
            return
        if end < size and b"\n" in block:
            block = block[: block.rindex(b"\n") + 1]
            end = start + len(block)
        yield start, end, block
        start = end


def _backwards(fd: int, end: int, begin: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield blocks of whole lines that end at `end` and do not start before `begin`, the last block first."""
    while end > begin:
        length = min(BLOCK_BYTES, end - begin)
        block = os.pread(fd, length, end - length)
        while length < end - begin and b"\n" not in block[:-1] and length < 16 * BLOCK_BYTES:
            length = min(length + BLOCK_BYTES, end - begin)
            block = os.pread(fd, length, end - length)
        start = end - length
        if start > begin and b"\n" in block[:-1]:
            cut = block.index(b"\n") + 1
            start, block = start + cut, block[cut:]
        if not block:
            return
        yield start, end, block
        end = start


def _some(fd: int, start: int, end: int, count: int) -> Iterator[Shown]:
    for number, raw in enumerate(raw_lines(fd, start, end), 1):
        yield shown(raw)
        if number >= count:
            return


def main() -> None:
    """Answer one question, and never more than one."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S + 1))  # the first limit ends it with a name
    os.nice(10)
    try:
        found = search(Question(**json.load(sys.stdin)))
    except (OSError, MemoryError) as error:
        found = Found(fault=f"the log cannot be searched: {type(error).__name__} {error}")
    sys.stdout.write(json.dumps(asdict(found)))  # in one piece: `dump` writes each number for itself


if __name__ == "__main__":
    main()
