"""Takes whole files in: local ones, and small ones that arrived together.

Called by `store`, from many threads; installs by the `Shelf`.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import stat
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from farmd.adapters.blobs.errors import BlobsFailed
from farmd.adapters.blobs.packwriter import PackWriters
from farmd.adapters.blobs.packwriter_process import CORRUPT, FAILED, STORED
from farmd.ingest.copying import clone, copy, write_all
from farmd.ingest.hashing import address_of_bytes, hash_descriptor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from farmd.adapters.blobs.shelf import Shelf
    from protocol.ids import BlobAddress

_LOG = logging.getLogger(__name__)


class How(Enum):
    """How a local file is taken in."""

    MOVE = "move"
    COPY = "copy"
    REFLINK = "reflink"
    """Share the blocks where the file system can, else copy."""


class Pack(NamedTuple):
    """What became of blobs that arrived together: stored (or here before), not what they are called, refused."""

    stored: list[BlobAddress]
    corrupt: list[BlobAddress]
    failed: list[BlobAddress]


class Intake:
    """Takes files in for one shelf.

    Args:
        shelf: Where they go.
        folder: For files that have no name yet, on the same file system.
    """

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self._shelf = shelf
        self._folder = folder
        self._folder_name = str(folder)
        self._serial = itertools.count(1)
        self._writers = PackWriters(self._folder_name)

    def prepare(self) -> None:
        """Make the folder, and empty it.

        Raises:
            OSError: The disk is full or bad.
        """
        self.make_folder()
        for leftover in self._folder.iterdir():
            leftover.unlink(missing_ok=True)  # a process of the life before may be at its last file

    def make_folder(self) -> None:
        """Make the folder if somebody deleted it.

        Raises:
            OSError: The disk is full or bad.
        """
        self._folder.mkdir(parents=True, exist_ok=True)

    def rest(self) -> None:
        """Keep nothing ready that was not used for a while; to be called now and then."""
        self._writers.rest()

    def close(self) -> None:
        """Keep nothing ready."""
        self._writers.close()

    # -- small files that arrived together ----------------------------------------------------------------------------

    def put(self, addresses: Sequence[BlobAddress], data: bytes) -> Pack:
        """Verify small blobs, and store each that is what it is called; see `BlobStore.write_pack`."""
        pack = Pack([], [], [])
        written = self._put_beside(addresses, data, pack)
        if written is None:
            written = self._put_here(addresses, data, pack)
        refused = dict.fromkeys(self._shelf.put((temporary, address) for address, temporary in written.items()))
        pack.failed.extend(refused)
        pack.stored.extend([address for address in written if address not in refused])
        return pack

    def _put_beside(self, addresses: Sequence[BlobAddress], data: bytes, pack: Pack) -> dict[BlobAddress, str] | None:
        """Have a process write them; returns where, or None if there is no such process."""
        writer = self._writers.take(len(addresses), len(data))
        if writer is None:
            return None
        serial, said, is_good = next(self._serial), b"", False
        names = [f"{self._folder_name}/{writer.pid}.{serial}.{number}" for number in range(len(addresses))]
        try:
            said = writer.write(addresses, data, serial)
            is_good = _is_right(addresses, data, said)
        except OSError as error:
            _LOG.warning("the daemon writes a pack by itself: %s", error)
        finally:
            (self._writers.give_back if is_good else self._writers.give_up)(writer)
        if not is_good:
            for name in names:
                with suppress(OSError):
                    os.unlink(name)  # noqa: PTH108
            return None
        fates = list(zip(addresses, names, said, strict=True))
        pack.corrupt.extend([address for address, _, fate in fates if fate == CORRUPT])
        pack.failed.extend([address for address, _, fate in fates if fate == FAILED])
        return {address: name for address, name, fate in fates if fate == STORED}

    def _put_here(self, addresses: Sequence[BlobAddress], data: bytes, pack: Pack) -> dict[BlobAddress, str]:
        written, at = {}, 0
        whole = memoryview(data)
        for address in addresses:
            content = whole[at : at + address.size]
            at += address.size
            if address_of_bytes(content) != address:
                pack.corrupt.append(address)
                continue
            try:
                written[address] = self._write(content)
            except OSError:
                pack.failed.append(address)
        return written

    def _write(self, content: memoryview) -> str:
        """Write a small file that has no name in the store yet; one system call each, for they come by the thousand."""
        temporary = f"{self._folder_name}/{next(self._serial)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            write_all(descriptor, content)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        finally:
            os.close(descriptor)
        return temporary

    # -- local files --------------------------------------------------------------------------------------------------

    def adopt(self, path: Path, how: How) -> BlobAddress:
        """Take a local file in, durably; see `BlobStore.adopt`.

        Raises:
            BlobsFailed: It is no regular file, or changed meanwhile.
            OSError: The disk is full or bad.
        """
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise BlobsFailed(f"cannot take in {path}: not a regular file")
            # Another name of the same file would be a way to write into the store.
            if how is How.MOVE and status.st_nlink == 1:
                return self._move_in(path, source)
            address = self._copy_in(source, reflink=how is not How.COPY)
        finally:
            os.close(source)
        if how is How.MOVE:
            path.unlink()
        return address

    def _move_in(self, path: Path, source: int) -> BlobAddress:
        before = os.fstat(source)
        address = hash_descriptor(source)
        after = os.fstat(source)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise BlobsFailed(f"cannot take in {path}: it changed while it was read")
        try:
            os.utime(source)  # a renderer may have set another time, and this is that of the last use
            self._shelf.install(path, address, durable=True)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            os.lseek(source, 0, os.SEEK_SET)
            address = self._copy_in(source, reflink=False)
            path.unlink()
        return address

    def _copy_in(self, source: int, *, reflink: bool) -> BlobAddress:
        temporary = self._folder / str(next(self._serial))
        try:
            with temporary.open("xb+", buffering=0) as target:
                shared = reflink and clone(source, target.fileno())
                address = hash_descriptor(target.fileno()) if shared else copy(source, target.fileno())
            self._shelf.install(temporary, address, durable=True)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        return address


def _is_right(addresses: Sequence[BlobAddress], data: bytes, said: bytes) -> bool:
    """Whether what a process calls corrupt is corrupt: else honest peers would pay for whatever is wrong with it."""
    at = 0
    for address, fate in zip(addresses, said, strict=True):
        if fate == CORRUPT and address_of_bytes(memoryview(data)[at : at + address.size]) == address:
            _LOG.warning("the process that writes packs takes what is right for wrong")
            return False
        at += address.size
    return True
