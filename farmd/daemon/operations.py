"""Operations of clients that move data and need no decision: blobs in and out, the event log, keys of other nodes.

The artist's files come in here: `farmctl` reads and hashes them as the artist and streams what this node lacks, so
the daemon's own user needs no access to them.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from farmd.daemon.reserving import reserving
from protocol.errors import NotFound, PeerError, UsageError, UserError
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from farmd.adapters.blobs import BlobStore, Upload
    from farmd.adapters.store import SqliteStore
    from farmd.core.events import ClientAsked
    from farmd.core.node import Node

CHUNK_BYTES = 1 << 20
MAX_BLOBS = 100_000
MAX_UPLOADS = 256
MAX_NOTES = 10_000


class Operations:
    """Served by the client door beside the core."""

    def __init__(self, blobs: BlobStore, store: SqliteStore, node: Node, disk_fault: Callable[[], str]) -> None:
        self._blobs = blobs
        self._store = store
        self._node = node
        self._disk_fault = disk_fault
        self._uploads: dict[BlobAddress, Upload] = {}
        self._locks: dict[BlobAddress, asyncio.Lock] = {}

    @property
    def handlers(self) -> dict[str, Callable[[ClientAsked], Awaitable[Any]]]:
        """The table for the door."""
        return {
            **reserving(self._blobs, {"blob.missing": self._missing, "blob.put": self._put}),
            "blob.get": self._get,
            "events": self._events,
            "node.key": self._node_key,
        }

    async def _missing(self, asked: ClientAsked) -> dict[str, Any]:
        names = asked.args.get("blobs")
        if not isinstance(names, list) or len(names) > MAX_BLOBS:
            raise UsageError("blob.missing needs a list of blobs", f"at most {MAX_BLOBS} at a time")
        addresses = [_address(name) for name in names]
        absent = await asyncio.to_thread(self._blobs.missing, addresses)
        return {
            "missing": [{"blob": str(blob), "have_bytes": min(blob.size, len(have) << 20)} for blob, have in absent]
        }

    async def _put(self, asked: ClientAsked) -> dict[str, Any]:
        blob, offset, data = _address(asked.args.get("blob")), asked.args.get("offset"), asked.args.get("data")
        if type(offset) is not int or not isinstance(data, bytes) or len(data) > CHUNK_BYTES:
            raise UsageError("blob.put needs an offset and at most 1 MiB of data", "", "")
        fault = self._disk_fault()
        if fault:
            raise UserError("the node takes no more data", fault, "free space under its data dir, or use another node")
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
        if not upload.finish():
            raise UserError(
                "the file changed while it was sent", "its bytes are not those that were hashed", "submit again"
            )
        return {"have_bytes": blob.size, "complete": True}

    async def _get(self, asked: ClientAsked) -> dict[str, Any]:
        blob, offset, limit = _address(asked.args.get("blob")), asked.args.get("offset"), asked.args.get("limit")
        if type(offset) is not int or type(limit) is not int or offset < 0:
            raise UsageError("blob.get needs an offset and a limit", "", "")
        path = self._blobs.path(blob) if offset else self._blobs.use(blob)
        if path is None:
            raise NotFound("these bytes are not on this node", str(blob), "ask for them with result.fetch first")
        data = await asyncio.to_thread(_read, str(path), offset, max(1, min(limit, CHUNK_BYTES)))
        return {"data": data, "size": blob.size}

    async def _events(self, asked: ClientAsked) -> dict[str, Any]:
        after, limit, job = asked.args.get("after"), asked.args.get("limit"), asked.args.get("job")
        count = max(1, min(limit if type(limit) is int else 100, MAX_NOTES))
        found = await self._store.notes(count if not job else MAX_NOTES, after if type(after) is int else None)
        lines = [
            {
                "id": number,
                "at_ms": note.at_ms,
                "what": note.what,
                "text": note.text,
                "node": note.node,
                "node_name": self._node.registry.name_of(note.node) if note.node else "",  # type: ignore[arg-type]
                "job": note.job,
                "actor": note.actor,
            }
            for number, note in found
            if not job or job in (note.job, note.text.partition(":")[0])
        ]
        return {"schema": "farm.events.v1", "events": lines[-count:]}

    async def _node_key(self, asked: ClientAsked) -> dict[str, Any]:
        address = asked.args.get("address")
        for node, body in self._node.registry.bodies.items():
            key = self._node.registry.keys.get(node)
            if key is not None and address in (body.address, body.name, node):
                return {"node": node, "public_key": key.public_key, "address": body.address}
        raise NotFound(f"no node listens at {address}", "this node knows no such address", "farmctl node list -o wide")


def _address(text: object) -> BlobAddress:
    try:
        return parse_blob_address(str(text))
    except PeerError as error:
        raise UsageError("the request names no blob", str(error)) from error


def _read(path: str, offset: int, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, limit, offset)
    finally:
        os.close(descriptor)
