"""Where the tasks of this process are shown: on a board that it serves itself, or on one that it has joined.

The first program on a port serves the board; those that follow join it. When the one that serves ends, the others try
to take its place: one of them gets the port, the rest join it, and each tells its whole story anew. A child process
joins its parent's board and never serves. The farm's board has precedence: asked for the port, a program leaves it and
joins, and for `YIELDED_S` takes no port over that is free for a moment. All of it happens in a thread: objects that programs hold know none of this.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from farmd.board import access
from farmd.board.forking import importing
from farmd.board.joining import Link, greet, load, taken
from farmd.board.model import BoardModel, Program
from farmd.board.serving import PortTaken, Serving, bind, missing_extra, url_of
from protocol.errors import FarmError, Unreachable, UserError

if TYPE_CHECKING:
    import socket

    from farmd.board.identity import Identity
    from farmd.board.ledger import Ledger

PACE_S: Final = 0.25
"""Publishes at most four times a second."""
ALIVE_S: Final = 1.0
"""With nothing to publish: a sign of life, which also finds out that the board is gone."""
RETRY_S: Final = (0.1, 10.0)
"""The first and the longest wait between two tries to find a board or to become one."""
FLUSH_S: Final = 1.0
YIELDED_S: Final = 30.0
"""So long the farm's board has to come once it has asked for the port."""
_TRIES: Final = 5


class Presence:
    """The standing of one process on the board at one port."""

    def __init__(self, ledger: Ledger, identity: Identity, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._ledger = ledger
        self._identity = identity
        self._serving: Serving | None = None
        self._link: Link | None = None
        self._thread: threading.Thread | None = None
        self._standing = threading.Lock()
        self._left: Serving | None = None
        self._asked_at = ""
        self._closed = threading.Event()
        self._keeps_off_until = 0.0
        self._pause = random.Random()

    def __repr__(self) -> str:
        role = "serves" if self.is_server else "has joined"
        return f"<{role} the board at {self.url}>"

    @property
    def url(self) -> str:
        """Return where a browser finds the board."""
        return url_of(self.host, self.port)

    @property
    def is_server(self) -> bool:
        """Tell whether this process serves the board."""
        return self._serving is not None and self._serving.is_alive

    @property
    def is_connected(self) -> bool:
        """Tell whether the board has what this process says."""
        return self.is_server or self._link is not None

    @property
    def is_open(self) -> bool:
        """Tell whether it was opened, and not closed since."""
        return (self._serving is not None or self._thread is not None) and not self._closed.is_set()

    def open(self) -> None:
        """Serve the board, or join the one that is there.

        Raises:
            UserError: The port is held by something else, or cannot be used.
        """
        _check_extra()
        for _ in range(_TRIES):
            try:
                self._serve(bind(self.host, self.port))
            except PortTaken:
                try:
                    greet(self.host, self.port)
                except Unreachable:  # it has just ended
                    self._closed.wait(RETRY_S[0])
                    continue
                self.follow()
            return
        raise taken(self.port, "it ends every connection")

    def follow(self) -> None:
        """Publish to the board that is there, from a thread of its own."""
        self._thread = threading.Thread(target=self._publish, name="farmd-board-publisher", daemon=True)
        self._thread.start()

    def close(self, flush_s: float = FLUSH_S) -> None:
        """Tell what is left to tell, and let go."""
        self._closed.set()
        self._ledger.news.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(flush_s)
        if self._serving is not None:
            self._serving.stop()
            self._ledger.lead_nowhere()

    def release_in_child(self) -> None:
        """Let go of what belongs to the parent, in a forked child."""
        if self._serving is not None:
            self._serving.release_in_child()
        if self._link is not None:
            with suppress(OSError):
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                os.dup2(null, self._link.fileno(), inheritable=False)
                os.close(null)

    # -- as the server --------------------------------------------------------------------------------------------

    def _serve(self, listener: socket.socket) -> None:
        with importing():
            from farmd.board.server import Board

        model = BoardModel()
        program = Program(self._identity.program, self._identity.name)
        board = Board(model, self.host, access.secret(), self._yield_soon)
        board.hub.stay(program)
        self._ledger.lead_to(partial(model.apply, program))
        with self._standing:  # whoever asks at once for the port that is served now waits until it is known
            try:
                self._serving = Serving(board, listener)
            except BaseException:
                self._ledger.lead_nowhere()
                raise
        self.port = self._serving.port

    def _yield_soon(self, address: str) -> None:
        """Leave the port to the farm's board, from another thread than the one that serves."""
        threading.Thread(target=self._yield, args=(address,), name="farmd-board-yield", daemon=True).start()

    def _yield(self, address: str) -> None:
        with self._standing:
            serving = self._serving
            if serving is None or serving is self._left or self._closed.is_set():
                return  # it was asked before: two publishers would count everything twice
            self._left, self._asked_at = serving, address
        self._keeps_off_until = time.monotonic() + YIELDED_S
        self._ledger.lead_nowhere()
        serving.stop()
        self.follow()

    # -- as a guest -----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Follow the board for as long as there is one, and become one where there is none."""
        wait_s = RETRY_S[0]
        while not self._closed.is_set():
            try:
                self._link = self._linked()
                wait_s = RETRY_S[0]
                self._stay(self._link)
            except (FarmError, OSError):
                if self._take_over():
                    return
            finally:
                link, self._link = self._link, None
                if link is not None:
                    link.close()
            self._closed.wait(wait_s * self._pause.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, RETRY_S[1])

    def _linked(self) -> Link:
        """Open a link: where the farm's board asked for the port, be it elsewhere than here, or at the own address.

        Raises:
            FarmError: No board of this user is at either.
            OSError: The connection failed.
        """
        if self._asked_at:
            with suppress(FarmError, OSError):
                return Link(self._asked_at, self.port, self._identity)
        return Link(self.host, self.port, self._identity)

    def _stay(self, link: Link) -> None:
        self._ledger.resume(link.received)
        while True:
            is_last = self._closed.is_set()
            link.publish(self._ledger)
            if is_last and self._ledger.is_told:
                return
            if self._ledger.is_told:
                self._ledger.news.wait(ALIVE_S)
            if not self._ledger.has_much:
                self._closed.wait(PACE_S)

    def _take_over(self) -> bool:
        if self._identity.is_child or self._closed.is_set() or time.monotonic() < self._keeps_off_until:
            return False
        try:
            self._serve(bind(self.host, self.port))
        except (UserError, OSError):
            return False
        return True


def _check_extra() -> None:
    """Load what serving and joining need, here and not in a thread.

    Raises:
        MissingFeature: It is not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

        load()
    except ImportError as error:
        raise missing_extra(error) from error
