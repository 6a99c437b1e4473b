"""When the next of a series is due: at a multiple of its period, so that all series of a node share their wake-ups.

An idle daemon does little but wake; what it does then costs less than the waking itself. Nodes do not beat together,
for each counts from the start of its own machine.
"""

from __future__ import annotations

from math import floor


def next_beat(now: float, period_s: float) -> float:
    """Return the first multiple of a period after `now`, in seconds of the same clock."""
    return (floor(now / period_s) + 1) * period_s
