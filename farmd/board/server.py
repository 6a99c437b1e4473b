"""The board over HTTP: the page, the feed of its viewers, and the door for programs that join.

    GET /            the page, with /board.js, /board.css and its icon beside it
    GET /tasks       what is on the board now, as JSON
    GET /hello       that this is a board, with the proof that it is one of the same user
    POST /yield      the farm's board wants the port, which a program's board leaves to it
    WS  /feed        one viewer (see `farmd.board.feed`)
    WS  /publish     one process of a program (see `farmd.board.hub`)

`make_app` makes a Starlette application that can stand alone or be mounted; the sockets are somebody else's. No request
leaves from here, and none is believed because of where it came from.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from farmd.board.access import HEADERS, is_known_host, is_own_origin, is_proof, own_names, place_of, proof
from farmd.board.feed import SCHEMA, Viewer
from farmd.board.hub import GRACE_S, MAX_PUBLISHERS, Hub
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send
    from starlette.websockets import WebSocket

    from farmd.board.model import BoardModel

_LOG: Final = logging.getLogger(__name__)
PACE_S: Final = 0.25
"""A viewer is told what is new four times a second, no oftener."""
BEAT_S: Final = 5.0
SEND_S: Final = 20.0
"""A viewer that takes nothing for so long is let go; it comes back by itself."""
ANEW_S: Final = 5.0
"""Pause after a failure of what runs beside the requests."""
MAX_VIEWERS: Final = 128
MAX_QUESTION_CHARS: Final = 4_096
MAX_MESSAGE_BYTES: Final = 1 << 20
"""Of what anybody sends to the board."""
_PAGE: Final = {"/": "board.html", "/board.js": "board.js", "/board.css": "board.css", "/board.svg": "board.svg"}
_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_CLOSE_BAD, _CLOSE_FORBIDDEN, _CLOSE_FULL = 1003, 1008, 1013


@dataclass(slots=True)
class Board:
    """One board that is served.

    Attributes:
        model: What is on it.
        host: What it listens on; decides which hosts are believed.
        secret: What programs must know to publish; None = nobody may.
        on_yield: Called with the address at which the farm's board asks for the port; None = this one keeps it.
        server_id: Another one after each start, so that viewers forget what they knew.
    """

    model: BoardModel
    host: str = "127.0.0.1"
    secret: bytes | None = None
    on_yield: Callable[[str], None] | None = None
    server_id: str = field(default_factory=lambda: secrets.token_hex(8))
    viewers: int = 0
    hub: Hub = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.hub = Hub(self.model)

    def run_later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the requests."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def make_app(board: Board, *beside: Callable[[], Coroutine[Any, Any, None]]) -> ASGIApp:
    """Make the application of a board.

    Args:
        board: What is served.
        beside: What is to run for as long as it is served.
    """
    app = Starlette(
        lifespan=_lifespan([partial(_kept, work) for work in beside]),
        routes=[
            *(Route(path, _page_route(name)) for path, name in _PAGE.items()),
            Route("/tasks", _tasks_route(board)),
            Route("/hello", _hello_route(board)),
            Route("/yield", _yield_route(board), methods=["POST"]),
            WebSocketRoute("/feed", _feed_route(board)),
            WebSocketRoute("/publish", _publish_route(board)),
        ],
    )
    return _Guard(app, board.host)


def _lifespan(works: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> Lifespan[Starlette]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work()) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return lifespan


async def _kept(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something until cancelled: what fails by a bug is logged and begun anew, since nobody else would notice."""
    while True:
        task = asyncio.create_task(work())
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if task.cancelled() or task.exception() is None:
            return
        _LOG.error("a part of the board failed by a bug; it begins anew", exc_info=task.exception())
        await asyncio.sleep(ANEW_S)


class _Guard:
    """Refuses requests by strange names, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host
        self._names = own_names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if is_known_host(host, self._host, self._names):
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "http":
            text = f"This board is not known as {host[:100]!r}. Open it by its address.\n"
            await PlainTextResponse(text, 421, HEADERS)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": _CLOSE_FORBIDDEN})

    @staticmethod
    def _with_headers(send: Send) -> Send:
        added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        return sending


# -- the page, and plain answers ----------------------------------------------------------------------------------


def _page_route(name: str) -> Any:
    body = (files("farmd.board") / "static" / name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]

    async def page(_request: Request) -> Response:
        return Response(body, media_type=kind)

    return page


def _tasks_route(board: Board) -> Any:
    async def tasks(_request: Request) -> Response:
        # of 100,000 tasks this takes a second, in which viewers must hear their beat
        return Response(await asyncio.to_thread(_document, board.model), media_type="application/json")

    return tasks


def _document(model: BoardModel) -> str:
    return _text({"schema": SCHEMA, "counts": model.counts, "groups": model.group_views(), "tasks": model.views()})


def _hello_route(board: Board) -> Any:
    async def hello(request: Request) -> Response:
        answer = {"schema": SCHEMA, "server_id": board.server_id}
        nonce = request.query_params.get("nonce", "")[:64]
        if board.secret is not None and nonce:
            answer["proof"] = proof(board.secret, "hello", nonce, board.server_id, _place_of(request))
        return JSONResponse(answer)

    return hello


def _yield_route(board: Board) -> Any:
    async def give_way(request: Request) -> Response:
        if not _is_of_the_user(request, board, "yield"):
            return PlainTextResponse("only for boards of the same user\n", 403)
        if board.on_yield is not None:
            board.on_yield(str(request.scope["server"][0]))
        return JSONResponse({"yields": board.on_yield is not None})

    return give_way


# -- viewers ------------------------------------------------------------------------------------------------------


def _feed_route(board: Board) -> Any:
    async def feed(socket: WebSocket) -> None:
        if not is_own_origin(socket.headers.get("origin"), _host_of(socket)):
            await socket.close(_CLOSE_FORBIDDEN)
            return
        await socket.accept()
        if board.viewers >= MAX_VIEWERS:
            await socket.close(_CLOSE_FULL, "too many viewers")
            return
        board.viewers += 1
        viewer = Viewer(board.model, board.server_id)
        # whichever ends first ends the other: a viewer that takes nothing says nothing either
        works = [asyncio.create_task(_tell(socket, viewer)), asyncio.create_task(_listen(socket, viewer))]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            board.viewers -= 1
            viewer.left()
            for work in works:
                work.cancel()
            results = await asyncio.gather(*works, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):  # a bug of ours: the server logs it
                raise error

    return feed


async def _tell(socket: WebSocket, viewer: Viewer) -> None:
    """Send what there is, until the viewer is gone or takes nothing any more."""
    beat_at = time.monotonic() + BEAT_S
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        while True:
            message = viewer.next_message()
            if message is None and time.monotonic() >= beat_at:
                message = viewer.beat()
            if message is not None:
                beat_at = time.monotonic() + BEAT_S
                async with asyncio.timeout(SEND_S):
                    await socket.send_text(_text(message))
            if message is None or (message["kind"] in ("delta", "beat") and not viewer.has_more):
                await asyncio.sleep(PACE_S)


async def _listen(socket: WebSocket, viewer: Viewer) -> None:
    """Hear what the viewer asks for, until it is gone."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            text = await _received(socket)
            if len(text) > MAX_QUESTION_CHARS:
                return
            with suppress(ValueError, RecursionError):
                viewer.asked(json.loads(text))


# -- programs -----------------------------------------------------------------------------------------------------


def _publish_route(board: Board) -> Any:
    async def publish(socket: WebSocket) -> None:
        if not _is_of_the_user(socket, board, "publish"):
            await socket.close(_CLOSE_FORBIDDEN)
            return
        await socket.accept()
        if board.hub.connections >= MAX_PUBLISHERS:
            await socket.close(_CLOSE_FULL, "too many programs")
            return
        with suppress(WebSocketDisconnect, RuntimeError):
            try:
                await _take(socket, board)
            except (PeerError, ValueError, RecursionError) as error:
                await socket.close(_CLOSE_BAD, str(error)[:100])

    return publish


def _is_of_the_user(asking: HTTPConnection, board: Board, role: str) -> bool:
    given = asking.headers.get("x-board-proof", "")
    # a browser always says where a page came from, and no page may write
    if board.secret is None or "origin" in asking.headers:
        return False
    return is_proof(given, board.secret, role, board.server_id, _place_of(asking))


async def _take(socket: WebSocket, board: Board) -> None:
    program, process, received = board.hub.enter(json.loads(await _received(socket)))
    try:
        await socket.send_text(_text({"kind": "welcome", "received": received}))
        while True:
            number = board.hub.receive(program, process, json.loads(await _received(socket)))
            await socket.send_text(_text({"kind": "received", "n": number}))
    finally:
        board.hub.leave(program)
        if board.hub.is_gone(program):
            board.run_later(_end(board, program))


async def _end(board: Board, program: str) -> None:
    await asyncio.sleep(GRACE_S)
    board.hub.end(program, time.time_ns() // 1_000_000)


async def _received(socket: WebSocket) -> str:
    """Wait for the next text.

    Raises:
        WebSocketDisconnect: The other side is gone, or sends something else.
    """
    message = await socket.receive()
    if message["type"] != "websocket.receive" or message.get("text") is None:
        raise WebSocketDisconnect
    return str(message["text"])


def _host_of(connection: HTTPConnection) -> str:
    return connection.headers.get("host", "")


def _place_of(connection: HTTPConnection) -> str:
    """Return where a connection came in."""
    host, port = connection.scope["server"]
    return place_of(host, port)


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
