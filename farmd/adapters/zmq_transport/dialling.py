"""Which nodes we keep a link to, where they listen, and links that are made anew after they were down for long.

An address comes by gossip and may be anything: what cannot be one is logged and gives no connection. Names are looked up
beside the event loop, since libzmq would block all other connections for it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import zmq

from farmd.adapters.zmq_transport import sockets
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.adapters.zmq_transport.link import Link
    from protocol.ids import NodeId

_log = logging.getLogger(__name__)


async def endpoint_of(address: str) -> str:
    """Turn HOST:PORT into an endpoint of libzmq, without blocking; empty if nobody knows the name.

    Raises:
        UsageError: It is not of that form.
    """
    host, port = sockets.split_address(address)
    if not sockets.is_number(host):
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        except OSError as error:
            _log.warning("cannot look up %s: %s", host, error)
            return ""
        host = str(found[0][4][0])
    return f"tcp://{sockets.bracketed(host)}:{port}"


class Dialling:
    """Keeps links.

    Args:
        open_link: Makes a link to a node from its endpoint and public key.
        now: Monotonic seconds.
    """

    def __init__(self, open_link: Callable[[NodeId, str, bytes], Link], now: Callable[[], float]) -> None:
        self.links: dict[NodeId, Link] = {}
        self._open_link = open_link
        self._now = now
        self._wanted: dict[NodeId, tuple[str, bytes]] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    def is_wanted(self, node: NodeId, address: str, public_key: bytes) -> bool:
        """Whether exactly this link is kept already."""
        return self._wanted.get(node) == (address, public_key)

    def not_among(self, keys: frozenset[bytes]) -> list[NodeId]:
        """Return the nodes whose keys are not among these."""
        return [node for node, (_, key) in self._wanted.items() if key not in keys]

    def want(self, node: NodeId, address: str, public_key: bytes) -> None:
        """Keep a link to this node from now on; `drop` any other first."""
        self._wanted[node] = (address, public_key)
        self._dial(node)

    def drop(self, node: NodeId) -> Link | None:
        """Want it no more; returns the link there was, for the caller to close."""
        self._wanted.pop(node, None)
        return self.links.pop(node, None)

    def keep(self) -> None:
        """Look after all links every few seconds."""
        now = self._now()
        for node, link in list(self.links.items()):
            if not link.keep(now):
                del self.links[node]
                link.close()
        for node in self._wanted.keys() - self.links.keys():
            self._dial(node)

    def close(self, linger_ms: int) -> None:
        """Close all links."""
        for task in self._lookups:
            task.cancel()
        for link in self.links.values():
            link.close(linger_ms)
        self.links.clear()
        self._wanted.clear()

    def _dial(self, node: NodeId) -> None:
        address, public_key = self._wanted[node]
        try:
            host, port = sockets.split_address(address)
        except UsageError as error:
            _log.warning("cannot reach node %s: %s", node, error)
            return
        if sockets.is_number(host):
            self._connect(node, f"tcp://{sockets.bracketed(host)}:{port}")
            return
        task = asyncio.get_running_loop().create_task(self._dial_by_name(node, address, public_key))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    async def _dial_by_name(self, node: NodeId, address: str, public_key: bytes) -> None:
        endpoint = await endpoint_of(address)
        if endpoint and self.is_wanted(node, address, public_key) and node not in self.links:
            self._connect(node, endpoint)

    def _connect(self, node: NodeId, endpoint: str) -> None:
        try:
            link = self.links[node] = self._open_link(node, endpoint, self._wanted[node][1])
            link.start(self._now())
        except zmq.ZMQError as error:  # a port or key that cannot be, or out of sockets
            _log.warning("cannot reach node %s at %s: %s", node, endpoint, error)
