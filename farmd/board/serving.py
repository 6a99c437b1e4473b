"""A board on a port of this machine: a uvicorn server in a thread of its own.

The socket is bound by the caller, so that a port that is taken is an error where the server is started and not in a
thread. Signals stay with the program: a server in a thread takes none.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from farmd.board.access import near
from farmd.board.forking import importing
from protocol.errors import MissingFeature, UserError
from protocol.extras import how_to_install

if TYPE_CHECKING:
    import asyncio

    import uvicorn

    from farmd.board.server import Board

_START_S: Final = 10.0
_STOP_S: Final = 3.0
_BACKLOG: Final = 128
MAX_CONNECTIONS: Final = 512
"""Viewers and programs together, and some to spare."""


class PortTaken(UserError):
    """Somebody listens on the port already."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on a port; 0 takes any that is free.

    Raises:
        PortTaken: Somebody listens there already.
        UserError: The address is not one of this machine, or may not be listened on.
    """
    if not 0 <= port < 1 << 16:
        raise UserError(
            f"not a port: {port}", "ports end at 65535", "take one from 1 to 65535, or 0 for any that is free"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} is taken", "another program listens there", "take another port") from error
        why = error.strerror or str(error)
        raise UserError(f"cannot listen on {host}:{port}", why, "use 127.0.0.1 and a port above 1023") from error


class Serving:
    """One board that is served from this process."""

    def __init__(self, board: Board, listener: socket.socket) -> None:
        """Start to serve on a socket that is bound.

        Raises:
            UserError: The server does not start.
        """
        self.board = board
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self._begun = threading.Event()
        self._server = _new_server(board, url_of(board.host, self.port), self._begun)
        self._thread = threading.Thread(target=self._run, name="farmd-board", daemon=True)
        self._thread.start()
        if not self._begun.wait(_START_S) or not self._server.started:
            self.stop()
            raise UserError("the board does not start", "its server ended at once", "run it with logging switched on")

    def stop(self) -> None:
        """Stop serving; viewers see that the connection ends."""
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self._listener.close()

    @property
    def is_alive(self) -> bool:
        """Tell whether it still serves."""
        return self._thread.is_alive()

    def release_in_child(self) -> None:
        """Let go of the sockets in a forked child, without ending them: they are the parent's.

        A worker that kept the port would keep it after its parent's death, and answer nobody. The descriptors are
        pointed elsewhere, not closed: objects that still know them close them once more some day.
        """
        connections = [transport.get_extra_info("socket") for transport in self._transports()]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for held in (self._listener, *connections):
            with suppress(OSError, AttributeError):
                if held.fileno() >= 0:
                    os.dup2(null, held.fileno(), inheritable=False)
        os.close(null)

    def _transports(self) -> list[asyncio.BaseTransport]:
        connections = list(self._server.server_state.connections)
        return [found for each in connections if (found := getattr(each, "transport", None)) is not None]

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._begun.set()


def url_of(host: str, port: int) -> str:
    """Return where a browser on this machine finds a board."""
    name = near(host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _new_server(board: Board, url: str, begun: threading.Event) -> uvicorn.Server:
    try:
        with importing():
            import uvicorn

            from farmd.board.herald import tell
            from farmd.board.server import MAX_MESSAGE_BYTES, make_app
    except ImportError as error:
        raise missing_extra(error) from error

    class Server(uvicorn.Server):
        """Says when it has begun."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            begun.set()

    config = uvicorn.Config(
        make_app(board, lambda: tell(board, url)),
        loop="asyncio",
        http="h11",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_max_queue=4,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=MAX_CONNECTIONS,
    )
    with importing():
        config.load()  # else the thread would import the protocols
    return Server(config)


def missing_extra(error: ImportError) -> MissingFeature:
    """Say that the packages for serving are not installed."""
    return MissingFeature(
        "the board cannot be served", f"the package {error.name} is not installed", how_to_install("web")
    )
