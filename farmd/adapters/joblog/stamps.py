"""When lines were written: pairs (wall clock, size of the log) that the runner notes while an attempt runs.

Processes write their logs themselves, so nobody sees each line come; but about once a second the runner looks how long
a log has become. From these pairs follows when any line was there, to about a second, and where to begin for "the last
ten minutes" without reading a line. They stand beside the log, in a file that grows by 16 bytes a look, and with the
logarithm of the time for what runs for hours (see `farmd.adapters.runner.logtail`, which writes it).
"""

from __future__ import annotations

import os
from bisect import bisect_left
from struct import Struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

ENDING: Final = ".times"
PAIR: Final = Struct("<QQ")
MAX_PAIRS: Final = 100_000


class Stamps:
    """The pairs of one log, and when it was written last."""

    def __init__(self, at_ms: list[int], sizes: list[int], changed_ms: int) -> None:
        self._at_ms = at_ms
        self._sizes = sizes
        self._changed_ms = changed_ms

    @classmethod
    def of(cls, log: Path, changed_ms: int) -> Self:
        """Read what stands beside a log; a log without (its attempt was over at once) has only its last change."""
        try:
            data = log.with_suffix(ENDING).read_bytes()[: MAX_PAIRS * PAIR.size]
        except OSError:
            data = b""
        pairs = sorted(PAIR.iter_unpack(data[: len(data) - len(data) % PAIR.size]))
        sizes: list[int] = []
        for _, size in pairs:  # a clock that was set back must not turn the order of the log around
            sizes.append(max(size, sizes[-1] if sizes else 0))
        return cls([at for at, _ in pairs], sizes, changed_ms)

    def at_ms(self, end: int) -> int:
        """Return when the log was first seen to reach this size."""
        found = bisect_left(self._sizes, end)
        return self._at_ms[found] if found < len(self._sizes) else self._changed_ms

    def offset_since(self, since_ms: int, size: int) -> int:
        """Return an offset in front of everything that was written at or after this instant."""
        if since_ms > self._changed_ms:
            return size
        found = bisect_left(self._at_ms, since_ms)
        return self._sizes[found - 1] if found else 0


def changed_ms(fd: int) -> int:
    """Return when a file was written last."""
    return os.fstat(fd).st_mtime_ns // 1_000_000
