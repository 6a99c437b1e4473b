"""Several programs on one board: real processes that join, die, and take each other's place."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farmd.board import TaskBoard, start_server
from farmd.board.access import token
from farmd.board.holder import port_holder
from farmd.board.joining import ask_for_port, greet
from farmd.board.model import BoardModel
from farmd.board.server import Board
from farmd.board.serving import Serving, bind
from protocol.errors import UserError
from tests.board.browser import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from farmd.board import get_task_board, start_server
board = get_task_board()
for number in range(int(sys.argv[2])):
    board.add_task(f"t{number}", total=10, group=sys.argv[3])
board.update_task("t0", 5)
presence = start_server(port=int(sys.argv[1]))
print(presence.port, flush=True)
for line in sys.stdin:
    exec(line)
    print("ok", flush=True)
"""


class Running:
    """A program with a board, in a process of its own."""

    def __init__(self, port: int, tasks: int, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(port), str(tasks), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.port = int(self._line())

    def do(self, code: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(code + "\n")
        self._process.stdin.flush()
        assert self._line() == "ok"

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def end(self) -> None:
        with suppress(OSError):
            self._process.communicate(timeout=10)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:

        def started(port: int, tasks: int = 3, name: str = "one") -> Running:
            program = Running(port, tasks, name)
            stack.callback(program.kill)
            return program

        yield started


def shown(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/tasks", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def groups(port: int) -> dict[str, int]:
    try:
        return {group["title"]: sum(group["counts"].values()) for group in shown(port)["groups"]}
    except OSError:
        return {}


def test_several_programs_show_on_one_board(run: Callable[..., Running]) -> None:
    first = run(0, 3, "one")
    second, third = run(first.port, 5, "two"), run(first.port, 7, "three")
    assert first.port == second.port == third.port
    everybody = {"one": 3, "two": 5, "three": 7}
    until(lambda: groups(first.port) == everybody, 10, "all programs on the board")
    second.do("board.complete_task('t1')")
    until(lambda: shown(first.port)["counts"]["completed"] == 1, 5, "the change of a program that has joined")


def test_program_that_serves_dies_and_another_takes_its_place(run: Callable[..., Running]) -> None:
    first = run(0, 3, "one")
    second, third = run(first.port, 5, "two"), run(first.port, 7, "three")
    until(lambda: len(groups(first.port)) == 3, 10, "all programs on the board")
    first.kill()
    until(lambda: groups(second.port) == {"two": 5, "three": 7}, 15, "the others on a board of their own")
    third.do("board.update_task('t1', 9)")
    second.do("board.update_task('t1', 8)")
    until(lambda: shown(third.port)["counts"]["running"] == 4, 5, "what happened since")
    run(first.port, 1, "four")
    until(lambda: len(groups(second.port)) == 3, 10, "a program that joins afterwards")


def test_worker_forked_by_a_program_that_has_joined_reports_beside_it(run: Callable[..., Running]) -> None:
    first = run(0, 1, "one")
    second = run(first.port, 2, "two")
    second.do(
        "import multiprocessing; context = multiprocessing.get_context('fork');"
        "workers = [context.Process(target=board.advance_task, args=('shared', n)) for n in (1, 2, 3)];"
        "[worker.start() for worker in workers]; [worker.join() for worker in workers]"
    )
    second.do("board.advance_task('shared', 10)")

    def done() -> float:
        return sum(float(task.get("done", 0)) for task in shown(first.port)["tasks"] if task["id"] == "shared")

    until(lambda: done() == 16, 10, "what the workers and their parent did")


def test_program_that_ends_in_good_order_has_told_its_last_words(run: Callable[..., Running]) -> None:
    first = run(0, 1, "one")
    second = run(first.port, 2, "two")
    second.do("[board.complete_task(f't{n}') for n in range(2)]")
    second.end()
    assert shown(first.port)["counts"]["completed"] == 2


def hang_up(stranger: socket.socket) -> None:
    with suppress(OSError):  # it was shut down
        while True:
            stranger.accept()[0].close()


def test_port_held_by_another_program_is_an_error_that_names_it(board: TaskBoard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        stranger.listen()
        accepting = threading.Thread(target=hang_up, args=(stranger,))
        accepting.start()
        with pytest.raises(UserError) as caught:
            start_server(port=port)
        stranger.shutdown(socket.SHUT_RDWR)
        accepting.join(5)
    assert caught.value.what == f"port {port} is taken"
    assert f"(pid {os.getpid()})" in caught.value.why
    assert "0 for any" in caught.value.hint


class Imposter(BaseHTTPRequestHandler):
    """Says that it is a board, and does not know the token."""

    seen: list[str] = []  # noqa: RUF012  # one per test run is enough

    def do_GET(self) -> None:
        self.seen.append(self.path + str(self.headers))
        body = json.dumps({"schema": "farm.board.v1", "server_id": "x", "proof": "0" * 64}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the signature is the library's
        pass


def test_board_of_another_user_is_not_joined_and_learns_nothing(board: TaskBoard, runtime_dir: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Imposter) as imposter:
        serving = threading.Thread(target=imposter.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            with pytest.raises(UserError, match="is taken") as caught:
                start_server(port=imposter.server_port)
        finally:
            imposter.shutdown()
            serving.join()
    assert "task board of another user" in caught.value.why
    token = (runtime_dir / "farmd" / "board.token").read_text()
    assert Imposter.seen
    assert not any(token in request for request in Imposter.seen)


def pass_on(listening: socket.socket, port: int) -> None:
    """Pass one request on to a board elsewhere, and its answer back."""
    with listening.accept()[0] as asking, socket.create_connection(("127.0.0.1", port)) as board:
        board.sendall(asking.recv(65_536).replace(b"Host:", b"Connection: close\r\nHost:"))
        while data := board.recv(65_536):
            asking.sendall(data)


def test_greeting_that_a_stranger_passes_on_to_a_board_elsewhere_proves_nothing(board: TaskBoard) -> None:
    presence = start_server(port=0)
    assert greet("127.0.0.1", presence.port).address == "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        passing = threading.Thread(target=pass_on, args=(stranger, presence.port))
        passing.start()
        with pytest.raises(UserError, match="is taken"):
            greet("127.0.0.1", stranger.getsockname()[1])
        passing.join(5)


def test_program_leaves_its_port_to_the_farm_s_board_and_joins_that(board: TaskBoard) -> None:
    presence = start_server(port=0)
    board.advance_task("before", 2)
    ask_for_port("127.0.0.1", presence.port)
    listening = until(lambda: free_port_of(presence.port), 5, "the port to be free")
    board.advance_task("between", 3)
    farm = Serving(Board(BoardModel("farm"), secret=token()), listening)
    try:
        until(lambda: presence.is_connected and not presence.is_server, 5, "the program to join")
        board.advance_task("after", 4)
        assert board.flush()
        assert {task["id"]: task["done"] for task in farm.board.model.views()} == {
            "before": 2,
            "between": 3,
            "after": 4,
        }
        with pytest.raises(UserError, match="is taken"):  # a second farm gets nothing
            ask_for_port("127.0.0.1", presence.port)
    finally:
        farm.stop()


def test_program_that_is_asked_several_times_at_once_leaves_once_and_counts_nothing_twice(board: TaskBoard) -> None:
    presence = start_server(port=0)
    serving = presence._serving
    assert serving is not None
    assert serving.board.on_yield is not None
    for _ in range(6):
        serving.board.on_yield("127.0.0.1")
    until(lambda: presence._thread is not None, 5, "the program to look for the farm's board")
    until(lambda: not threads("farmd-board-yield"), 5, "all who asked to be done")
    assert len(threads("farmd-board-publisher")) == 1
    board.advance_task("t", 3)
    farm = Serving(Board(BoardModel("farm"), secret=token()), bind("127.0.0.1", presence.port))
    try:
        until(lambda: presence.is_connected and not presence.is_server, 5, "the program to join")
        assert board.flush()
        assert [task["done"] for task in farm.board.model.views()] == [3]
    finally:
        farm.stop()


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_program_finds_the_farm_s_board_at_the_address_at_which_that_asked(board: TaskBoard) -> None:
    with pytest.warns(UserWarning, match="can be read by everybody"):
        presence = start_server(host="0.0.0.0", port=0)  # what is tried here: it leaves all its addresses
    ask_for_port("127.0.0.2", presence.port)
    listening = until(lambda: free_port_of(presence.port, "127.0.0.2"), 5, "the port to be free")
    farm = Serving(Board(BoardModel("farm"), "127.0.0.2", secret=token()), listening)
    try:
        until(lambda: presence.is_connected and not presence.is_server, 5, "the program to join")
        board.advance_task("after", 4)
        assert board.flush()
        assert [task["done"] for task in farm.board.model.views()] == [4]
    finally:
        farm.stop()


def free_port_of(port: int, host: str = "127.0.0.1") -> socket.socket | None:
    try:
        return bind(host, port)
    except UserError:
        return None


def test_port_that_nobody_holds_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert port_holder(port) == ""
