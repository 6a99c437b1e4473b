from __future__ import annotations

import json
from copy import copy

from hypothesis import given
from hypothesis import strategies as st

from farmd.board import ops
from farmd.board.ops import Op, as_op, joined
from farmd.board.tasks import Task

AT = st.integers(1, 9)
AMOUNT = st.integers(0, 50)
CALLS = st.one_of(
    st.builds(ops.added, st.sampled_from(["a", "b"]), AMOUNT, st.just(""), st.just("")),
    st.builds(ops.started, AT),
    st.builds(ops.updated, AMOUNT, AT),
    st.builds(ops.advanced, AMOUNT, AT),
    st.builds(ops.completed, AT),
    st.builds(ops.failed, st.sampled_from(["", "broken"]), AT),
    st.builds(ops.removed),
)


def after(task: Task | None, *calls: Op) -> Task | None:
    """Apply operations one by one, as a model does: a task that is not there begins with its first mention."""
    for op in calls:
        if "removed" in op:
            task = None
            continue
        task = Task("p/t", "t", "g") if task is None else copy(task)
        task.apply(op)
    return task


@given(st.lists(CALLS, max_size=6), st.lists(CALLS, min_size=1, max_size=8))
def test_joined_operations_do_what_they_do_one_by_one(before: list[Op], calls: list[Op]) -> None:
    task = after(None, *before)
    one = calls[0]
    for op in calls[1:]:
        one = joined(one, op)
    assert after(task, one) == after(task, *calls)


@given(st.lists(CALLS, min_size=3, max_size=3))
def test_joining_is_associative_so_that_messages_may_be_cut_anywhere(calls: list[Op]) -> None:
    first, second, third = calls
    task = after(None, joined(joined(first, second), third))
    assert task == after(None, joined(first, joined(second, third)))


def test_update_of_a_pending_task_begins_it() -> None:
    task = after(None, ops.added("a", 10, "", ""), ops.updated(3, 7))
    assert task is not None
    assert (task.state, task.done, task.started_at_ms) == ("running", 3, 7)


def test_update_of_an_ended_task_leaves_it_ended() -> None:
    task = after(None, ops.failed("disk full", 5), ops.updated(3, 7))
    assert task is not None
    assert (task.state, task.error, task.ended_at_ms) == ("failed", "disk full", 5)


def test_started_again_a_task_has_neither_end_nor_error() -> None:
    task = after(None, ops.started(1), ops.updated(9, 2), ops.failed("disk full", 5), ops.started(8))
    assert task is not None
    assert (task.state, task.error, task.ended_at_ms, task.started_at_ms, task.done) == ("running", "", None, 8, 0)


def test_completed_task_shows_all_of_its_total() -> None:
    task = after(None, ops.added("a", 100, "", ""), ops.updated(97, 1), ops.completed(2))
    assert task is not None
    assert task.view()["done"] == 100


@given(CALLS)
def test_what_was_sent_is_what_is_read(op: Op) -> None:
    assert as_op(dict(op)) == op


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists))
def test_what_is_no_operation_is_refused(found: object) -> None:
    assert as_op(found) is None
    assert as_op({"state": found}) is None or found in ops.STATES
    assert as_op({"done": found}) is None or (isinstance(found, int) and not isinstance(found, bool))


def test_what_a_program_sends_is_bounded_for_those_who_look() -> None:
    sent = {"name": "x" * 10_000, "error": "\ud800" * 10_000, "done": float("inf"), "total": 1e300, "later": [1]}
    read = as_op(sent)
    assert read is not None
    assert set(read) == {"name", "error", "done", "total"}
    assert len(json.dumps(read, allow_nan=False, ensure_ascii=False).encode()) < 10_000
    for wrong in ({"begun": -1}, {"begun": 1 << 60}, {"begun": 1.5}, {"fresh": False}, {"ended_at_ms": "now"}):
        assert as_op(wrong) is None
