"""Filters: what each comparison keeps, that its opposite keeps the rest, and that nonsense is refused, never guessed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS, Asking, Kind, parse_filter
from protocol.states import JobState
from tests.farmctl.fakes import JOB, NOW_MS, FakeNode, farm, job_view, node_view, run

ASKING = Asking("ada", NOW_MS)
TASK = {
    "index": 3,
    "frames": "2-5",
    "state": "failed",
    "node_name": "n02",
    "attempts": 4,
    "seconds": 90.0,
    "peak_ram_bytes": 3 << 30,
    "text": "2 files are missing",
}
ROWS = {JOB_FIELDS.rows: job_view(), NODE_FIELDS.rows: node_view(), TASK_FIELDS.rows: TASK}
OPPOSITE = {"=": "!=", "!=": "=", "~": "!~", "<": ">=", ">": "<=", "<=": ">", ">=": "<"}


@pytest.mark.parametrize(
    ("fields", "text", "kept"),
    [
        (JOB_FIELDS, "name~fire", True),
        (JOB_FIELDS, "name~FIRE_*", True),
        (JOB_FIELDS, "name~ire_*", False),
        (JOB_FIELDS, "name!~*v3", False),
        (JOB_FIELDS, "name~x|*v3", True),
        (JOB_FIELDS, "failed>=1, running<=3", True),
        (JOB_FIELDS, "left<13m,left>=12m", True),
        (JOB_FIELDS, "ended<1h", False),
        (JOB_FIELDS, "project=ad", False),
        (JOB_FIELDS, "project!=ad", True),
        (NODE_FIELDS, "ram>=64G,free_ram<21G", True),
        (NODE_FIELDS, "gpus=2,renderer=blender|maya", True),
        (NODE_FIELDS, "renderer~mits", False),
        (NODE_FIELDS, "seen<1s,load>12", True),
        (TASK_FIELDS, "attempts>3,node=n02,memory>2G,time<2m", True),
        (TASK_FIELDS, "state=done", False),
        (TASK_FIELDS, "text~missing", True),
    ],
)
def test_a_comparison_keeps_what_it_says(fields: Any, text: str, kept: bool) -> None:
    assert parse_filter(text, ASKING, fields)(ROWS[fields.rows]) is kept


def test_a_reason_is_found_by_its_code_and_by_its_text() -> None:
    row = job_view(reason={"code": "no_node_fits_ram", "text": "no machine has 128G"})
    for text in ("reason=no_node_fits_ram", "reason~128g", "reason!=paused"):
        assert parse_filter(text, ASKING)(row), text


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=", "!="])
def test_what_a_row_does_not_have_is_neither_old_nor_large(sign: str) -> None:
    assert not parse_filter(f"ended{sign}1h", ASKING)(job_view(ended_ms=0))
    assert not parse_filter(f"free_ram{sign}1G", ASKING, NODE_FIELDS)(node_view(free_ram_bytes=None))


@given(
    fields=st.sampled_from([JOB_FIELDS, NODE_FIELDS, TASK_FIELDS]),
    data=st.data(),
    number=st.integers(0, 200),
    word=st.sampled_from(["fire_v3", "ada", "ws07", "x", "*", "1"]),
)
def test_a_comparison_and_its_opposite_part_the_rows(fields: Any, data: st.DataObject, number: int, word: str) -> None:
    name = data.draw(st.sampled_from(sorted(fields.known)))
    field = fields.known[name]
    signs, value = {
        Kind.WORD: (["=", "!=", "~"], data.draw(st.sampled_from(field.words)) if field.words else word),
        Kind.NUMBER: (list(OPPOSITE)[:2] + list(OPPOSITE)[3:], str(number)),
        Kind.SIZE: (["<", ">"], f"{number}G"),
        Kind.DURATION: (["<", ">"], f"{number}m"),
        Kind.AGE: (["<", ">"], f"{number}m"),
    }[field.kind]
    sign = data.draw(st.sampled_from(signs))
    row = ROWS[fields.rows]
    one, other = (parse_filter(f"{name}{each}{value}", ASKING, fields)(row) for each in (sign, OPPOSITE[sign]))
    has = field.kind in (Kind.WORD, Kind.NUMBER) or bool(row.get(field.key))
    assert (one is not other) if has else not (one or other)


@given(
    st.text(max_size=30) | st.from_regex(r"(state|age|name|failed)(=|~|<|>|!=|!~|<=|>=)[a-z0-9*|]{0,5}", fullmatch=True)
)
def test_any_text_is_a_filter_or_is_refused_in_words(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_filter(text, ASKING)(job_view()) in (True, False)


@given(st.sampled_from(sorted(JobState)), st.integers(0, 20), st.sampled_from("abcxyz"))
def test_a_state_that_is_misspelt_is_refused_and_not_simply_never_found(state: str, at: int, letter: str) -> None:
    typo = state[:at] + letter + state[at + 1 :]
    if typo in set(JobState):
        return
    with pytest.raises(UsageError, match="no state is called"):
        parse_filter(f"state={typo}", ASKING)


def test_the_tasks_of_a_job_are_chosen_by_a_filter() -> None:
    node = FakeNode(farm())
    assert run(node, "task", "list", JOB, "--filter", "state=failed,node=n02", "-q").stdout == "1\n"
    assert run(node, "task", "list", "fire_v3", "--filter", "copies=1", "-q").stdout == "0\n"
    assert run(node, "task", "list", JOB, "--filter", "attempts>9").stderr == "no tasks\n"


@pytest.mark.parametrize(
    ("fields", "text", "states"),
    [
        (JOB_FIELDS, "state=pending", {"queued", "preparing", "awaiting_approval", "paused"}),
        (JOB_FIELDS, "state=running|queued", {"testing", "rendering", "queued"}),
        (JOB_FIELDS, "state=failed", {"failed"}),  # and not those that cards count with them
        (TASK_FIELDS, "state!=pending|completed", {"running", "failed", "cancelled"}),
    ],
)
def test_a_group_means_all_its_states_and_a_state_of_that_name_itself(fields: Any, text: str, states: set[str]) -> None:
    keeps = parse_filter(text, ASKING, fields)
    assert {state for state in fields.known["state"].words if keeps({"state": state})} == states
