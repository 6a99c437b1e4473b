"""When each blob was used last, and dropping by that.

The time of last use is the file's own mtime, which nothing else needs: it survives a restart, costs no table, and is
written at most every `TOUCH_S` for one blob. A stamp in the future is a promise: a client was told that the blob is
here, and may take that long to send the rest and submit. Such stamps only ever move forward.

A stamp that `touch` wrote ends in `TOUCHED_NS` nanoseconds. Changing it changes the ctime too, by which the shelf finds
what was young when the power went; the mark tells it that this file had been here for `TOUCH_S` at least. A file system
that keeps whole seconds loses the mark, and then such files are hashed once more after a power cut.

A store is listed by packed keys, 40 bytes a blob, that sort by age; 200,000 blobs take 18 MB while a round lasts.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING

from farmd.core.events import HeldBlob
from protocol.errors import PeerError
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOUCH_S = 600.0
"""A blob that was used more lately than this is not touched again."""
TOUCHED_NS = 1
_KEY = Struct(">QQQ16s")
_MS, _S = 10**6, 10**9


def was_touched(mtime_ns: int) -> bool:
    """Tell whether a stamp was written by `touch`, on a file that was not young then."""
    return mtime_ns % _S == TOUCHED_NS


def touch(path: Path) -> None:
    """Note that a blob is used now; what is gone, or may not be touched, stays as it is."""
    now_s = int(time.time())
    with suppress(OSError):
        if os.stat(path).st_mtime_ns < (now_s - TOUCH_S) * _S:  # noqa: PTH116  # for each file of a checkout
            os.utime(path, ns=(now_s * _S + TOUCHED_NS,) * 2)


def reserve(path: Path, until_ms: int) -> None:
    """Promise a blob to a client until then."""
    until_ns = until_ms * _MS
    with suppress(OSError):
        found_ns = os.stat(path).st_mtime_ns  # noqa: PTH116  # asked for 100,000 files at a time
        if found_ns < until_ns:
            os.utime(path, ns=(until_ns + TOUCHED_NS + 1,) * 2)


def used_ms(path: Path) -> int:
    """Return when a blob was used last, in milliseconds since 1970.

    Raises:
        OSError: It is not here.
    """
    return max(0, os.stat(path).st_mtime_ns // _MS)  # noqa: PTH116  # for each blob that is dropped


class Listing:
    """A store as it was when it was listed, the oldest use first."""

    def __init__(self, root: Path) -> None:
        """Look at every file; what is no blob is left out.

        Raises:
            OSError: The folder cannot be read.
        """
        self._keys = sorted(_keys(root))

    def page(self, start: int, count: int) -> tuple[HeldBlob, ...]:
        """Return `count` blobs from `start` on."""
        return tuple([_held(key) for key in self._keys[start : start + count]])

    def __len__(self) -> int:
        return len(self._keys)


def _keys(root: Path) -> Iterator[bytes]:
    for shard in list(os.scandir(root)):
        if not shard.is_dir(follow_symlinks=False):
            continue
        for entry in os.scandir(shard.path):
            with suppress(PeerError, OSError):
                address = parse_blob_address(entry.name)
                mtime_ms = max(0, entry.stat(follow_symlinks=False).st_mtime_ns // _MS)
                yield _KEY.pack(mtime_ms, address.xxh64, address.size, address.md5)


def _held(key: bytes) -> HeldBlob:
    mtime_ms, xxh64, size, md5 = _KEY.unpack(key)
    return HeldBlob(BlobAddress(xxh64, size, md5), mtime_ms)
