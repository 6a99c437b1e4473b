"""Looks into logs for the core, off the event loop: two threads for what is quick, two for what reads the whole of one.

A search waits for a process of its own, and to count lines takes seconds for a log of gigabytes; so many at a time, and
so many waiting, that a curious person cannot take the machine from those who render on it, nor the logs from others.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from farmd.core.events import LogFound
from protocol.logquery import How, LogExcerpt

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.adapters.joblog import Seeker
    from farmd.core.effects import LeaveLog, SeekLog
    from farmd.core.events import Event

SEARCHES: Final = 2
MAX_WAITING: Final = 32


class LogLooking:
    """Carries out `SeekLog` and `LeaveLog`."""

    def __init__(self, seeker: Seeker, post: Callable[[Event], None]) -> None:
        """Prepare; call it in the event loop."""
        self._seeker = seeker
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._quick = ThreadPoolExecutor(2, "farmd-logs")
        self._slow = ThreadPoolExecutor(SEARCHES, "farmd-search")
        self._waiting: set[int] = set()

    def seek(self, effect: SeekLog) -> None:
        """Answer a question by a `LogFound`."""
        if not effect.query.how & (How.FIND | How.NUMBERS):
            self._quick.submit(self._seek, effect)
        elif len(self._waiting) >= MAX_WAITING:
            fault = "too many searches or counts of lines wait at that node: try again in a moment"
            self._post(LogFound(effect.ask, LogExcerpt(found=True, fault=fault)))
        else:
            self._waiting.add(effect.ask)
            self._slow.submit(self._search, effect)

    def leave(self, effect: LeaveLog) -> None:
        """End a search that nobody waits for, or do not begin it."""
        self._waiting.discard(effect.ask)
        self._seeker.leave(effect.ask)

    def close(self) -> None:
        """End all searches."""
        for ask in list(self._waiting):
            self._waiting.discard(ask)
            self._seeker.leave(ask)
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)

    def _search(self, effect: SeekLog) -> None:
        if effect.ask in self._waiting:
            self._seek(effect)
            self._waiting.discard(effect.ask)

    def _seek(self, effect: SeekLog) -> None:
        try:
            excerpt = self._seeker.seek(effect.ask, effect.ref, effect.query)
        except Exception as error:  # noqa: BLE001  # a bug: who asked is told, and the event loop's handler tells the log
            excerpt = LogExcerpt(found=True, fault=f"{type(error).__name__}: {error}")
            self._loop.call_soon_threadsafe(partial(_raise, error))
        self._loop.call_soon_threadsafe(self._post, LogFound(effect.ask, excerpt))


def _raise(error: Exception) -> None:
    raise error
