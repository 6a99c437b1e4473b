"""`farmd run --board`: a real farm in a real browser, and programs that the farm hears of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.board.browser import Browser
from tests.e2e.farm import Farm, free_port, until

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from farmd.board import get_task_board, start_server
board = get_task_board()
board.add_task("epoch", "Epoch 1", 10, group="Epochs")
board.update_task("epoch", 4)
print(start_server(port=int(sys.argv[1])).url, flush=True)
sys.stdin.read()
"""


def shown(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/tasks", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except OSError:
        return {"groups": [], "tasks": []}
    return found


def counts(port: int, title: str) -> dict[str, int]:
    found: dict[str, int] = next((one["counts"] for one in shown(port)["groups"] if one["title"] == title), {})
    return found


@pytest.mark.browser
def test_jobs_of_the_farm_are_on_the_board_with_their_frames(farm: Farm, tmp_path: Path) -> None:
    port = free_port()
    farm.add("a", "--board", f"127.0.0.1:{port}")
    (node,) = farm.start("a")
    node.submit("--command", "true", "--frames", "1-6", "--name", "shot010")
    until(lambda: counts(port, "shot010").get("completed") == 6, "the board shows the job as done")
    with Browser() as page:
        page.look(1440, 900)
        page.open(f"http://127.0.0.1:{port}/")
        page.wait_for("document.querySelectorAll('.is-group').length === 1")
        assert page.text(".badge").split() == ["●", "completed"]
        page.press("j")
        page.press("Enter")
        page.wait_for("document.querySelectorAll('.is-task').length === 6")
        assert page.text(".task-name") in {"Frame 1", "Test frame 1"}
        page.picture(Path(os.environ.get("FARMD_PICTURES") or tmp_path) / "board-farm.png")
        assert page.complaints == []
        farm.close()
        page.wait_for("document.querySelector('#light-text').innerText === 'Disconnected'", within_s=20)


def test_programs_join_the_farm_s_board_though_they_had_the_port_and_its_daemon_hears_of_them(farm: Farm) -> None:
    port = free_port()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**farm.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        farm.add("a", "--board", f"127.0.0.1:{port}")
        (node,) = farm.start("a")
        node.submit("--command", "true", "--frames", "1", "--name", "shot010")
        until(lambda: {"Epochs", "shot010"} <= {one["title"] for one in shown(port)["groups"]}, "both are on one board")
        boards = until(lambda: [one for one in node.ask("board.list")["boards"] if one["programs"]], "it is heard of")
        assert boards[-1]["url"] == url
        assert [(one["total"], one["running"]) for one in boards[-1]["programs"]] == [(1, 1)]
    finally:
        program.communicate(timeout=10)
