"""Patience has an end: clients that connect and say nothing, or ask and do not take the answer.

uvicorn waits for the head of a request, and for its answer to be taken, as long as it lasts. `PatientProtocol` sits
between its sockets and it, ends a connection whose head is late or whose answer nobody takes, and lets each address have
only so many. Bodies have their own limits (`farmd.web.bodies`).

An answer is being taken while less and less of it waits, here or in the kernel: asyncio says only when nearly all of it
has gone, which of a large one may be long after on a slow line.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from farmd.web.settings import HEAD_S, IDLE_S, LEAST_BYTES_S, MAX_CONNECTIONS_EACH

if TYPE_CHECKING:
    import asyncio

    import h11

_FLUSH_S = 5.0
"""So long a connection that was ended may take to pass on what is left of its last answer."""


class PatientProtocol(H11Protocol):
    """One connection."""

    of_address: ClassVar[Counter[str]] = Counter()
    """How many connections each address has."""
    head_s: ClassVar[float] = HEAD_S
    take_s: ClassVar[float] = IDLE_S
    most_each: ClassVar[int] = MAX_CONNECTIONS_EACH
    _head_timer: asyncio.TimerHandle | None = None
    _take_timer: asyncio.TimerHandle | None = None
    _untaken_bytes = 0
    _address = ""
    _counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has connected."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.of_address[self._address] += 1
        self._counted = True
        if self.of_address[self._address] > self.most_each:
            transport.abort()
        else:
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something of a request has come."""
        super().data_received(data)
        if self._counted and self._is_between:
            self._watch_head()
        else:
            self._unwatch_head()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """It becomes a WebSocket, which has limits of its own."""
        self._let_go()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Much of an answer waits for the client to take it."""
        super().pause_writing()
        self._unwatch_taking()
        self._watch_taking()

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._unwatch_taking()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_FLUSH_S, self.transport.abort)

    @property
    def _is_between(self) -> bool:
        """Whether no request is being answered, so that what comes is the head of the next one."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn says that it always is one
        return cycle is None or cycle.response_complete

    def _let_go(self) -> None:
        """End all watching, and count the connection no longer."""
        self._unwatch_head()
        self._unwatch_taking()
        if self._counted:
            self._counted = False
            self.of_address[self._address] -= 1
            if not self.of_address[self._address]:
                del self.of_address[self._address]

    def _watch_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_taking(self) -> None:
        self._untaken_bytes = _untaken_bytes(self.transport)
        self._take_timer = self.loop.call_later(self.take_s, self._look_at_taking)

    def _look_at_taking(self) -> None:
        """Go on as long as the client does."""
        before = self._untaken_bytes
        self._watch_taking()
        if before - self._untaken_bytes < self.take_s * LEAST_BYTES_S:
            self.transport.abort()

    def _unwatch_taking(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._is_between and self.timeout_keep_alive_task is None:
            self.transport.abort()


def _untaken_bytes(transport: asyncio.Transport) -> int:
    """Return how much of what was written the other side has not acknowledged: SIOCOUTQ of tcp(7) tells of the kernel's part."""
    queued = bytes(4)
    with suppress(OSError):
        queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + int(struct.unpack("=i", queued)[0])
