"""The plan: every frame in exactly one task, test frames first, and no memory per frame."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.core.plan import Plan
from protocol.ids import TaskIndex
from protocol.jobspec import GateMode
from tests.core.foldrows import spec


def tasks(plan: Plan) -> list[tuple[int, ...]]:
    return [plan.frames_of(TaskIndex(task)) for task in range(plan.task_count)]


def test_test_frames_come_first_in_the_order_of_the_gate_and_the_rest_in_chunks() -> None:
    plan = Plan(spec("1-10", tests=(5, 1, 10), chunk=3))
    assert tasks(plan) == [(5,), (1,), (10,), (2, 3, 4), (6, 7, 8), (9,)]
    assert (plan.task_count, plan.frame_count, plan.test_count) == (6, 10, 3)
    assert [plan.is_test(TaskIndex(task)) for task in (0, 2, 3)] == [True, True, False]


def test_a_test_frame_outside_the_range_is_an_extra_task_and_counted() -> None:
    plan = Plan(spec("1-3", tests=(100,)))
    assert tasks(plan) == [(100,), (1,), (2,), (3,)]
    assert plan.frame_count == 4
    assert plan.task_of_frame(100) == 0


def test_gate_off_makes_no_test_tasks() -> None:
    plan = Plan(spec("1-4", tests=(1, 4), mode=GateMode.OFF, chunk=2))
    assert tasks(plan) == [(1, 2), (3, 4)]
    assert plan.test_count == 0


def test_a_job_without_frames_is_frame_one() -> None:
    plan = Plan(spec(""))
    assert tasks(plan) == [(1,)]
    assert plan.frame_count == 1


def test_a_job_that_only_has_test_frames_has_no_other_task() -> None:
    assert tasks(Plan(spec("1-3", tests=(2, 1, 3)))) == [(2,), (1,), (3,)]


@pytest.mark.parametrize("task", [-1, 4])
def test_a_task_outside_the_plan_is_refused(task: int) -> None:
    with pytest.raises(IndexError):
        Plan(spec("1-4")).frames_of(TaskIndex(task))


def test_a_frame_outside_the_job_has_no_task() -> None:
    assert Plan(spec("1-10x3")).task_of_frame(2) is None


@given(
    frames=st.sets(st.integers(-20, 60), min_size=1, max_size=40),
    tests=st.lists(st.integers(-25, 65), max_size=6, unique=True),
    chunk=st.integers(1, 7),
)
def test_every_frame_is_in_exactly_one_task(frames: set[int], tests: list[int], chunk: int) -> None:
    text = ",".join(map(str, sorted(frames)))
    plan = Plan(spec(text, tests=tuple(tests), chunk=chunk))
    everything = [frame for task in tasks(plan) for frame in task]
    assert sorted(everything) == sorted(frames | set(tests))
    assert len(everything) == plan.frame_count
    for number, task in enumerate(tasks(plan)):
        assert plan.size_of(TaskIndex(number)) == len(task)
        assert list(task) == sorted(task)
        assert all(plan.task_of_frame(frame) == number for frame in task)


@given(tests=st.lists(st.integers(1, 30), max_size=4, unique=True), chunk=st.integers(1, 4), data=st.data())
def test_frames_of_runs_are_the_frames_of_their_tasks(tests: list[int], chunk: int, data: st.DataObject) -> None:
    plan = Plan(spec("1-20", tests=tuple(tests), chunk=chunk))
    first = data.draw(st.integers(0, plan.task_count - 1))
    last = data.draw(st.integers(first, plan.task_count - 1))
    expected = [frame for task in tasks(plan)[first : last + 1] for frame in task]
    assert list(plan.frames_of_runs([(first, last)])) == sorted(expected)


def test_memory_follows_the_runs_and_not_the_frames() -> None:
    what = spec("1-100000x2,200000-300000", tests=(1, 50_001, 300_000))
    tracemalloc.start()
    plan = Plan(what)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert plan.task_count == 150_001
    assert used < 8_000
