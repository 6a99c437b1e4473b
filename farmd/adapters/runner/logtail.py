"""The log of a running attempt: processes write it themselves, straight to the file; the daemon only reads along.

Reading costs nothing until somebody looks, and is bounded: a renderer that prints megabytes a second loses progress
lines, never log lines. How long the log had become at which time is noted beside it, so that people can see when a line
was written, although nobody saw it come.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LOOK_BYTES: Final = 1 << 20
"""Read at one look; what lies further back is passed over."""
MAX_LINE_BYTES: Final = 64 << 10
STAMPS_ENDING: Final = ".times"
STAMP: Final = Struct("<QQ")
"""Wall clock in milliseconds, size of the log in bytes; `farmd.adapters.joblog.stamps` reads them."""
STAMP_GAP_S: Final = 0.9
STAMPS_A_FOLD: Final = 2000
"""A log that has been written for so long gets a pair after a further 1/2000 of that: 16 kB in half an hour, 130 kB in
half a day."""


class LogTail:
    """One attempt's log file: open for its processes to append, read along from where it was read last."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending, making its folders.

        Raises:
            OSError: The disk refused.
        """
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self.fd = os.open(path, flags, 0o644)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(path, flags, 0o644)
        self._at = os.fstat(self.fd).st_size
        self._begun = b""
        self._remarked_bytes = 0
        self._stamps_fd = -1
        self._stamped = self._at
        self._first_stamp_at = self._stamp_at = 0.0

    def stamp(self, *, last: bool = False) -> None:
        """Note how long the log is now, if it has grown and the last note was a while ago; `last` always does.

        A log that was never looked at (its attempt was over at once) has its time of change, and needs no file.

        Raises:
            OSError: The disk refused.
        """
        size, now = self.size_bytes, time.time()
        if size == self._stamped or self.is_quiet:
            return
        gap_s = max(STAMP_GAP_S, (self._stamp_at - self._first_stamp_at) / STAMPS_A_FOLD)
        if not last and 0 <= now - self._stamp_at < gap_s:
            return
        if self._stamps_fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._stamps_fd = os.open(self.path.with_suffix(STAMPS_ENDING), flags, 0o644)
            self._first_stamp_at = now
        os.write(self._stamps_fd, STAMP.pack(int(now * 1000), size))
        self._stamped, self._stamp_at = size, now

    def remark(self, text: str) -> None:
        """Add a line of the farm's own, with the time.

        Raises:
            OSError: The disk refused.
        """
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._remarked_bytes += os.write(self.fd, f"[farmd] {stamp} {text}\n".encode(errors="replace"))

    @property
    def is_quiet(self) -> bool:
        """Nobody but the farm has written here."""
        return self.size_bytes == self._remarked_bytes

    def move(self, path: Path) -> bool:
        """Become the empty log of another attempt; False if the file is gone or the disk refused."""
        try:
            os.ftruncate(self.fd, 0)
            try:
                self.path.rename(path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.path.rename(path)
        except OSError:
            return False
        self.path, self._at, self._begun, self._remarked_bytes = path, 0, b"", 0
        return True

    @property
    def size_bytes(self) -> int:
        """Size of the file now."""
        return os.fstat(self.fd).st_size

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were completed since the last look; a carriage return ends a line too."""
        size = self.size_bytes
        if size <= self._at:
            return
        if size - self._at > MAX_LOOK_BYTES:
            self._at = size - MAX_LOOK_BYTES
            self._begun = b""
        data = os.pread(self.fd, size - self._at, self._at)
        self._at += len(data)
        *lines, self._begun = (self._begun + data).replace(b"\r", b"\n").split(b"\n")
        self._begun = self._begun[-MAX_LINE_BYTES:]
        for line in lines:
            if line:
                yield line[:MAX_LINE_BYTES].decode("utf-8", "replace")

    def tail(self, limit_bytes: int) -> str:
        """Return the last part of the log, from the start of a line where there is one."""
        size = self.size_bytes
        data = os.pread(self.fd, limit_bytes, max(0, size - limit_bytes))
        if size > limit_bytes and b"\n" in data[:-1]:
            data = data[data.index(b"\n") + 1 :]
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        """Close the file; the processes' own descriptors stay."""
        if self.fd >= 0:
            if self._stamps_fd >= 0:
                with suppress(OSError):  # a full disk must not keep a log open
                    self.stamp(last=True)
            os.close(self.fd)
            self.fd = -1
        if self._stamps_fd >= 0:
            os.close(self._stamps_fd)
            self._stamps_fd = -1


class SpareLogs:
    """Log files that nobody will read, used again.

    Making a file waits for the file system's journal and takes a block: for a frame that does nothing and says nothing
    it was a tenth of its cost, and all but 120 bytes of what stays of it on the disk. The log of an attempt that ended
    well, promised no output and printed nothing therefore becomes the next one's, which renames it; until then it
    stands where it was.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._spare: list[LogTail] = []

    def open(self, path: Path) -> LogTail:
        """Return an empty log at this path.

        Raises:
            OSError: The disk refused.
        """
        while self._spare:
            log = self._spare.pop()
            if log.move(path):
                return log
            log.close()
        return LogTail(path)

    def give_back(self, log: LogTail) -> None:
        """Take a log whose attempt ended well and promised nothing; one that says something stays as it is."""
        if len(self._spare) < self._most and log.is_quiet:
            self._spare.append(log)
        else:
            log.close()

    def close(self) -> None:
        """Close all."""
        while self._spare:
            self._spare.pop().close()
