"""What nobody should send, made from a seed: random bytes, and messages with a few bytes changed."""

from __future__ import annotations

import socket
from contextlib import suppress
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import msgpack
import zmq

from protocol.codec import NEWEST_VERSION
from protocol.messages import TAGS
from protocol.places import KEY_NAME, find_socket, read_key_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from random import Random

GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01CURVE" + bytes(15) + b"\0" + bytes(31)
"""ZMTP 3.1 with the mechanism CURVE: what libzmq itself says first."""
OPS = (
    *("farm.status", "node.list", "node.show", "node.hold", "node.release", "node.key", "events", "doctor", "why"),
    *("job.submit", "job.list", "job.show", "job.watch", "job.control", "task.list", "logs", "result.list"),
    *("result.fetch", "blob.missing", "blob.put", "blob.get", "cancel", "nonsense"),
    *("path.list", "path.add", "path.remove", "path.test"),
    *("log.tail", "log.read", "log.find", "log.follow", "log.list", "event.list"),
)
ARGS = (
    "job",
    "node",
    "action",
    "frame",
    "frames",
    "task",
    "blob",
    "offset",
    "limit",
    "data",
    "spec",
    "why",
    "after",
    "id",
    "written",
    "becomes",
    "platform",
    "path",
    "pattern",
    "lines",
    "from",
    "since_ms",
    "wait_s",
    "what",
)
NUMBERS = (0, 1, -1, 7, 255, 2**31, 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)


def random_bytes(rng: Random) -> bytes:
    """Make up to a few hundred bytes of anything."""
    return rng.randbytes(rng.choice((0, 1, 2, 3, 8, 40, 200, 600)))


def mutated(rng: Random, data: bytes) -> bytes:
    """Change some bytes, cut some off, or say some twice."""
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + rng.randrange(1, 4)]
            case _:
                changed[at:at] = changed[at : at + rng.randrange(1, 20)]
        if not changed:
            break
    return bytes(changed)


def message(rng: Random) -> bytes:
    """Pack a message of a random kind whose fields have the right types and nonsense in them."""
    tag = rng.choice(list(TAGS))
    packed: bytes = msgpack.packb((NEWEST_VERSION, tag, *_fields(rng, TAGS[tag])), default=str)
    return packed


def request(rng: Random) -> bytes:
    """Pack a client's request with nonsense in it."""
    args = {rng.choice(ARGS): _anything(rng, 2) for _ in range(rng.randrange(4))}
    packed: bytes = msgpack.packb((1, rng.choice((0, 1, 2, 2**31, -1)), rng.choice(OPS), args))
    return packed


def _fields(rng: Random, cls: Any) -> list[Any]:
    hints = get_type_hints(cls)
    return [_value(rng, hints[name]) for name in cls._fields]


def _value(rng: Random, hint: Any) -> Any:
    hint = getattr(hint, "__supertype__", hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if rng.random() < 0.3 else _value(rng, args[0])
    if origin is tuple and args[-1] is Ellipsis:
        return [_value(rng, args[0]) for _ in range(rng.randrange(3))]
    if origin is tuple:
        return [_value(rng, arg) for arg in args]
    if origin is dict:
        return {str(rng.randrange(9)): _value(rng, args[1])}
    if isinstance(hint, type) and issubclass(hint, tuple):
        return _fields(rng, hint)
    simple: dict[Any, Callable[[], Any]] = {
        int: lambda: rng.choice(NUMBERS),
        float: rng.random,
        bool: lambda: rng.random() < 0.5,
        str: lambda: rng.randbytes(8).hex(),
        bytes: lambda: rng.randbytes(rng.choice((0, 10, 16, 32))),
    }
    return simple.get(hint, lambda: 0)()


def _anything(rng: Random, depth: int) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: rng.choice(NUMBERS),
        lambda: rng.randbytes(rng.randrange(40)),
        lambda: rng.choice(("", "1-10", "pause", "a", "\0", "é" * 50, "-" * 3000)),
        lambda: rng.choice((None, True, 0.5, float("nan"), float("inf"))),
        lambda: [_anything(rng, depth - 1) for _ in range(rng.randrange(4))] if depth else [],
        lambda: {str(rng.randrange(9)): _anything(rng, depth - 1)} if depth else {},
    ]
    return rng.choice(kinds)()


# -- throwing it -----------------------------------------------------------------------------------------------------


def at_port(rng: Random, address: str, count: int) -> Iterator[bytes]:
    """Open a connection for each piece of raw bytes: no greeting, a damaged one, or one with garbage behind it."""
    host, _, port = address.rpartition(":")
    for _ in range(count):
        thrown = rng.choice((random_bytes(rng), mutated(rng, GREETING), GREETING + random_bytes(rng)))
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(thrown)
        yield thrown


def at_unix_socket(rng: Random, data_dir: Path, count: int) -> Iterator[bytes]:
    """The same at the socket of local clients."""
    for _ in range(count):
        thrown = rng.choice((random_bytes(rng), mutated(rng, GREETING), GREETING + random_bytes(rng)))
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(find_socket(data_dir)))
            connection.sendall(thrown)
        yield thrown


def as_client(rng: Random, data_dir: Path, count: int) -> Iterator[bytes]:
    """Send requests that are none, or ask for nonsense, as a local client."""
    with _dealer() as dealer:
        dealer.connect(f"ipc://{find_socket(data_dir)}")
        for _ in range(count):
            good = request(rng)
            thrown = rng.choice((random_bytes(rng), mutated(rng, good), good))
            _send(dealer, thrown)
            yield thrown


def as_peer(rng: Random, own_data_dir: Path, server_key: bytes, address: str, count: int) -> Iterator[bytes]:
    """Send messages that are none as a node whose keys lie in a data dir (admitted or not)."""
    with _dealer() as dealer:
        public, secret = read_key_file(own_data_dir / KEY_NAME)
        dealer.setsockopt(zmq.CURVE_SERVERKEY, server_key)
        dealer.setsockopt(zmq.CURVE_PUBLICKEY, public)
        dealer.setsockopt(zmq.CURVE_SECRETKEY, secret)
        dealer.connect(f"tcp://{address}")
        for _ in range(count):
            thrown = rng.choice((random_bytes(rng), mutated(rng, message(rng))))
            _send(dealer, thrown)
            yield thrown


class _dealer:  # noqa: N801  # a context manager that reads as a function
    def __enter__(self) -> zmq.Socket[bytes]:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 2000)
        self._socket.setsockopt(zmq.SNDTIMEO, 10_000)
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()


def _send(dealer: zmq.Socket[bytes], data: bytes) -> None:
    dealer.send(data)
    with suppress(zmq.Again):
        while True:
            dealer.recv_multipart(zmq.NOBLOCK)
