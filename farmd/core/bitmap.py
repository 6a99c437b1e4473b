"""One byte for each task of a job: where it stands, how many stand where, and which is the next to grant.

A frame that nobody has touched costs one byte, and not even that before the first frame of its job is touched. The
search for the next ready task is `bytearray.find`, which runs at the speed of memory, from a mark below which
nothing is ready: a heap would cost 50 times the memory and could not walk backwards.

Invariant: `count(mark)` equals the number of bytes with that mark; every READY byte lies in [_low, _high).
Called by `farmd.core.tasks`. Knows nothing of attempts.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.ids import TaskIndex


class Mark(IntEnum):
    """Where a task stands; finer than `TaskState`, in memory only."""

    READY = 0
    """Waiting, and nothing of its own is in the way."""
    DELAYED = 1
    """Waiting for the pause after a failure to pass."""
    BUSY = 2
    """Waiting, while an attempt of an older generation is still executing."""
    HELD = 3
    """Poison: running on two nodes when they were lost."""
    GRANTED = 4
    """Given to a node by this leader; no row says so yet."""
    RUNNING = 5
    FAILED = 6
    DONE = 7
    """Done; its outputs are on one node."""
    SAFE = 8
    """Done; its outputs are on two nodes or more."""


_DONE_RUNS = re.compile(b"[\x07\x08]+")
_FAILED_RUNS = re.compile(b"\x06+")
_OPEN_RUNS = re.compile(b"[\x00-\x04\x06]+")


class TaskMap:
    """Marks of the tasks 0..size-1; all READY at first."""

    __slots__ = ("_bytes", "_counts", "_high", "_low", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._bytes: bytearray | None = None
        self._counts = [size, *[0] * (len(Mark) - 1)]
        self._low = 0
        self._high = size

    def __getitem__(self, task: TaskIndex) -> Mark:
        return _MARKS[self._bytes[task]] if self._bytes is not None else Mark.READY

    def put(self, task: TaskIndex, mark: Mark) -> None:
        """Change the mark of one task."""
        if self._bytes is None:
            self._bytes = bytearray(self.size)
        self._counts[self._bytes[task]] -= 1
        self._counts[mark] += 1
        self._bytes[task] = mark
        if mark == Mark.READY:
            self._low = min(self._low, task)
            self._high = max(self._high, task + 1)

    def count(self, *marks: Mark) -> int:
        """Count the tasks with any of these marks."""
        return sum([self._counts[mark] for mark in marks])

    def ready(self, below: int, *, reverse: bool = False) -> Iterator[int]:
        """Yield READY tasks with an index under `below`, in order or backwards; marks may change meanwhile."""
        if self._counts[Mark.READY] == 0:
            return
        at = self._last_ready(below) if reverse else self._first_ready(0, below)
        while at >= 0:
            yield at
            at = self._last_ready(at) if reverse else self._first_ready(at + 1, below)

    def _first_ready(self, low: int, below: int) -> int:
        low = max(low, self._low)
        if self._bytes is None:
            return low if low < below else -1
        at = self._bytes.find(Mark.READY, low, below)
        if low == self._low:
            self._low = at if at >= 0 else max(low, below)
        return at

    def _last_ready(self, below: int) -> int:
        high = min(below, self._high)
        if self._bytes is None:
            return high - 1
        at = self._bytes.rfind(Mark.READY, self._low, high)
        if high == self._high:
            self._high = at + 1 if at >= 0 else self._low
        return at

    def translated(self, below: int, low: bytes, high: bytes) -> bytes:
        """Return one byte a task: its mark by the table `low` below the index `below`, by `high` from there on.

        Tables have 256 bytes.
        """
        marks = self._bytes
        if marks is not None:
            return bytes(marks[:below].translate(low) + marks[below:].translate(high))
        cut = min(below, self.size)
        return low[:1] * cut + high[:1] * (self.size - cut)

    def one_copy(self) -> Iterator[int]:
        """Yield tasks that are done and whose outputs are on one node only."""
        marks = self._bytes
        at = marks.find(Mark.DONE) if marks is not None else -1
        while marks is not None and at >= 0:
            yield at
            at = marks.find(Mark.DONE, at + 1)

    def done_runs(self) -> list[tuple[int, int]]:
        """List runs (first, last) of done tasks."""
        return _runs(_DONE_RUNS, self._bytes)

    def failed_runs(self) -> list[tuple[int, int]]:
        """List runs (first, last) of failed tasks."""
        return _runs(_FAILED_RUNS, self._bytes)

    def open_runs(self) -> list[tuple[int, int]]:
        """List runs (first, last) of tasks that neither run nor are done."""
        return _runs(_OPEN_RUNS, self._bytes) if self._bytes is not None else [(0, self.size - 1)]


_MARKS = tuple(Mark)


def _runs(pattern: re.Pattern[bytes], marks: bytearray | None) -> list[tuple[int, int]]:
    if marks is None:
        return []
    return [(found.start(), found.end() - 1) for found in pattern.finditer(marks)]
