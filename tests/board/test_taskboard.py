"""The Python API as programs use it: threads, pickling, child processes, and objects of every kind."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle  # noqa: TID251  # loaders are pickled, and this is what is tested
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from farmd.board import TaskBoard, get_task_board, start_server, taskboard
from protocol.errors import UserError
from protocol.extras import how_to_install
from tests.board.browser import until

if TYPE_CHECKING:
    from farmd.board.presence import Presence

THREADS, UPDATES = 16, 10_000


def tasks_at(presence: Presence) -> dict[str, dict[str, Any]]:
    with urllib.request.urlopen(presence.url + "tasks", timeout=5) as answer:
        return {task["id"]: task for task in json.load(answer)["tasks"]}


def test_board_is_one_in_the_process() -> None:
    assert get_task_board() is get_task_board()


def test_importing_the_board_loads_no_server() -> None:
    heavy = "{'starlette', 'uvicorn', 'websockets', 'asyncio', 'zmq', 'pydantic', 'farmd.core', 'http.client'}"
    code = (
        "import sys; from farmd.board import get_task_board, start_server;"
        "get_task_board().add_task('a', 'A', 10, {}); get_task_board().update_task('a', 5);"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_web_extra_only_serving_is_missing() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "from farmd.board import get_task_board, start_server\n"
        "get_task_board().add_task('a', 'A', 10); get_task_board().complete_task('a')\n"
        "try:\n    start_server(port=0)\n"
        "except Exception as error:\n    print(error.what, '|', error.why, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = f"the board cannot be served | the package starlette is not installed | {how_to_install('web')}"
    assert done.stdout.strip() == said


def test_life_of_a_task_is_shown(board: TaskBoard) -> None:
    presence = start_server(port=0)
    board.add_task("t1", "Epoch 1", total=100, metadata={"lr": 0.1})
    board.start_task("t1")
    board.update_task("t1", 50)
    task = tasks_at(presence)["t1"]
    assert (task["name"], task["state"], task["done"], task["total"]) == ("Epoch 1", "running", 50, 100)
    assert task["about"] == "{'lr': 0.1}"
    board.fail_task("t1", ValueError("bad row"))
    task = tasks_at(presence)["t1"]
    assert (task["state"], task["error"]) == ("failed", "ValueError: bad row")
    assert task["ended_at_ms"] >= task["started_at_ms"]
    board.complete_task("t2")
    assert tasks_at(presence)["t2"]["state"] == "completed"
    board.remove_task("t2")
    assert "t2" not in tasks_at(presence)


def test_nothing_that_is_given_raises(board: TaskBoard) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    class Array:
        def __bool__(self) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        def __eq__(self, other: object) -> bool:
            raise ValueError("it compares element by element")

        __hash__ = None  # type: ignore[assignment]  # as those of arrays

    presence = start_server(port=0)
    for odd in (
        Hostile(),
        Array(),
        object(),
        None,
        float("nan"),
        10**400,
        "\ud800",
        "",
        b"\xff",
        [1],
        threading.Lock(),
    ):
        board.add_task(odd, odd, odd, odd, group=odd)
        board.update_task(odd, odd)
        board.advance_task(odd, odd)
        board.fail_task(odd, odd)
    assert len(tasks_at(presence)) >= 5


@pytest.mark.parametrize("is_served", [True, False])
def test_sixteen_threads_lose_no_update_and_memory_stays_bounded(board: TaskBoard, is_served: bool) -> None:
    presence = start_server(port=0) if is_served else None
    board.add_task("shared", "All", THREADS * UPDATES)

    def work(number: int) -> None:
        for step in range(1, UPDATES + 1):
            board.advance_task("shared")
            board.update_task(f"own-{number}", step)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))  # an exception of a thread is raised here
    presence = presence or start_server(port=0)
    found = tasks_at(presence)
    assert found["shared"]["done"] == THREADS * UPDATES
    assert {found[f"own-{number}"]["done"] for number in range(THREADS)} == {UPDATES}
    assert len(found) == len(taskboard._process.ledger) == THREADS + 1


def test_memory_is_bounded_by_the_number_of_tasks_that_are_kept() -> None:
    from farmd.board import ops
    from farmd.board.ledger import Ledger

    ledger = Ledger(max_tasks=1_000)
    for number in range(5_000):
        ledger.record(f"{number}", ops.completed(1))
    ledger.record("runs", ops.started(1))
    assert len(ledger) <= 1_000
    assert len(ledger._unsent) <= 1_000


def test_a_completion_that_no_board_has_heard_of_yet_outlives_its_task() -> None:
    from farmd.board import ops
    from farmd.board.ledger import Ledger

    ledger = Ledger(max_tasks=1_000)
    ledger.record("oldest", ops.started(1))
    for other in range(999):
        ledger.record(f"{other}", ops.started(1))
    number, _ = ledger.next_message()
    ledger.confirmed(number)
    ledger.record("oldest", ops.completed(2))
    ledger.record("one more", ops.started(3))
    assert ledger.next_message()[1]["oldest"]["state"] == "completed"


def test_tasks_that_come_and_go_cost_no_memory_while_no_board_is_there() -> None:
    from farmd.board import ops
    from farmd.board.ledger import Ledger

    ledger = Ledger(max_tasks=1_000)
    for number in range(5_000):
        ledger.record(f"{number}", ops.started(1))
        ledger.record(f"{number}", ops.removed())
    assert len(ledger._unsent) <= 1_000


def test_what_holds_the_board_pickles_and_comes_out_with_the_same_board(board: TaskBoard) -> None:
    start_server(port=0)
    held = {"board": board, "rows": [1, 2]}
    assert pickle.loads(pickle.dumps(held))["board"] is board
    assert copy.deepcopy(held)["board"] is board
    assert b"socket" not in pickle.dumps(held)
    board.add_task("after")  # and it goes on working
    assert len(taskboard._process.ledger) == 1


def child_work(board: TaskBoard, number: int) -> None:
    """What a worker process does with the board that it was given."""
    for _ in range(100):
        board.advance_task("shared")
    board.add_task(f"worker-{number}", f"Worker {number}", 1)
    board.complete_task(f"worker-{number}")


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_child_processes_report_to_the_board_of_their_parent(board: TaskBoard, method: str) -> None:
    presence = start_server(port=0)
    board.add_task("shared", "All", 300)
    context: Any = multiprocessing.get_context(method)
    children = [context.Process(target=child_work, args=(board, number)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(15)
        assert child.exitcode == 0
    found = tasks_at(presence)
    assert found["shared"]["done"] == 300
    assert {task["group"] for task in found.values()} == {found["shared"]["group"]}
    assert [found[f"worker-{number}"]["state"] for number in range(3)] == ["completed"] * 3


def hold_on(board: TaskBoard, ready: Any, over: Any) -> None:
    board.advance_task("t")
    ready.set()
    over.wait(15)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_keeps_no_port_of_its_parent(board: TaskBoard) -> None:
    presence = start_server(port=0)
    context = multiprocessing.get_context("fork")
    ready, over = context.Event(), context.Event()
    child = context.Process(target=hold_on, args=(board, ready, over))
    child.start()
    assert ready.wait(10)
    port = presence.port
    presence.close()
    again = start_server(port=port)  # would be taken if the child had kept it
    assert again.port == port
    assert again.is_server
    over.set()
    child.join(10)
    assert child.exitcode == 0


def test_started_twice_it_is_one_server(board: TaskBoard) -> None:
    first = start_server(port=0)
    assert start_server(port=0) is first
    first.close()
    second = start_server(port=0)
    assert second is not first
    board.add_task("a")
    assert until(lambda: "a" in tasks_at(second), 5, "the task")


def test_server_stopped_and_started_shows_what_was_said_before_and_between(board: TaskBoard) -> None:
    first = start_server(port=0)
    board.add_task("a", "A", 10)
    first.close()
    board.update_task("a", 7)
    assert tasks_at(start_server(port=0))["a"]["done"] == 7


def test_a_board_that_is_elsewhere_than_asked_for_says_so(board: TaskBoard) -> None:
    first = start_server(port=0)
    with pytest.warns(UserWarning, match=f"at {first.url} already"):
        assert start_server("0.0.0.0", 0) is first
    with pytest.warns(UserWarning, match="already"):
        start_server(port=first.port - 1)
    start_server(port=first.port)


def test_address_that_others_reach_is_warned_about(board: TaskBoard) -> None:
    with pytest.warns(UserWarning, match="can be read by everybody"):
        presence = start_server("0.0.0.0", 0)
    assert presence.url.startswith("http://127.0.0.1:")
    assert tasks_at(presence) == {}


def test_address_that_is_not_of_this_machine_is_refused(board: TaskBoard) -> None:
    with pytest.raises(UserError, match="cannot listen"):
        start_server("192.0.2.1", 0)
    with pytest.raises(UserError, match="not a port"):
        start_server(port=70_000)
