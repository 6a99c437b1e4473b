"""The tasks of the opened job as rows, without building a row for each: 100,000 of them are two arrays and a string of bytes.

What the feed tells of all tasks (state, frames) is always there; what only a few have (machine, time, what happened) is
asked for when it is looked at and kept until the state of the task changes.

Called by the console; must not import textual.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from protocol.frames import FrameSet, parse_frames
from tui.grid import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.feed import JobPicture
    from tui.columns import Row


_STRETCH = 512


class TaskRows(Mapping[int, "dict[str, Any]"]):
    """Rows by number of the task.

    Attributes:
        picture: The job as the feed told it.
        order: Numbers of the tasks in the order of their frames: the test frames, which come first, among the others.
        firsts: First frames in their order.
    """

    def __init__(self, picture: JobPicture) -> None:
        self.picture = picture
        self.order: list[int] = []
        self.firsts: list[int] = []
        self._place_of: list[int] = []
        self._details: dict[int, Row] = {}
        self._seen = b""
        self._begun = 0
        self._turns: dict[int, int] = {}
        self.begin_anew()

    def __len__(self) -> int:
        return len(self.picture.states)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, int) and 0 <= key < len(self)

    def __getitem__(self, task: int) -> Row:
        if task not in self:
            raise KeyError(task)
        first, last = self.picture.first[task], self.picture.last[task]
        row = {
            "task": str(task),
            "first": first,
            "frames": str(first) if first == last else f"{first}-{last}",
            "state": state_word(self.picture.states[task]),
            "test": task < self.picture.tests,
        }
        running = self.picture.running.get(task)
        details = self._details.get(task)
        if details is not None:
            row = details | row
        return row if running is None else row | running | {"task": str(task), "frames": row["frames"]}

    def begin_anew(self) -> None:
        """The plan is new: nothing of before holds."""
        firsts = self.picture.first
        self._details.clear()
        self._begun += 1
        self._turns.clear()
        self.order = sorted(range(len(firsts)), key=firsts.__getitem__)
        self.firsts = [firsts[task] for task in self.order]
        self._place_of = [0] * len(self.order)
        for place, task in enumerate(self.order):
            self._place_of[task] = place
        self._seen = self.picture.states

    def changed(self) -> list[int]:
        """Return the tasks whose state is another than when this was asked last, and those that run."""
        before, after = self._seen, self.picture.states
        self._seen = after
        if len(before) != len(after):
            return list(self)
        different = _different(before, after)
        for task in different:
            self._details.pop(task, None)
            self._turns[task] = self._turns.get(task, 0) + 1
        return [*different, *(task for task in self.picture.running if task in self)]

    def turn(self, task: int) -> tuple[int, int]:
        """Return what is the same as long as the task stays as it is: after another state, so is its result."""
        return self._begun, self._turns.get(task, 0)

    def states(self) -> bytes:
        """Return the states in the order of the frames."""
        if not self.picture.tests:
            return self.picture.states
        return bytes(map(self.picture.states.__getitem__, self.order))

    def place_of(self, task: int | None) -> int:
        """Return where a task stands in the order of the frames, or -1."""
        return self._place_of[task] if task is not None and 0 <= task < len(self._place_of) else -1

    def frames_of(self, tasks: Iterable[int]) -> FrameSet:
        """Return all frames of some tasks: those of the job from first to last, without the test frames between them."""
        picture = self.picture
        tests = FrameSet.of(picture.first[: picture.tests])
        rest = parse_frames(str(picture.job.get("frames") or "1")) - tests
        chosen: list[FrameSet] = []
        for task in tasks:
            first, last = picture.first[task], picture.last[task]
            whole = FrameSet((range(first, last + 1),))
            is_one = first == last or first not in rest or last not in rest
            chosen.append(whole if is_one else rest[rest.index(first) : rest.index(last) + 1])
        return FrameSet(tuple(run for frames in chosen for run in frames.runs))

    def lacking(self, tasks: Iterable[int]) -> list[int]:
        """Return those tasks of which more could be known than the feed tells."""
        untold = {STATES.index(state) for state in STATES if state.value in ("waiting", "granted", "cancelled")}
        return [
            task
            for task in tasks
            if task in self and task not in self._details and self.picture.states[task] not in untold
        ]

    def learn(self, rows: Iterable[Any]) -> list[int]:
        """Take rows as `task.list` gives them; returns the tasks that are better known now.

        What is known already is no news: it holds as long as the state does, and who asks anew at each news would ask
        without end while the node is ahead of its feed.
        """
        learnt = []
        for row in rows:
            task = row.get("index") if isinstance(row, dict) else None
            if not isinstance(task, int) or task not in self or task in self._details:
                continue
            if row.get("state") == state_word(self.picture.states[task]):
                self._details[task] = row
                learnt.append(task)
        return learnt


def _different(before: bytes, after: bytes) -> list[int]:
    """Return where two strings of bytes differ; equal stretches are compared as a whole."""
    return [
        at
        for begin in range(0, len(after), _STRETCH)
        if before[begin : begin + _STRETCH] != after[begin : begin + _STRETCH]
        for at in range(begin, min(begin + _STRETCH, len(after)))
        if before[at] != after[at]
    ]


def state_word(number: int) -> str:
    """Return the word for a byte of the feed; one that a newer node made up is shown by its number."""
    return STATES[number].value if number < len(STATES) else f"state {number}"
