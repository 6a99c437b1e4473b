"""ZMTP 3.0 in plain Python, as far as a client of a Unix socket needs it: a DEALER with the mechanism NULL.

Source: https://rfc.zeromq.org/spec/23. Each side sends a greeting of 64 bytes, then the command READY with its type of
socket, then messages of one or more frames: flags, size (1 byte, or 8 if LONG is set), body. Nothing but greeting and
READY may be sent before the other side is ready.

A command line that asks one question spends longer on loading libzmq, and on starting and ending its thread, than on the
question. Whoever is remote (CURVE) or asks many things at once (asyncio) takes libzmq. Used by `protocol.client` alone;
must never be given a network socket: nothing here is encrypted.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from contextlib import suppress

from protocol.errors import PeerError

_MORE, _LONG, _COMMAND = 1, 2, 4
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_GREETING = _SIGNATURE + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
"""Signature, version, mechanism; the rest (as-server, filler) is zero."""
_MECHANISM = slice(12, 32)
_READ_BYTES = 256 << 10


def framed(body: bytes, flags: int = 0) -> bytes:
    """Put a head before a body."""
    if len(body) > 255:
        return bytes((flags | _LONG,)) + len(body).to_bytes(8, "big") + body
    return bytes((flags, len(body))) + body


_READY = framed(b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER", _COMMAND)


class Reader:
    """Cuts what the other side sends into messages; knows no socket.

    Attributes:
        ready: The other side has greeted and said READY.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.ready = False
        self._limit_bytes = limit_bytes
        self._held = bytearray()
        self._greeted = False

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that are complete with them; of each the last frame, which says it all.

        Raises:
            PeerError: This is not ZMTP 3 without encryption, a message is too long, or the other side refuses us.
        """
        self._held += data
        if not self._greeted and not self._take_greeting():
            return []
        messages = []
        while (frame := self._take_frame()) is not None:
            flags, body = frame
            if flags & _COMMAND:
                self._obey(body)
            elif not self.ready:
                raise PeerError("a message before READY")
            elif not flags & _MORE:
                messages.append(body)
        return messages

    def _take_greeting(self) -> bool:
        if self._held[:1] not in (b"", _SIGNATURE[:1]):
            raise PeerError("this is not ZMTP")
        if len(self._held) < len(_GREETING):
            return False
        major, mechanism = self._held[len(_SIGNATURE)], bytes(self._held[_MECHANISM])
        if major < 3 or mechanism != _GREETING[_MECHANISM]:
            raise PeerError(f"ZMTP {major} with {mechanism!r}, not ZMTP 3 with NULL")
        del self._held[: len(_GREETING)]
        self._greeted = True
        return True

    def _take_frame(self) -> tuple[int, bytes] | None:
        held = self._held
        head = 9 if held and held[0] & _LONG else 2
        if len(held) < head:
            return None
        flags, end = held[0], head + int.from_bytes(held[1:head], "big")
        if end > head + self._limit_bytes:
            raise PeerError(f"{end - head} bytes are over the limit of {self._limit_bytes}")
        if len(held) < end:
            return None
        with memoryview(held) as view:
            body = bytes(view[head:end])
        del held[:end]
        return flags, body

    def _obey(self, command: bytes) -> None:
        if command.startswith(b"\x05READY"):
            self.ready = True
        elif command.startswith(b"\x05ERROR"):
            raise PeerError(f"refused: {command[7:].decode(errors='replace')}")


class Dealer:
    """A connection to the ROUTER at one path; one that was lost is made again for the next message."""

    def __init__(self, path: str, limit_bytes: int, patience_s: float) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._patience_s = patience_s
        self._socket: socket.socket | None = None
        self._reader = Reader(limit_bytes)
        self._messages: deque[bytes] = deque()

    @property
    def connected(self) -> bool:
        """Tell whether there is a connection, as far as is known."""
        return self._socket is not None

    def send(self, message: bytes) -> None:
        """Send a message, once the other side is ready for it.

        Raises:
            TimeoutError: It takes nothing in.
            OSError: It has hung up, or is not there.
            PeerError: It sends what cannot be read.
        """
        try:
            connection = self._socket or self._connect()
            connection.settimeout(self._patience_s)
            connection.sendall(framed(message))
        except BaseException:
            self.close()  # half a message may have left
            raise

    def wait(self, wait_s: float) -> bool:
        """Wait for a message, so many seconds at most.

        Raises:
            OSError: The other side has hung up.
            PeerError: It sends what cannot be read.
        """
        until = time.monotonic() + wait_s
        while not self._messages:
            try:
                self._receive(max(0.0, until - time.monotonic()))
            except (TimeoutError, BlockingIOError):
                return False
            except (OSError, PeerError):
                self.close()
                raise
        return True

    def take(self) -> bytes:
        """Take the message that `wait` found."""
        return self._messages.popleft()

    def close(self) -> None:
        """Hang up; what was sent still arrives."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        self._reader = Reader(self._limit_bytes)
        self._messages.clear()
        self._socket = connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self._path)  # with a time limit it would fail, not wait, where many others wait too
        connection.settimeout(self._patience_s)
        connection.sendall(_GREETING + _READY)
        until = time.monotonic() + self._patience_s
        while not self._reader.ready:
            self._receive(max(0.001, until - time.monotonic()))
        return connection

    def _receive(self, wait_s: float) -> None:
        if self._socket is None:
            raise ConnectionResetError("not connected")
        self._socket.settimeout(wait_s)
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("it has hung up")
        self._messages += self._reader.receive(data)
