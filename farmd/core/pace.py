"""How fast the farm renders: frames that became done, in buckets of ten seconds over the last ten minutes.

Counted when this node learns of them, on the local clock, so that a wrong wall clock of another machine bends
nothing. Called by `farmd.core.chronicle`; read by `farmd.core.feed`.
"""

from __future__ import annotations

from collections import deque

BUCKET_S = 10
BUCKETS = 60


class Pace:
    """A ring of counts."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque([0] * BUCKETS, maxlen=BUCKETS)
        self._bucket = 0

    def add(self, frames: int, mono: float) -> None:
        """Count frames that became done now; less than none (a frame was asked for anew) counts as none."""
        self._turn_to(mono)
        self._counts[-1] += max(0, frames)

    def counts(self, mono: float) -> list[int]:
        """Return the frames of each bucket, the oldest first; the last is still being filled."""
        self._turn_to(mono)
        return list(self._counts)

    def _turn_to(self, mono: float) -> None:
        bucket = int(mono // BUCKET_S)
        self._counts.extend([0] * min(BUCKETS, bucket - self._bucket))
        self._bucket = max(bucket, self._bucket)
