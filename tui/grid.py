"""The frame grid: a job at a glance, a cell a frame, or a cell for many where there are more frames than cells.

Lines hold a round number of frames, and each begins with the number of its first one, so that an eye finds frame 137. A
cell that stands for several frames shows the worst that is among them: failed before running before waiting before done.

Called by the job screen; must not import textual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.human import counted
from protocol.states import TASK_LOOKS, TaskState
from tui.looks import Run, Runs

if TYPE_CHECKING:
    from collections.abc import Sequence

STATES: Final = tuple(TaskState)
"""The state that a byte of the feed stands for."""
_FAILED, _RUNNING, _DONE = (STATES.index(s) for s in (TaskState.FAILED, TaskState.RUNNING, TaskState.DONE))
_WORST: Final = (TaskState.FAILED, TaskState.RUNNING, TaskState.GRANTED, TaskState.HELD, TaskState.CANCELLED)
"""What one cell for several frames shows if any of them is so, in this order; then all done, some done, none."""
PARTLY: Final = "◌"
"""Some are done, and none runs or failed."""


class Cell(NamedTuple):
    """One cell of the grid: places `begin` to `end` of the order that is shown."""

    glyph: str
    style: str
    begin: int
    end: int


class Grid(NamedTuple):
    """A grid that was laid out.

    Attributes:
        lines: Cells, line by line.
        labels: What stands in front of each line: its first frame.
        per_cell: Frames that one cell stands for.
        step: Terminal cells from one cell to the next: 2 with a gap, 1 without.
    """

    lines: list[list[Cell]]
    labels: list[str]
    per_cell: int
    step: int

    @property
    def gutter(self) -> int:
        """Cells in front of each line."""
        return max((len(label) for label in self.labels), default=0) + 1

    def place_at(self, x: int, y: int) -> int | None:
        """Return the place (in the order that is shown) below a cell of the screen."""
        column = (x - self.gutter) // self.step
        if not 0 <= y < len(self.lines) or not 0 <= column < len(self.lines[y]):
            return None
        return self.lines[y][column].begin


def layout(states: bytes, firsts: Sequence[int], width: int, height: int) -> Grid:
    """Lay a grid out.

    Args:
        states: A byte a task, the index into `STATES`, in the order of the frames.
        firsts: First frame of each task, in the same order.
        width: Cells of the screen.
        height: Lines of the screen.
    """
    count = len(states)
    if not count or width < 8 or height < 1:
        return Grid([], [], 1, 1)
    gutter = len(str(firsts[-1])) + 1
    room = width - gutter
    step = 2 if count <= _per_line(room // 2) * height else 1
    per_line = _per_line(room // step)
    per_cell = _round_up(-(-count // (per_line * height)))
    cells = [_cell(states, at, min(at + per_cell, count)) for at in range(0, count, per_cell)]
    lines = [cells[at : at + per_line] for at in range(0, len(cells), per_line)]
    return Grid(lines, [str(firsts[line[0].begin]).rjust(gutter - 1) for line in lines], per_cell, step)


def _per_line(room: int) -> int:
    """Round the cells of a line down to what people count in."""
    return next((room - room % unit for unit in (50, 10, 5) if room >= unit), max(1, room))


def _round_up(frames: int) -> int:
    """Give a cell 1, 2, 5, 10, 20, 50 … frames, so that lines begin with numbers that people count in."""
    scale = int("1" + "0" * (len(str(frames)) - 1))
    return next(step * scale for step in (1, 2, 5, 10) if step * scale >= frames)


def _cell(states: bytes, begin: int, end: int) -> Cell:
    if end - begin == 1:
        look = TASK_LOOKS[STATES[states[begin]]] if states[begin] < len(STATES) else None
        return Cell(look.glyph if look else "?", look.group.value if look else "muted", begin, end)
    part = states[begin:end]
    for state in _WORST:
        if STATES.index(state) in part:
            look = TASK_LOOKS[state]
            return Cell(look.glyph, look.group.value, begin, end)
    done = part.count(_DONE)
    if done == len(part):
        look = TASK_LOOKS[TaskState.DONE]
        return Cell(look.glyph, look.group.value, begin, end)
    look = TASK_LOOKS[TaskState.WAITING]
    return Cell(PARTLY if done else look.glyph, "completed" if done else look.group.value, begin, end)


def legend(states: bytes, per_cell: int) -> Runs:
    """Say what the glyphs mean, with how many there are of each; only those that are there."""
    runs: list[Run] = []
    for number, state in enumerate(STATES):
        count = states.count(number)
        if count:
            look = TASK_LOOKS[state]
            runs += [Run(f"{look.glyph} ", look.group.value), Run(f"{count} {state.value}  ", "muted")]
    if per_cell > 1:
        runs.append(Run(f"a cell is {counted(per_cell, 'frame')}, the worst of them shows", "muted"))
    return tuple(runs)


def next_in_state(states: bytes, state: TaskState, place: int, direction: int) -> int | None:
    """Return the next place in a state before or after one, round the end; None if there is none."""
    wanted, count = STATES.index(state), len(states)
    for away in range(1, count + 1):
        at = (place + away * direction) % count
        if states[at] == wanted:
            return at
    return None
