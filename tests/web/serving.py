"""The HTTP door as its clients see it: the real process's parts in a thread, before a daemon that answers from a table."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from farmd.web.analysis import Analyst
from farmd.web.app import make_app
from farmd.web.endpoints import Parts
from farmd.web.farm import Farm
from farmd.web.patience import PatientProtocol
from farmd.web.settings import WebSettings
from farmd.web.spool import Spool
from protocol.api import Response
from protocol.errors import NotAllowed, NotFound, UserError
from protocol.places import SOCKET_NAME
from tests.protocol.answering import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protocol.api import Request

TOKENS = {"good": "anna", "other": "ben"}


class Hasty(PatientProtocol):
    """Loses its patience soon, so that a test need not wait."""

    head_s = 0.3
    take_s = 0.5
    most_each = 8


class Table:
    """A daemon that knows two tokens, keeps blobs in memory, and answers the rest from a table."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytearray] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "farm.status": lambda _args: {"schema": "farm.status.v1", "farm": "f"},
            "user.check": self._check,
            "blob.missing": self._missing,
            "blob.put": self._put,
            "path.list": lambda _args: {"rules": []},
            "blob.get": lambda args: {"data": bytes(self.blobs[args["blob"]][args["offset"] :][: args["limit"]])},
        }
        self.checks = 0

    def answer(self, request: Request) -> list[Response]:
        """Answer one request."""
        answer = self.answers.get(request.op)
        if answer is None:
            return [Response(request.id, error=(2, f"no operation {request.op}", "", ""))]
        try:
            return [Response(request.id, answer(request.args))]
        except UserError as error:
            return [Response(request.id, error=(error.code, error.what, error.why, error.hint))]

    def _check(self, args: dict[str, Any]) -> dict[str, str]:
        self.checks += 1
        if args["token"] not in TOKENS:
            raise NotAllowed("the token is not valid")
        return {"user": TOKENS[args["token"]], "role": "artist"}

    def _missing(self, args: dict[str, Any]) -> dict[str, Any]:
        sizes = {name: int(name.split("-")[1]) for name in args["blobs"]}
        lacking = {name: len(self.blobs.get(name, b"")) for name, size in sizes.items()
                   if name not in self.blobs or len(self.blobs[name]) < size}  # fmt: skip
        return {"missing": [{"blob": name, "have_bytes": have} for name, have in lacking.items()]}

    def _put(self, args: dict[str, Any]) -> dict[str, Any]:
        content = self.blobs.setdefault(args["blob"], bytearray())
        if len(content) == int(args["blob"].split("-")[1]):
            return {"have_bytes": len(content), "complete": True}
        if args["offset"] != len(content):
            raise NotFound("not there")
        content += args["data"]
        return {"have_bytes": len(content), "complete": len(content) == int(args["blob"].split("-")[1])}


class Served:
    """The door, served in a thread; to be used as a context manager."""

    def __init__(self, folder: Path, *, quota_bytes: int = 64 << 20, **settings: Any) -> None:
        self.folder = folder
        self.table = Table()
        self.settings = WebSettings(folder, quota_bytes=quota_bytes, **settings)
        self.daemon = Daemon(f"ipc://{folder / SOCKET_NAME}", self.table.answer)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run)
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(10)
        self.daemon.close()
        assert not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        spool = Spool(self.settings.spool_dir, self.settings.quota_bytes)
        spool.open()
        app = make_app(Parts(self.settings, Farm(self.folder), spool, Analyst()))
        config = uvicorn.Config(
            app, http=Hasty, log_config=None, access_log=False, loop="asyncio", timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, self._ready.set)
        await self._server.serve(sockets=[self._socket])

    def connect(self) -> socket.socket:
        """Open a bare connection."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.settimeout(10)
        return made

    def is_well(self) -> bool:
        """Tell whether an ordinary request is answered."""
        with self.connect() as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return read_all(client).startswith(b"HTTP/1.1 200")


def read_all(client: socket.socket) -> bytes:
    """Read until the other side closes, or resets."""
    parts: list[bytes] = []
    try:
        while data := client.recv(65_536):
            parts.append(data)
    except ConnectionError:
        pass
    return b"".join(parts)
