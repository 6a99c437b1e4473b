"""Clients that mean harm, or are broken: each is refused or survived, and an honest one is answered meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
import requests

from farmd.web.bodies import MAX_LARGE_EACH
from tests.e2e.farm import until
from tests.web.serving import Hasty, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.serving import Served

AUTH = "Authorization: Bearer good\r\n"
MD5 = "0123456789abcdef0123456789abcdef"


def test_a_head_that_never_ends_is_not_waited_for(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: ")
        assert served.is_well()
        assert read_all(slow) == b""
    assert time.monotonic() - began < 5


def test_a_connection_that_says_nothing_is_ended(served: Served) -> None:
    with served.connect() as silent:
        assert read_all(silent) == b""
    assert served.is_well()


@pytest.mark.slow
def test_a_second_head_that_never_ends_is_not_waited_for_either(served: Served) -> None:
    with served.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /he")
        assert read_all(slow).count(b"HTTP/1.1 200") == 1
    assert served.is_well()


def test_many_connections_of_one_address_are_counted_and_let_go(served: Served) -> None:
    many = [served.connect() for _ in range(3 * Hasty.most_each)]
    ended = [read_all(client) for client in many]
    for client in many:
        client.close()
    assert ended == [b""] * len(many)
    until(lambda: not Hasty.of_address, "all are forgotten", 15)
    assert served.is_well()


def test_a_client_that_takes_nothing_of_its_answer_is_let_go(served: Served) -> None:
    served.table.answers["job.list"] = lambda _args: {
        "schema": "s", "jobs": [{"name": "x" * 1000, "state": "queued", "owner": "o"}] * 3000,
    }  # fmt: skip
    with served.connect() as lazy:
        lazy.sendall(f"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n{AUTH}\r\n".encode() * 8)
        assert served.is_well()
        until(lambda: Hasty.of_address.total() == 0, "it is let go", 10)
    assert served.is_well()


def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hasty, "take_s", 2.0)
    served.table.answers["job.list"] = lambda _args: {
        "schema": "s", "jobs": [{"name": "\0" * 1000, "state": "queued", "owner": "o"}] * 1500,
    }  # fmt: skip
    pace, came, began = threading.Event(), 0, time.monotonic()
    with served.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        slow.sendall(f"GET /api/v1/jobs?limit=8000 HTTP/1.1\r\nHost: x\r\n{AUTH}Connection: close\r\n\r\n".encode())
        while data := slow.recv(262_144):
            came += len(data)
            pace.wait(0.08)
    assert came > 8_000_000
    assert time.monotonic() - began > Hasty.take_s, "it was looked at meanwhile"


@pytest.mark.parametrize("length", ["10737418240", "99999999999999999999", "-1", "1e3", "12abc"])
def test_a_json_body_of_a_bad_length_is_refused_before_it_is_read(served: Served, length: str) -> None:
    head = f"POST /api/scene/analyse HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Type: application/json\r\n"
    with served.connect() as client:
        client.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        answer = read_all(client)
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")), answer[:80]
    assert served.is_well()


def test_a_json_body_without_length_is_cut_at_the_limit(served: Served) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 65_536

    answer: requests.Response | None = None
    with suppress(requests.ConnectionError):  # it was ended while more was sent
        answer = requests.post(
            f"{served.url}/api/scene/analyse", data=endless(), timeout=20,
            headers={"Authorization": "Bearer good", "Content-Type": "application/json"},
        )  # fmt: skip
    assert answer is None or answer.status_code == 413
    assert served.is_well()


def test_ten_gigabytes_that_are_cut_off_leave_what_came_and_are_gone_on_with(served: Served) -> None:
    head = f"PUT /api/files/{MD5} HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: "
    with served.connect() as client:
        client.sendall(f"{head}{40 << 20}\r\n\r\n".encode() + b"a" * 100_000)
        part = served.settings.spool_dir / "u-anna" / "parts" / f"{MD5}.part"
        until(part.exists, "something came", 15)
    until(lambda: part.stat().st_size == 100_000, "what came is kept", 15)
    with served.connect() as client:
        client.sendall(f"{head}{10 << 30}\r\n\r\n".encode())
        assert read_all(client).startswith(b"HTTP/1.1 413"), "it is more than one user may have on the way"
    got = requests.get(f"{served.url}/api/files/{MD5}", headers={"Authorization": "Bearer good"}, timeout=10)
    assert (got.headers["Upload-Offset"], got.headers["Upload-Complete"]) == ("100000", "?0")
    assert served.table.blobs == {}, "the daemon never hears of it"


@pytest.mark.parametrize(
    "path",
    [
        "/api/files/../../etc/passwd",
        "/api/files/..%2f..%2fetc%2fpasswd",
        "/api/files/%2e%2e",
        "/api/files/0123456789abcdef0123456789abcdef%00.json",
        "/api/files/0123456789abcdef0123456789abcde/",
        "/api/task/..%5c..%5c/status",
        "/api/v1/jobs/%00/thumbnails/1",
        "/api/v1/jobs/%ff%fe",
        "/api/v1/jobs/../../metrics%00",
    ],
)
def test_a_path_that_climbs_is_refused(served: Served, path: str) -> None:
    with served.connect() as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{AUTH}Connection: close\r\n\r\n".encode())
        answer = read_all(client)
    assert answer[9:12] in (b"404", b"422"), answer[:200]


def test_a_head_that_is_too_large_is_refused(served: Served) -> None:
    with served.connect() as client:
        try:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 200_000)
            answer = read_all(client)
        except ConnectionError:
            answer = b"HTTP/1.1 400"
    assert answer[:12] in (b"HTTP/1.1 400", b""), answer[:80]
    assert served.is_well()


def test_requests_that_two_servers_could_read_differently_are_refused(served: Served) -> None:
    with served.connect() as client:
        head = f"POST /api/scene/analyse HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{{}}    ".encode())
        assert read_all(client).startswith(b"HTTP/1.1 400")
    assert served.is_well()


def test_large_lists_that_come_slowly_stop_nobody_else_s(served: Served) -> None:
    head = f"POST /api/scene/upload HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Type: application/json\r\nContent-Length: "
    rows = [{"local": f"/show/{'x' * 200}/{n}.png", "hash": f"{n:032x}", "xxhash": "1"} for n in range(5000)]
    body = json.dumps({"files": rows, "scene_hash": f"{0:032x}"}).encode()

    def declare(token: str, data: Any) -> int:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return requests.post(f"{served.url}/api/scene/upload", data=data, timeout=10, headers=headers).status_code

    with ExitStack() as stack:
        slow = [stack.enter_context(served.connect()) for _ in range(MAX_LARGE_EACH)]
        for one in slow:
            one.sendall(f"{head}{32 << 20}\r\n\r\n{{".encode())

        def is_full() -> bool:
            for one in slow:  # who sends nothing for long is let go
                one.sendall(b" ")
            return declare("good", body) == 429

        until(is_full, "anna has as many on their way as may be", 15)
        assert declare("good", b'{"files": []}') == 422, "small ones go on"
        assert declare("other", iter([body[:900_000], body[900_000:]])) == 200
    until(lambda: declare("good", body) == 200, "those that were broken off are counted no longer", 15)
