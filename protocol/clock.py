"""Hybrid logical clock: one 64-bit stamp that follows wall time and never runs backwards.

After Kulkarni et al., "Logical Physical Clocks" (2014): 48 bits of milliseconds since the Unix epoch, 16 bits of
counter. A remote stamp more than `MAX_AHEAD_MS` in the future is *not* merged, so one machine with a wrong clock
cannot drag the farm's clock away; its records are accepted all the same (their `ver` is compared before time).
"""

from __future__ import annotations

MAX_AHEAD_MS = 5_000
_COUNTER_BITS = 16


def hlc_of(wall_ms: int, counter: int = 0) -> int:
    """Pack milliseconds and counter into one stamp."""
    return wall_ms << _COUNTER_BITS | counter


def wall_ms_of(hlc: int) -> int:
    """Return the milliseconds since the Unix epoch that a stamp carries."""
    return hlc >> _COUNTER_BITS


class HybridClock:
    """Issues stamps; the caller passes the wall time in, so that a simulation owns it."""

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, wall_ms: int) -> int:
        """Issue the next stamp: strictly larger than every one issued or merged before."""
        self.last = max(self.last + 1, hlc_of(wall_ms))
        return self.last

    def merge(self, remote: int, wall_ms: int) -> bool:
        """Take a remote stamp into account.

        Returns:
            False if the stamp lies so far ahead that it was left out.
        """
        if wall_ms_of(remote) > wall_ms + MAX_AHEAD_MS:
            return False
        self.last = max(self.last, remote)
        return True
