"""Bring the content of one file into another: a reflink where the file system can, else a copy.

A reflink shares the blocks until one side is written, so it is a copy at the price of a link. Hard links are not
offered: they share mode and mtime with the blob store, and a renderer could write through them.

A copy has holes wherever 64 KiB are zeros, whether the source had them or not: simulation caches and images of drives
take no more room in each checkout than they took at home, and no list of holes has to travel.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from farmd.ingest.hashing import READ_BYTES, hash_descriptor

if TYPE_CHECKING:
    from protocol.ids import BlobAddress

_FICLONE = 0x40049409
HOLE_BYTES = 1 << 16
_ZEROS = bytes(READ_BYTES)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, is used up."""
    return error.errno in _FULL


def clone(source: int, target: int) -> bool:
    """Make `target` share the blocks of `source`; False where the file system cannot.

    Raises:
        OSError: The disk is full or broken.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if is_full(error) or error.errno == errno.EIO:
            raise
        return False
    return True


def write_all(descriptor: int, data: memoryview | bytes) -> None:
    """Write all of `data` at the present position.

    Raises:
        OSError: As `os.write`.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_sparse(descriptor: int, data: memoryview) -> None:
    """Write all of `data` at the present position, with holes for zeros; what was there must be nothing.

    The last hole of a file is one only after `end_sparse`.

    Raises:
        OSError: As `os.write`.
    """
    start = 0
    for at in range(0, len(data), HOLE_BYTES):
        block = data[at : at + HOLE_BYTES]
        if _ZEROS.startswith(block):
            write_all(descriptor, data[start:at])
            start = at + len(block)
            os.lseek(descriptor, len(block), os.SEEK_CUR)
    write_all(descriptor, data[start:])


def end_sparse(descriptor: int) -> None:
    """Let a file that was written with `write_sparse` end at the present position.

    Raises:
        OSError: As the system says.
    """
    os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))


def copy(source: int, target: int) -> BlobAddress:
    """Copy to the end of `source`, with holes, and return the address of exactly the bytes that were written.

    Raises:
        OSError: As read and write.
    """
    address = hash_descriptor(source, lambda chunk: write_sparse(target, chunk))
    end_sparse(target)
    return address
