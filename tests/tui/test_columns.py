"""Columns: which are kept at which width, how wide they get, that no cell ever breaks a row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.human import cell_width, printable
from tests.tui.recorded import NOW_MS
from tui.columns import GAP, Column, Moment, column_at, fitting
from tui.keymap import KEYS
from tui.looks import Run, bar_runs, fitted, text_of, width_of
from tui.tables import EVENT_COLUMNS, JOB_COLUMNS, NODE_COLUMNS, TASK_COLUMNS

TABLES = (JOB_COLUMNS, NODE_COLUMNS, TASK_COLUMNS, EVENT_COLUMNS)
MOMENT = Moment(NOW_MS, "anna", {"j1": "cancelling…"})
VALUES = st.one_of(st.none(), st.integers(0, 10**12), st.text(max_size=12))


@given(st.sampled_from(TABLES), st.integers(76, 400))
def test_columns_fill_the_room_and_never_exceed_it(columns: tuple[Column, ...], room: int) -> None:
    placed = fitting(columns, room)
    taken = sum(width for _, width in placed) + GAP * (len(placed) - 1)
    assert taken <= room
    assert all(width >= column.width for column, width in placed)
    assert all(width <= max(column.most, column.width) for column, width in placed)


@pytest.mark.parametrize("columns", TABLES)
def test_wider_screen_never_drops_a_column(columns: tuple[Column, ...]) -> None:
    shown = [{column.id for column, _ in fitting(columns, room)} for room in (76, 96, 116, 156, 196)]
    assert all(narrow <= wide for narrow, wide in pairwise(shown))
    assert shown[-1] == {column.id for column in columns}


def test_job_says_its_reason_at_eighty_cells() -> None:
    shown = {column.id for column, _ in fitting(JOB_COLUMNS, 76)}
    assert {"state", "name", "done", "failed", "reason", "age"} <= shown


@pytest.mark.parametrize("columns", TABLES)
def test_letters_that_sort_are_unique_and_free(columns: tuple[Column, ...]) -> None:
    letters = [column.letter for column in columns if column.letter]
    taken = {name for key in KEYS for name in key.keys if len(name) == 1 and name.isupper()}
    assert len(letters) == len(set(letters))
    assert not set(letters) & taken


def test_click_on_a_header_finds_its_column() -> None:
    placed = fitting(JOB_COLUMNS, 116)
    begin = placed[0].width + GAP
    found = column_at(placed, begin)
    assert found is not None
    assert found.id == placed[1].column.id
    assert column_at(placed, 10_000) is None


@given(st.sampled_from(TABLES), st.dictionaries(st.sampled_from(["state", "name", "reason", "text", "id"]), VALUES))
def test_cell_of_any_row_is_as_wide_as_its_column(columns: tuple[Column, ...], row: dict[str, Any]) -> None:
    for column, width in fitting(columns, 116):
        runs = fitted(column.cell(row, MOMENT, width), width, right=column.right)
        assert width_of(runs) == width
        assert printable(text_of(runs)) == text_of(runs)


@given(st.lists(st.text(max_size=8), max_size=4), st.integers(0, 20), st.booleans())
def test_runs_are_cut_or_filled_to_the_width(texts: list[str], width: int, right: bool) -> None:
    runs = tuple(Run(text.replace("\u0300", "")) for text in texts)
    if all(cell_width(run.text) == len(run.text) for run in runs):
        assert width_of(fitted(runs, width, right=right)) == width


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(1, 60))
def test_bar_is_as_wide_as_asked_and_shows_every_failure(done: int, running: int, failed: int, width: int) -> None:
    runs = bar_runs(((done, "completed"), (running, "running"), (failed, "failed")), 300, width)
    assert width_of(runs) == width
    assert not failed or width < 3 or any(run.style == "failed" for run in runs)


def test_order_on_its_way_stands_in_place_of_the_state() -> None:
    state = next(column for column in JOB_COLUMNS if column.id == "state")
    assert text_of(state.cell({"id": "j1", "state": "rendering"}, MOMENT, 19)) == "◷ cancelling…"
    assert text_of(state.cell({"id": "j2", "state": "rendering"}, MOMENT, 19)) == "◐ rendering"


def test_machines_are_sorted_by_absence_and_not_by_what_was_told_once() -> None:
    seen = next(column for column in NODE_COLUMNS if column.id == "seen")
    rows = [
        {"name": "gone for a day", "state": "lost", "last_seen_s": 10.0, "last_seen_at_ms": NOW_MS - 86_400_000},
        {"name": "there", "state": "idle", "last_seen_s": 0.0, "last_seen_at_ms": NOW_MS - 3_600_000},
        {"name": "gone just now", "state": "lost", "last_seen_s": 12.0, "last_seen_at_ms": NOW_MS - 12_000},
    ]
    assert [row["name"] for row in sorted(rows, key=seen.order)] == ["there", "gone just now", "gone for a day"]
