"""What clients bring: the files of a job, by the piece or many small ones in one message.

The artist's files come in here: `farmctl` reads and hashes them as the artist and streams what this node lacks, so the
daemon's own user needs no access to them. Whatever comes is hashed before it has a name in the store.

A file that came is not durable at once: syncing each of 2,000 costs more than hashing and sending them all. All are
synced together before the core hears of the job that they are for, and whenever much has come.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from farmd.adapters.blobs import BlobsFailed
from farmd.adapters.client_door import GO_ON
from protocol.api import MAX_CHUNK_BYTES, MAX_SMALL_BYTES
from protocol.errors import PeerError, UsageError, UserError
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from farmd.adapters.blobs import BlobStore, Upload
    from farmd.core.events import ClientAsked

MAX_BLOBS = 100_000
MAX_UPLOADS = 256
UNSETTLED_BYTES = 256 << 20
"""So much may wait to be synced: more would make the last answer late by many seconds on a slow disk."""
_CHANGED = "the file changed while it was sent"


class Uploads:
    """Served by the client door beside the core."""

    def __init__(self, blobs: BlobStore, disk_fault: Callable[[], str]) -> None:
        self._blobs = blobs
        self._disk_fault = disk_fault
        self._uploads: dict[BlobAddress, Upload] = {}
        self._locks: dict[BlobAddress, asyncio.Lock] = {}

    @property
    def handlers(self) -> dict[str, Callable[[ClientAsked], Awaitable[Any]]]:
        """The table for the door."""
        return {
            "blob.missing": self._missing,
            "blob.put": self._put,
            "blob.put_small": self._put_small,
            "job.submit": self._before_submit,
        }

    async def _missing(self, asked: ClientAsked) -> dict[str, Any]:
        names = asked.args.get("blobs")
        if not isinstance(names, list) or len(names) > MAX_BLOBS:
            raise UsageError("blob.missing needs a list of blobs", f"at most {MAX_BLOBS} at a time")
        addresses = [address_of(name) for name in names]
        absent = await asyncio.to_thread(self._blobs.missing, addresses)
        return {
            "missing": [{"blob": str(blob), "have_bytes": min(blob.size, len(have) << 20)} for blob, have in absent]
        }

    async def _put(self, asked: ClientAsked) -> dict[str, Any]:
        blob, offset, data = address_of(asked.args.get("blob")), asked.args.get("offset"), asked.args.get("data")
        if type(offset) is not int or not isinstance(data, bytes) or len(data) > MAX_CHUNK_BYTES:
            raise UsageError("blob.put needs an offset and at most 1 MiB of data", "", "")
        self._refuse_on_full_disk()
        async with self._locks.setdefault(blob, asyncio.Lock()):
            return await asyncio.to_thread(self._put_now, blob, offset, data)

    def _put_now(self, blob: BlobAddress, offset: int, data: bytes) -> dict[str, Any]:
        if self._blobs.path(blob) is not None:
            return {"have_bytes": blob.size, "complete": True}
        upload = self._uploads.get(blob)
        if upload is None or upload.offset != offset:
            if len(self._uploads) >= MAX_UPLOADS:
                self._uploads.pop(next(iter(self._uploads)))
            upload = self._uploads[blob] = self._blobs.begin(blob)
        if upload.offset == offset:
            upload.append(offset, data)
        if upload.offset < blob.size:
            return {"have_bytes": upload.offset, "complete": False}
        del self._uploads[blob]
        if not upload.finish(durable=False):
            raise UserError(_CHANGED, "its bytes are not those that were hashed", "submit again")
        self._settle(beyond_bytes=UNSETTLED_BYTES)
        return {"have_bytes": blob.size, "complete": True}

    async def _put_small(self, asked: ClientAsked) -> dict[str, Any]:
        """Take many files of one piece each: their names, and their bytes one after the other."""
        names, data = asked.args.get("blobs"), asked.args.get("data")
        if not isinstance(names, list) or not isinstance(data, bytes):
            raise UsageError("blob.put_small needs a list of blobs and their bytes", "", "")
        blobs = [address_of(name) for name in names]
        if len(data) > MAX_SMALL_BYTES or sum(blob.size for blob in blobs) != len(data):
            raise UsageError("blob.put_small needs the bytes of its blobs", f"at most {MAX_SMALL_BYTES}", "")
        self._refuse_on_full_disk()
        return await asyncio.to_thread(self._put_small_now, blobs, data)  # one hop for all of them

    def _put_small_now(self, blobs: list[BlobAddress], data: bytes) -> dict[str, Any]:
        pack = self._blobs.write_pack(blobs, data)
        if pack.failed:
            raise UserError("the node cannot store the files", "its disk is full or broken", "see its farmd.log")
        self._settle(beyond_bytes=UNSETTLED_BYTES)
        return {"changed": [str(blob) for blob in pack.corrupt]}

    async def _before_submit(self, _asked: ClientAsked) -> object:
        """Make durable what came, and let the core go on: no job is accepted whose files a power cut would take."""
        if not self._blobs.is_settled:
            await asyncio.to_thread(self._settle)
        return GO_ON

    def _settle(self, beyond_bytes: int = -1) -> None:
        try:
            self._blobs.settle(beyond_bytes=beyond_bytes)
        except BlobsFailed as error:
            raise UserError("the node cannot keep the files", str(error), "free space there, submit again") from error

    def _refuse_on_full_disk(self) -> None:
        fault = self._disk_fault()
        if fault:
            raise UserError("the node takes no more data", fault, "free space under its data dir, or use another node")


def address_of(text: object) -> BlobAddress:
    """Read the name of a blob.

    Raises:
        UsageError: It is none.
    """
    try:
        return parse_blob_address(str(text))
    except PeerError as error:
        raise UsageError("the request names no blob", str(error)) from error
