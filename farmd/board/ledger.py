"""What this process has said of its tasks: the whole story, and the part that the board does not have yet.

One joined operation per task, however often a program calls; so the memory is bounded by the number of tasks, and
that by `MAX_TASKS`, in the story as in what waits to be sent. Thread-safe. While this process serves the board itself, operations go straight into its model;
otherwise the publisher takes them from here, a message at a time, and keeps the last one until it is confirmed.
"""

from __future__ import annotations

import json
import threading
from itertools import islice
from typing import TYPE_CHECKING, Final

from farmd.board.ops import is_final, joined
from farmd.board.tasks import MAX_TASKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.board.ops import Op

MESSAGE_BYTES: Final = 256 << 10
"""About so much goes into one message: a quarter of what the board takes."""


class Ledger:
    """The operations of one process."""

    def __init__(self, *, max_tasks: int = MAX_TASKS) -> None:
        self.news = threading.Event()
        """Set while something waits to be published."""
        self._max_tasks = max_tasks
        self._story: dict[str, Op] = {}
        self._unsent: dict[str, Op] = {}
        self._number = 0
        self._in_flight: tuple[int, dict[str, Op]] | None = None
        self._outlet: Callable[[dict[str, Op]], None] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._story)

    def record(self, task_id: str, op: Op) -> None:
        """Note one operation, and pass it on."""
        with self._lock:
            before = self._story.get(task_id)
            self._story[task_id] = op if before is None else joined(before, op)
            if "removed" in op:
                del self._story[task_id]
            elif len(self._story) > self._max_tasks:
                self._make_room()
            if self._outlet is not None:
                self._outlet({task_id: op})
                return
            waiting = self._unsent.get(task_id)
            self._unsent[task_id] = op if waiting is None else joined(waiting, op)
            if len(self._unsent) > self._max_tasks:
                self._drop_unsent()
        if not self.news.is_set():
            self.news.set()

    def lead_to(self, outlet: Callable[[dict[str, Op]], None]) -> None:
        """Tell the whole story to a board in this process, and everything that follows as it happens."""
        with self._lock:
            outlet(dict(self._story))
            self._outlet = outlet
            self._unsent.clear()
            self._in_flight = None
            self.news.clear()

    def lead_nowhere(self) -> None:
        """Wait for another board: the one in this process has ended."""
        with self._lock:
            self._outlet = None

    # -- for the publisher ----------------------------------------------------------------------------------------

    def resume(self, received: int) -> None:
        """Go on with a board that has received this message as the last one; a new board is told everything."""
        with self._lock:
            sent = self._number - (self._in_flight is not None)
            if received < sent or received == 0:  # also who served a board itself, and never sent anything
                self._in_flight = None
                self._unsent = dict(self._story)
            elif self._in_flight is not None and received >= self._in_flight[0]:
                self._in_flight = None
            if self._unsent:
                self.news.set()

    def next_message(self) -> tuple[int, dict[str, Op]]:
        """Return the message that is to be sent now, with its number; it may say nothing, as a sign of life."""
        with self._lock:
            if self._in_flight is None:
                self._number += 1
                self._in_flight = (self._number, self._taken())
            return self._in_flight

    def confirmed(self, number: int) -> None:
        """Forget the message that the board has received."""
        with self._lock:
            if self._in_flight is not None and self._in_flight[0] == number:
                self._in_flight = None
            if not self._unsent:
                self.news.clear()

    @property
    def is_told(self) -> bool:
        """Tell whether the board knows everything."""
        with self._lock:
            return not self._unsent and (self._in_flight is None or not self._in_flight[1])

    @property
    def has_much(self) -> bool:
        """Tell whether more waits than what one call made."""
        return len(self._unsent) > 1_000

    def _taken(self) -> dict[str, Op]:
        taken: dict[str, Op] = {}
        size = 0
        for task_id, op in self._unsent.items():
            size += len(json.dumps(op, ensure_ascii=True)) + len(task_id) + 8
            if taken and size > MESSAGE_BYTES:
                break
            taken[task_id] = op
        for task_id in taken:
            del self._unsent[task_id]
        return taken

    def _make_room(self) -> None:
        """Forget the tasks that ended first, or, if none has, the oldest; the board does the same.

        What it has not been told of them stays to be sent: it may show one as running that has just ended.
        """
        spare = max(1, self._max_tasks // 100)
        ended = list(islice((task_id for task_id, op in self._story.items() if is_final(op)), spare))
        for task_id in ended or list(islice(self._story, spare)):
            del self._story[task_id]

    def _drop_unsent(self) -> None:
        """Drop what would be told of tasks that are forgotten, the oldest first: no board has come for long."""
        spare = max(1, self._max_tasks // 100)
        for task_id in list(islice((task_id for task_id in self._unsent if task_id not in self._story), spare)):
            del self._unsent[task_id]
