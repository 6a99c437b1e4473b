"""Tasks: states, generations, results, copies; ready tasks in order at once; a byte for an untouched frame."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.core.bitmap import Mark, TaskMap
from farmd.core.copies import normal_runs, runs_without
from protocol.ids import TaskIndex
from protocol.records import HoldingWhat
from tests.core.foldrows import (
    JOB,
    A,
    B,
    C,
    at,
    attempt_id,
    attempt_row,
    done_row,
    failed_row,
    fold,
    folded,
    holding_row,
    job_row,
    marks,
    ref,
    requeue_row,
    spec,
)

ROW = job_row(spec("1-6"))
T0, T1, T2 = TaskIndex(0), TaskIndex(1), TaskIndex(2)


def test_an_untouched_job_waits() -> None:
    assert marks(folded(ROW)) == ["waiting"] * 6


def test_each_task_stands_where_its_attempts_say() -> None:
    job = folded(ROW, attempt_row(0, 1), done_row(1, 2), *[failed_row(2, n) for n in range(3, 7)], failed_row(3, 8))
    assert marks(job) == ["running", "done", "failed", "waiting", "waiting", "waiting"]
    assert (job.tasks.done_frames, job.tasks.failed_frames) == (1, 1)


def test_done_is_done_whatever_else_fails_or_runs() -> None:
    job = folded(ROW, done_row(0, 1), *[failed_row(0, n) for n in range(2, 9)], attempt_row(0, 9))
    assert marks(job)[0] == "done"
    assert [attempt.id.n for attempt in job.pointless_attempts()] == [9]


def test_an_older_version_of_an_attempt_changes_nothing() -> None:
    assert marks(folded(ROW, done_row(0, 1), attempt_row(0, 1)))[0] == "done"


def test_the_result_is_the_least_stamp_then_the_least_attempt() -> None:
    job = folded(ROW, done_row(0, 3, A, hlc=50), done_row(0, 2, B, hlc=40), done_row(0, 1, C, hlc=50))
    result = job.result_of(T0)
    assert result is not None
    assert (result.id, result.node) == (attempt_id(2), B)
    tie = folded(ROW, done_row(0, 3, A, hlc=50), done_row(0, 1, C, hlc=50)).result_of(T0)
    assert tie is not None
    assert tie.id == attempt_id(1)


def test_a_raised_generation_asks_again_and_keeps_the_history() -> None:
    job = folded(ROW, done_row(0, 1), requeue_row(0, 0, 1))
    assert marks(job)[0] == "waiting"
    assert job.result_of(T0) is None
    assert len(job.tasks.attempts_of(T0)) == 1
    again = folded(ROW, done_row(0, 1), requeue_row(0, 0, 1), done_row(0, 2, generation=1))
    assert marks(again)[0] == "done"


def test_the_generation_is_the_largest_register_that_covers_the_task() -> None:
    job = folded(ROW, requeue_row(0, 3, 2), requeue_row(1, 1, 1), requeue_row(2, 2, 5), requeue_row(3, 99, 3))
    assert [job.generation_of(TaskIndex(task)) for task in range(6)] == [2, 2, 5, 3, 3, 3]


def test_an_attempt_of_a_generation_not_heard_of_yet_counts() -> None:
    assert marks(folded(ROW, done_row(0, 2, generation=1)))[0] == "done"
    assert marks(folded(ROW, done_row(0, 2, generation=1), requeue_row(0, 0, 1)))[0] == "done"


def test_a_task_is_not_ready_while_an_older_attempt_executes() -> None:
    jobs = fold(ROW, attempt_row(0, 1, A), requeue_row(0, 0, 1))
    job = jobs.get(JOB)
    assert job is not None
    assert marks(job)[0] == "waiting"
    assert jobs.ready_tasks(JOB, 9, at()) == [1, 2, 3, 4, 5]
    assert [attempt.id.n for attempt in job.pointless_attempts()] == [1]
    jobs.node_lost(A, 1)
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 1, 2, 3, 4, 5]


def test_granted_tasks_are_not_ready_until_the_mark_is_taken_away() -> None:
    jobs = fold(ROW)
    jobs.grant(ref(0, 1))
    jobs.grant(ref(2, 2))
    assert jobs.ready_tasks(JOB, 3, at()) == [1, 3, 4]
    jobs.ungrant(ref(0, 9))
    assert jobs.ready_tasks(JOB, 3, at()) == [1, 3, 4]
    jobs.ungrant(ref(0, 1))
    assert jobs.ready_tasks(JOB, 3, at()) == [0, 1, 3]
    jobs.ungrant_all()
    assert jobs.ready_tasks(JOB, 3, at()) == [0, 1, 2]


def test_the_row_of_the_granted_attempt_takes_the_place_of_the_mark() -> None:
    jobs = fold(ROW)
    jobs.grant(ref(0, 1))
    jobs.apply(attempt_row(0, 1), at())
    jobs.apply(failed_row(0, 1), at())
    assert jobs.ready_tasks(JOB, 1, at()) == [0]
    jobs.grant(ref(0, 1))
    assert jobs.ready_tasks(JOB, 1, at()) == [0], "a grant of an attempt that has ended is late news"


def test_backwards_for_a_leader_of_the_minority() -> None:
    jobs = fold(ROW, done_row(5, 1), attempt_row(3, 2))
    assert jobs.ready_tasks(JOB, 3, at(), reverse=True) == [4, 2, 1]


def test_copies_are_counted_apart_from_done() -> None:
    rows = (ROW, done_row(0, 1, A), done_row(1, 2, A))
    keeps = holding_row(B, HoldingWhat.OUTPUTS, ((0, 0), (4, 99)))
    job = folded(*rows, keeps)
    assert (job.copies_of(T0), job.copies_of(T1), job.copies_of(TaskIndex(4))) == ((A, B), (A,), ())
    assert (job.held_by_others(T0), job.held_by_others(T1)) == (True, False)
    assert (job.count(Mark.SAFE), list(job.lonely_tasks())) == (1, [1])
    assert job.is_available(T0, lambda node: node == B)
    assert not job.is_available(T1, lambda node: node == B)
    back = folded(*rows, keeps, holding_row(B, HoldingWhat.OUTPUTS, (), ver=2))
    assert list(back.lonely_tasks()) == [0, 1]


def test_a_copy_on_the_node_that_rendered_is_no_second_copy() -> None:
    job = folded(ROW, done_row(0, 1, A), holding_row(A, HoldingWhat.OUTPUTS, ((0, 0),)))
    assert not job.held_by_others(T0)


def test_a_result_that_its_node_lost_has_the_copies_that_others_keep() -> None:
    rows = (ROW, done_row(0, 1, A), done_row(1, 2, A))
    keeps = holding_row(B, HoldingWhat.OUTPUTS, ((0, 0),))
    lost = holding_row(A, HoldingWhat.LOST, ((0, 1),))
    job = folded(*rows, keeps, lost)
    assert (job.copies_of(T0), job.copies_of(T1)) == ((B,), ())
    assert (job.count(Mark.SAFE), job.done_count, job.lost_tasks()) == (0, 2, [1])
    back = folded(*rows, keeps, lost, holding_row(A, HoldingWhat.LOST, (), ver=2))
    assert (back.count(Mark.SAFE), back.lost_tasks()) == (1, [])


def test_what_another_node_says_to_have_lost_takes_nothing_from_who_rendered() -> None:
    job = folded(ROW, done_row(0, 1, A), holding_row(B, HoldingWhat.LOST, ((0, 0),)))
    assert (job.copies_of(T0), job.lost_tasks()) == ((A,), [])


# -- the map ----------------------------------------------------------------------------------------------------------


@given(
    size=st.integers(1, 12),
    puts=st.lists(st.tuples(st.integers(0, 11), st.sampled_from(Mark))),
    below=st.integers(0, 12),
    reverse=st.booleans(),
)
def test_the_map_counts_and_finds_like_a_plain_list(
    size: int, puts: list[tuple[int, Mark]], below: int, reverse: bool
) -> None:
    found, plain = TaskMap(size), [Mark.READY] * size
    below = min(below, size)
    for task, mark in puts:
        if task >= size:
            continue
        found.put(TaskIndex(task), mark)
        plain[task] = mark
        ready = [task for task in range(below) if plain[task] is Mark.READY]
        assert list(found.ready(below, reverse=reverse)) == (ready[::-1] if reverse else ready)
        assert list(found.ready(size)) == [task for task in range(size) if plain[task] is Mark.READY]
    assert [found.count(mark) for mark in Mark] == [plain.count(mark) for mark in Mark]
    done = [task for first, last in found.done_runs() for task in range(first, last + 1)]
    assert done == [task for task in range(size) if plain[task] in (Mark.DONE, Mark.SAFE)]
    assert list(found.one_copy()) == [task for task in range(size) if plain[task] is Mark.DONE]


def test_tasks_that_become_granted_while_walking_are_not_yielded_again() -> None:
    found = TaskMap(5)
    seen = []
    for task in found.ready(5):
        seen.append(task)
        found.put(TaskIndex(task), Mark.GRANTED)
        if task == 1:
            found.put(T2, Mark.DONE)
    assert seen == [0, 1, 3, 4]


RUNS = st.lists(st.tuples(st.integers(-2, 12), st.integers(-2, 12)), max_size=5)


@given(runs=RUNS, others=RUNS)
def test_runs_are_sets(runs: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    def plain(given: object) -> set[int]:
        assert isinstance(given, list | tuple)
        return {value for first, last in given for value in range(first, last + 1) if 0 <= value < 10}

    left, right = normal_runs(runs, 10), normal_runs(others, 10)
    assert plain(left) == plain(runs)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(left))
    assert plain(runs_without(left, right)) == plain(left) - plain(right)
    assert sum(last - first + 1 for first, last in runs_without(left, right)) == len(plain(left) - plain(right))


# -- budgets ----------------------------------------------------------------------------------------------------------

FRAMES = 100_000


def test_an_untouched_frame_costs_less_than_ten_bytes() -> None:
    row = job_row(spec(f"1-{FRAMES}", tests=(1, 50_000, FRAMES)))
    tracemalloc.start()
    jobs = fold(row)
    before = tracemalloc.get_traced_memory()[0]
    jobs.apply(done_row(0, 1), at())
    jobs.grant(ref(7, 2))
    jobs.apply(requeue_row(0, FRAMES, 1), at())
    jobs.status_of(JOB, at())
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert before < FRAMES / 2, "untouched: nothing per frame"
    assert used < 2 * FRAMES, "touched: about a byte per frame"


@pytest.mark.parametrize("reverse", [False, True])
def test_granting_a_large_job_one_by_one_costs_the_same_at_its_end(*, reverse: bool) -> None:
    jobs = fold(job_row(spec(f"1-{FRAMES}")))

    def grant_some() -> float:
        began = time.perf_counter()
        for step in range(200):
            (task,) = jobs.ready_tasks(JOB, 1, at(), reverse=reverse)
            jobs.grant(ref(task, step))
        return time.perf_counter() - began

    spent = []
    for part in range(2):
        spent.append(min(grant_some() for _ in range(10)))  # the least of ten: whatever else the machine does
        if part == 0:
            marked = jobs.get(JOB)
            assert marked is not None
            for task in jobs.ready_tasks(JOB, FRAMES - 10_000, at(), reverse=reverse):
                marked.tasks.marks.put(TaskIndex(task), Mark.GRANTED)
    assert spent[1] < 5 * spent[0] + 0.01
