"""Logs of attempts: where each stands, and any part of one, from either end, without reading the rest.

One file per attempt, `logs/<job>/<task>.<attempt>.log`, written by the processes themselves. Flat below the job: a
folder per task would cost each frame a second change of the file system.

Called by the daemon for `ReadLog`, by `seeking`, and by the runner for the path. Must never read more than it was asked for: a log of
a gigabyte is opened, seeked and read like one of a line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ids import AttemptRef

MAX_READ_BYTES: Final = 1 << 20
"""Most that one read returns: it must fit into a message."""


class LogPart(NamedTuple):
    """A part of a log: `offset` is where `data` really begins, `size` that of the whole log now."""

    offset: int
    size: int
    data: bytes


class JobLogs:
    """All logs of this node, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where all of them are, each in the folder of its job."""
        return self._folder

    def path(self, ref: AttemptRef) -> Path:
        """Name the log of an attempt; it need not exist yet."""
        return self._folder / ref.job / f"{ref.task}.{ref.attempt}.log"

    def read(self, ref: AttemptRef, offset: int, limit: int) -> LogPart | None:
        """Read a part of a log; None if this node has none of the attempt.

        Args:
            ref: Whose log.
            offset: Bytes from the start; negative = from the end, and more than there is means from the start.
            limit: Bytes at most; never more than `MAX_READ_BYTES`.
        """
        try:
            fd = os.open(self.path(ref), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            size = os.fstat(fd).st_size
            start = max(0, size + offset) if offset < 0 else min(offset, size)
            data = os.pread(fd, max(0, min(limit, MAX_READ_BYTES)), start)
        finally:
            os.close(fd)
        return LogPart(start, size, data)
