"""Bring the content of one file into another: a reflink where the file system can, else a copy.

A reflink shares the blocks until one side is written, so it is a copy at the price of a link. Hard links are not
offered: they share mode and mtime with the blob store, and a renderer could write through them.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from farmd.ingest.hashing import hash_descriptor

if TYPE_CHECKING:
    from protocol.ids import BlobAddress

_FICLONE = 0x40049409
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


def copy(source: int, target: int) -> BlobAddress:
    """Copy to the end of `source` and return the address of exactly the bytes that were written.

    Raises:
        OSError: As read and write.
    """
    return hash_descriptor(source, lambda chunk: write_all(target, chunk))
