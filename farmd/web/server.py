"""The process of the HTTP door: binds, serves, and ends in good order; beside the interface it serves the board.

Nothing here is of the daemon: it may be killed, hung or flooded, and the farm goes on. Started by `farmd web`, which
`farmd run --web` starts as a child; the child ends when its standard input is closed, so that it never outlives the
daemon, however that ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from farmd.web.analysis import Analyst
from farmd.web.app import make_app
from farmd.web.endpoints import Parts
from farmd.web.farm import Farm
from farmd.web.patience import PatientProtocol
from farmd.web.results import DamagedResult
from farmd.web.settings import KEEP_ALIVE_S, MAX_CONNECTIONS, MAX_HEAD_BYTES, WebSettings
from farmd.web.spool import Spool
from protocol.errors import UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn

_LOG = logging.getLogger("farmd.web")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_GOODBYE_S: Final = 2


def serve(settings: WebSettings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT, or the end of the parent.

    Args:
        settings: Of this process.
        say: Told where it serves.

    Raises:
        UserError: An address cannot be bound.
    """
    os.umask(0o077)
    calm_logs()
    asyncio.run(_serve(settings, say))


def calm_logs() -> None:
    """See to it that clients cannot fill the logs: what they do wrong is told to them, and not here."""
    told = logging.getLogger("uvicorn.error")
    told.setLevel(logging.ERROR)
    told.addFilter(Calm())


async def _serve(settings: WebSettings, say: Callable[[str], None]) -> None:
    servers: list[tuple[uvicorn.Server, socket.socket]] = []
    told: list[str] = []
    if settings.listen:
        listening = bind(settings.listen)
        servers.append((_server(_application(settings)), listening))
        told.append(f"HTTP at {url_of(listening)}, described at {url_of(listening)}/docs")
        _warn_if_open(listening)
    if settings.board:
        try:
            listening = bind(settings.board)
        except UserError as error:
            if not servers:
                raise
            _LOG.error("the board is not served: %s: %s", error.what, error.why)
        else:
            servers.append((_server(_board(settings, listening)), listening))
            told.append(f"board at {url_of(listening)}")
    if not servers:
        raise UsageError("there is nothing to serve", "neither the interface nor the board is asked for", "--listen")
    _stop_when_told(servers, with_parent=settings.with_parent)
    for line in told:
        say(line)
    await asyncio.gather(*(server.serve(sockets=[listening]) for server, listening in servers))


def _application(settings: WebSettings) -> Any:
    spool = Spool(settings.spool_dir, settings.quota_bytes)
    spool.open()
    return make_app(Parts(settings, Farm(settings.data_dir), spool, Analyst()))


def _board(settings: WebSettings, listening: socket.socket) -> Any:
    """Return the board's application.

    Raises:
        UserError: This version has none.
    """
    try:
        bridge = import_module("farmd.board.bridge")
    except ImportError as error:
        raise UsageError("the board cannot be served", "this version of farmd has none", "leave --board out") from error
    return bridge.farm_app(settings.data_dir, url_of(listening).removeprefix("http://"))


def _server(app: Any) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals to this process, which may serve twice."""

        def capture_signals(self) -> Any:
            from contextlib import nullcontext

            return nullcontext()

    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GOODBYE_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws_max_size=1 << 20,
    )
    return Server(config)


class Calm(logging.Filter):
    """Tells a download that was cut in one line: it is no bug, and raising is the only way to cut a connection."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change what is told; everything is."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, DamagedResult):
            record.msg, record.args, record.exc_info = "a download was cut: %s", (str(error),), None
        return True


def _stop_when_told(servers: list[tuple[uvicorn.Server, socket.socket]], *, with_parent: bool) -> None:
    """See to it that signals, and the end of the parent, end this process in good order."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), _on_parent, stop)


def _on_parent(stop: Callable[[], None]) -> None:
    """Stop when standard input says that whoever started this process is gone."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop()


def bind(address: str) -> socket.socket:
    """Bind HOST:PORT; port 0 is any that is free.

    Raises:
        UserError: It cannot be.
    """
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535 or not host:
        raise UsageError(f"{address!r} is no HOST:PORT", "", "write 127.0.0.1:8766")
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise _cannot_serve(address, error) from error
    listening.setblocking(False)
    return listening


def _cannot_serve(address: str, error: OSError) -> UserError:
    why = str(error.strerror or error)
    return UserError(f"cannot serve at {address}", why, "choose another HOST:PORT, or end what holds it")


def url_of(listening: socket.socket) -> str:
    """Return where a bound socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _warn_if_open(listening: socket.socket) -> None:
    host = str(listening.getsockname()[0])
    if host not in _LOOPBACK:
        _LOG.warning("HTTP at %s is not encrypted: tokens can be read on the way; put a proxy with TLS before it", host)
