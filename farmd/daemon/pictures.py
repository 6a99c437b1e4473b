"""Thumbnails of this node: drawn by one adapter, kept in the content store by another."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from farmd.ingest.hashing import address_of_bytes
from protocol.errors import FarmError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from farmd.adapters.blobs import BlobStore
    from farmd.adapters.thumbnails import Thumbnails
    from protocol.ids import BlobAddress

_LOG = logging.getLogger("farmd")


class StoredThumbnails:
    """`Thumbnails` port of the runner."""

    def __init__(self, maker: Thumbnails, blobs: BlobStore) -> None:
        self._maker = maker
        self._blobs = blobs

    def wants(self, path: Path) -> bool:
        """Tell whether this file gets a thumbnail here."""
        return self._maker.wants(path)

    def make(self, paths: Sequence[Path]) -> list[BlobAddress | None]:
        """Draw and store; None where there is none. A full disk shows at the frame itself, not here."""
        return [self._store(data) if data else None for data in self._maker.make(paths)]

    def _store(self, data: bytes) -> BlobAddress | None:
        address = address_of_bytes(data)
        with suppress(FarmError, OSError):
            upload = self._blobs.begin(address)
            if upload.offset < len(data):
                upload.append(upload.offset, data[upload.offset :])
            if self._blobs.path(address) is not None or upload.finish():
                return address
        _LOG.warning("a thumbnail could not be stored")
        return None
