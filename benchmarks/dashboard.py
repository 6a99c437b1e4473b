"""What a person waits for in the dashboard: 100,000 rows, 2,000 changes a second, on a real terminal (a pty).

Two programs, one after the other, in alternating rounds: the dashboard's own table, inside the whole dashboard, and the
`DataTable` of Textual with the same rows, columns and changes. Measured from outside, by what comes out of the terminal:
first paint (from the moment when the rows are there to the first of them on the screen), key to paint (a `j` until the
status line shows the next number), memory that the table adds to the rows, and processor time while rows change.

    python -m benchmarks.dashboard [--rows 100000] [--changes 2000] [--seconds 10] [--rounds 2]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import random
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, finish, median, percentile, say, usage_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tui.source import Told

COLUMNS, LINES = 120, 40
BATCHES_PER_S = 4
"""The feed of a node answers at most so often."""
FIRST_PAINT_S, KEY_TO_PAINT_S = 0.5, 0.12
"""What we owe."""
KEYS_PER_S = 5


# -- the rows, and what changes in them -------------------------------------------------------------------------------


def row_of(number: int, done: int = 0) -> dict[str, Any]:
    """Return a job as the feed tells it."""
    return {
        "id": f"j{number:09d}",
        "name": f"shot_{number:06d}",
        "owner": "anna",
        "state": "rendering",
        "total": 1000,
        "done": done,
        "failed": 0,
        "running": done % 7,
        "waiting": 1000 - done,
        "priority": 50,
        "renderer": "blender",
        "frames": "1-1000",
        "submitted_ms": 1_780_000_000_000 + number,
        "reason": None,
        "eta_s": None,
    }


def batches(count: int, changes_per_s: int) -> Any:
    """Yield rows that change, for ever, the same in each run."""
    chosen = random.Random(1)
    done = 0
    while True:
        done = done % 1000 + 1
        yield [row_of(chosen.randrange(count), done) for _ in range(changes_per_s // BATCHES_PER_S)]


def tell_parent(what: str) -> None:
    """Say when something was, on the clock that all processes share, and what memory and time were used by then."""
    pipe = int(os.environ["DASHBOARD_PIPE"])
    usage = usage_of(os.getpid())
    os.write(pipe, f"{what} {time.monotonic()} {usage.rss_bytes} {usage.cpu_s}\n".encode())


# -- the two programs -------------------------------------------------------------------------------------------------


class Recording:
    """A farm whose jobs change."""

    def __init__(self, count: int, changes_per_s: int) -> None:
        self._count = count
        self._batches = batches(count, changes_per_s)

    async def told(self) -> AsyncGenerator[Told, None]:
        """Tell of all jobs once, then of those that change."""
        from protocol.feed import FarmPicture
        from tui.source import FarmTold

        rows, picture = [row_of(number) for number in range(self._count)], FarmPicture()
        changes = picture.apply(self._answer(rows, reset=True))
        await asyncio.sleep(1)  # the empty screen is drawn; what follows is the work of the rows
        tell_parent("ready")
        yield FarmTold(picture, changes)
        while True:
            await asyncio.sleep(1 / BATCHES_PER_S)
            yield FarmTold(picture, picture.apply(self._answer(next(self._batches), reset=False)))

    def _answer(self, rows: list[dict[str, Any]], *, reset: bool) -> dict[str, Any]:
        farm = {
            "name": "farm",
            "node": "n",
            "node_name": "n",
            "leader": "n",
            "notes": 0,
            "jobs": {"total": self._count},
        }
        more = {"removed": [], "nodes": [], "nodes_removed": [], "more": False, "as_of_ms": 1_780_000_000_000}
        return {"schema": "farm.feed.v1", "life": "n/1", "after": 1, "reset": reset, "farm": farm, "jobs": rows} | more

    async def call(self, op: str, /, **args: Any) -> Any:
        """Answer nothing."""
        del op, args
        return {}

    def watch_job(self, job: str | None) -> None:
        """Watch nothing."""


def show_ours(count: int, changes_per_s: int) -> None:
    """Run the dashboard on a recording."""
    from tui.app import Dashboard

    Dashboard(Recording(count, changes_per_s)).run()


def show_peer(count: int, changes_per_s: int) -> None:
    """Run a DataTable with the same rows."""
    from textual.app import App
    from textual.widgets import DataTable, Static

    class Peer(App[None]):
        """A table and a line below it."""

        CSS = "DataTable { height: 1fr; } Static { height: 1; }"

        def compose(self) -> Any:
            yield DataTable(cursor_type="row")
            yield Static(id="line")

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            for name in PEER_COLUMNS:
                table.add_column(name.upper(), key=name, width=12)
            rows = [row_of(number) for number in range(count)]
            self.set_timer(1, lambda: self.load(table, rows))

        def load(self, table: DataTable[str], rows: list[dict[str, Any]]) -> None:
            tell_parent("ready")
            for row in reversed(rows):  # newest first, as ours
                table.add_row(*(str(row[name]) for name in PEER_COLUMNS), key=row["id"])
            table.focus()
            self.run_worker(change_peer(table, count, changes_per_s))

        def on_key(self, event: Any) -> None:
            if event.key == "j":
                self.query_one(DataTable).action_cursor_down()

        def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
            self.query_one("#line", Static).update(f"{event.cursor_row + 1} of {count}")

    Peer().run()


PEER_COLUMNS = ("state", "name", "done", "running", "failed", "priority", "owner", "total", "id")


async def change_peer(table: Any, count: int, changes_per_s: int) -> None:
    """Change cells of a DataTable, for ever."""
    for batch in batches(count, changes_per_s):
        await asyncio.sleep(1 / BATCHES_PER_S)
        for row in batch:
            for name in ("done", "running"):
                table.update_cell(row["id"], name, str(row[name]))


# -- looking at them from outside -------------------------------------------------------------------------------------


class Terminal:
    """A program on a terminal of its own, and what it has drawn."""

    def __init__(self, program: str, asked: argparse.Namespace) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._pipe, told = os.pipe()
        words = [sys.executable, "-m", "benchmarks.dashboard", "--program", program]
        words += ["--rows", str(asked.rows), "--changes", str(asked.changes)]
        environment = os.environ | {"DASHBOARD_PIPE": str(told), "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, pass_fds=[told], env=environment, cwd=ROOT
        )
        os.close(slave)
        os.close(told)
        self._drawn = b""

    def wait_for(self, text: bytes, limit_s: float) -> float:
        """Wait until a text has been drawn since the last call; return when that was.

        Raises:
            TimeoutError: It was not.
        """
        until = time.monotonic() + limit_s
        while text not in self._drawn:
            if not self._read(until - time.monotonic()):
                raise TimeoutError(f"{text!r} was not drawn within {limit_s:g} s")
        now = time.monotonic()
        self._drawn = b""
        return now

    def idle(self, seconds: float) -> None:
        """Read what is drawn for some time, as a terminal does."""
        until = time.monotonic() + seconds
        while self._read(until - time.monotonic()):
            self._drawn = b""

    def _read(self, wait_s: float) -> bool:
        if wait_s <= 0 or not select.select([self._master], [], [], wait_s)[0]:
            return False
        self._drawn += os.read(self._master, 1 << 16)
        return True

    def press(self, key: bytes) -> float:
        """Press a key; return when that was."""
        now = time.monotonic()
        os.write(self._master, key)
        return now

    def told(self) -> tuple[float, int, float]:
        """Return when the rows were ready, and the memory and processor time by then."""
        words = os.read(self._pipe, 200).split()
        return float(words[1]), int(words[2]), float(words[3])

    def close(self) -> None:
        """End the program."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._pipe)


def measure(program: str, asked: argparse.Namespace) -> dict[str, float]:
    """Run one program once."""
    terminal = Terminal(program, asked)
    try:
        if program == "ours":
            terminal.wait_for(b"asking", 30)
            terminal.press(b"2")
        first_row = f"shot_{asked.rows - 1:06d}".encode()
        painted_at = terminal.wait_for(first_row, 120)
        painted_cpu_s = usage_of(terminal.process.pid).cpu_s
        ready_at, before_bytes, ready_cpu_s = terminal.told()
        terminal.idle(2)
        cpu_s, began = usage_of(terminal.process.pid).cpu_s, time.monotonic()
        taken: list[float] = []
        for number in range(2, 2 + int(KEYS_PER_S * asked.seconds)):
            pressed_at = terminal.press(b"j")
            taken.append(terminal.wait_for(f"{number} of {asked.rows}".encode(), 30) - pressed_at)
            terminal.idle(max(0.0, 1 / KEYS_PER_S - taken[-1]))
        keys_cpu = (usage_of(terminal.process.pid).cpu_s - cpu_s) / (time.monotonic() - began)
        cpu_s, began = usage_of(terminal.process.pid).cpu_s, time.monotonic()
        terminal.idle(asked.seconds / 2)
        usage = usage_of(terminal.process.pid)
        return {
            "first_paint_s": painted_at - ready_at,
            "first_paint_cpu_s": painted_cpu_s - ready_cpu_s,
            "key_to_paint_p50_s": median(taken),
            "key_to_paint_p95_s": percentile(taken, 95),
            "table_mib": (usage.rss_bytes - before_bytes) / (1 << 20),
            "rss_mib": usage.rss_bytes / (1 << 20),
            "cpu_share_of_changes": (usage.cpu_s - cpu_s) / (time.monotonic() - began),
            "cpu_share_with_keys": keys_cpu,
        }
    finally:
        terminal.close()


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--program", choices=("ours", "peer"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.program:
        programs: dict[str, Callable[[int, int], None]] = {"ours": show_ours, "peer": show_peer}
        programs[asked.program](asked.rows, asked.changes)
        return
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for _ in range(asked.rounds):
        for program, measured in runs.items():
            measured.append(measure(program, asked))
            say(f"{program}: {json.dumps({name: round(value, 4) for name, value in measured[-1].items()})}")
    figures = {
        f"{program}_{name}": median(run[name] for run in measured)
        for program, measured in runs.items()
        for name in measured[0]
    }
    names = {
        "first_paint": "first_paint_s",
        "first_paint_cpu": "first_paint_cpu_s",
        "key_to_paint_p95": "key_to_paint_p95_s",
        "memory": "table_mib",
        "cpu": "cpu_share_of_changes",
    }
    ratios = {f"{short}_of_peer": _ratio(figures, name) for short, name in names.items()}
    ratios["first_paint_of_budget"] = figures["ours_first_paint_s"] / FIRST_PAINT_S
    ratios["key_to_paint_p95_of_budget"] = figures["ours_key_to_paint_p95_s"] / KEY_TO_PAINT_S
    finish("dashboard", ratios, figures)


def _ratio(figures: dict[str, float], name: str) -> float | None:
    """Return the peer's figure in those of ours: above 1, ours needs less."""
    return figures[f"peer_{name}"] / figures[f"ours_{name}"] if figures[f"ours_{name}"] > 0 else None


if __name__ == "__main__":
    main()
