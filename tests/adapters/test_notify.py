"""Notices carried to real addresses and real programs: those that answer, fail, lead astray, trickle and hang."""

from __future__ import annotations

import asyncio
import datetime as dt
import hmac
import json
import os
import shlex
import socket
import ssl
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from farmd.adapters import notify
from farmd.adapters.notify import Notifier
from farmd.core.effects import Notify
from protocol.bodies import HookBody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from farmd.core.events import Notified

NOTICE: dict[str, Any] = {
    "schema": "farm.notice.v1",
    "id": "job.failed/2y4exqxscyp24nc9/0",
    "at_ms": 1,
    "farm": "studio",
    "event": "job.failed",
    "text": "shot <40> (anna) failed: 3 of 20 tasks — größer",
    "job": {"id": "2y4exqxscyp24nc9", "name": "shot <40>", "owner": "anna"},
    "alert": None,
    "resolved": False,
}


class Receiver(ThreadingHTTPServer):
    """Notes what it is sent and answers as it is told."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?key=1"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.server.answer(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base's
        pass


def says(status: int, text: str = "", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


@contextmanager
def receiver(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Receiver]:
    server = Receiver(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hook(target: str, **changes: Any) -> HookBody:
    kind = "url" if target.startswith("http") else "command"
    return HookBody(kind, target, ("job.*",), 0, "anna")._replace(**changes)


def carry(*hooks: HookBody, limit_s: float = 5.0) -> list[str]:
    """Carry one notice to each hook; returns what was wrong, in their order."""

    async def run() -> list[str]:
        posted: list[Notified] = []
        notifier = Notifier(posted.append, "1.2.3", url_s=limit_s, command_s=limit_s)  # type: ignore[arg-type]  # no other event comes
        for number, body in enumerate(hooks):
            notifier.notify(Notify(number, body, NOTICE))
        deadline = time.monotonic() + 15
        while len(posted) < len(hooks):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await notifier.close()
        return [event.error for event in sorted(posted, key=lambda event: event.ask)]

    return asyncio.run(run())


def test_an_address_is_posted_the_notice_with_its_signature() -> None:
    with receiver(says(204)) as server:
        assert carry(hook(server.url, secret="quite secret")) == [""]
        ((path, headers, body),) = server.got
    assert (path, json.loads(body)) == ("/hook?key=1", NOTICE)
    assert headers["X-Farm-Signature"] == "sha256=" + hmac.new(b"quite secret", body, "sha256").hexdigest()
    assert (headers["X-Farm-Notice"], headers["X-Farm-Event"]) == (NOTICE["id"], "job.failed")
    assert headers["User-Agent"] == "farmd/1.2.3"
    assert headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("slack", {"text": "shot &lt;40&gt; (anna) failed: 3 of 20 tasks — größer"}),
        ("discord", {"content": NOTICE["text"], "allowed_mentions": {"parse": []}}),
    ],
)
def test_a_chat_is_sent_the_line_alone_and_unsigned_without_a_secret(style: str, expected: dict[str, Any]) -> None:
    with receiver(says(200, "ok")) as server:
        assert carry(hook(server.url, style=style)) == [""]
        ((_, headers, body),) = server.got
    assert json.loads(body) == expected
    assert "X-Farm-Signature" not in headers


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (500, "", "it answers 500 Internal Server Error"),
        (404, "no_service", "it answers 404 Not Found: no_service"),
        (400, "\x1b[31mred", "it answers 400 Bad Request"),
    ],
)
def test_an_address_that_refuses_is_an_error_with_what_it_says(status: int, text: str, said: str) -> None:
    with receiver(says(status, text)) as server:
        assert carry(hook(server.url)) == [said]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_but_told(status: int) -> None:
    with receiver(says(200)) as other, receiver(says(status, Location=other.url)) as server:
        (error,) = carry(hook(server.url))
        assert error == f"it answers {status} and leads to {other.url}: name that address itself"
        assert other.got == []


def test_an_address_where_nobody_listens_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        (error,) = carry(hook(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert "refused" in error


def test_what_is_no_http_or_not_encrypted_where_it_should_be_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 3)

        thread = threading.Thread(target=greet)
        thread.start()
        (error,) = carry(hook(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()
    assert error
    with receiver(says(200)) as plain:
        (error,) = carry(hook(plain.url.replace("http:", "https:")))
    assert "SSL" in error or "ssl" in error


def test_addresses_that_hang_or_trickle_end_in_time_and_others_still_get_through() -> None:
    released = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not released.wait(0.1):
                handler.wfile.write(b"a")
        except OSError:
            released.set()  # the other side has closed

    def hang(_handler: BaseHTTPRequestHandler) -> None:
        released.wait(10)

    with receiver(trickle) as slow, receiver(hang) as dead, receiver(says(200)) as well:
        began = time.monotonic()
        errors = carry(hook(slow.url), hook(dead.url), hook(dead.url), hook(well.url), limit_s=1.0)
        assert time.monotonic() - began < 6
        assert released.wait(5), "the connection was left open"
    assert errors == ["no answer within 1 s"] * 3 + [""]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let look-ups of stuck.example hang until the event is set; then they lead to this machine."""
    found, look_up = threading.Event(), socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "stuck.example":
            found.wait(15)
            host = "127.0.0.1"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield found
    found.set()
    await_end_of_tries()


def await_end_of_tries() -> None:
    for thread in threading.enumerate():
        if thread.name == "notify":
            thread.join(10)


def test_a_name_server_that_hangs_makes_no_other_address_unreachable_and_nothing_is_sent_late(
    stuck: threading.Event,
) -> None:
    with receiver(says(200)) as well:
        away = hook(well.url.replace("127.0.0.1", "stuck.example"))
        errors = carry(*[away] * 6, *[hook(well.url)] * 3, limit_s=0.3)
        assert errors == ["no answer within 0.3 s"] * 6 + [""] * 3
        stuck.set()
        await_end_of_tries()
        assert len(well.got) == 3, "what was told to have failed is not sent when the name is found in the end"


def test_a_try_that_finds_all_threads_stuck_waits_for_one_and_is_no_failure(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "THREADS", 2)
    with receiver(says(200)) as well:
        away = hook(well.url.replace("127.0.0.1", "stuck.example"))
        threading.Timer(0.6, stuck.set).start()
        assert carry(away, away, hook(well.url), limit_s=0.2) == ["no answer within 0.2 s"] * 2 + [""]


def test_a_machine_without_a_thread_to_spare_says_so_and_tells_when_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(notify, "THREADS", 1)
    with receiver(says(200)) as well:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert carry(hook("http://127.0.0.1:1/"), hook("http://127.0.0.1:1/")) == ["can't start new thread"] * 2
        assert carry(hook(well.url)) == [""]


def test_a_handshake_that_never_ends_is_ended_with_its_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (error,) = carry(hook(f"https://127.0.0.1:{server.getsockname()[1]}/"), limit_s=0.3)
        assert error == "no answer within 0.3 s"
        began = time.monotonic()
        await_end_of_tries()
        assert time.monotonic() - began < 0.5, "its connection was shut"


def test_a_place_that_does_not_answer_leaves_time_for_the_next_one_of_that_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiver(says(200)) as well, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        filling = [socket.socket() for _ in range(4)]
        for connection in filling:  # what is accepted by nobody and finds no room any more waits
            connection.setblocking(False)
            connection.connect_ex(full.getsockname())
        places = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", server) for server in (full.getsockname(), well.server_address)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: places)
        assert carry(hook(well.url), limit_s=1.0) == [""]
        for connection in filling:
            connection.close()


def test_an_encrypted_address_is_told_if_its_certificate_is_trusted_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with receiver(says(200)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        body = hook(server.url.replace("http:", "https:"))
        (error,) = carry(body)
        assert "certificate verify failed" in error
        assert server.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert carry(body) == [""]
        assert len(server.got) == 1


def _certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook")])
    at = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, at, at.replace(year=2120))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "hook.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


# -- programs --------------------------------------------------------------------------------------------------------


def script(folder: Path, text: str) -> HookBody:
    path = folder / "hook.py"
    path.write_text(text)
    return hook(shlex.join([sys.executable, str(path), "two words"]))


def test_a_program_reads_the_notice_and_gets_words_and_variables_without_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_SECRET_OF_THE_DAEMON", "x")
    told = tmp_path / "told.json"
    body = script(
        tmp_path,
        "import json, os, sys\n"
        "told = {'argv': sys.argv[1:], 'in': json.load(sys.stdin), 'cwd': os.getcwd()}\n"
        "told['env'] = {name: value for name, value in os.environ.items() if name.startswith('FARM_')}\n"
        f"open({str(told)!r}, 'w').write(json.dumps(told))\n",
    )
    assert carry(body) == [""]
    found = json.loads(told.read_text())
    assert (found["argv"], found["in"], found["cwd"]) == (["two words"], NOTICE, "/")
    assert found["env"] == {
        "FARM_NOTICE_ID": NOTICE["id"],
        "FARM_NOTICE_EVENT": "job.failed",
        "FARM_NOTICE_TEXT": NOTICE["text"],
        "FARM_NOTICE_FARM": "studio",
        "FARM_NOTICE_RESOLVED": "",
        "FARM_NOTICE_JOB": "2y4exqxscyp24nc9",
        "FARM_NOTICE_JOB_NAME": "shot <40>",
        "FARM_NOTICE_JOB_OWNER": "anna",
    }


def test_a_program_that_reads_nothing_is_no_error_and_one_that_fails_says_its_last_line(tmp_path: Path) -> None:
    assert carry(hook("/bin/true")) == [""]
    failing = script(
        tmp_path, "import sys\nprint('first', flush=True)\nprint('mail server is away', file=sys.stderr)\nsys.exit(3)"
    )
    assert carry(failing) == ["it ended with 3: mail server is away"]


@pytest.mark.parametrize("target", ["/nowhere/notify", "/etc/passwd", "/"])
def test_a_program_that_cannot_be_started_is_an_error(target: str) -> None:
    (error,) = carry(hook(target))
    assert error in ("No such file or directory", "Permission denied", "Is a directory")


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = script(
        tmp_path,
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "print('waiting for the printer', flush=True)\n"
        "time.sleep(300)\n",
    )
    assert carry(body, limit_s=2.0) == ["it did not end within 2 s: waiting for the printer"]
    _are_gone(pids)


def test_what_a_program_leaves_running_ends_with_it_and_delays_nothing(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = script(
        tmp_path,
        f"import subprocess\nopen({str(pids)!r}, 'w').write(str(subprocess.Popen(['sleep', '300']).pid))\n",
    )
    began = time.monotonic()
    assert carry(body, limit_s=14.0) == [""]
    assert time.monotonic() - began < 10
    _are_gone(pids)


def test_closing_ends_what_is_under_way_and_posts_nothing(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = script(tmp_path, f"import os, time\nopen({str(pids)!r}, 'w').write(str(os.getpid()))\ntime.sleep(300)\n")
    posted: list[object] = []

    async def run() -> None:
        notifier = Notifier(posted.append, "1")
        notifier.notify(Notify(1, body, NOTICE))
        deadline = time.monotonic() + 10
        while not pids.exists() or not pids.read_text():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await notifier.close()

    asyncio.run(run())
    assert posted == []
    _are_gone(pids)


def _are_gone(pids: Path) -> None:
    deadline = time.monotonic() + 5
    for pid in map(int, pids.read_text().split()):
        while _is_alive(pid):
            assert time.monotonic() < deadline, f"{pid} still runs"
            os.sched_yield()


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # not a file of ours
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
