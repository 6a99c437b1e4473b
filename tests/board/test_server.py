"""The board over real sockets: uvicorn in its thread, and clients of the websockets library."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from farmd.board import access, ops, server
from farmd.board.feed import SCHEMA
from farmd.board.model import BoardModel, Program
from farmd.board.server import Board
from farmd.board.serving import Serving, bind
from tests.board.browser import until
from tests.board.test_model import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.board.ops import Op

ONE = Program("p1", "one.py")
SECRET = b"a secret of this test"


@pytest.fixture
def serving() -> Iterator[Serving]:
    model = BoardModel()
    model.apply(ONE, {f"t{n}": ops.added(f"Task {n}", 100, "", "") for n in range(3)})
    serving = Serving(Board(model, secret=SECRET), bind("127.0.0.1", 0))
    yield serving
    serving.stop()


HANDSHAKE = (
    b"GET /feed HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def socket_to(port: int) -> socket.socket:
    """Open a connection that keeps little that is not read."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.connect(("127.0.0.1", port))
    return raw


def get(port: int, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response, response.read()


def opened(port: int, path: str = "feed", **options: Any) -> Any:
    return connect(f"ws://127.0.0.1:{port}/{path}", proxy=None, compression=None, **options)


def heard(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return found


def test_page_is_served_with_its_parts_and_nothing_from_elsewhere(serving: Serving) -> None:
    for path, kind, word in (
        ("/", "text/html", b"board.js"),
        ("/board.js", "text/javascript", b"WebSocket"),
        ("/board.css", "text/css", b":root"),
    ):
        response, body = get(serving.port, path)
        assert response.status == 200
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["content-security-policy"].startswith("default-src 'self'")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert word in body
        assert b"http://" not in body
        assert b"https://" not in body.replace(b'"https:"', b"")
        assert b"innerHTML" not in body


def test_viewer_is_told_what_is_there_and_what_happens(serving: Serving) -> None:
    picture = Picture()
    with opened(serving.port) as socket:
        hello = heard(socket)
        assert (hello["kind"], hello["schema"], hello["server_id"]) == ("hello", SCHEMA, serving.board.server_id)
        picture.take(heard(socket))
        assert picture.counts["pending"] == 3
        serving.board.model.apply(ONE, {"t1": ops.updated(50, 1_000)})
        while picture.counts["running"] == 0:
            picture.take(heard(socket))
        assert picture.tasks["p1/t1"]["done"] == 50
        socket.send(json.dumps({"kind": "resync"}))
        while picture.kinds["snapshot"] < 2:
            picture.take(heard(socket))
    assert picture.gaps == 0


def test_viewer_hears_that_the_board_is_there_when_nothing_happens(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BEAT_S", 0.3)
    with opened(serving.port) as socket:
        kinds = [heard(socket)["kind"] for _ in range(4)]
    assert kinds == ["hello", "snapshot", "beat", "beat"]


def test_request_by_a_strange_name_is_refused(serving: Serving) -> None:
    response, body = get(serving.port, "/", Host="evil.example")
    assert response.status == 421
    assert b"evil.example" in body
    with pytest.raises(InvalidStatus), opened(serving.port, additional_headers={"Host": "evil.example"}):
        pass


def test_feed_is_refused_to_a_page_from_elsewhere(serving: Serving) -> None:
    with pytest.raises(InvalidStatus), opened(serving.port, origin="http://evil.example"):
        pass
    with opened(serving.port, origin=f"http://127.0.0.1:{serving.port}") as socket:
        assert heard(socket)["kind"] == "hello"


def test_viewer_that_says_too_much_is_let_go(serving: Serving) -> None:
    with opened(serving.port) as socket:
        socket.send("x" * (server.MAX_QUESTION_CHARS + 1))
        with pytest.raises(ConnectionClosed):
            list(iter(lambda: heard(socket), None))
    with opened(serving.port) as socket:
        socket.send("{")
        socket.send('{"kind": "resync"}')
        assert [heard(socket)["kind"] for _ in range(2)] == ["hello", "snapshot"]


def test_viewer_that_takes_nothing_is_let_go_and_costs_no_memory(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_S", 0.5)
    model = serving.board.model
    numbers = itertools.count()

    def is_let_go() -> bool:
        model.apply(ONE, {f"t{n}": ops.failed(f"{next(numbers)}" * 500, 1) for n in range(400)})
        return serving.board.viewers == 0

    with socket_to(serving.port) as raw:
        raw.sendall(HANDSHAKE % serving.port)
        until(lambda: serving.board.viewers == 1, 5, "the viewer")
        until(is_let_go, 15, "the board to give up a viewer that reads nothing")
        with opened(serving.port) as other:
            assert [heard(other)["kind"] for _ in range(2)] == ["hello", "snapshot"]


def may_look(port: int) -> bool:
    with opened(port) as socket:
        try:
            return bool(heard(socket)["kind"] == "hello")
        except ConnectionClosed:
            return False


def test_more_viewers_than_allowed_are_turned_away(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_VIEWERS", 1)
    with opened(serving.port) as first:
        heard(first)
        with opened(serving.port) as second, pytest.raises(ConnectionClosed):
            heard(second)
    until(lambda: may_look(serving.port), 5, "the place that was given back")


def test_tasks_can_be_read_by_scripts(serving: Serving) -> None:
    response, body = get(serving.port, "/tasks")
    document = json.loads(body)
    assert response.status == 200
    assert document["schema"] == "farm.board.v1"
    assert document["counts"]["pending"] == len(document["tasks"]) == 3


def test_board_shows_that_it_knows_the_secret_without_saying_it(serving: Serving) -> None:
    _, body = get(serving.port, "/hello?nonce=abc")
    answer = json.loads(body)
    place = f"127.0.0.1 {serving.port}"
    assert access.is_proof(answer["proof"], SECRET, "hello", "abc", serving.board.server_id, place)
    assert SECRET not in body


def publisher(serving: Serving, secret: bytes = SECRET, **options: Any) -> Any:
    proof = access.proof(secret, "publish", serving.board.server_id, f"127.0.0.1 {serving.port}")
    return opened(serving.port, "publish", additional_headers={"X-Board-Proof": proof}, **options)


def exchange(socket: ClientConnection, message: dict[str, Any]) -> dict[str, Any]:
    socket.send(json.dumps(message))
    return heard(socket)


def program(process: str = "one") -> dict[str, Any]:
    return {"kind": "program", "program": "p9", "process": process, "name": "nine.py"}


def message(number: int, **said: Op) -> dict[str, Any]:
    return {"kind": "ops", "n": number, "ops": said}


def test_program_that_knows_the_secret_publishes_and_others_do_not(serving: Serving) -> None:
    with publisher(serving) as socket:
        assert exchange(socket, program()) == {"kind": "welcome", "received": 0}
        assert exchange(socket, message(1, a=ops.advanced(2, 5))) == {"kind": "received", "n": 1}
    assert serving.board.model.counts["running"] == 1
    with pytest.raises(InvalidStatus), publisher(serving, b"another"):
        pass
    with pytest.raises(InvalidStatus), publisher(serving, origin=f"http://127.0.0.1:{serving.port}"):
        pass


def test_message_that_comes_twice_counts_once(serving: Serving) -> None:
    for _ in range(2):  # the answer to the first was lost, say
        with publisher(serving) as socket:
            exchange(socket, program())
            exchange(socket, message(1, a=ops.advanced(2, 5)))
    with publisher(serving) as socket:
        assert exchange(socket, program())["received"] == 1
        exchange(socket, message(2, a=ops.advanced(3, 6)))
    assert [task.get("done") for task in serving.board.model.views() if task["id"] == "a"] == [5]


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "ops", "n": 0, "ops": {}},
        {"kind": "ops", "n": 1, "ops": {"a": {"state": "dancing"}}},
        {"kind": "ops", "n": 1, "ops": {"a": {"done": "NaN"}}},
        {"kind": "ops", "n": 1, "ops": {"x" * 500: {"done": 1}}},
        {"kind": "ops", "n": "1", "ops": {}},
        {"kind": "other"},
        [1, 2],
    ],
)
def test_message_that_is_none_ends_its_connection_and_changes_nothing(serving: Serving, said: Any) -> None:
    with publisher(serving) as socket:
        exchange(socket, program())
        socket.send(json.dumps(said))
        with pytest.raises(ConnectionClosed):
            heard(socket)
    assert len(serving.board.model) == 3
    assert get(serving.port, "/tasks")[0].status == 200


def test_program_that_dies_leaves_no_task_running(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.2)
    picture = Picture()
    with opened(serving.port) as viewer:
        with publisher(serving) as first, publisher(serving) as second:
            exchange(first, program("one"))
            exchange(second, program("two"))
            exchange(first, message(1, a=ops.started(5)))
        while picture.counts.get("failed") != 1:
            picture.take(heard(viewer))
    assert picture.tasks["p9/a"]["error"] == "its program ended before it did"
