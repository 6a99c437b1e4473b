"""The process of the HTTP door: binds, serves, and ends in good order; beside the interface it serves the board.

Nothing here is of the daemon: it may be killed, hung or flooded, and the farm goes on. Started by `farmd web`, which
`farmd run --web` starts as a child; the child ends when its standard input is closed, so that it never outlives the
daemon, however that ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from farmd.web.analysis import Analyst
from farmd.web.app import make_app
from farmd.web.binding import bind, place_in, url_of
from farmd.web.boardport import claimed, waited_for
from farmd.web.endpoints import Parts
from farmd.web.farm import Farm
from farmd.web.patience import PatientProtocol
from farmd.web.results import DamagedResult
from farmd.web.settings import KEEP_ALIVE_S, MAX_CONNECTIONS, MAX_HEAD_BYTES, WebSettings
from farmd.web.spool import Spool
from protocol.errors import UsageError, UserError
from protocol.places import SOCKET_NAME

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine
    from pathlib import Path

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
        UserError: An address cannot be bound, or this is not the daemon's user.
    """
    check_user(settings.data_dir)
    os.umask(0o077)
    calm_logs()
    asyncio.run(_serve(settings, say))


def check_user(data_dir: Path) -> None:
    """Return if the daemon tells this process whose a token is.

    Raises:
        UserError: It is of another user, root though it may be: every token would seem wrong.
    """
    try:
        owner = (data_dir / SOCKET_NAME).stat().st_uid
    except OSError:
        return  # it does not run yet
    if owner != os.getuid():
        name = _name_of(owner)
        why = f"it tells nobody but {name} whose a token is, and this is {_name_of(os.getuid())}"
        raise UserError("this is not the daemon's user", why, f"sudo -u {name} farmd web …")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def calm_logs() -> None:
    """See to it that clients cannot fill the logs: what they do wrong is told to them, and not here."""
    told = logging.getLogger("uvicorn.error")
    told.setLevel(logging.ERROR)
    told.addFilter(Calm())


async def _serve(settings: WebSettings, say: Callable[[str], None]) -> None:
    if not settings.listen and not settings.board:
        raise UsageError("there is nothing to serve", "neither the interface nor the board is asked for", "--listen")
    if settings.board:
        place_in(settings.board)
    house = _House()
    house.stop_when_told(with_parent=settings.with_parent)
    works: list[Coroutine[Any, Any, None]] = []
    if settings.listen:
        listening = bind(settings.listen)
        _warn_if_open(listening)
        works.append(house.serve(_application(settings), listening))
        say(f"HTTP at {url_of(listening)}, described at {url_of(listening)}/docs")
    if settings.board:
        # a person waits for an answer; a daemon, or whoever uses the interface, can do without the board for a while
        can_wait = bool(works) or settings.with_parent
        taken = None if can_wait else await claimed(settings.board)
        works.append(_serve_board(settings, house, taken, say))
    await asyncio.gather(*works)


async def _serve_board(
    settings: WebSettings, house: _House, taken: socket.socket | None, say: Callable[[str], None]
) -> None:
    """Serve the board, once its port is there."""
    listening = taken or await waited_for(settings.board, house.stopped)
    if listening is None:
        return
    from farmd.board.bridge import farm_app

    address = url_of(listening).removeprefix("http://")
    _warn_if_board_is_open(listening)
    say(f"board at http://{address}")
    await house.serve(farm_app(settings.data_dir, address), listening)


class _House:
    """What this process serves, until it is told to stop."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._servers: list[uvicorn.Server] = []

    async def serve(self, app: Any, listening: socket.socket) -> None:
        """Serve an application until `stop`."""
        server = _server(app)
        self._servers.append(server)
        server.should_exit = self.stopped.is_set()
        await server.serve(sockets=[listening])

    def stop(self) -> None:
        """End what is served in good order, and start nothing more."""
        self.stopped.set()
        for server in self._servers:
            server.should_exit = True

    def stop_when_told(self, *, with_parent: bool) -> None:
        """See to it that signals, and the end of the parent, end this process in good order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if with_parent:
            loop.add_reader(sys.stdin.fileno(), _on_parent, self.stop)


def _application(settings: WebSettings) -> Any:
    spool = Spool(settings.spool_dir, settings.quota_bytes)
    spool.open()
    return make_app(Parts(settings, Farm(settings.data_dir), spool, Analyst()))


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


def _on_parent(stop: Callable[[], None]) -> None:
    """Stop when standard input says that whoever started this process is gone."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop()


def _warn_if_open(listening: socket.socket) -> None:
    host = str(listening.getsockname()[0])
    if host not in _LOOPBACK:
        _LOG.warning("HTTP at %s is not encrypted: tokens can be read on the way; put a proxy with TLS before it", host)


def _warn_if_board_is_open(listening: socket.socket) -> None:
    host = str(listening.getsockname()[0])
    if host not in _LOOPBACK:
        _LOG.warning("the board at %s needs no token: whoever reaches this machine sees the whole farm's work", host)
