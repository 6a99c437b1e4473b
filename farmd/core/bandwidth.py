"""How much may be moved between machines: a token bucket for each direction, and those who wait for the outgoing one.

Theory: a bucket fills at the limit and holds one second of it; what is taken may overdraw it once, so that a piece larger
than the bucket passes, and then it has to fill above zero again. So the mean over any time longer than a second is the
limit, to within a piece. What comes in is limited where it is asked for; what goes out waits in a short queue, and what
would wait longer than its asker does is refused, so that it asks elsewhere instead of twice.

Invariant: nobody waits longer than `PATIENCE_S`. Called by `farmd.core.asking` and `farmd.core.serving`. Knows no clock;
moves nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from farmd.core.effects import ReadPack, ReadPiece

PATIENCE_S = 4.0
"""Half of the time after which who asked for a piece asks again."""


class Bucket:
    """One direction; a limit of 0 is none."""

    def __init__(self, limit_bytes_s: int) -> None:
        self.limit_bytes_s = limit_bytes_s
        self._level = float(limit_bytes_s)
        self._at = 0.0

    def take(self, now: float, size: int) -> bool:
        """Take so many bytes; False if the bucket is empty, and then nothing is taken."""
        if not self.limit_bytes_s:
            return True
        self._level = min(float(self.limit_bytes_s), self._level + (now - self._at) * self.limit_bytes_s)
        self._at = now
        if self._level <= 0:
            return False
        self._level -= size
        return True

    def wait_s(self) -> float:
        """Return how long after the last `take` the bucket is above zero again."""
        return max(0.0, -self._level / self.limit_bytes_s) + 0.001 if self.limit_bytes_s else 0.0


class Waiting(NamedTuple):
    """What a node asked for, and its bytes."""

    what: ReadPiece | ReadPack
    size: int


class Upload:
    """What goes out, in the order in which it was asked for."""

    def __init__(self, limit_bytes_s: int) -> None:
        self._bucket = Bucket(limit_bytes_s)
        self._queue: deque[Waiting] = deque()
        self._queued_bytes = 0
        self.at: float | None = None
        """When the next one may go."""

    def ask(self, waiting: Waiting) -> bool:
        """Take a question; False if it would wait too long. What may go now is handed out by `take`."""
        limit = self._bucket.limit_bytes_s
        if limit and self._queue and self._bucket.wait_s() + self._queued_bytes / limit > PATIENCE_S:
            return False
        self._queue.append(waiting)
        self._queued_bytes += waiting.size
        return True

    def take(self, now: float) -> list[Waiting]:
        """Return what may go now."""
        going: list[Waiting] = []
        while self._queue and self._bucket.take(now, self._queue[0].size):
            going.append(self._queue.popleft())
            self._queued_bytes -= going[-1].size
        self.at = now + self._bucket.wait_s() if self._queue else None
        return going
