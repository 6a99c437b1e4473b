"""Our connections to one peer: a DEALER for control, and for bulk a lane, or a second DEALER where there is none.

Connected and disconnected are seen without a monitor socket. With IMMEDIATE, libzmq gives the DEALER a pipe when the
handshake is complete and takes it away when the connection breaks, and both wake the descriptor: writable means
connected. The one other reason not to be writable is a full queue, which wakes nothing by itself; a link that takes
nothing for `STUCK_S` is called down all the same. These are hints: who is alive is decided by probes.

libzmq gives up a connection for ever after what it takes for a breach of protocol (say, another program on that port
for a while), so a link that stays down is made anew from time to time (`stale`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from farmd.adapters.zmq_transport.lanes import LaneLink
from farmd.adapters.zmq_transport.sockets import open_dealer
from protocol.pacing import Drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.adapters.zmq_transport.buffers import Buffers
    from farmd.adapters.zmq_transport.sockets import Context, Keys, Socket

STUCK_S = 3.0
REDIAL_S = 20.0
BULK_IDLE_S = 60.0
BULK_STUCK_S = 10.0


class Link:
    """Sends to one peer; never blocks, never raises, tells when the connection comes and goes."""

    def __init__(
        self,
        context: Context,
        keys: Keys,
        server_key: bytes,
        endpoint: str,
        *,
        on_change: Callable[[bool], None],
        buffers: Buffers,
    ) -> None:
        self.up = False
        self._context = context
        self._keys = keys
        self._server_key = server_key
        self._endpoint = endpoint
        self._on_change = on_change
        self._changed_at = 0.0
        self._stuck_at: float | None = None
        self.lane = LaneLink(context, endpoint, buffers)
        self._bulk: Socket | None = None
        self._bulk_sent_at = 0.0
        self._control = open_dealer(context, keys, server_key)
        self._drain = Drain(self._control.fileno(), self._wake)

    def start(self, now: float) -> None:
        """Dial, in the running event loop."""
        self._changed_at = now
        if "[" in self._endpoint:
            self._control.setsockopt(zmq.IPV6, 1)
        self._control.connect(self._endpoint)
        self._drain.start()

    def send(self, frame: bytes, now: float) -> bool:
        """Send a control message; False if there is no connection or it takes no more."""
        if not self.up:
            self._drain.poke()  # a send swallows the edge that tells of a connection just made
        try:
            self._control.send(frame, zmq.NOBLOCK)
        except zmq.ZMQError:
            self._drain.poke()  # or of one just lost
            if self._stuck_at is None:
                self._stuck_at = now
            return False
        self._stuck_at = None
        return True

    def send_bulk(self, frames: tuple[bytes, bytes], now: float) -> bool:
        """Send along the lane, or on the bulk connection, which is made if there is none; large frames are not copied."""
        if self.lane.send(frames, now):
            return True
        if self._bulk is None:
            self._bulk = open_dealer(self._context, self._keys, self._server_key, bulk=True)
            self._bulk.setsockopt(zmq.IPV6, int("[" in self._endpoint))
            self._bulk.connect(self._endpoint)
            self._bulk_sent_at = now
        try:
            self._bulk.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:
            if now - self._bulk_sent_at > BULK_STUCK_S:
                self._drop_bulk()
            return False
        self._bulk_sent_at = now
        return True

    def keep(self, now: float) -> bool:
        """Look after the link every few seconds; False if it has been down so long that it should be made anew."""
        self.lane.keep(now)
        if self._bulk is not None and now - self._bulk_sent_at > BULK_IDLE_S:
            self._drop_bulk()
        if self.up and self._stuck_at is not None and now - self._stuck_at > STUCK_S:
            self._change(up=False)
        if self.up:
            self._changed_at = now
        return now - self._changed_at < REDIAL_S

    def close(self, linger_ms: int = 0) -> None:
        """Close all connections; `linger_ms` lets last words out on one that is up."""
        self._drain.stop()
        self._drop_bulk()
        self.lane.close()
        self._control.close(linger=linger_ms if self.up else 0)

    def _drop_bulk(self) -> None:
        if self._bulk is not None:
            self._bulk.close(linger=0)
            self._bulk = None

    def _wake(self) -> bool:
        events = self._control.getsockopt(zmq.EVENTS)
        assert isinstance(events, int)
        up = bool(events & zmq.POLLOUT)
        if up != self.up:
            self._change(up=up)
        if not events & zmq.POLLIN:
            return False
        self._control.recv_multipart(zmq.NOBLOCK)  # nobody sends on this way
        return True

    def _change(self, *, up: bool) -> None:
        self.up = up
        if not up:
            self.lane.forget()
        self._stuck_at = None
        self._on_change(up)
