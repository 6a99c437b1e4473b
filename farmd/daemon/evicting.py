"""Carries out what the core decides about room on the disk: lists the store, drops blobs, removes working trees.

One thread of its own, that is there only while there is something to do: a store of 200,000 files takes two or three
seconds to list, and neither pieces nor renders wait for that. A tree that is being removed is waited for by the next
render of its job, which then lays it out anew.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from farmd.adapters.blobs import BlobsFailed
from farmd.core.events import BlobsEvicted, BlobsListed, CheckoutsFound
from protocol.errors import FarmError

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.adapters.blobs import BlobStore
    from farmd.adapters.blobs.ageing import Listing
    from farmd.adapters.checkout import Checkouts
    from farmd.core.effects import EvictBlobs, ListBlobs, RemoveCheckouts, Tidy
    from farmd.core.events import Event
    from protocol.ids import JobId


class Evicting:
    """Rounds through one content store, and its working trees."""

    def __init__(self, blobs: BlobStore, checkouts: Checkouts, post: Callable[[Event], None]) -> None:
        self._blobs = blobs
        self._checkouts = checkouts
        self._post = post
        self._listing: Listing | None = None
        self._removals: dict[JobId, asyncio.Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, "farmd-room")

    def close(self) -> None:
        """Wait for what is being deleted."""
        self._pool.shutdown(cancel_futures=True)

    def list(self, effect: ListBlobs) -> None:
        """Name a page of the store."""
        self._run(partial(self._list, effect))

    def _list(self, effect: ListBlobs) -> Event:
        try:
            listing = self._blobs.listing() if effect.start == 0 or self._listing is None else self._listing
        except BlobsFailed:
            return BlobsListed(effect.ask, (), more=False)
        page = listing.page(effect.start, effect.count)
        more = effect.start + len(page) < len(listing)
        self._listing = listing if more else None
        return BlobsListed(effect.ask, page, more)

    def evict(self, effect: EvictBlobs) -> None:
        """Drop blobs that nobody has used meanwhile."""
        self._run(partial(self._evict, effect))

    def _evict(self, effect: EvictBlobs) -> Event:
        gone = []
        for held in effect.blobs:
            try:
                if self._blobs.evict(held):
                    gone.append(held.blob)
            except BlobsFailed:
                break  # the disk is bad: the next round finds what is left
        return BlobsEvicted(effect.ask, tuple(gone))

    def tidy(self, effect: Tidy) -> None:
        """Drop parts of blobs that nobody adds to; name the working trees."""
        self._run(partial(self._tidy, effect.parts_idle_s))

    def _tidy(self, parts_idle_s: float) -> Event:
        try:
            self._blobs.drop_idle_parts(parts_idle_s)
            return CheckoutsFound(self._checkouts.jobs())
        except (FarmError, OSError):
            return CheckoutsFound(())

    def remove_checkouts(self, effect: RemoveCheckouts) -> None:
        """Delete working trees."""
        loop = asyncio.get_running_loop()
        for job in effect.jobs:
            future = loop.run_in_executor(self._pool, self._remove, job)
            self._removals[job] = future
            future.add_done_callback(partial(self._removed, job))

    def _remove(self, job: JobId) -> None:
        try:
            self._checkouts.remove(job)
        except FarmError:
            return  # a file that is in use, or a bad disk: it is found again at the next look

    def _removed(self, job: JobId, future: asyncio.Future[None]) -> None:
        if self._removals.get(job) is future:
            del self._removals[job]

    async def settled(self, job: JobId) -> None:
        """Wait until no removal of the job's working tree is under way."""
        removal = self._removals.get(job)
        if removal is not None:
            await asyncio.wait([removal])

    def _run(self, work: Callable[[], Event]) -> None:
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[Event]) -> None:
        if not future.cancelled():
            self._post(future.result())
