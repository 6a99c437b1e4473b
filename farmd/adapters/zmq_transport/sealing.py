"""Contents of files sealed by AES-256-GCM (NIST SP 800-38D), for connections that do not encrypt by themselves.

CURVE's XSalsa20-Poly1305 costs a second of processor per gibibyte on each side; every processor of the last ten years has
AES in hardware, and then it costs a tenth of that. The key of a lane is made by the receiver at random, travels to the
one sender over CURVE, and is used by that sender alone, in one direction, with a counter as nonce: never twice the same,
since a sender that restarts is given a new key. What is not sealed under such a key, or not newer than what came before
it, is no message.
"""

from __future__ import annotations

import secrets
import struct
from functools import cache
from typing import TYPE_CHECKING

from protocol.errors import PeerError
from protocol.messages import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from farmd.adapters.zmq_transport.buffers import Buffers

_PREFIX = struct.Struct(">8sQ")
_NONCE = struct.Struct(">QI")
_HEAD, _BODY = 0, 1
TAG_BYTES = 16
PREFIX_BYTES = _PREFIX.size
NAME_BYTES, KEY_BYTES = 8, 32


def new_lane(port: int) -> Lane:
    """Return a lane to this port, with a name and a key that nobody else has."""
    return Lane(secrets.token_bytes(NAME_BYTES), port, secrets.token_bytes(KEY_BYTES))


class Sealer:
    """Seals what goes along one lane. Only one may ever be made of a lane: a second would repeat its nonces.

    Raises:
        PeerError: The lane, which a peer has made, cannot be one.
    """

    def __init__(self, lane: Lane, buffers: Buffers) -> None:
        if len(lane.name) != NAME_BYTES or len(lane.key) != KEY_BYTES:
            raise PeerError("lane whose name or key has a wrong length")
        self._name = lane.name
        self._cipher = _cipher(lane.key)
        self._buffers = buffers
        self._count = 0

    def seal(self, head: bytes, body: bytes | memoryview) -> tuple[bytes, memoryview]:
        """Return the two frames of a message: name, number and sealed head; sealed body."""
        self._count += 1
        sealed = self._cipher.encrypt(_NONCE.pack(self._count, _HEAD), head, None)
        room = self._buffers.take(len(body) + TAG_BYTES)
        self._cipher.encrypt_into(_NONCE.pack(self._count, _BODY), body, None, room)
        return _PREFIX.pack(self._name, self._count) + sealed, room


class Opener:
    """Opens what came along one lane."""

    def __init__(self, lane: Lane, buffers: Buffers) -> None:
        self._cipher = _cipher(lane.key)
        self._buffers = buffers
        self._last = 0

    def open(self, first: bytes, second: bytes | memoryview) -> tuple[bytes, memoryview]:
        """Return head and body.

        Raises:
            PeerError: It was not sealed with this key, or is not newer than the one before.
        """
        from cryptography.exceptions import InvalidTag

        _, count = _PREFIX.unpack_from(first)
        if count <= self._last:
            raise PeerError("sealed message that has been here before")
        if len(second) < TAG_BYTES:
            raise PeerError("message that is not sealed")
        body = self._buffers.take(len(second) - TAG_BYTES)
        try:
            head = self._cipher.decrypt(_NONCE.pack(count, _HEAD), first[PREFIX_BYTES:], None)
            self._cipher.decrypt_into(_NONCE.pack(count, _BODY), second, None, body)
        except InvalidTag as error:
            raise PeerError("message that is not sealed with the key of its lane") from error
        self._last = count
        return head, body


def name_of(first: bytes) -> bytes:
    """Return the name of the lane that a message came along.

    Raises:
        PeerError: It is too short to be sealed.
    """
    if len(first) < PREFIX_BYTES + TAG_BYTES:
        raise PeerError("message that is not sealed")
    return first[:NAME_BYTES]


def _cipher(key: bytes) -> AESGCM:
    return _aes()(key)


@cache
def _aes() -> Callable[[bytes], AESGCM]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 10 MiB that a node without transfers never needs

    return AESGCM
