"""Lines of a file, from any place in it, forwards and backwards, without reading the rest.

Reads blocks. A line may be of any length: what is kept of one in memory is its first and its last part, and one that
does not end within `MAX_STRETCH_BYTES` is taken for several. So the cost of a read follows what is asked for, whatever
the program wrote: a tail of a log of a gigabyte reads its last blocks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.logtext import MAX_LETTERS, harmless, last_state

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES: Final = 1 << 18
KEPT_BYTES: Final = 64 << 10
"""Of a long line: so much of its beginning, and of its end."""
MAX_STRETCH_BYTES: Final = 16 << 20
BUDGET_BYTES: Final = 512 << 10
"""Most text of one answer, which has to fit into a message."""


class RawLine(NamedTuple):
    """One line as it stands in the file.

    Attributes:
        offset: Where it begins.
        next: Where the next one begins.
        head: Its first bytes, all of them if `tail` is empty.
        tail: Its last bytes, if it is long.
        ended: It has a line end, or was cut for its length.
    """

    offset: int
    next: int
    head: bytes
    tail: bytes
    ended: bool


class Shown(NamedTuple):
    """A line as it is shown: harmless text, and how many of its bytes are not in there."""

    offset: int
    next: int
    text: str
    cut: int


def raw_lines(fd: int, start: int, end: int) -> Iterator[RawLine]:
    """Yield the lines of [start, end); the last one may have no end yet.

    Args:
        fd: The file.
        start: Where a line begins.
        end: Where to stop, at most the size of the file.
    """
    at, head, tail = start, b"", b""
    for position, block in _blocks(fd, start, end):
        begin = 0
        while (found := block.find(b"\n", begin)) >= 0:
            head, tail = _grown(head, tail, block[begin:found])
            yield RawLine(at, position + found + 1, head, tail, True)
            at, begin, head, tail = position + found + 1, found + 1, b"", b""
        head, tail = _grown(head, tail, block[begin:])
        if position + len(block) - at >= MAX_STRETCH_BYTES:
            yield RawLine(at, position + len(block), head, tail, True)
            at, head, tail = position + len(block), b"", b""
    if head:
        yield RawLine(at, end, head, tail, False)


def _blocks(fd: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    size = 16 << 10  # a first block that is enough for most questions, then larger ones
    while start < end:
        block = os.pread(fd, min(size, end - start), start)
        if not block:
            return
        yield start, block
        start, size = start + len(block), BLOCK_BYTES


def _grown(head: bytes, tail: bytes, more: bytes) -> tuple[bytes, bytes]:
    if not tail and len(head) + len(more) <= 2 * KEPT_BYTES:
        return head + more, b""
    whole_tail = (tail or head[KEPT_BYTES:]) + more
    if tail or len(head) >= KEPT_BYTES:
        return head[:KEPT_BYTES], whole_tail[-KEPT_BYTES:]
    whole = head + more
    return whole[:KEPT_BYTES], whole[-KEPT_BYTES:]


def shown(line: RawLine) -> Shown:
    """Make a line harmless; of a long one that was drawn over again and again its last state is shown."""
    if line.tail:
        drawn_over = b"\r" in line.tail.rstrip(b"\r")
        text = harmless(line.tail if drawn_over else line.head)
        length = line.next - line.offset
        return Shown(line.offset, line.next, text[:MAX_LETTERS], 0 if drawn_over else max(1, length - KEPT_BYTES))
    text = harmless(line.head)
    if len(text) <= MAX_LETTERS:
        return Shown(line.offset, line.next, text, 0)
    left_out = len(text[MAX_LETTERS:].encode("utf-8", "replace"))
    return Shown(line.offset, line.next, text[:MAX_LETTERS], left_out)


def start_of_last(fd: int, end: int, count: int) -> int:
    """Find where the last `count` lines before `end` begin, by blocks from there backwards.

    A line that is not at its end counts as one. What is longer than `MAX_STRETCH_BYTES` without a line end, and more
    than could be sent, is given up: the lines then begin later.
    """
    if count <= 0:
        return end
    position, wanted, size = end, count, 64 << 10
    while position > 0:
        if end - position >= MAX_STRETCH_BYTES:
            return position
        length = min(size, position)
        position -= length
        block = os.pread(fd, length, position)
        if position + length == end:
            block = block[:-1]  # the line end in front of `end` belongs to the last line
        newlines = block.count(b"\n")
        if newlines >= wanted:
            return position + _from_right(block, wanted) + 1
        wanted -= newlines
        size = min(2 * size, 1 << 20)
    return 0


def _from_right(block: bytes, count: int) -> int:
    """Return where the `count`-th line end from the right stands."""
    at = len(block)
    for _ in range(count):
        at = block.rfind(b"\n", 0, at)
    return at


def start_of_line(fd: int, offset: int) -> int:
    """Find where the line begins in which a byte stands."""
    position = offset
    while position > 0 and offset - position < MAX_STRETCH_BYTES:
        length = min(BLOCK_BYTES, position)
        position -= length
        found = os.pread(fd, length, position).rfind(b"\n")
        if found >= 0:
            return position + found + 1
    return position


__all__ = ["BUDGET_BYTES", "RawLine", "Shown", "last_state", "raw_lines", "shown", "start_of_last", "start_of_line"]
