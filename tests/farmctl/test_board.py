"""`farmctl board`: real boards asked over HTTP, and the programs that a daemon hears of."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from farmd.board import ops
from farmd.board.model import BoardModel, Program
from farmd.board.server import Board
from farmd.board.serving import Serving, bind
from protocol.schemas import SCHEMAS
from tests.farmctl.fakes import FakeNode, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PROGRAM: dict[str, Any] = {
    "key": "p1",
    "name": "load.py",
    "total": 9,
    "pending": 2,
    "running": 3,
    "completed": 4,
    "failed": 0,
}
BOARDS = {
    "schema": "farm.boards.v1",
    "boards": [{"board": "b1", "url": "http://127.0.0.1:8765/", "programs": [PROGRAM]}],
}


@pytest.fixture
def port() -> Iterator[int]:
    model = BoardModel()
    model.apply(Program("p1", "load.py"), {"a": ops.added("First", 100, "{'lr': 0.1}", ""), "b": ops.started(5)})
    model.apply(Program("p1", "load.py"), {"a": ops.updated(50, 7), "c": ops.failed("bad\x1b[31m row", 9)})
    serving = Serving(Board(model), bind("127.0.0.1", 0))
    yield serving.port
    serving.stop()


def test_tasks_of_a_board_are_listed(port: int) -> None:
    lines = run(FakeNode(), "board", "tasks", "--port", str(port)).stdout.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATE", "PROGRESS", "ERROR"]
    assert lines[1].split() == ["a", "First", "◐", "running", "50", "/", "100", "(50.0%)"]
    assert "\x1b" not in "".join(lines)
    failed = run(FakeNode(), "board", "tasks", "--port", str(port), "--state", "failed", "-q").stdout
    assert failed == "c\n"


def test_tasks_of_a_board_are_as_their_schema_says(port: int) -> None:
    document = json.loads(run(FakeNode(), "board", "tasks", "--port", str(port), "-o", "json").stdout)
    jsonschema_rs.validate(SCHEMAS["farm.board.v1"], document)
    assert document["counts"] == {"pending": 0, "running": 2, "completed": 0, "failed": 1}


def test_programs_that_the_daemon_hears_of_are_listed() -> None:
    node = FakeNode({"board.list": BOARDS})
    lines = run(node, "board", "list").stdout.splitlines()
    assert lines[1].split() == ["load.py", "9", "2", "3", "4", "0", "http://127.0.0.1:8765/"]
    document = json.loads(run(node, "board", "list", "-o", "json").stdout)
    jsonschema_rs.validate(SCHEMAS["farm.boards.v1"], document)


def test_address_of_the_board_that_is_there_is_printed(port: int) -> None:
    result = run(FakeNode(), "board", "open", "--port", str(port))
    assert (result.exit_code, result.stdout) == (0, f"http://127.0.0.1:{port}/\n")


def test_board_that_is_not_there_is_7_with_what_to_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = run(FakeNode(), "board", "open", "--port", str(port))
    assert result.exit_code == 7
    assert "farmctl board serve" in result.stderr


def test_something_else_on_the_port_is_said() -> None:
    def answer(stranger: socket.socket) -> None:
        connection, _ = stranger.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        thread = threading.Thread(target=answer, args=(stranger,))
        thread.start()
        result = run(FakeNode(), "board", "open", "--port", str(stranger.getsockname()[1]))
        thread.join(5)
    assert result.exit_code == 1
    assert "is no board" in result.stderr


def test_noun_alone_is_the_verb_that_opens() -> None:
    alone, named = run(FakeNode(), "board"), run(FakeNode(), "board", "open")
    assert (alone.exit_code, alone.stderr) == (named.exit_code, named.stderr)


@pytest.mark.parametrize(("verb", "tasks"), [("demo", 441), ("serve", 0)])
def test_board_that_is_served_ends_with_ctrl_c(verb: str, tasks: int, tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from farmctl.cli import main; main()", "board", verb, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as program:
        try:
            assert program.stdout is not None
            port = program.stdout.readline().strip().rstrip("/").rpartition(":")[2]
            listed = json.loads(run(FakeNode(), "board", "tasks", "--port", port, "-o", "json").stdout)
            assert len(listed["tasks"]) == tasks
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=15)
            assert (program.returncode, "Traceback" in said) == (0, False)
        finally:
            program.kill()
