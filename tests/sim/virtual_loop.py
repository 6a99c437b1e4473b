"""An asyncio loop whose clock jumps: same callbacks, same order, no waiting and no real I/O.

The loop sleeps by moving its own clock forward to the next timer, so five simulated minutes take a second or two, and
one seed gives one history. Anything that would need a real file descriptor or thread fails loudly.
"""

from __future__ import annotations

import asyncio
from typing import Any


class _Jump:
    """Stands where a selector would: "waiting" moves the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("simulation is stuck: nothing is ready and no timer is set")
        if timeout > 0:
            self._loop.now += timeout
        return []

    def close(self) -> None:
        """Nothing to close."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is simulated seconds since the start."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _Jump(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        raise RuntimeError("a simulation has no threads")
