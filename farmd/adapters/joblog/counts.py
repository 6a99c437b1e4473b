"""Line numbers: how many lines stand before an offset, counted once and remembered in steps.

A line number is worth a read of the whole log before it, which for a gigabyte takes most of a second from memory and
more from a disk. So it is counted when it is cheap, or when somebody asks for it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from threading import Lock
from typing import Final

STEP_BYTES: Final = 4 << 20
CHEAP_BYTES: Final = 32 << 20
"""So much is counted without being asked for: some hundredths of a second."""
MAX_LOGS: Final = 16
_BLOCK_BYTES: Final = 1 << 20


class LineCounts:
    """Lines up to each `STEP_BYTES` of the logs that were looked at last."""

    def __init__(self) -> None:
        self._steps: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = Lock()

    def before(self, name: str, fd: int, offset: int, *, always: bool) -> int | None:
        """Count the line ends before an offset.

        Args:
            name: Of the log: not its inode, which the next log may have.
            fd: The log.
            offset: Up to where.
            always: Else None is returned if it would take long.
        """
        with self._lock:
            steps = self._steps.setdefault(name, [0])
            self._steps.move_to_end(name)
            while len(self._steps) > MAX_LOGS:
                self._steps.popitem(last=False)
        known = min(len(steps) - 1, offset // STEP_BYTES)
        if not always and offset - known * STEP_BYTES > CHEAP_BYTES:
            return None
        while (known + 1) * STEP_BYTES <= offset:
            counted = steps[known] + _count(fd, known * STEP_BYTES, (known + 1) * STEP_BYTES)
            known += 1
            with self._lock:
                if known == len(steps):  # another thread may count the same log: both find the same
                    steps.append(counted)
        return steps[known] + _count(fd, known * STEP_BYTES, offset)


def _count(fd: int, start: int, end: int) -> int:
    count = 0
    while start < end:
        block = os.pread(fd, min(_BLOCK_BYTES, end - start), start)
        if not block:
            break
        count += block.count(b"\n")
        start += len(block)
    return count
