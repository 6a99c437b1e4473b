"""Hand files over to the daemon, which keeps them by content: asked first, then in pieces, then verified there.

What this process received is verified here before the daemon hears of it, so nothing that was cut off or damaged on the
way takes a place in its store.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from farmd.ingest.hashing import address_of_bytes, hash_descriptor
from farmd.web.errors import Refusal
from protocol.api import MAX_CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from farmd.web.endpoints import Asked
    from protocol.ids import BlobAddress

_PUT_S: Final = 60.0
"""The daemon hashes and syncs meanwhile, on a disk that may be slow."""
_ASKED_AT_ONCE: Final = 1_000
_STEPS_BACK: Final = 3
_hashers: Final = ThreadPoolExecutor(2, thread_name_prefix="file-hash")
"""Threads of their own: a hash takes minutes, and every other look at the disk would wait behind it."""
T = TypeVar("T")


async def beside(hashing: Callable[[], T]) -> T:
    """Run what hashes a file in one of the few threads for that."""
    return await asyncio.get_running_loop().run_in_executor(_hashers, hashing)


def address_of_file(path: Path) -> BlobAddress:
    """Hash a file; see `beside`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return hash_descriptor(descriptor)
    finally:
        os.close(descriptor)


async def missing(asked: Asked, blobs: Iterable[BlobAddress]) -> dict[str, int]:
    """Ask which blobs the daemon lacks.

    Returns:
        Their printed addresses, and how much of each it has.
    """
    names = [str(blob) for blob in dict.fromkeys(blobs)]
    found: dict[str, int] = {}
    for at in range(0, len(names), _ASKED_AT_ONCE):
        answer = await asked.call("blob.missing", blobs=names[at : at + _ASKED_AT_ONCE], limit_s=_PUT_S)
        found |= {str(item["blob"]): int(item.get("have_bytes", 0)) for item in answer["missing"]}
    return found


async def send_file(asked: Asked, blob: BlobAddress, path: Path) -> None:
    """Send a file unless the daemon has it.

    Raises:
        UserError: The daemon takes it not.
    """
    descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        await _send(asked, blob, lambda offset: os.pread(descriptor, MAX_CHUNK_BYTES, offset))
    finally:
        os.close(descriptor)


async def send_small(asked: Asked, blob: BlobAddress, data: bytes) -> None:
    """Send a file that fits one message, without asking first: that would cost as much.

    Raises:
        UserError: The daemon takes it not.
    """
    answer = await asked.call("blob.put", blob=str(blob), offset=0, data=data, limit_s=_PUT_S)
    if not answer["complete"]:  # a part of it lies there from before
        await send_bytes(asked, data)


async def send_bytes(asked: Asked, data: bytes) -> BlobAddress:
    """Send bytes that are here; returns their address."""
    blob = address_of_bytes(data)
    await _send(asked, blob, lambda offset: data[offset : offset + MAX_CHUNK_BYTES])
    return blob


async def _send(asked: Asked, blob: BlobAddress, read: Callable[[int], bytes]) -> None:
    lacking = await missing(asked, (blob,))
    if str(blob) not in lacking:
        return
    offset, steps_back = min(lacking[str(blob)], blob.size), 0
    while True:
        data = await asyncio.to_thread(read, offset)
        answer = await asked.call("blob.put", blob=str(blob), offset=offset, data=data, limit_s=_PUT_S)
        if answer["complete"]:
            return
        reached = int(answer["have_bytes"])
        steps_back += reached < offset  # the daemon holds less in one piece than it said
        if reached == offset or steps_back > _STEPS_BACK:
            raise Refusal(409, "the file could not be handed over", "it changed meanwhile", "send it again")
        offset = reached
