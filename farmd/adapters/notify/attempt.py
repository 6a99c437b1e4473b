"""One try in a thread of its own, which can be ended from outside: its connections are known here and shut.

Called by the package for each request; `request` makes its connections by `connect`. What was ended connects no more, so
that nothing is sent whose failure was told.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TOLD: Final = 300
"""Letters of what was wrong."""
GRACE_S: Final = 1.0
"""What hangs is given up by whoever waits for the try; the sockets' own limits come only after that."""


class Attempt:
    """One try.

    Args:
        limit_s: How long it may take.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._until = time.monotonic() + limit_s
        self._is_over = False
        self._connections: list[socket.socket] = []
        self._lock = Lock()

    def start(self, work: Callable[[Attempt], str], *, freed: Callable[[], None]) -> asyncio.Future[str]:
        """Begin.

        Args:
            work: Runs in the thread and says what was wrong, or nothing.
            freed: Called in the event loop when the thread is over, however late that is.

        Returns:
            What `work` says.

        Raises:
            RuntimeError: The system gives no thread; `freed` is not called.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str] = loop.create_future()

        def over(error: str) -> None:
            freed()
            if not answered.done():
                answered.set_result(error)

        def run() -> None:
            error = "the try broke off"
            try:
                error = work(self)
            finally:
                with suppress(RuntimeError):  # the loop has ended: nobody waits
                    loop.call_soon_threadsafe(over, error)

        # A daemon thread: the end of this program does not wait for a name server.
        Thread(target=run, name="notify", daemon=True).start()
        return answered

    def end(self) -> None:
        """Shut what is open, and let nothing be opened any more."""
        with self._lock:
            self._is_over = True
            for connection in self._connections:
                with connection, suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()

    def connect(self, address: tuple[str, int], *_: Any) -> socket.socket:
        """Connect to the first place that answers under a name; the places share what is left of the limit.

        Raises:
            OSError: There is no such name, nobody answers, or the try is over.
        """
        fault: OSError = TimeoutError("timed out")
        places = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        for number, (family, kind, proto, _name, place) in enumerate(places):
            left_s = self._until - time.monotonic()
            if left_s <= 0 or self._is_over:
                break
            connection = socket.socket(family, kind, proto)
            try:
                connection.settimeout(left_s / (len(places) - number) + GRACE_S * (number == len(places) - 1))
                connection.connect(place)
                connection.settimeout(self.limit_s + GRACE_S)
                self._remember(connection)
            except OSError as error:
                connection.close()
                fault = error
            else:
                return connection
        raise fault

    def _remember(self, connection: socket.socket) -> None:
        """Keep a second handle of a connection: the first one is handed to whatever encrypts it."""
        with self._lock:
            if self._is_over:
                raise TimeoutError("timed out")
            self._connections.append(connection.dup())


def told(error: BaseException) -> str:
    """Say what was wrong in a line."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return (str(reason) or type(error).__name__)[:MAX_TOLD]
