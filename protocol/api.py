"""What a client and a daemon say to one another: a request, and one or more responses to it.

Both are msgpack arrays, [version, id, …]; fields are added at the end only. The client numbers its requests; responses
carry the same number, and all but the last of a stream have `more` set. Limits hold before anything is built. Who
asks is never a field: the kernel (local socket) or CURVE (remote) says it. The daemon's own user alone may ask in the
name of somebody else (`acting_for`), as its HTTP door does for the holder of a token: that can only take rights away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgpack

from protocol.errors import (
    InvariantBroken,
    NotAllowed,
    NotFound,
    PeerError,
    Unreachable,
    UsageError,
    UserError,
    VersionError,
)
from protocol.people import is_user_name
from protocol.plaindata import unpack

API_VERSION = 1
MAX_API_BYTES = 4 << 20
"""Largest request or response; a larger thing goes in several (`blob.put` with an offset)."""
MAX_CHUNK_BYTES = 1 << 20
"""Of data in one `blob.put`."""
MAX_SMALL_BYTES = 3 << 20
"""Of data in one `blob.put_small`, which carries many files of at most one chunk; their names come on top."""
MAX_SMALL_FILES = 4_000
_AROUND_BYTES = 64
_ARRAY_OF_5 = b"\x95"
"""How a response begins: MessagePack's fixarray; what it stands for is checked by a test against the packer itself."""
MAX_OP_CHARS = 64
MAX_SAID_CHARS = 128
OP_CANCEL = "cancel"
"""Args {"id": n}: I no longer wait for request n. Has no response."""
API_MARK = b"api"
"""First frame of a request that comes over the nodes' own socket, and of its response."""
ZAP_FARM = "farm"
"""ZAP domain of the nodes' socket: CURVE."""
ZAP_LANES = "lanes"
"""ZAP domain of the port for sealed contents: PLAIN."""
ZAP_LOCAL = "local"
"""ZAP domain of the local clients' socket: the kernel says who it is."""

ErrorFacts = tuple[int, str, str, str]
"""Exit code, what, why, hint: a `UserError` on its way."""

_CLASS_OF_CODE: dict[int, type[UserError]] = {cls.code: cls for cls in (UsageError, NotFound, NotAllowed, Unreachable)}


class Request(NamedTuple):
    """One question of a client."""

    id: int
    op: str
    args: dict[str, Any]
    acting_for: str = ""
    """Name of a person in whose name and with whose role it is asked: from a door of the daemon's own user alone."""
    said_by: str = ""
    """Who asks with the keys of a machine, for the history; believed of a node alone, and gives no rights."""


class Response(NamedTuple):
    """One answer: `data`, or an error; `more` answers follow if it is set."""

    id: int
    data: Any = None
    error: ErrorFacts | None = None
    more: bool = False


def pack_request(request: Request) -> bytes:
    """Pack a request.

    Raises:
        UsageError: It is over the limit, or holds something else than plain data.
    """
    try:
        packed: bytes = msgpack.packb((API_VERSION, *request))
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"cannot send {request.op}", str(error), "pass plain data only") from error
    if len(packed) > MAX_API_BYTES:
        raise UsageError(f"cannot send {request.op}", f"{len(packed)} bytes are over the limit of {MAX_API_BYTES}")
    return packed


def unpack_request(data: bytes) -> Request:
    """Read a request, strictly.

    Raises:
        PeerError: The bytes are none.
    """
    fields = _fields(data, 4)
    number, op, args = fields[1:4]
    if type(number) is not int or number < 0:
        raise PeerError("request without a number")
    if type(op) is not str or not 0 < len(op) <= MAX_OP_CHARS:
        raise PeerError("request without an operation")
    if type(args) is not dict or not all(type(key) is str for key in args):
        raise PeerError("arguments are not a map with text keys")
    acting_for = fields[4] if len(fields) > 4 else ""
    if type(acting_for) is not str or (acting_for and not is_user_name(acting_for)):
        raise PeerError("a request in the name of nobody")
    said_by = fields[5] if len(fields) > 5 else ""
    if type(said_by) is not str or len(said_by) > MAX_SAID_CHARS or not said_by.isprintable():
        raise PeerError("a request by nobody")
    return Request(number, op, args, acting_for, said_by)


def pack_response(response: Response) -> bytes:
    """Pack a response.

    Raises:
        InvariantBroken: It is over the limit, or holds something else than plain data.
    """
    return pack_response_around(pack_data(response.data), response)


def pack_data(data: Any) -> bytes:
    """Pack the data of responses, so that several can carry it.

    Raises:
        InvariantBroken: It is over the limit, or holds something else than plain data.
    """
    try:
        packed: bytes = msgpack.packb(data)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvariantBroken(f"response is not plain data: {error}") from error
    if len(packed) > MAX_API_BYTES - _AROUND_BYTES:
        raise InvariantBroken(f"response of {len(packed)} bytes is over the limit of {MAX_API_BYTES}")
    return packed


def pack_response_around(data: bytes, response: Response) -> bytes:
    """Pack a response whose data are packed already; its own `data` are not looked at.

    Raises:
        InvariantBroken: It is over the limit.
    """
    number, _, error, more = response
    head, tail = msgpack.packb((API_VERSION, number)), msgpack.packb((error, more))
    packed = _ARRAY_OF_5 + head[1:] + data + tail[1:]
    if len(packed) > MAX_API_BYTES:
        raise InvariantBroken(f"response of {len(packed)} bytes is over the limit of {MAX_API_BYTES}")
    return packed


def unpack_response(data: bytes) -> Response:
    """Read a response, strictly.

    Raises:
        PeerError: The bytes are none.
    """
    fields = _fields(data, 5)
    number, content, error, more = fields[1:5]
    if type(number) is not int or type(more) is not bool:
        raise PeerError("response without a number")
    if error is None:
        return Response(number, content, None, more)
    if type(error) is not list or [type(part) for part in error[:4]] != [int, str, str, str]:
        raise PeerError("error of a response is not (code, what, why, hint)")
    return Response(number, None, (error[0], error[1], error[2], error[3]), more)


def error_facts(error: UserError) -> ErrorFacts:
    """Turn an exception into what travels."""
    return error.code, error.what, error.why, error.hint


def error_of(facts: ErrorFacts) -> UserError:
    """Turn what travelled back into the exception of the same code."""
    code, what, why, hint = facts
    return _CLASS_OF_CODE.get(code, UserError)(what, why, hint, code=code)


def _fields(data: bytes, least: int) -> list[Any]:
    if len(data) > MAX_API_BYTES:
        raise PeerError(f"{len(data)} bytes are over the limit of {MAX_API_BYTES}")
    fields = unpack(data)
    if type(fields) is not list or len(fields) < least:
        raise PeerError(f"not an array of {least} fields")
    if fields[0] != API_VERSION:
        raise VersionError(f"client API of version {fields[0]!r}, this is {API_VERSION}")
    return fields
