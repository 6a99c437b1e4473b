"""Bytes from a client, in order: cut into pieces, so that an upload resumes and is shared with peers like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from farmd.adapters.blobs.errors import BlobsFailed
from farmd.adapters.blobs.parts import PIECE_BYTES, piece_count
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection

    from farmd.adapters.blobs.store import BlobStore
    from protocol.ids import BlobAddress


class Upload:
    """One blob on its way in, for one thread at a time; made by `BlobStore.begin`."""

    def __init__(self, store: BlobStore, address: BlobAddress, have: Collection[int] | None) -> None:
        self._store = store
        self._address = address
        self._rest = bytearray()
        if have is None:
            self._stored = address.size
        else:
            pieces = next(index for index in range(piece_count(address.size) + 1) if index not in have)
            self._stored = min(pieces * PIECE_BYTES, address.size)

    @property
    def offset(self) -> int:
        """Where the next byte belongs: after a break the client goes on from here."""
        return self._stored + len(self._rest)

    def append(self, offset: int, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            UserError: They do not follow, or go beyond the announced size.
            DiskFull: No room; the pieces before stay, and the upload may go on from `offset`.
            BlobsFailed: The disk is bad.
        """
        if offset != self.offset or offset + len(data) > self._address.size:
            raise UserError(
                f"cannot take {len(data)} bytes at {offset} of {self._address}",
                f"{self.offset} of {self._address.size} bytes are here",
                "go on from there",
            )
        self._rest += data
        while self._rest and (len(self._rest) >= PIECE_BYTES or self.offset == self._address.size):
            self._store_piece(bytes(self._rest[:PIECE_BYTES]))

    def finish(self, *, durable: bool = True) -> bool:
        """Check the whole against its address; False = it was something else, and is set aside.

        Args:
            durable: As in `BlobStore.confirm`.

        Raises:
            UserError: Bytes are missing.
            BlobsFailed: The disk is full or bad.
        """
        if self.offset != self._address.size:
            why = f"{self.offset} of {self._address.size} bytes are here"
            raise UserError(f"{self._address} is not complete", why, "send the rest")
        return self._store.confirm(self._address, durable=durable)

    def _store_piece(self, piece: bytes) -> None:
        try:
            self._store.write_piece(self._address, self._stored // PIECE_BYTES, xxhash.xxh64_intdigest(piece), piece)
        except BlobsFailed:
            self._rest.clear()
            raise
        self._stored += len(piece)
        del self._rest[: len(piece)]
