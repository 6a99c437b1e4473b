"""Contents of files sealed by AES-256-GCM (NIST SP 800-38D), for connections that do not encrypt by themselves.

CURVE's XSalsa20-Poly1305 costs a second of processor per gibibyte on each side; every processor of the last ten years has
AES in hardware, and then it costs a tenth of that. The key of a lane is made by the receiver at random, travels to the
one sender over CURVE, and is used by that sender alone, in one direction, with a counter as nonce: never twice the same,
since a sender that restarts is given a new key. What is not sealed under such a key, or has come before, is no message
(the window of numbers is that of IPsec, RFC 4303, 3.4.3).
"""

from __future__ import annotations

import os
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
NAME_BYTES, KEY_BYTES, WORD_BYTES = 8, 32, 16
SEEN_WINDOW = 256
"""Numbers below the highest that may still come: after a reconnection two connections are read in turn."""
_ALL_SEEN = (1 << SEEN_WINDOW) - 1


def new_lane(port: int) -> Lane:
    """Return a lane to this port, with a name, a key and a word that nobody else has."""
    name, key, word = (os.urandom(size) for size in (NAME_BYTES, KEY_BYTES, WORD_BYTES))
    return Lane(name, port, key, word)


class Sealer:
    """Seals what goes along one lane. Only one may ever be made of a lane: a second would repeat its nonces.

    Raises:
        PeerError: The lane, which a peer has made, cannot be one.
    """

    def __init__(self, lane: Lane, buffers: Buffers) -> None:
        if (len(lane.name), len(lane.key), len(lane.word)) != (NAME_BYTES, KEY_BYTES, WORD_BYTES):
            raise PeerError("lane whose name, key or word has a wrong length")
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
        self._highest = 0
        self._seen = 0
        """Bit n: the number n below the highest has come."""

    def open(self, first: bytes, second: bytes | memoryview) -> tuple[bytes, memoryview]:
        """Return head and body.

        Raises:
            PeerError: It was not sealed with this key, or has come before, or is much older than others.
        """
        from cryptography.exceptions import InvalidTag

        _, count = _PREFIX.unpack_from(first)
        below = self._highest - count
        if below >= SEEN_WINDOW or (below >= 0 and self._seen >> below & 1):
            raise PeerError("sealed message that has been here before")
        if len(second) < TAG_BYTES:
            raise PeerError("message that is not sealed")
        body = self._buffers.take(len(second) - TAG_BYTES)
        try:
            head = self._cipher.decrypt(_NONCE.pack(count, _HEAD), first[PREFIX_BYTES:], None)
            self._cipher.decrypt_into(_NONCE.pack(count, _BODY), second, None, body)
        except InvalidTag as error:
            raise PeerError("message that is not sealed with the key of its lane") from error
        if below < 0:
            self._seen = (self._seen << -below | 1) & _ALL_SEEN
            self._highest = count
        else:
            self._seen |= 1 << below
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
