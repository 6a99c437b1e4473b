"""Memory for messages under way, used again as soon as nobody refers to it.

A fresh mebibyte is cleared by whoever makes it, and is cold in every cache. libzmq and the threads that write pieces
hold references to what they work on, so that the count of references says when a buffer is free.
"""

from __future__ import annotations

from sys import getrefcount

MOST_BUFFERS = 12
STEP_BYTES = 1 << 18
"""Sizes of packs differ a little, and the buffer of one shall do for the next."""


def _references(buffers: list[bytearray], place: int) -> int:
    return getrefcount(buffers[place])


class Buffers:
    """Some buffers of one transport, for whatever is sealed or opened next. For one thread."""

    def __init__(self) -> None:
        self._all: list[bytearray] = []
        self._is_used = False
        free = [bytearray(1)]
        self._free = _references(free, 0)
        view = memoryview(free[0])
        self._counts = _references(free, 0) == self._free + 1  # if an interpreter counts otherwise, nothing is reused
        view.release()

    def __len__(self) -> int:
        """How many there are, free or not."""
        return len(self._all)

    def take(self, size: int) -> memoryview:
        """Return so many bytes, with anything in them."""
        self._is_used = True
        for place in range(len(self._all)):
            if len(self._all[place]) >= size and self._counts and _references(self._all, place) == self._free:
                return memoryview(self._all[place])[:size]
        fresh = bytearray(-(-size // STEP_BYTES) * STEP_BYTES if size > STEP_BYTES else size)
        if len(self._all) == MOST_BUFFERS:
            del self._all[0]
        self._all.append(fresh)
        return memoryview(fresh)[:size]

    def keep(self) -> None:
        """Give the memory back if nothing was taken since this was called last."""
        if not self._is_used:
            self._all.clear()
        self._is_used = False
