"""A blob that is not complete yet: a sparse file of pieces, and beside it a map of which pieces are there.

The map has one slot for each piece: a flag and the piece's xxHash64. After a crash or a power cut the flag alone proves
nothing, since data and map are not synced together; so a part that is opened again hashes each flagged piece and drops
those that do not match (xxHash64 runs at 11 GiB/s, a sync for each piece would cost a millisecond). A blob of one piece
has no map: the MD5 of the whole decides.

The MD5 of the whole runs at a fraction of the network's speed and cannot be split. So it follows the pieces while they
arrive (`follow`), beside the transfer, and when the last one is there only its own stretch is left to hash.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from enum import Enum
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

import xxhash

from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from collections.abc import Container

PIECE_BYTES = 1 << 20
_ZEROS = bytes(PIECE_BYTES)
_SLOT = struct.Struct("<BQ")


class Wrote(Enum):
    """What became of a piece."""

    STORED = "stored"
    LAST = "last"
    """Stored, and no piece is missing now: call `BlobStore.confirm`. Exactly one writer is told so."""
    HELD = "held"
    """The whole blob is here already; the piece was not looked at."""
    CORRUPT = "corrupt"
    """Not what its hash or its length says; dropped."""


def piece_count(size: int) -> int:
    """Return how many pieces a blob of this size has (none if it is empty)."""
    return -(-size // PIECE_BYTES)


class _Digest:
    """Both hashes of the pieces that stand at the beginning without a gap; for several threads, one at a time."""

    def __init__(self, path: Path, size: int) -> None:
        self.reached = 0
        self._path = path
        self._size = size
        import hashlib  # loads OpenSSL, 3 MiB that a daemon does without until it meets a file

        self._md5, self._xxh64 = hashlib.md5(usedforsecurity=False), xxhash.xxh64()
        self._lock = Lock()

    def follow(self, have: Container[int]) -> None:
        """Hash on as far as there is no gap.

        Raises:
            OSError: As the system says.
        """
        with self._lock:
            if self.reached not in have:
                return
            buffer = memoryview(bytearray(PIECE_BYTES))
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                while self.reached in have:
                    data = buffer[: os.preadv(descriptor, [buffer], self.reached * PIECE_BYTES)]
                    self._md5.update(data)
                    self._xxh64.update(data)
                    self.reached += 1
            finally:
                os.close(descriptor)

    def result(self) -> BlobAddress:
        """What has been hashed so far."""
        with self._lock:
            size = min(self.reached * PIECE_BYTES, self._size)
            return BlobAddress(self._xxh64.intdigest(), size, self._md5.digest())


class Part:
    """One incomplete blob. `lock` is held by whoever uses it; it may be taken twice by one thread."""

    def __init__(self, address: BlobAddress, folder: Path) -> None:
        self.address = address
        name = f"{folder}/{address}"  # joined by pathlib it costs three times as much, for each small file
        self.path = Path(f"{name}.part")
        self.lock = RLock()
        self._map = Path(f"{name}.map")
        self._count = piece_count(address.size)
        self._have: dict[int, int] | None = None
        self._digest = _Digest(self.path, address.size)

    @property
    def have(self) -> dict[int, int]:
        """Pieces that are here, index -> xxHash64; looked up on the disk when first asked."""
        if self._have is None:
            self._have = self._resume()
        return self._have

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is known: then the object may go."""
        return not self._have

    @property
    def is_full(self) -> bool:
        """Whether no piece is missing."""
        return len(self.have) == self._count

    def write(self, index: int, xxh64: int, data: bytes) -> Wrote:
        """Check and store one piece.

        Raises:
            OSError: As the system says; the piece is then not here.
        """
        if not 0 <= index < self._count or len(data) != self._length(index) or xxhash.xxh64_intdigest(data) != xxh64:
            return Wrote.CORRUPT
        if index in self.have:
            return Wrote.STORED
        _write_at(self.path, data, index * PIECE_BYTES)
        if self._count > 1:
            _write_at(self._map, _SLOT.pack(1, xxh64), index * _SLOT.size)
        self.have[index] = xxh64
        return Wrote.LAST if self.is_full else Wrote.STORED

    def read(self, index: int) -> tuple[int, bytes] | None:
        """Return (xxHash64, bytes) of a piece that is here."""
        if index not in self.have:
            return None
        data = _read_at(self.path, index * PIECE_BYTES, self._length(index))
        return (self.have[index], data) if xxhash.xxh64_intdigest(data) == self.have[index] else None

    def follow(self) -> None:
        """Hash what has arrived without a gap; needs no lock, and a part that is forgotten meanwhile ends it."""
        have = self._have
        with suppress(OSError):  # `digest` will say so
            self._digest.follow(have or ())

    def digest(self) -> BlobAddress:
        """Hash what is left, and tell what the whole is.

        Raises:
            OSError: As the system says.
        """
        self._digest.follow(self.have)
        if os.stat(self.path).st_size != self.address.size:  # noqa: PTH116  # for each small file
            return BlobAddress(0, 0, b"")
        return self._digest.result()

    def forget(self) -> None:
        """Know no piece any more; the object may be used again for a new try. The file is the caller's to remove."""
        self._have = {}
        self._digest = _Digest(self.path, self.address.size)
        if self._count > 1:
            self._map.unlink(missing_ok=True)

    def _length(self, index: int) -> int:
        return min(PIECE_BYTES, self.address.size - index * PIECE_BYTES)

    def _resume(self) -> dict[int, int]:
        if not self.path.exists():
            return {}
        if self._count == 1:
            data = _read_at(self.path, 0, self.address.size)
            return {0: xxhash.xxh64_intdigest(data)} if len(data) == self.address.size else {}
        slots = self._map.read_bytes() if self._map.exists() else b""
        whole = memoryview(slots)[: min(len(slots) // _SLOT.size, self._count) * _SLOT.size]
        claimed = {index: xxh64 for index, (flag, xxh64) in enumerate(_SLOT.iter_unpack(whole)) if flag == 1}
        return {index: xxh64 for index, xxh64 in claimed.items() if self._is_there(index, xxh64)}

    def _is_there(self, index: int, xxh64: int) -> bool:
        data = _read_at(self.path, index * PIECE_BYTES, self._length(index))
        return len(data) == self._length(index) and xxhash.xxh64_intdigest(data) == xxh64


def _write_at(path: Path, data: bytes, offset: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if _ZEROS.startswith(data) and os.fstat(descriptor).st_size <= offset:
            os.ftruncate(descriptor, offset + len(data))  # a hole: sparse files stay sparse on their way
            return
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written
    finally:
        os.close(descriptor)


def _read_at(path: Path, offset: int, length: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)
