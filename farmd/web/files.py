"""The bytes of files: sent in as many tries as it takes, each going on where the last one stopped.

`PUT /api/files/{md5}` takes a file whole, or a part of it that `Content-Range: bytes A-B/TOTAL` names and that begins
where what is here ends. What came stays when the client goes. When the last byte is here, the file is hashed: only if it
is what its MD5 says, and its xxHash64 where that was declared, the daemon gets it. Where that could not be done, all of
the file stays here, and the next request hands it over without a byte of it: `Content-Range: bytes */TOTAL`, say.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response

from farmd.ingest.hashing import address_of_bytes
from farmd.web.bodies import declared_bytes, drained, pieces
from farmd.web.errors import Refusal
from farmd.web.sending import address_of_file, beside, missing, send_file, send_small
from farmd.web.spans import span_of
from protocol.api import MAX_CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from farmd.web.endpoints import Asked
    from farmd.web.spans import Span
    from farmd.web.spool import Mine
    from protocol.ids import BlobAddress

_WRONG: Final = 422
_BATCH_BYTES: Final = 1 << 20
"""So much is gathered before a thread writes it."""
_sending: set[tuple[str, str]] = set()
"""User and MD5 of what is being written: two writers of one part would damage it."""


async def put_file(asked: Asked) -> Response:
    """Take a file, or a part of one."""
    md5 = asked.path["md5"].lower()
    mine = asked.parts.spool.user(asked.user)
    arrived = mine.arrived(md5)
    # Whoever may not send files is told so before anything is read.
    answer = await asked.call("blob.missing", blobs=[] if arrived is None else [str(arrived)])
    if arrived is not None and not answer["missing"]:
        await _check(asked, md5, arrived)
        return await _complete(asked, arrived, 200)
    span = span_of(asked.request.headers.get("content-range"), declared_bytes(asked.request))
    with _alone(asked, md5):
        if span.is_whole and span.total <= MAX_CHUNK_BYTES:
            return await _complete(asked, await _take_small(asked, mine, md5, span.total), 201)
        blob = await _finish_what_is_here(asked, mine, md5, span)
        if blob is None:
            await _take(asked, mine, md5, span)
            have = mine.have_bytes(md5)
            if have < span.total:
                return JSONResponse(_view(md5, have, span.total, None), 202, {"Upload-Offset": str(have)})
            blob = await _finish(asked, mine, md5)
    return await _complete(asked, blob, 201)


async def _complete(asked: Asked, blob: BlobAddress, status: int) -> Response:
    """Say that a file is here, after what its client still sends of it: many look for an answer only then."""
    headers = {} if await drained(asked.request, blob.size, patiently=True) else {"Connection": "close"}
    return JSONResponse(_view(blob.md5.hex(), blob.size, blob.size, blob), status, headers)


@contextmanager
def _alone(asked: Asked, md5: str) -> Iterator[None]:
    """Let nobody else write a file meanwhile.

    Raises:
        Refusal: Somebody does.
    """
    key = asked.user, md5
    if key in _sending:
        raise Refusal(409, "the file is being sent already", "another request writes it", "wait until that has ended")
    _sending.add(key)
    try:
        yield
    finally:
        _sending.discard(key)


async def _take_small(asked: Asked, mine: Mine, md5: str, total: int) -> BlobAddress:
    """Take a file that fits one message, without writing it here: of such ones there are thousands.

    Raises:
        Refusal: It is not what was declared, or came short.
    """
    data = b"".join([piece async for piece in pieces(asked.request, total)])
    if len(data) != total:
        raise Refusal(400, "the file came short", f"{len(data)} of {total} bytes came", "send it again")
    blob = address_of_bytes(data)
    await _check(asked, md5, blob)
    await send_small(asked, blob, data)
    mine.note_arrived(blob)
    return blob


async def _declared_xxh64(asked: Asked) -> int | None:
    """Return the xxHash64 that was declared for the file: in this request, or in a list.

    Raises:
        Refusal: It is none.
    """
    text: str | None = asked.query.xxhash
    if text is not None:
        return int(text)
    return await asyncio.to_thread(asked.parts.spool.declared_xxh64, asked.user, asked.path["md5"].lower())


async def _take(asked: Asked, mine: Mine, md5: str, span: Span) -> None:
    """Write what a request carries behind what is here.

    Raises:
        Refusal: It begins elsewhere, or there is no room.
    """
    have = mine.have_bytes(md5)
    if span.offset != have and not span.is_whole:
        raise Refusal(
            409,
            f"the file goes on at {have}",
            f"the request begins at {span.offset}",
            f"send Content-Range: bytes {have}-…/{span.total}" if have < span.total else "send the file whole",
            headers={"Upload-Offset": str(have)},
            more={"have_bytes": have},
        )
    async with asked.parts.spool.room.for_part(mine.part(md5), span.total):
        await _write_pieces(asked, mine.part(md5), span)


async def _write_pieces(asked: Asked, part: Path, span: Span) -> None:
    descriptor = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    batch: list[bytes] = []
    size, at = 0, span.offset

    async def flush() -> None:
        nonlocal size, at
        data = b"".join(batch)
        batch.clear()
        size = 0
        at += await asyncio.to_thread(_write_at, descriptor, data, at)

    try:
        os.ftruncate(descriptor, span.offset)
        try:
            async for piece in pieces(asked.request, span.length):
                batch.append(piece)
                size += len(piece)
                if size >= _BATCH_BYTES:
                    await flush()
        finally:
            await flush()
    except OSError as error:
        raise Refusal(409, "the file cannot be kept", str(error.strerror), "tell the admin of this machine") from error
    finally:
        os.close(descriptor)


def _write_at(descriptor: int, data: bytes, offset: int) -> int:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], offset + done)
    return done


async def _finish(asked: Asked, mine: Mine, md5: str) -> BlobAddress:
    """Verify a complete file and hand it over; one that is not what was declared is thrown away.

    Raises:
        Refusal: Its content is not what was declared.
    """
    part = mine.part(md5)
    blob = await beside(partial(address_of_file, part))
    try:
        await _check(asked, md5, blob)
    except Refusal:
        mine.forget(md5)
        raise
    await send_file(asked, blob, part)
    await asyncio.to_thread(mine.note_arrived, blob)
    return blob


async def _finish_what_is_here(asked: Asked, mine: Mine, md5: str, span: Span) -> BlobAddress | None:
    """Hand over a file that is complete here from earlier requests; None if it is not.

    Raises:
        Refusal: Its content is not what was declared, and this request does not bring it anew.
    """
    if mine.have_bytes(md5) != span.total:
        return None
    try:
        return await _finish(asked, mine, md5)
    except Refusal as refusal:
        if refusal.status == _WRONG and span.is_whole:
            return None
        raise


async def _check(asked: Asked, md5: str, blob: BlobAddress) -> None:
    """Check that a content is what was declared; an xxHash64 of 0 means that none was.

    Raises:
        Refusal: It is not.
    """
    if blob.md5.hex() != md5:
        raise _wrong(f"its MD5 is {blob.md5.hex()}", "hash it and send it again")
    xxh64 = await _declared_xxh64(asked)
    if xxh64 not in (None, 0, blob.xxh64):
        raise _wrong(
            f"its xxHash64 is {blob.xxh64}, and {xxh64} was declared",
            "declare it as an unsigned decimal number, seed 0, then send it again",
        )


def _wrong(why: str, hint: str) -> Refusal:
    return Refusal(_WRONG, "the file is not what was declared", why, hint)


async def show_file(asked: Asked) -> Response:
    """Tell how much of a file is here."""
    md5 = asked.path["md5"].lower()
    mine = asked.parts.spool.user(asked.user)
    arrived = mine.arrived(md5)
    if arrived is not None and await missing(asked, (arrived,)):
        arrived = None
    have = arrived.size if arrived is not None else mine.have_bytes(md5)
    if arrived is None and not have:
        raise Refusal(404, "nothing of this file is here", "you have sent none of it", "PUT /api/files/{md5}")
    headers = {"Upload-Offset": str(have), "Upload-Complete": "?1" if arrived is not None else "?0"}
    return JSONResponse(_view(md5, have, arrived.size if arrived is not None else None, arrived), 200, headers)


def _view(md5: str, have: int, size: int | None, blob: BlobAddress | None) -> dict[str, Any]:
    return {
        "hash": md5,
        "have_bytes": have,
        "size": size,
        "complete": blob is not None,
        "xxhash": str(blob.xxh64) if blob is not None else None,
    }
