"""Who may open a connection: the ZAP handler (ZeroMQ RFC 27) of this process, run inside the event loop.

libzmq asks here at each handshake and attaches our answer to every message of that connection as its `User-Id`:

- CURVE (domain "farm"): the public key, as hex. It is the key and not the node id, because the handshake happens once
  and trust changes later: whoever reads the messages looks the key up in what is trusted *then*, so an admission and
  a revocation both work on a connection that is already open.
- NULL (domain "local", Unix socket only): "uid:gid:pid", as the kernel told libzmq.
- PLAIN (domain "lanes"): the name of a lane, of which whoever was invited to it knows the word. What comes over it is
  sealed; the word only keeps out who has no business there.

A stranger's key is let in at most `STRANGERS_PER_S` times a second, since it may hold an invitation; the transport
gives it the join door and nothing else. A refusal is "300, try again" and never "400": after a 400 libzmq's client
gives the connection up for ever, and a node whose key record was a second late would stay cut off.

pyzmq brings three authenticators. The plain and the threaded one need a second thread, which would have to share the
set of keys; the asyncio one awaits a `zmq.asyncio` socket per request and can neither tell a stranger from a member
nor name the user of a NULL connection. Hence forty lines of our own. Must be started before any socket binds.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import zmq

from protocol.api import ZAP_FARM, ZAP_LANES, ZAP_LOCAL
from protocol.pacing import Allowance, Drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

STRANGERS_PER_S = 5
MAX_SOCKETS = 8192
_ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_REQUEST_FRAMES = 8  # routing id, empty, version, request id, domain, address, identity, mechanism
_LOCAL_PEER = re.compile(rb"localhost:(\d+:\d+:\d+)")
"""What libzmq makes of SO_PEERCRED; a TCP peer is never called localhost here but by its number."""


class Zap:
    """Answers libzmq; owns the process's ZeroMQ context, since there is one handler for each context."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        self.admitted = 0
        self.strangers = 0
        self.refused = 0
        self._keys: frozenset[bytes] = frozenset()
        self._words: Mapping[bytes, bytes] = {}
        self._allowance = Allowance(STRANGERS_PER_S, now)
        self._socket = self.context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._drain = Drain(self._socket.fileno(), self._take)

    def start(self) -> None:
        """Begin to answer, in the running event loop."""
        self._socket.bind(_ENDPOINT)
        self._drain.start()

    def trust(self, keys: Iterable[bytes]) -> None:
        """Let exactly these public keys (raw, 32 bytes) in without limit."""
        self._keys = frozenset(keys)

    def admit_to_lanes(self, words: Mapping[bytes, bytes]) -> None:
        """Let in whoever says one of these names with its word; the mapping is looked at anew each time."""
        self._words = words

    def close(self, linger_ms: int = 200) -> None:
        """Stop answering and end the context with whatever sockets it still has."""
        self._drain.stop()
        self._socket.close()
        self.context.destroy(linger=linger_ms)

    def _take(self) -> bool:
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        if len(frames) < _REQUEST_FRAMES or frames[2] != _VERSION:
            return True
        user = self._judge(frames[4], frames[5], frames[7], frames[8:])
        status, text = (b"200", b"OK") if user else (b"300", b"not now")
        self._socket.send_multipart([frames[0], b"", _VERSION, frames[3], status, text, user, b""], zmq.NOBLOCK)
        return True

    def _judge(self, domain: bytes, address: bytes, mechanism: bytes, credentials: list[bytes]) -> bytes:
        """Return the User-Id, empty to refuse."""
        if mechanism == b"CURVE" and domain == ZAP_FARM.encode() and len(credentials) == 1:
            return self._judge_key(credentials[0])
        if mechanism == b"PLAIN" and domain == ZAP_LANES.encode() and len(credentials) == 2:
            return self._judge_word(*credentials)
        local = _LOCAL_PEER.fullmatch(address)
        if mechanism == b"NULL" and domain == ZAP_LOCAL.encode() and local:
            self.admitted += 1
            return local[1]
        self.refused += 1
        return b""

    def _judge_word(self, name: bytes, word: bytes) -> bytes:
        from hmac import compare_digest  # loads OpenSSL, as the contents that such a sender brings do anyway

        if compare_digest(self._words.get(name, b""), word) and word:
            self.admitted += 1
            return name
        self.refused += 1
        return b""

    def _judge_key(self, key: bytes) -> bytes:
        if key in self._keys:
            self.admitted += 1
        elif self._allowance.spend():
            self.strangers += 1
        else:
            self.refused += 1
            return b""
        return key.hex().encode()
