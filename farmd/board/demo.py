"""A board to look at: hundreds of simulated tasks, as a program with a pool of workers would have them.

Everything but the pace comes from a seed, so that two demonstrations with one seed end alike.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.board.taskboard import TaskBoard

TASKS: Final = 441
WORKERS: Final = 12
TICK_S: Final = 0.1
FAILING: Final = 0.03
_GROUPED_FROM: Final = 501
_PER_GROUP: Final = 250
_STAGES: Final = ("Read shard", "Tokenise shard", "Filter shard", "Write shard")
_ERRORS: Final = (
    ValueError("line 4,102: unbalanced quotes"),
    FileNotFoundError("shards/part-0193.parquet: no such file"),
    TimeoutError("no answer from the store within 30 s"),
    MemoryError("needed 9.2 GB, 8 GB are left"),
)


@dataclass(slots=True)
class _Running:
    task_id: str
    total: int
    done: float
    speed: float
    fails_at: float | None


class Demo:
    """One demonstration; `step` moves it on by a moment."""

    def __init__(self, board: TaskBoard, tasks: int = TASKS, *, seed: int = 441, speed: float = 1.0) -> None:
        self._board = board
        self._random = Random(seed)
        self._speed = speed
        self._running: list[_Running] = []
        self._waiting: list[tuple[str, int]] = []
        for number in range(tasks):
            self._add(number, tasks)
        self._waiting.reverse()

    @property
    def is_over(self) -> bool:
        """Tell whether all tasks have ended."""
        return not self._running and not self._waiting

    def step(self) -> None:
        """Let every worker do a little."""
        while self._waiting and len(self._running) < WORKERS:
            self._start()
        for task in list(self._running):
            task.done = min(task.total, task.done + task.speed * self._speed * self._random.uniform(0.4, 1.6))
            if task.fails_at is not None and task.done >= task.fails_at:
                self._board.fail_task(task.task_id, self._random.choice(_ERRORS))
            elif task.done >= task.total:
                self._board.complete_task(task.task_id)
            else:
                self._board.update_task(task.task_id, int(task.done))
                continue
            self._running.remove(task)

    def _add(self, number: int, tasks: int) -> None:
        stage, shard = _STAGES[number % len(_STAGES)], number // len(_STAGES)
        task_id, total = f"shard-{shard:03}-{stage.split()[0].lower()}", self._random.randrange(40, 400, 20)
        metadata = {"file": f"shards/part-{shard:04}.parquet", "rows": total * 1_000}
        group = f"Batch {number // _PER_GROUP + 1}" if tasks >= _GROUPED_FROM else ""
        self._board.add_task(task_id, f"{stage} {shard:03}", total, metadata, group=group)
        self._waiting.append((task_id, total))

    def _start(self) -> None:
        task_id, total = self._waiting.pop()
        fails = self._random.random() < FAILING
        fails_at = self._random.uniform(0.1, 0.95) * total if fails else None
        self._running.append(_Running(task_id, total, 0.0, total * self._random.uniform(0.01, 0.05), fails_at))
        self._board.start_task(task_id)


def play(demo: Demo, wait: Callable[[float], bool], tick_s: float = TICK_S) -> None:
    """Move a demonstration on until all is over, or until `wait` says that it is enough."""
    due = time.monotonic()
    while not demo.is_over:
        demo.step()
        due += tick_s
        if wait(max(0.0, due - time.monotonic())):
            return
