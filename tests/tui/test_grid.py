"""The frame grid: every frame is in one cell, the worst of a cell shows, lines begin with round numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from protocol.states import TaskState
from tui.grid import PARTLY, STATES, layout, legend, next_in_state
from tui.looks import text_of

DONE, FAILED, WAITING = (STATES.index(s) for s in (TaskState.DONE, TaskState.FAILED, TaskState.WAITING))


@given(st.integers(1, 5000), st.integers(20, 200), st.integers(1, 12))
def test_every_frame_is_in_exactly_one_cell_and_the_grid_fits(count: int, width: int, height: int) -> None:
    grid = layout(bytes(count), range(1, count + 1), width, height)
    cells = [cell for line in grid.lines for cell in line]
    assert cells[0].begin == 0
    assert cells[-1].end == count
    assert all(one.end == other.begin for one, other in pairwise(cells))
    assert len(grid.lines) <= height
    assert all(grid.gutter + grid.step * len(line) <= width + 1 for line in grid.lines)


def test_frames_that_fit_get_a_cell_each_and_round_lines() -> None:
    grid = layout(bytes(120), range(1, 121), 80, 5)
    assert grid.per_cell == 1
    assert grid.labels == ["  1", " 31", " 61", " 91"]


@given(st.integers(0, 9_999))
def test_one_failed_frame_among_ten_thousand_is_seen(place: int) -> None:
    states = bytearray([DONE] * 10_000)
    states[place] = FAILED
    grid = layout(bytes(states), range(10_000), 80, 4)
    shown = [cell for line in grid.lines for cell in line if cell.glyph == "✖"]
    assert len(shown) == 1
    assert shown[0].begin <= place < shown[0].end


def test_cell_of_done_and_waiting_frames_is_neither() -> None:
    states = bytes([DONE, WAITING] * 5_000)
    cells = {cell.glyph for line in layout(states, range(10_000), 80, 4).lines for cell in line}
    assert cells == {PARTLY}


def test_click_finds_the_frame_below_the_pointer() -> None:
    grid = layout(bytes(120), range(1, 121), 80, 5)
    assert grid.place_at(grid.gutter, 1) == 30
    assert grid.place_at(grid.gutter + 2 * 7, 0) == 7
    assert grid.place_at(0, 0) is None
    assert grid.place_at(10, 40) is None


def test_legend_counts_what_is_there_and_nothing_else() -> None:
    assert text_of(legend(bytes([DONE, DONE, FAILED]), 1)).split() == ["●", "2", "done", "✖", "1", "failed"]


def test_next_failed_goes_round_the_end() -> None:
    states = bytes([FAILED, DONE, DONE, FAILED, DONE])
    assert next_in_state(states, TaskState.FAILED, 0, 1) == 3
    assert next_in_state(states, TaskState.FAILED, 3, 1) == 0
    assert next_in_state(states, TaskState.FAILED, 3, -1) == 0
    assert next_in_state(bytes([DONE]), TaskState.FAILED, 0, 1) is None
