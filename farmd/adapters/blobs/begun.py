"""Blobs that are on their way in: one `Part` each, on the disk until complete or given up, in memory while it has pieces.

Called by `store`, from many threads.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

from farmd.adapters.blobs.parts import Part
from protocol.errors import PeerError
from protocol.ids import parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from protocol.ids import BlobAddress


class Begun:
    """The parts below one folder.

    Args:
        folder: Where they are.

    Attributes:
        open: Those that are in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self.open: dict[BlobAddress, Part] = {}

    def prepare(self) -> None:
        """Make the folder, and delete maps whose part is gone.

        Raises:
            OSError: The disk is full or bad.
        """
        self._folder.mkdir(exist_ok=True)
        for leftover in self._folder.glob("*.map"):
            if not leftover.with_suffix(".part").exists():
                leftover.unlink()

    def is_in_place(self) -> bool:
        """Whether the folder is there."""
        return self._folder.is_dir()

    def begin_anew(self) -> None:
        """Make the folder again, and forget what was in it.

        Raises:
            OSError: The disk is full or bad.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self.open.clear()

    @contextmanager
    def part(self, address: BlobAddress) -> Iterator[Part]:
        """Lock the part of this blob; it stays in memory only while it has pieces.

        A part may be dropped while another thread waits for its lock; that thread must not go on with an object that
        nobody else knows, so it looks again.
        """
        while True:
            with self._lock:
                part = self.open.get(address)
                if part is None:
                    part = self.open[address] = Part(address, self._folder)
            with part.lock:
                if self.open.get(address) is not part:
                    continue
                try:
                    yield part
                finally:
                    with self._lock:
                        if part.is_idle and self.open.get(address) is part:
                            del self.open[address]
                return

    def known(self, address: BlobAddress) -> Part | None:
        """Return the part of a blob if it is in memory, without waiting for it."""
        with self._lock:
            return self.open.get(address)

    def names(self) -> set[str]:
        """List the files of parts: few or none, where 100,000 small files would each be looked for."""
        with suppress(FileNotFoundError):
            return set(os.listdir(self._folder))  # noqa: PTH208  # names are wanted, not paths
        return set()

    def drop_idle(self, idle_s: float) -> int:
        """Delete those to which nothing was added for so long; return how many.

        Raises:
            OSError: The disk is bad.
        """
        dropped = 0
        for path in list(self._folder.glob("*.part")):
            address = _address_of_part(path)
            if address is None or _idle_s(path) < idle_s:
                continue
            with self.part(address) as part:
                if _idle_s(path) >= idle_s:
                    part.forget()
                    part.path.unlink(missing_ok=True)
                    dropped += 1
        return dropped

    def discard(self, addresses: Iterable[BlobAddress]) -> None:
        """Remove what an earlier try left of blobs that are complete now."""
        begun: set[str] = set()
        with suppress(OSError):  # what is left lies there until it has been idle for long
            begun = self.names()
        for address in addresses if begun else ():
            if f"{address}.part" in begun:
                with self.part(address) as part, suppress(OSError):
                    part.forget()
                    part.path.unlink(missing_ok=True)


def _address_of_part(path: Path) -> BlobAddress | None:
    with suppress(PeerError):
        return parse_blob_address(path.stem)
    return None  # somebody else's file


def _idle_s(path: Path) -> float:
    """Seconds since a file was written, by the wall clock; 0 if it is gone."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0
