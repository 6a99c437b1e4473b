"""Files that a client was told to be here stay until its job names them.

Between the question which files are missing and the submission lie minutes, or the hours that sending the rest takes;
no job knows of these files then, and a store that is too full would drop them first. So whoever asks about a file, or
sends one, reserves it (`farmd.adapters.blobs.ageing`), before it is looked up.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from farmd.core.evictable import RESERVED_MS
from protocol.errors import FarmError
from protocol.ids import parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from farmd.adapters.blobs import BlobStore
    from farmd.core.events import ClientAsked

    Handler = Callable[[ClientAsked], Awaitable[Any]]


def reserving(blobs: BlobStore, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """Return the handlers of uploads, each reserving what it is about."""
    return {
        name: _before(blobs, handler) if name == "blob.missing" else _after(blobs, handler)
        for name, handler in handlers.items()
    }


def _before(blobs: BlobStore, handler: Handler) -> Handler:
    async def handle(asked: ClientAsked) -> Any:
        await asyncio.to_thread(_reserve, blobs, _names(asked.args.get("blobs")))
        return await handler(asked)

    return handle


def _after(blobs: BlobStore, handler: Handler) -> Handler:
    async def handle(asked: ClientAsked) -> Any:
        answer = await handler(asked)
        if not isinstance(answer, dict) or answer.get("complete", True):
            names = _names(asked.args.get("blobs")) or [str(asked.args.get("blob"))]
            await asyncio.to_thread(_reserve, blobs, names)
        return answer

    return handle


def _names(given: object) -> list[str]:
    """List what a request names: blobs, or pairs of a blob and its bytes."""
    found = given if isinstance(given, list) else []
    return [str(name[0] if isinstance(name, list) and name else name) for name in found]


def _reserve(blobs: BlobStore, names: list[str]) -> None:
    until_ms = int(time.time() * 1000) + RESERVED_MS
    for name in names:
        with suppress(FarmError):  # what is wrong with a request is said by who answers it
            blobs.reserve(parse_blob_address(name), until_ms)
