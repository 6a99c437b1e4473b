"""Operations of clients that move data and need no decision: blobs in and out, the event log, keys of other nodes."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from farmd.adapters.client_door import GO_ON
from farmd.core.arguments import text_of
from farmd.daemon.eventlog import EventLog
from farmd.daemon.reserving import reserving
from farmd.daemon.uploads import Uploads, address_of
from protocol.errors import NotFound, UsageError
from protocol.people import TOKEN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from farmd.adapters.blobs import BlobStore
    from farmd.adapters.store import SqliteStore
    from farmd.core.events import ClientAsked
    from farmd.core.node import Node

CHUNK_BYTES = 1 << 20


class Operations:
    """Served by the client door beside the core."""

    def __init__(self, blobs: BlobStore, store: SqliteStore, node: Node, disk_fault: Callable[[], str]) -> None:
        self._blobs = blobs
        self._node = node
        self._uploads = Uploads(blobs, disk_fault)
        self._event_log = EventLog(store, node)

    @property
    def handlers(self) -> dict[str, Callable[[ClientAsked], Awaitable[Any]]]:
        """The table for the door."""
        return {
            **reserving(self._blobs, self._uploads.handlers),
            "blob.get": self._get,
            **self._event_log.handlers,
            "node.key": self._node_key,
            "user.token": self._user_token,
        }

    async def _get(self, asked: ClientAsked) -> dict[str, Any]:
        blob, offset, limit = address_of(asked.args.get("blob")), asked.args.get("offset"), asked.args.get("limit")
        if type(offset) is not int or type(limit) is not int or offset < 0:
            raise UsageError("blob.get needs an offset and a limit", "", "")
        path = self._blobs.path(blob) if offset else self._blobs.use(blob)
        if path is None:
            raise NotFound("these bytes are not on this node", str(blob), "ask for them with result.fetch first")
        data = await asyncio.to_thread(_read, str(path), offset, max(1, min(limit, CHUNK_BYTES)))
        return {"data": data, "size": blob.size}

    async def _node_key(self, asked: ClientAsked) -> dict[str, Any]:
        address, registry = text_of(asked, "address"), self._node.registry
        found = registry.listening_at(address)
        if len(found) != 1:
            why = f"{len(found)} nodes have that name" if found else "this node knows no such address, and no such name"
            raise NotFound(f"no node listens at {address}", why, "farmctl node list -o wide")
        node = found[0]
        return {
            "node": node,
            "public_key": registry.keys[node].public_key,
            "address": registry.body_of(node).address,
        }

    async def _user_token(self, asked: ClientAsked) -> object:
        """Draw the token that the core keeps the hash of: its own randomness can be foretold."""
        import secrets  # loads OpenSSL, which few daemons need

        asked.args["token"] = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return GO_ON


def _read(path: str, offset: int, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, limit, offset)
    finally:
        os.close(descriptor)
