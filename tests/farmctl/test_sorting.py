"""Lists in the order that a person asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.sorting import sort_rows
from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS, Kind
from tests.farmctl.fakes import NOW_MS, FakeNode, job_view, node_view, run

JOBS = [
    job_view(id="a", name="Zoo", state="failed", priority=50, submitted_ms=NOW_MS - 1_000, failed=2, eta_s=None),
    job_view(id="b", name="alp", state="queued", priority=90, submitted_ms=NOW_MS - 9_000, failed=0, eta_s=5.0),
    job_view(id="c", name="mid", state="rendering", priority=50, submitted_ms=NOW_MS - 5_000, failed=9, eta_s=90.0),
]


def listed(*words: str) -> str:
    node = FakeNode({"job.list": {"jobs": JOBS}})
    result = run(node, "job", "list", "-q", *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("name", "bca"),
        ("-name", "acb"),
        ("state", "bca"),
        ("priority", "acb"),
        ("-priority", "bac"),
        ("age", "acb"),
        ("-age", "bca"),
        ("-failed", "cab"),
        ("left", "bca"),
        ("-left", "cba"),
    ],
)
def test_jobs_are_put_in_order_and_equal_ones_stay_as_they_were(order: str, ids: str) -> None:
    assert listed(f"--sort={order}") == ids


def test_the_first_of_an_order_are_enough() -> None:
    assert listed("--sort=-failed", "--limit", "1") == "c"
    assert listed("--limit", "2") == "ab"


def test_machines_and_tasks_have_an_order_too() -> None:
    nodes = [node_view(id="x", name="n2", ram_bytes=9), node_view(id="y", name="n1", ram_bytes=4)]
    assert run(FakeNode({"node.list": {"nodes": nodes}}), "node", "list", "--sort", "ram", "-q").stdout == "y\nx\n"
    tasks = {"total": 2, "tasks": [{"index": 0, "seconds": 5.0}, {"index": 1, "seconds": 50.0}]}
    words = ("task", "list", JOBS[0]["id"] * 16, "--sort=-time", "-q")
    assert run(FakeNode({"task.list": tasks, "job.list": {"jobs": [job_view(id="a" * 16)]}}), *words).stdout == "1\n0\n"


def test_an_order_that_is_none_is_refused_with_what_was_meant() -> None:
    result = run(FakeNode({"job.list": {"jobs": JOBS}}), "job", "list", "--sort", "priorty")
    assert result.exit_code == 2
    assert "did you mean priority?" in result.stderr


@given(fields=st.sampled_from([JOB_FIELDS, NODE_FIELDS, TASK_FIELDS]), data=st.data())
def test_every_field_can_be_sorted_by_and_no_row_is_lost(fields: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields.known)))
    key, is_word = fields.known[name].key, fields.known[name].kind is Kind.WORD
    values = st.none() | (st.sampled_from(["", "failed", "done", "Held"]) if is_word else st.integers(0, 9))
    rows = [{"at": at, key: value} for at, value in enumerate(data.draw(st.lists(values, max_size=6)))]
    for order in (name, f"-{name}"):
        found = sort_rows(list(rows), order, fields)
        assert sorted(row["at"] for row in found) == [row["at"] for row in rows]
