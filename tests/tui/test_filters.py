"""The filter language of the tables."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from tests.tui.recorded import JOBS, NODES, NOW_MS
from tui.columns import Moment
from tui.filters import Fields, parse_filter
from tui.tables import EVENT_FIELDS, JOB_FIELDS, NODE_FIELDS, TASK_FIELDS

MOMENT = Moment(NOW_MS, "anna", {})


def names(text: str, fields: Fields = JOB_FIELDS) -> list[str]:
    wanted = parse_filter(text, fields)
    return [str(row["name"]) for row in (JOBS if fields is JOB_FIELDS else NODES) if wanted.passes(row, MOMENT)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("state=failed", ["bg_plates_old"]),
        ("state=paused|queued", ["fx_smoke_wide", "matte_paint_comp"]),
        ("state=running", ["city_flyover_v012", "turntable_chair"]),
        ("state=pending,owner=ben", ["lookdev_hero", "matte_paint_comp"]),
        ("owner=me failed>0", ["city_flyover_v012", "bg_plates_old"]),
        ("age>40m", ["test_do_not_use"]),
        ("SMOKE", ["fx_smoke_wide"]),
        ("memory", ["fx_smoke_wide"]),
        ("!owner!=cleo", ["fx_smoke_wide", "test_do_not_use"]),
    ],
)
def test_filter_shows_what_matches(text: str, shown: list[str]) -> None:
    assert names(text) == shown


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_says_why_not(text: str) -> None:
    for fields in (JOB_FIELDS, NODE_FIELDS, TASK_FIELDS, EVENT_FIELDS):
        with suppress(UsageError):  # any other error would be a fault
            assert parse_filter(text, fields).text == text.strip()


@given(st.sampled_from(["state=failed", "owner=ben", "failed>0", "age>20m", "hero", "state=pending anna"]))
def test_inverse_shows_exactly_the_others(text: str) -> None:
    assert sorted([*names(text), *names(f"!{text}")]) == sorted(str(row["name"]) for row in JOBS)


def test_sizes_need_their_unit_and_are_compared() -> None:
    assert names("ram>100G", NODE_FIELDS) == ["render01"]
    with pytest.raises(UsageError, match="without a unit"):
        parse_filter("ram>100", NODE_FIELDS)


def test_typo_in_a_name_gets_a_proposal() -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter("ownr=anna", JOB_FIELDS)
    assert caught.value.hint == "did you mean owner?"


def test_word_cannot_be_compared_by_size() -> None:
    with pytest.raises(UsageError, match="cannot compare state"):
        parse_filter("state>failed", JOB_FIELDS)
