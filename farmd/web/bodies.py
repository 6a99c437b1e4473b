"""Bodies of requests: read in pieces, never more than is allowed, never longer than is patient.

A body is looked at in this order: what its head says of its size, its kind, its bytes as they come. JSON is read
strictly: one object, no NaN, no number that is no number elsewhere, no text and no depth that could not be written.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect

from farmd.web.errors import Refusal
from farmd.web.settings import GRACE_S, IDLE_S, LEAST_BYTES_S
from protocol.human import format_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request

_JSON: Final = ("application/json", "")
MAX_LEVELS: Final = 100
"""So deep may JSON be nested: what copies, checks and writes it goes as deep."""
_LARGE_BYTES: Final = 1 << 20
MAX_LARGE_EACH: Final = 4
"""So many large JSON bodies of one user may be on their way: each takes tens of megabytes."""
_JSON_S: Final = 300.0
"""So long a JSON body may take in all."""
_large_of: Counter[str] = Counter()
_parsers: Final = ThreadPoolExecutor(2, thread_name_prefix="large-json")
_DRAIN_S: Final = 2.0


def declared_bytes(request: Request) -> int | None:
    """Return the size that a request says its body has; None if it comes in chunks.

    Raises:
        Refusal: It says none, or something that is no size.
    """
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refusal(400, "the Content-Length cannot be read", f"{text[:40]!r} is no size", "leave it to your client")
    return int(text)


async def pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield a body as it comes.

    Args:
        request: Whose body.
        most: Bytes; more are refused when they come.

    Raises:
        Refusal: It is too large, or comes too slowly.
        ClientDisconnect: The client has gone.
    """
    stream, loop = request.stream().__aiter__(), asyncio.get_running_loop()
    request.state.body_was_begun = True
    began, came = loop.time(), 0
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), IDLE_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow(f"nothing came for {IDLE_S:.0f} s") from None
        came += len(piece)
        if came > most:
            raise too_large(most)
        late_s = loop.time() - began - GRACE_S
        if late_s > 0 and came < late_s * LEAST_BYTES_S:
            raise _too_slow(f"less than {LEAST_BYTES_S} bytes a second came")
        if piece:
            yield piece


def _too_slow(why: str) -> Refusal:
    return Refusal(408, "the body was not waited for", why, "send it again, and what is kept is not sent twice")


def too_large(most: int) -> Refusal:
    """Say that a body is too large."""
    return Refusal(413, "the body is too large", f"at most {format_size(most)} are taken", "send less at a time")


async def json_object(request: Request, most: int, user: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        request: Whose body.
        most: Bytes.
        user: Who sends it.

    Raises:
        Refusal: It is too large, too slow, of another kind, no object, or one of too many large ones.
    """
    size = declared_bytes(request)
    if size is not None and size > most:
        raise too_large(most)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _JSON:
        raise Refusal(415, "the body is no JSON", f"its type is {kind[:60]!r}", "send Content-Type: application/json")
    with ExitStack() as stack:
        try:
            async with asyncio.timeout(_JSON_S):
                data = await _all_of(request, most, lambda: stack.enter_context(_large_one(user)))
        except TimeoutError:
            raise _too_slow(f"not all of it came in {_JSON_S:.0f} s") from None
        if len(data) <= _LARGE_BYTES:
            return _object_in(data)
        return await asyncio.get_running_loop().run_in_executor(_parsers, _object_in, data)


async def _all_of(request: Request, most: int, on_large: Callable[[], None]) -> bytes:
    """Gather a body; `on_large` is called as soon as it is known to be large."""
    gathered, size, declared = [], 0, declared_bytes(request) or 0
    is_large = False
    async for piece in pieces(request, most):
        size += len(piece)
        if not is_large and max(size, declared) > _LARGE_BYTES:
            is_large = True
            on_large()
        gathered.append(piece)
    return b"".join(gathered)


@contextmanager
def _large_one(user: str) -> Iterator[None]:
    """Count a large body of a user until it is read.

    Raises:
        Refusal: Too many are on their way.
    """
    if _large_of[user] >= MAX_LARGE_EACH:
        why = f"{MAX_LARGE_EACH} of yours are on their way already"
        raise Refusal(429, "too many large bodies at once", why, "wait", headers={"Retry-After": "5"})
    _large_of[user] += 1
    try:
        yield
    finally:
        _large_of[user] -= 1
        if not _large_of[user]:
            del _large_of[user]


def _object_in(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}", parse_constant=_no_constant, parse_float=_number)
        _check_can_be_written(found)
    except (ValueError, RecursionError) as error:
        raise Refusal(
            400, "the body cannot be read", f"it is not JSON: {str(error)[:120]}", "send one object"
        ) from error
    if not isinstance(found, dict):
        raise Refusal(400, "the body cannot be read", "it holds no JSON object", "send {…}")
    return found


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


def _check_can_be_written(found: Any) -> None:
    """Return if what was read can be written again: it is kept with a job, and given back.

    Raises:
        ValueError: It is nested too deeply, or holds half of a character.
    """
    level = [found]
    for _ in range(MAX_LEVELS):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = list(chain.from_iterable(inner))
        if not level:
            break
    else:
        raise ValueError(f"it is nested deeper than {MAX_LEVELS} levels")
    json.dumps(found, ensure_ascii=False).encode()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


async def drained(request: Request, most: int, *, patiently: bool = False) -> bool:
    """Take what is left of a body that nobody wants, so that the connection can be kept.

    A client that waits to be asked for its body (RFC 9110, 10.1.1: Expect) is not asked.

    Args:
        request: Whose body.
        most: Bytes that are taken.
        patiently: For as long as a body that somebody wants.

    Returns:
        False if the connection had better be closed.
    """
    if not _has_body(request):
        return True
    if declared_bytes_or(request, most + 1) > most or _waits_to_be_asked(request):
        return False
    try:
        async with asyncio.timeout(None if patiently else _DRAIN_S):
            async for _ in pieces(request, most):
                pass
    except (Refusal, ClientDisconnect, TimeoutError):
        return False
    except RuntimeError:  # of Starlette: it was read to its end before
        return True
    return True


def declared_bytes_or(request: Request, otherwise: int) -> int:
    """Return the size that a body is said to have, or something else where that cannot be read."""
    try:
        size = declared_bytes(request)
    except Refusal:
        return otherwise
    return otherwise if size is None else size


def _waits_to_be_asked(request: Request) -> bool:
    begun = getattr(request.state, "body_was_begun", False)
    return not begun and request.headers.get("expect", "").lower() == "100-continue"


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
