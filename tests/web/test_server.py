"""The process itself: where it listens, what it refuses to start with, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from farmd.web.server import _warn_if_open, bind, url_of
from protocol.errors import UsageError, UserError

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
            assert "the board is not served" in said(process)
            assert "HTTP at" in said(process)
            process.terminate()
            assert process.wait(10) == 0
