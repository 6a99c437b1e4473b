"""The second port: contents of files come in there, sealed (see `sealing`), at a tenth of what CURVE's cipher costs.

Nobody has to open it in a firewall: a sender uses the lane that it was invited to while it is connected, and the bulk
connection to the one port otherwise. Only who was invited is let in (`farmd.adapters.zap`).
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
    from collections.abc import Callable, Container, Mapping

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
"""A lane that is not connected after this time (a firewall) is not tried again before `LANE_REST_S` have passed."""
FRAMES = 2


class LanePort:
    """Where sealed messages come in.

    Args:
        context: ZeroMQ, with the ZAP handler that `words` were given to.
        buffers: Memory for what comes in.
        on_message: Takes each message with its sender; must not block.
        on_fault: Told of each that is dropped: the sender's id, or "a stranger", and why.
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
        self._words: dict[bytes, bytes] = {}
        self._is_skipping = False
        self._pull = sockets.open_pull(context)
        self._drain = Drain(self._pull.fileno(), self._take)

    @property
    def words(self) -> Mapping[bytes, bytes]:
        """What lets a connection in, by user name: the lane's name in hex."""
        return self._words

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
            self._forget(name)
        self._openers[lane.name] = (node, Opener(lane, self._buffers))
        self._words[user_of(lane)] = password_of(lane)
        return lane

    def keep(self, nodes: Container[NodeId]) -> None:
        """Close the lanes of all other nodes."""
        for name in [name for name, (node, _) in self._openers.items() if node not in nodes]:
            self._forget(name)

    def _forget(self, name: bytes) -> None:
        del self._openers[name]
        del self._words[name.hex().encode()]

    def _take(self) -> bool:
        try:
            frame = self._pull.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        if self._is_skipping:
            self._is_skipping = frame.more
            return True
        frames = [frame]
        while frames[-1].more and len(frames) <= FRAMES:
            frames.append(self._pull.recv(zmq.NOBLOCK, copy=False))
        self._is_skipping = frames[-1].more
        node = None
        try:
            node, opener = self._way(frames)
            self._on_message(node, decode_bulk(*opener.open(frames[0].bytes, frames[1].buffer)))
        except PeerError as error:
            self._on_fault(node or "a stranger", error)
            if node is None:
                sockets.hang_up(frame)
        return True

    def _way(self, frames: list[zmq.Frame]) -> tuple[NodeId, Opener]:
        """Return who uses the lane of a message, and what opens it.

        Raises:
            PeerError: There is no such lane (any more), or that is no message.
        """
        found = self._openers.get(name_of(frames[0].bytes))
        if found is None or len(frames) != FRAMES:
            raise PeerError("message along a lane that does not exist")
        return found


class LaneLink:
    """The way to one peer's second port; dials when there is something to send. Never raises for what the net does."""

    def __init__(self, context: Context, endpoint: str, buffers: Buffers) -> None:
        self._context = context
        self._buffers = buffers
        self._endpoint = endpoint
        self._push: sockets.Socket | None = None
        self._dialled_at = 0.0
        self._sent_at = 0.0
        self._rests_until = 0.0
        self._lane: Lane | None = None
        self._sealer: Sealer | None = None

    def open(self, lane: Lane, now: float) -> None:
        """Use this lane from now on.

        Raises:
            PeerError: It cannot be one, or was opened before: a second sealer would repeat its nonces.
        """
        if not 0 < lane.port < 1 << 16:
            raise PeerError(f"lane to port {lane.port}")
        if self._lane is not None and lane.name == self._lane.name:
            raise PeerError("lane that was opened before")
        self.forget()
        self._sealer, self._lane, self._rests_until = Sealer(lane, self._buffers), lane, 0.0
        self._dial(now)

    def forget(self) -> None:
        """Use no lane until there is a new one: whoever made it may have restarted, and could open nothing."""
        self._sealer = None
        self.close()

    def send(self, frames: tuple[bytes, bytes], now: float) -> bool:
        """Seal and send; False if there is no lane, or no connection yet, or it takes no more."""
        if self._sealer is None:
            return False
        if self._push is None and now >= self._rests_until:
            self._dial(now)
        if self._push is None or not self._is_connected(self._push):
            return False
        try:
            self._push.send_multipart(self._sealer.seal(*frames), zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:  # it broke in this moment
            return False
        self._sent_at = now
        return True

    def keep(self, now: float) -> None:
        """Look after it every few seconds: hang up when it is idle, rest when nobody answers."""
        if self._push is None:
            return
        if now - self._dialled_at > LANE_TRY_S and not self._is_connected(self._push):
            self._rests_until = now + LANE_REST_S
            self.close()
        elif now - max(self._sent_at, self._dialled_at) > LANE_IDLE_S:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._push is not None:
            self._push.close(linger=0)
            self._push = None

    @staticmethod
    def _is_connected(push: sockets.Socket) -> bool:
        events = push.getsockopt(zmq.EVENTS)
        assert isinstance(events, int)
        return bool(events & zmq.POLLOUT)

    def _dial(self, now: float) -> None:
        assert self._lane is not None
        try:
            self._push = sockets.open_push(self._context, user_of(self._lane), password_of(self._lane))
            self._push.setsockopt(zmq.IPV6, int("[" in self._endpoint))
            self._push.connect(f"{self._endpoint.rpartition(':')[0]}:{self._lane.port}")
        except zmq.ZMQError:  # no descriptor left
            self.close()
            self._rests_until = now + LANE_TRY_S
        self._dialled_at = now


def user_of(lane: Lane) -> bytes:
    """Return the name under which a connection along this lane is let in."""
    return lane.name.hex().encode()


def password_of(lane: Lane) -> bytes:
    """Return the word that goes with it."""
    return lane.word.hex().encode()
