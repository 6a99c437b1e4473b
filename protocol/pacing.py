"""How fast things from outside are taken in: a socket is drained in bursts, a stranger has an allowance.

libzmq signals a socket's file descriptor by edge: whoever reads one message and waits again may wait for ever with
ninety-nine more in the queue. So a wake-up takes until nothing is left, but at most a burst, and then lets the timers
of the event loop have their turn. Awaiting each message through `zmq.asyncio` was measured five times slower.

Used by every adapter that owns a ZeroMQ socket and by the asynchronous client; knows no zmq itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Drain:
    """Calls `take` while it returns True, whenever `fd` becomes readable or somebody pokes."""

    __slots__ = ("_burst", "_due", "_fd", "_loop", "_take")

    def __init__(self, fd: int, take: Callable[[], bool], *, burst: int = 256) -> None:
        self._fd = fd
        self._take = take
        self._burst = burst
        self._loop: AbstractEventLoop | None = None
        self._due = False

    def start(self) -> None:
        """Watch the descriptor in the running event loop; what is there already is taken soon."""
        from asyncio import get_running_loop  # two thirds of the import time of a client that needs none

        self._loop = get_running_loop()
        self._loop.add_reader(self._fd, self._run)
        self.poke()

    def poke(self) -> None:
        """Look again soon: a send, too, may have swallowed the edge that announced a message."""
        if self._loop is not None and not self._due:
            self._due = True
            self._loop.call_soon(self._run)

    def stop(self) -> None:
        """Stop watching; must come before the socket is closed, since its descriptor may be given to another."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None

    def _run(self) -> None:
        self._due = False
        more = True  # also after an exception: the edge is gone, the rest of the queue is not
        try:
            for _ in range(self._burst):
                if self._loop is None or not self._take():
                    more = False
                    break
        finally:
            if more:
                self.poke()


class Allowance:
    """So many a second, with a burst of one second's worth."""

    __slots__ = ("_at", "_left", "_now", "_per_s")

    def __init__(self, per_s: float, now: Callable[[], float]) -> None:
        self._per_s = per_s
        self._now = now
        self._left = per_s
        self._at = now()

    def spend(self) -> bool:
        """Take one if there is one left."""
        now = self._now()
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
