"""The second port: contents of files come in there, sealed (see `sealing`), in half the processor time that CURVE takes.

Nobody has to open it in a firewall: a sender uses the lane that it was invited to while it is connected, and the bulk
connection to the one port otherwise. libzmq lets anybody connect; whoever sends what is not sealed is hung up on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import zmq

from farmd.adapters.zmq_transport import sockets
from farmd.adapters.zmq_transport.sealing import Opener, Sealer, name_of, new_lane
from protocol.codec import decode_bulk
from protocol.errors import PeerError, UserError
from protocol.pacing import Drain

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from farmd.adapters.zmq_transport.buffers import Buffers
    from farmd.adapters.zmq_transport.sockets import Context
    from protocol.ids import NodeId
    from protocol.messages import Lane, Message

PORT_STEP = 100
"""The second port is the farm's port plus this, if it is free: the next ones are often those of further daemons."""
LANES_OF_A_NODE = 2
"""What is under way along the one before the newest is still good."""
LANE_IDLE_S = 60.0
LANE_REST_S = 60.0
LANE_TRY_S = 5.0
"""A lane that does not connect (a firewall) is tried for so long, and again after `LANE_REST_S`."""


class LanePort:
    """Where sealed messages come in.

    Args:
        context: ZeroMQ.
        buffers: Memory for what comes in.
        on_message: Takes each message with its sender; must not block.
        on_fault: Told of each that is dropped: the sender's id or address, and why.
    """

    def __init__(
        self,
        context: Context,
        buffers: Buffers,
        on_message: Callable[[NodeId, Message], None],
        on_fault: Callable[[str, PeerError], None],
    ) -> None:
        self.number = 0
        self._buffers = buffers
        self._on_message, self._on_fault = on_message, on_fault
        self._openers: dict[bytes, tuple[NodeId, Opener]] = {}
        self._pull = sockets.open_pull(context)
        self._drain = Drain(self._pull.fileno(), self._take)

    def start(self, address: str) -> None:
        """Open the port beside HOST:PORT and receive, in the running event loop; without a free port there is none."""
        host, port = sockets.split_address(address)
        beside = port + PORT_STEP if 0 < port <= 65_535 - PORT_STEP else 0
        for wanted in (beside, 0):
            with suppress(UserError):
                bound = sockets.bind(self._pull, f"{sockets.bracketed(host)}:{wanted}")
                self.number = sockets.split_address(bound)[1]
                self._drain.start()
                return

    def close(self) -> None:
        """Close the port."""
        self._drain.stop()
        self._pull.close()

    def invite(self, node: NodeId) -> Lane | None:
        """Make a new lane for this node; None if there is no port."""
        if not self.number:
            return None
        lane = new_lane(self.number)
        old = [name for name, (owner, _) in self._openers.items() if owner == node]
        for name in old[: len(old) + 1 - LANES_OF_A_NODE]:
            del self._openers[name]
        self._openers[lane.name] = (node, Opener(lane, self._buffers))
        return lane

    def keep(self, nodes: Container[NodeId]) -> None:
        """Close the lanes of all other nodes."""
        self._openers = {name: one for name, one in self._openers.items() if one[0] in nodes}

    def _take(self) -> bool:
        try:
            frames = [self._pull.recv(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return False
        while frames[-1].more:
            frames = [frames[0], self._pull.recv(zmq.NOBLOCK, copy=False)]
        node: NodeId | None = None
        try:
            first = frames[0].bytes
            node, opener = self._way(first)
            self._on_message(node, decode_bulk(*opener.open(first, frames[-1].buffer)))
        except PeerError as error:
            self._on_fault(node or "a stranger", error)
            sockets.hang_up(frames[0])
        return True

    def _way(self, first: bytes) -> tuple[NodeId, Opener]:
        """Return who uses the lane of a message, and what opens it.

        Raises:
            PeerError: There is no such lane.
        """
        found = self._openers.get(name_of(first))
        if found is None:
            raise PeerError("message along a lane that does not exist")
        return found


class LaneLink:
    """The way to one peer's second port; dials when there is something to send."""

    def __init__(self, context: Context, endpoint: str, buffers: Buffers) -> None:
        self._context = context
        self._buffers = buffers
        self._endpoint = endpoint
        self._push: sockets.Socket | None = None
        self._dialled_at = 0.0
        self._sent_at = 0.0
        self._rests_until = 0.0
        self._sealer: Sealer | None = None
        self._port = 0

    def open(self, lane: Lane, now: float) -> None:
        """Use this lane from now on.

        Raises:
            PeerError: It cannot be one.
        """
        sealer = Sealer(lane, self._buffers)
        if not 0 < lane.port < 1 << 16:
            raise PeerError(f"lane to port {lane.port}")
        if lane.port != self._port:
            self.close()
        self._sealer, self._port, self._rests_until = sealer, lane.port, 0.0
        self._dial(now)

    def send(self, frames: tuple[bytes, bytes], now: float) -> bool:
        """Seal and send; False if there is no lane, or no connection yet, or it takes no more."""
        if self._sealer is None:
            return False
        if self._push is None and now >= self._rests_until:
            self._dial(now)
        if self._push is None:
            return False
        events = self._push.getsockopt(zmq.EVENTS)
        assert isinstance(events, int)
        if not events & zmq.POLLOUT:
            return False
        self._push.send_multipart(self._sealer.seal(*frames), zmq.NOBLOCK, copy=False)
        self._sent_at = now
        return True

    def keep(self, now: float) -> None:
        """Look after it every few seconds: hang up when it is idle, rest when nobody answers."""
        if self._push is None:
            return
        if self._sent_at < self._dialled_at and now - self._dialled_at > LANE_TRY_S:
            self._rests_until = now + LANE_REST_S
            self.close()
        elif now - max(self._sent_at, self._dialled_at) > LANE_IDLE_S:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._push is not None:
            self._push.close(linger=0)
            self._push = None

    def _dial(self, now: float) -> None:
        if self._push is not None:
            return
        self._push = sockets.open_push(self._context)
        self._push.setsockopt(zmq.IPV6, int("[" in self._endpoint))
        self._push.connect(f"{self._endpoint.rpartition(':')[0]}:{self._port}")
        self._dialled_at = now
