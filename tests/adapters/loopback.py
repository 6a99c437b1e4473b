"""Real nodes on loopback, for tests of what speaks ZeroMQ: each with its own context, keys and list of events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import zmq
from zmq.utils import z85

from farmd.adapters.zap import Zap
from farmd.adapters.zmq_transport import Keys, ZmqTransport, sockets
from farmd.core.events import Connected, MessageReceived
from protocol.ids import NodeId, node_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from farmd.core.events import Event

FARM = "00112233aabbccdd"
E = TypeVar("E")


def new_keys() -> Keys:
    public, secret = (z85.decode(key) for key in zmq.curve_keypair())
    return Keys(public, secret)


_open: list[Callable[[], None]] = []
"""What the running test has opened and must close, the last first."""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's story, and close everything that it opened, however it ends."""

    async def story() -> None:
        try:
            await work
        finally:
            while _open:
                _open.pop()()

    asyncio.run(story())


def closing(close: Callable[[], None]) -> None:
    _open.append(close)


async def until(fact: Callable[[], Any], limit_s: float = 8.0) -> None:
    """Wait for a fact, looking every few milliseconds."""
    end = time.monotonic() + limit_s
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


@dataclass
class Node:
    """One node: ZAP handler, transport, and what it heard."""

    keys: Keys
    zap: Zap
    transport: ZmqTransport
    events: list[Event] = field(default_factory=list)

    @property
    def id(self) -> NodeId:
        return node_id_of(self.keys.public)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def heard(self, kind: type[E]) -> list[E]:
        return [e.message for e in self.of(MessageReceived) if isinstance(e.message, kind)]

    def stop(self) -> None:
        self.transport.close()
        self.zap.close(0)


def start_node(*, keys: Keys | None = None, listen: str = "127.0.0.1:0", **options: Any) -> Node:
    keys = keys or new_keys()
    zap = Zap()
    closing(zap.close)
    zap.start()
    events: list[Event] = []
    options = {"farm": FARM, "epoch": 1, "on_trust": zap.trust, "on_lanes": zap.admit_to_lanes, **options}
    transport = ZmqTransport(zap.context, keys, listen, events.append, **options)
    closing(transport.close)
    transport.start()
    return Node(keys, zap, transport, events)


def raw_dealer(node: Node, keys: Keys) -> zmq.Socket[bytes]:
    """A peer that may send whatever it likes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    closing(context.term)
    dealer = sockets.open_dealer(context, keys, node.keys.public, bulk=True)
    closing(dealer.close)
    dealer.setsockopt(zmq.SNDHWM, 100_000)
    dealer.connect(f"tcp://{node.transport.address}")
    return dealer


def link(one: Node, other: Node) -> None:
    one.transport.link(other.id, other.transport.address, other.keys.public)


async def pair(**options: Any) -> tuple[Node, Node]:
    """Two nodes that trust one another and are connected both ways."""
    one, other = start_node(**options), start_node(**options)
    for node in (one, other):
        node.transport.trust([one.keys.public, other.keys.public])
    link(one, other)
    link(other, one)
    await until(lambda: one.of(Connected) and other.of(Connected))
    return one, other
