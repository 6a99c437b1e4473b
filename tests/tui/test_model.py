"""The table model: cursor, marks, sort and filter against a plain list, whatever happens to the rows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tui.columns import Column, Moment, Row, by_number, by_word
from tui.filters import parse_filter
from tui.model import FEW, Sort, TableModel
from tui.tables import JOBS as JOB_ROWS

COLUMNS = (
    Column("name", "NAME", lambda *_: (), by_word("name"), 4),
    Column("failed", "FAILED", lambda *_: (), by_number("failed"), 4, downward=True),
)
KEYS = st.text("abcdef", min_size=1, max_size=2)
ROWS = st.fixed_dictionaries({"name": st.sampled_from("xyz"), "failed": st.integers(0, 3)})
TABLES = st.dictionaries(KEYS, ROWS, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, ROWS),
        st.tuples(st.just("remove"), KEYS),
        st.tuples(st.just("sort"), st.sampled_from(["name", "failed"])),
        st.tuples(st.just("filter"), st.sampled_from(["", "failed>1", "!failed>1", "name=x|y"])),
        st.tuples(st.just("move"), st.integers(-3, 3)),
        st.tuples(st.just("mark")),
        st.tuples(st.just("range")),
        st.tuples(st.just("all")),
        st.tuples(st.just("clear")),
    ),
    max_size=25,
)


def moment() -> Moment:
    return Moment(0, "anna", {})


def model_of(rows: dict[str, Row]) -> TableModel[str]:
    return TableModel(COLUMNS, Sort("name"), moment, rows)


def carry_out(model: TableModel[str], rows: dict[str, Row], step: tuple[Any, ...]) -> None:
    match step:
        case "put", key, row:
            rows[key] = row
            model.change([key])
        case "remove", key:
            rows.pop(key, None)
            model.remove([key])
        case "sort", column:
            model.sort_by(column)
        case "filter", text:
            model.set_filter(parse_filter(text, JOB_ROWS))
        case "move", lines:
            model.move(lines)
        case ("mark",):
            model.toggle_mark()
        case ("range",):
            model.mark_range()
        case ("all",):
            model.mark_all()
        case ("clear",):
            model.clear_marks()


def expected(model: TableModel[str], rows: dict[str, Row]) -> list[str]:
    """Sort and filter from scratch."""
    order = next(column.order for column in COLUMNS if column.id == model.sort.column)
    shown = [key for key, row in rows.items() if model.filter.passes(row, moment())]
    return sorted(shown, key=lambda key: (order(rows[key]), key), reverse=model.sort.downward)


@given(TABLES, STEPS)
def test_rows_that_change_are_shown_as_if_sorted_and_filtered_from_scratch(
    rows: dict[str, Row], steps: list[tuple[Any, ...]]
) -> None:
    model = model_of(rows)
    for step in steps:
        carry_out(model, rows, step)
        if not model.is_frozen:
            assert model.shown() == expected(model, rows)
        assert [model.at(line) for line in range(len(model))] == model.shown()
        assert all(model.line_of(key) == line for line, key in enumerate(model.shown()))


@given(TABLES, STEPS)
def test_cursor_and_marks_are_always_on_rows_that_are_there(rows: dict[str, Row], steps: list[tuple[Any, ...]]) -> None:
    model = model_of(rows)
    for step in steps:
        carry_out(model, rows, step)
        assert (model.cursor is None) == (len(model) == 0)
        assert model.cursor is None or model.at(model.cursor_line) == model.cursor
        assert all(key in rows for key in model.marks)
        assert model.is_frozen == (len(model.marks) > 0)


@given(TABLES.filter(bool), st.lists(st.tuples(KEYS, ROWS), max_size=10))
def test_order_stands_still_while_anything_is_marked(rows: dict[str, Row], changes: list[tuple[str, Row]]) -> None:
    model = model_of(rows)
    model.toggle_mark()
    before = model.shown()
    for key, row in changes:
        rows[key] = row
        model.change([key])
    assert model.shown()[: len(before)] == before
    model.clear_marks()
    assert model.shown() == expected(model, rows)


@given(TABLES.filter(bool), st.lists(st.tuples(KEYS, ROWS), max_size=10), st.integers(0, 11))
def test_cursor_stays_on_its_row_when_others_come_and_go(
    rows: dict[str, Row], changes: list[tuple[str, Row]], line: int
) -> None:
    model = model_of(rows)
    model.go(line)
    kept = model.cursor
    assert kept is not None
    for key, row in changes:
        if key != kept:
            rows[key] = row
            model.change([key])
            rows.pop(key)
            model.remove([key])
    assert model.cursor == kept


def test_many_changes_at_once_are_merged_as_one_by_one() -> None:
    rows: dict[str, Row] = {f"{n:03d}": {"name": "x", "failed": n % 5} for n in range(4 * FEW)}
    merged, single = model_of(rows), model_of(rows)
    for model in (merged, single):
        model.sort_by("failed")
    changed = list(rows)[::2]
    for key in changed:
        rows[key] = {"name": "x", "failed": 9}
    merged.change(changed)
    for key in changed:
        single.change([key])
    assert merged.shown() == single.shown() == expected(merged, rows)


def test_row_that_is_gone_leaves_the_cursor_on_the_line() -> None:
    rows: dict[str, Row] = {key: {"name": key, "failed": 0} for key in "abcd"}
    model = model_of(rows)
    model.go(1)
    del rows["b"]
    model.remove(["b"])
    assert model.cursor == "c"


def test_order_is_about_the_marked_rows_else_about_the_one_at_the_cursor() -> None:
    rows: dict[str, Row] = {key: {"name": key, "failed": 0} for key in "abcd"}
    model = model_of(rows)
    assert model.chosen() == ["a"]
    model.toggle_mark()
    model.go(2)
    model.mark_range()
    assert model.chosen() == ["a", "b", "c"]
    model.mark_all()
    assert len(model.marks) == 4
    model.mark_all()
    assert model.chosen() == ["c"]
