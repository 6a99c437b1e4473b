"""The process itself: where it listens, what it refuses to start with, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from farmd.board import joining
from farmd.board.identity import new_identity
from farmd.board.ledger import Ledger
from farmd.board.presence import Presence
from farmd.web import boardport
from farmd.web.binding import bind, url_of
from farmd.web.boardport import claimed, waited_for
from farmd.web.server import _warn_if_board_is_open, _warn_if_open, check_user
from protocol.errors import UsageError, UserError
from protocol.places import SOCKET_NAME
from tests.board.browser import until

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("address", ["", "8766", ":8766", "host:", "127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1:-1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        bind(address)


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    with bind("127.0.0.1:0") as first:
        assert url_of(first).startswith("http://127.0.0.1:")
        with pytest.raises(UserError, match="cannot serve") as refused:
            bind(url_of(first).removeprefix("http://"))
    assert "use" in refused.value.why
    assert refused.value.code == 1, "another try may mend it"


def test_an_address_of_the_sixth_version_is_written_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    with bind("[::1]:0") as listening:
        assert url_of(listening).startswith("http://[::1]:")


def test_whoever_serves_beyond_this_machine_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), bind("127.0.0.1:0") as near:
        _warn_if_open(near)
        assert caplog.text == ""
        with bind("0.0.0.0:0") as far:
            _warn_if_open(far)
            assert "not encrypted" in caplog.text
            _warn_if_board_is_open(far)
            assert "needs no token" in caplog.text


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FARM_")}
    words = [sys.executable, "-m", "farmd", "web", "--data-dir", str(folder), *options]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_it_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    with start(tmp_path, "--listen", "127.0.0.1:0", "--with-parent") as process:
        assert "HTTP at http://127.0.0.1:" in said(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_ends_in_good_order_when_it_is_told_to(tmp_path: Path) -> None:
    with start(tmp_path, "--listen", "127.0.0.1:0") as process:
        assert "HTTP at" in said(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert (tmp_path / "web").stat().st_mode & 0o077 == 0


def test_nothing_to_serve_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with start(tmp_path, "--listen", "") as process:
        assert process.wait(10) == 2
        assert "nothing to serve" in said(process)


def test_a_board_whose_port_is_taken_does_not_keep_http_from_being_served(tmp_path: Path) -> None:
    with bind("127.0.0.1:0") as taken:
        board = url_of(taken).removeprefix("http://")
        with start(tmp_path, "--listen", "127.0.0.1:0", "--board", board) as process:
            assert "HTTP at" in said(process)
            why = said(process)
            assert "the board is not served yet" in why
            assert f"(pid {os.getpid()}) listens there" in why
            process.terminate()
            assert process.wait(10) == 0


def test_the_board_s_port_is_looked_for_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boardport, "AGAIN_S", 0.05)
    monkeypatch.setattr(joining, "_HELLO_S", 0.05)
    looked = asyncio.Semaphore(0)

    async def counted(address: str) -> socket.socket:
        looked.release()
        return await claimed(address)

    monkeypatch.setattr(boardport, "claimed", counted)

    async def scenario() -> None:
        stopped = asyncio.Event()
        with bind("127.0.0.1:0") as taken:
            board = url_of(taken).removeprefix("http://")
            waiting = asyncio.create_task(waited_for(board, stopped))
            for _ in range(3):
                await asyncio.wait_for(looked.acquire(), 10)
            assert not waiting.done()
        listening = await waiting
        assert listening is not None
        while not looked.locked():
            await looked.acquire()
        with listening:
            stopping = asyncio.create_task(waited_for(board, stopped))
            await asyncio.wait_for(looked.acquire(), 10)
            stopped.set()
            assert await stopping is None

    asyncio.run(scenario())


def test_a_program_that_has_the_board_s_port_leaves_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    identity = new_identity()
    presence = Presence(Ledger(), identity, "127.0.0.1", 0)
    presence.open()
    try:
        with asyncio.run(claimed(f"127.0.0.1:{presence.port}")) as listening:
            assert listening.getsockname()[1] == presence.port
        until(lambda: not presence.is_server, 5, "the program to have left")
    finally:
        presence.close(0)


class Ending:
    """A board that has said that it leaves, and ends every connection until it lets go of the port."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listening = bind("127.0.0.1:0")
        self.address = url_of(self.listening).removeprefix("http://")
        self.asked: list[tuple[str, ...]] = []
        monkeypatch.setattr(joining, "ask_for_port", self.ask)

    def ask(self, _host: str, _port: int, asked: set[str]) -> str:
        self.asked.append(tuple(asked))
        if len(self.asked) == 1:
            return "a board"
        if len(self.asked) == 3:
            self.listening.close()
        raise joining.NotOurs("the port is taken", "it does not answer as a task board does")


def test_a_board_that_answers_no_longer_while_it_leaves_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = Ending(monkeypatch)
    with ending.listening, asyncio.run(claimed(ending.address)) as listening:
        assert url_of(listening).removeprefix("http://") == ending.address
    assert ending.asked == [(), ("a board",), ("a board",)]


def test_a_door_of_another_user_than_the_daemon_s_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_user(tmp_path)
    (tmp_path / SOCKET_NAME).touch()
    check_user(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(UserError, match="not the daemon's user") as refused:
        check_user(tmp_path)
    assert "sudo -u" in refused.value.hint
