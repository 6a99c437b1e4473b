"""Who may ask the daemon now: it serves dashboards and farmctl too, and one user must not keep it from the others.

Three kinds of questions: quick ones share so many places, whoever asks; this program's own, whose a token is, have as
many to themselves, so that nobody waits at the door for what is asked behind it. Slow ones, which hash, sync, or reach for
another machine, wait for one of the few places of their user. Those that wait for something to happen take no place
of either, and are refused beyond a number for each user.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from farmd.web.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUICK_AT_ONCE: Final = 32
SLOW_EACH: Final = 8
MAX_WAITING_EACH: Final = 32


class Turns:
    """Hands out places, for one event loop."""

    def __init__(self) -> None:
        self._quick = asyncio.Semaphore(QUICK_AT_ONCE)
        self._own = asyncio.Semaphore(QUICK_AT_ONCE)
        self._slow: dict[str, asyncio.Semaphore] = {}
        self._asking: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def quick(self, user: str) -> AsyncIterator[None]:
        """Wait for a place among all users; "" = this program's own."""
        async with self._quick if user else self._own:
            yield

    @asynccontextmanager
    async def slow(self, user: str) -> AsyncIterator[None]:
        """Wait for a place among those of a user."""
        places = self._slow.setdefault(user, asyncio.Semaphore(SLOW_EACH))
        self._asking[user] += 1
        try:
            async with places:
                yield
        finally:
            self._asking[user] -= 1
            if not self._asking[user]:
                del self._asking[user], self._slow[user]

    @asynccontextmanager
    async def waiting(self, user: str) -> AsyncIterator[None]:
        """Count a question that waits for something to happen.

        Raises:
            Refusal: The user has too many.
        """
        if self._waiting[user] >= MAX_WAITING_EACH:
            why = f"{MAX_WAITING_EACH} of yours are open already"
            raise Refusal(429, "too many questions wait for something to happen", why, "wait", headers=_LATER)
        self._waiting[user] += 1
        try:
            yield
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user]


_LATER: Final = {"Retry-After": "5"}
