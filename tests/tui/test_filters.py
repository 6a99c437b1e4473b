"""The filter language of the tables."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS
from tests.tui.recorded import JOBS, MINUTE_MS, NODES, NOW_MS, reason
from tui import tables
from tui.columns import Moment
from tui.filters import Filterable, parse_filter

MOMENT = Moment(NOW_MS, "anna", {})


def names(text: str, rows: Filterable = tables.JOBS) -> list[str]:
    wanted = parse_filter(text, rows)
    return [str(row["name"]) for row in (JOBS if rows is tables.JOBS else NODES) if wanted.passes(row, MOMENT)]


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
        ("name~*_v0*", ["city_flyover_v012"]),
        ("name!~_,state!=failed", []),
        ("failed>=3", ["bg_plates_old"]),
        ("failed >= 3", ["bg_plates_old"]),
        ("owner = me failed> 0 , state != failed", ["city_flyover_v012"]),
        ("plates failed >2", ["bg_plates_old"]),
        ("done<=3 total>=48", ["lookdev_hero", "turntable_chair", "fx_smoke_wide"]),
        ("label.shot=s010", []),
        ('reason~"test frames are done"', ["lookdev_hero"]),
        ("left>30m", ["city_flyover_v012"]),
        ("memory", ["fx_smoke_wide"]),
        ("!owner!=cleo", ["fx_smoke_wide", "test_do_not_use"]),
    ],
)
def test_filter_shows_what_matches(text: str, shown: list[str]) -> None:
    assert sorted(names(text)) == sorted(shown)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_says_why_not(text: str) -> None:
    for fields in (tables.JOBS, tables.NODES, tables.TASKS, tables.EVENTS):
        with suppress(UsageError):  # any other error would be a fault
            assert parse_filter(text, fields).text == text.strip()


@given(st.sampled_from(["state=failed", "owner=ben", "failed>0", "age>20m", "hero", "state=pending anna"]))
def test_inverse_shows_exactly_the_others(text: str) -> None:
    assert sorted([*names(text), *names(f"!{text}")]) == sorted(str(row["name"]) for row in JOBS)


def test_sizes_need_their_unit_and_are_compared() -> None:
    assert names("ram>100G", tables.NODES) == ["render01"]
    with pytest.raises(UsageError, match="without a unit"):
        parse_filter("ram>100", tables.NODES)


def test_typo_in_a_name_gets_a_proposal() -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter("ownr=anna", tables.JOBS)
    assert caught.value.hint == "did you mean owner?"


def test_word_cannot_be_compared_by_size() -> None:
    with pytest.raises(UsageError, match="cannot compare state"):
        parse_filter("state>failed", tables.JOBS)


@pytest.mark.parametrize(
    ("rows", "text", "hint"),
    [
        (tables.JOBS, "state=faild", "did you mean failed?"),
        (tables.NODES, "state=ilde", "did you mean idle?"),
        (tables.TASKS, "state=don", "did you mean done?"),
        (tables.TASKS, "test=maybe", "known are: yes, no"),
        (tables.NODES, "disk>1G", "did you mean free_disk?"),
        (tables.JOBS, "failed~3", "write failed>3"),
    ],
)
def test_what_could_never_match_is_refused_with_what_was_meant(rows: Filterable, text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(text, rows)
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["jobs", "machines", "tasks"])
def test_every_field_of_the_command_line_is_one_of_the_dashboard(name: str) -> None:
    there = {"jobs": JOB_FIELDS, "machines": NODE_FIELDS, "tasks": TASK_FIELDS}[name]
    here = {rows.fields.rows: rows for rows in (tables.JOBS, tables.NODES, tables.TASKS)}[name]
    assert set(there.known) <= set(here.fields.known)
    assert {field: here.fields.known[field].kind for field in there.known} == {
        field: known.kind for field, known in there.known.items()
    }


def test_absence_of_a_machine_grows_and_one_that_is_there_was_seen_now() -> None:
    away = {"name": "render02", "state": "lost", "last_seen_s": 12.0, "last_seen_at_ms": NOW_MS - 12_000}
    here = {"name": "ws01", "state": "idle", "last_seen_s": 0.0, "last_seen_at_ms": NOW_MS - 20 * MINUTE_MS}
    later = Moment(NOW_MS + 24 * 60 * MINUTE_MS, "anna", {})
    wanted = parse_filter("seen>60s", tables.NODES)
    assert [wanted.passes(away, moment) for moment in (MOMENT, later)] == [False, True]
    assert [wanted.passes(here, moment) for moment in (MOMENT, later)] == [False, False]


def test_name_and_state_are_completed() -> None:
    assert tables.JOBS.completions("pro") == ["project=", "progress"]
    assert tables.JOBS.completions("state=fa") == ["state=failed"]
    assert tables.JOBS.completions("state=failed|can") == ["state=failed|cancelled"]
    assert tables.JOBS.completions("nonsense=") == []


def test_blank_behind_a_sign_takes_no_comparison_for_a_value() -> None:
    with pytest.raises(UsageError, match="cannot read the filter 'owner='"):
        parse_filter("owner= state=failed", tables.JOBS)
    assert parse_filter("age > 2h", tables.JOBS).moves


def test_label_of_a_job_and_code_of_a_reason_are_found() -> None:
    row = {"labels": {"shot": "s010"}, "reason": reason("no_node_fits_ram", "too large", "", "✖")}
    for text in ("label.shot=s010", "label.shot~S0*", "reason=no_node_fits_ram"):
        assert parse_filter(text, tables.JOBS).passes(row, MOMENT), text
