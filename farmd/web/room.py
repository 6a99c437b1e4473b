"""Room for files on their way in: each user's quota, and the disk on which the daemon keeps its own records.

What a request has said that it will bring counts as if it were here already: of many that begin at once, each of which
would fit alone, only as many are taken as fit together.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from farmd.web.errors import Refusal
from protocol.human import format_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RESERVE_BYTES: Final = 1 << 30
"""Of the disk stays free for the daemon's own records."""
MAX_PARTS: Final = 10_000
"""Files of one user that are on their way."""


class Room:
    """Promises of bytes, by the path that they will be written to. Any thread may ask."""

    def __init__(self, root: Path, quota_bytes: int) -> None:
        self._root = root
        self._quota_bytes = quota_bytes
        self._promised: dict[Path, int] = {}
        self._lock = threading.Lock()

    @asynccontextmanager
    async def for_part(self, part: Path, total_bytes: int) -> AsyncIterator[None]:
        """Keep room for a file until it is complete, or the request that brings it has ended.

        Args:
            part: Where it is written, in a folder of its user's parts; one request at a time writes it.
            total_bytes: Size of the whole file.

        Raises:
            Refusal: The user's quota or the disk has no room for it.
        """
        try:
            await asyncio.to_thread(self._promise, part, total_bytes, within_quota=True)
            yield
        finally:
            self._promised.pop(part, None)

    @asynccontextmanager
    async def for_tree(self, tree: Path, size_bytes: int) -> AsyncIterator[None]:
        """Keep room for files that lie here only for a while.

        Raises:
            Refusal: The disk has none.
        """
        try:
            await asyncio.to_thread(self._promise, tree, size_bytes, within_quota=False)
            yield
        finally:
            self._promised.pop(tree, None)

    def has_come(self, tree: Path, size_bytes: int) -> None:
        """Count no longer what has been written below a tree: the disk has so much less already."""
        self._promised[tree] -= size_bytes

    def is_promised(self, path: Path) -> bool:
        """Tell whether a request is about to write somewhere."""
        return path in self._promised

    def _promise(self, path: Path, size_bytes: int, *, within_quota: bool) -> None:
        with self._lock:
            if within_quota:
                self._check_quota(path, size_bytes)
            self._check_disk(path, size_bytes)
            self._promised[path] = size_bytes

    def _check_quota(self, part: Path, total_bytes: int) -> None:
        sizes = _sizes_in(part.parent)
        for path, promised in list(self._promised.items()):  # one is taken back in another thread
            if path.parent == part.parent:
                sizes[path.name] = max(promised, sizes.get(path.name, 0))
        is_new = sizes.pop(part.name, None) is None
        held = sum(sizes.values())
        if held + total_bytes > self._quota_bytes or (is_new and len(sizes) >= MAX_PARTS):
            why = f"{format_size(held)} are on their way in already, of at most {format_size(self._quota_bytes)}"
            raise Refusal(413, "there is no room for the file", why, "finish what was begun, or ask an admin")

    def _check_disk(self, path: Path, size_bytes: int) -> None:
        others = [promise for promise in list(self._promised.items()) if promise[0] != path]
        to_come = sum(max(0, size - _size_of(place)) for place, size in [*others, (path, size_bytes)])
        if to_come > shutil.disk_usage(self._root).free - RESERVE_BYTES:
            raise Refusal(413, "there is no room for the file", "the disk of this machine is full", "try another node")


def _sizes_in(folder: Path) -> dict[str, int]:
    """Return the sizes of the files in a folder, by name; what goes away meanwhile takes no room."""
    sizes: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                sizes[entry.name] = entry.stat().st_size
            except FileNotFoundError:
                continue
    return sizes


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
