"""Failures: what counts, how long to wait, where not to try again, and with how much memory."""

from __future__ import annotations

import pytest

from farmd.core.retry import FREE_OOMS, delay_s, due_at, rule_of
from protocol.bodies import AttemptBody, pack_body
from protocol.ids import TaskIndex
from protocol.jobspec import Requirements
from protocol.records import Rec
from protocol.states import FailureClass
from tests.core.foldrows import (
    JOB,
    OTHER,
    A,
    B,
    C,
    at,
    attempt_row,
    done_row,
    failed_row,
    fold,
    folded,
    job_row,
    marks,
    ref,
    requeue_row,
    spec,
    stopped_row,
)

GB = 1 << 30
ROW = job_row(spec("1-4"))
FIRST = TaskIndex(0)


def test_three_retries_mean_four_tries() -> None:
    rows = [failed_row(0, n) for n in range(1, 5)]
    assert marks(folded(ROW, *rows[:3]))[0] == "waiting"
    assert marks(folded(ROW, *rows))[0] == "failed"


def test_no_retries_mean_one_try() -> None:
    assert marks(folded(job_row(spec("1-4", retries=0)), failed_row(0, 1)))[0] == "failed"


@pytest.mark.parametrize("cause", [cause for cause in FailureClass if not rule_of(cause).counts])
def test_what_says_nothing_against_the_frame_costs_no_retry(cause: FailureClass) -> None:
    rows = [failed_row(0, n, cause=cause) for n in range(1, FREE_OOMS + 1)]
    assert marks(folded(job_row(spec("1-4", retries=0)), *rows))[0] != "failed"


def test_stopped_attempts_cost_no_retry() -> None:
    rows = [stopped_row(0, n, cause=FailureClass.CANCELLED) for n in range(1, 30)]
    assert marks(folded(ROW, *rows))[0] == "waiting"


def test_a_failure_class_of_a_newer_version_counts() -> None:
    rows = [failed_row(0, n, cause=99) for n in range(1, 5)]
    assert marks(folded(ROW, *rows))[0] == "failed"


def test_a_frame_that_eats_all_memory_ends_one_day() -> None:
    rows = [failed_row(0, n, cause=FailureClass.OOM) for n in range(1, FREE_OOMS + 5)]
    assert marks(folded(ROW, *rows[:-1]))[0] == "waiting"
    assert marks(folded(ROW, *rows))[0] == "failed"


@pytest.mark.parametrize(("failures", "expected"), [(0, 0.0), (1, 0.0), (2, 5.0), (3, 30.0), (9, 30.0)])
def test_the_pause_grows_with_the_failures(failures: int, expected: float) -> None:
    assert delay_s(failures) == expected


def test_a_wait_counts_from_the_failure_and_no_clock_makes_it_longer() -> None:
    now = at(100.0)
    assert due_at(now.wall_ms, 30.0, now) == 130.0
    assert due_at(now.wall_ms - 10_000, 30.0, now) == 120.0
    assert due_at(now.wall_ms - 90_000, 30.0, now) == 100.0
    assert due_at(now.wall_ms + 3_600_000, 30.0, now) == 130.0


def test_a_task_waits_after_its_second_failure_and_is_ready_when_that_is_over() -> None:
    jobs = fold(ROW, failed_row(0, 1, A), failed_row(0, 2, B))
    job = jobs.get(JOB)
    assert job is not None
    assert jobs.ready_tasks(JOB, 9, at()) == [1, 2, 3]
    assert (job.not_before(FIRST), jobs.next_due()) == (5.0, 5.0)
    assert jobs.release(at(4.9)) == []
    assert jobs.release(at(5.0)) == [JOB]
    assert jobs.ready_tasks(JOB, 9, at(5.0)) == [0, 1, 2, 3]
    assert jobs.next_due() is None


def test_a_person_who_retries_need_not_wait() -> None:
    jobs = fold(ROW, failed_row(0, 1, A), failed_row(0, 2, B), requeue_row(0, 0, 1))
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 1, 2, 3]


def test_no_free_licence_stops_the_whole_job_for_a_minute() -> None:
    jobs = fold(ROW, failed_row(0, 1, cause=FailureClass.LICENSE))
    assert jobs.ready_tasks(JOB, 9, at(59.9)) == []
    assert jobs.next_due() == 60.0
    assert jobs.ready_tasks(JOB, 9, at(60.0)) == [0, 1, 2, 3]


def test_a_delay_that_a_licence_hides_still_ends() -> None:
    jobs = fold(ROW, failed_row(0, 1, cause=FailureClass.LICENSE), failed_row(0, 2, A), failed_row(0, 3, B))
    assert jobs.ready_tasks(JOB, 9, at(60.0)) == [0, 1, 2, 3]


def test_a_task_prefers_nodes_where_it_has_not_failed() -> None:
    job = folded(ROW, failed_row(0, 1, B), failed_row(0, 2, A, cause=FailureClass.OOM), stopped_row(0, 3, C))
    assert job.prefer_other_nodes(FIRST) == (A, B)
    assert job.prefer_other_nodes(TaskIndex(1)) == ()


def test_a_node_that_failed_three_times_is_avoided_for_five_hours() -> None:
    rows = [failed_row(task, task + 1, A, ended_s=task) for task in range(3)]
    assert folded(ROW, *rows[:2], failed_row(2, 3, B)).nodes_to_avoid(at(10)) == ()
    job = folded(ROW, *rows, now=at(10))
    assert job.nodes_to_avoid(at(10)) == (A,)
    assert job.nodes_to_avoid(at(5 * 3600 - 1)) == (A,)
    assert job.nodes_to_avoid(at(5 * 3600)) == ()


def test_a_missing_file_blames_no_node() -> None:
    rows = [failed_row(task, task + 1, A, cause=FailureClass.MISSING_ASSET) for task in range(3)]
    assert folded(ROW, *rows).nodes_to_avoid(at()) == ()


def test_running_out_of_memory_raises_the_need() -> None:
    asked = job_row(spec("1-4", requirements=Requirements(ram_bytes=8 * GB)))
    assert folded(asked).ram_floor_bytes == 0
    oom = failed_row(0, 1, cause=FailureClass.OOM, peak=8 * GB)
    assert folded(asked, oom).ram_floor_bytes == 10 * GB
    assert folded(asked, failed_row(0, 1, cause=FailureClass.OOM, peak=40 * GB)).ram_floor_bytes == 50 * GB
    again = failed_row(0, 2, cause=FailureClass.OOM, peak=8 * GB)
    assert folded(asked, oom, again).ram_floor_bytes == 12 * GB
    elsewhere = failed_row(1, 2, cause=FailureClass.OOM, peak=8 * GB)
    assert folded(asked, oom, elsewhere).ram_floor_bytes == 10 * GB


TWO = (ROW, job_row(spec("1-4"), OTHER))


def test_a_node_that_fails_on_two_jobs_in_a_row_is_sick() -> None:
    here, there = failed_row(0, 1, A, hlc=20), failed_row(0, 1, A, hlc=30, job=OTHER)
    assert not fold(*TWO, here).health.is_sick(A)
    assert fold(*TWO, here, there).health.sick() == (A,)
    assert fold(*TWO, here, failed_row(1, 2, A, hlc=30)).health.sick() == ()
    assert fold(*TWO, here, failed_row(0, 1, B, hlc=30, job=OTHER)).health.sick() == ()


def test_a_success_cures_a_sick_node() -> None:
    here, there = failed_row(0, 1, A, hlc=20), failed_row(0, 1, A, hlc=30, job=OTHER)
    assert fold(*TWO, here, there, done_row(1, 2, A, hlc=40)).health.sick() == ()
    assert fold(*TWO, here, done_row(1, 2, A, hlc=25), there).health.sick() == ()


def test_a_deleted_job_says_nothing_about_its_nodes_any_more() -> None:
    jobs = fold(*TWO, failed_row(0, 1, A, hlc=20), failed_row(0, 1, A, hlc=30, job=OTHER))
    jobs.forget(OTHER)
    assert jobs.health.sick() == ()


def test_an_attempt_that_was_done_after_all_blames_nobody() -> None:
    rows = [failed_row(task, task + 1, A) for task in range(3)]
    job = folded(ROW, *rows, done_row(0, 1, A))
    assert job.nodes_to_avoid(at()) == ()


def test_poison_is_held_until_a_person_retries() -> None:
    lost = [stopped_row(0, n, node, FailureClass.NODE_LOST) for n, node in ((1, A), (2, B))]
    assert marks(folded(ROW, lost[0]))[0] == "waiting"
    held = folded(ROW, *lost)
    assert marks(held)[0] == "held"
    assert held.ready_tasks(9, at()) == [1, 2, 3]
    assert marks(folded(ROW, *lost, requeue_row(0, 0, 1)))[0] == "waiting"


def test_the_same_node_lost_twice_is_no_poison() -> None:
    lost = [stopped_row(0, n, A, FailureClass.NODE_LOST) for n in (1, 2)]
    assert marks(folded(ROW, *lost))[0] == "waiting"


def test_lives_that_are_over_make_poison_and_a_return_unmakes_it() -> None:
    jobs = fold(ROW, attempt_row(0, 1, A), attempt_row(0, 2, B))
    assert jobs.node_lost(A, 1) == [ref(0, 1)]
    job = jobs.get(JOB)
    assert job is not None
    assert marks(job)[0] == "running"
    jobs.node_lost(B, 1)
    assert marks(job)[0] == "held"
    jobs.node_back(B, 1)
    assert marks(job)[0] == "running"
    jobs.node_back(B, 2)
    assert marks(job)[0] == "held"


def test_an_attempt_that_its_node_does_not_have_frees_the_task() -> None:
    jobs = fold(ROW, attempt_row(0, 1, A), attempt_row(0, 2, B))
    jobs.mark_lost(ref(0, 1))
    jobs.mark_lost(ref(0, 2))
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 1, 2, 3]


def test_an_attempt_that_is_found_running_after_all_keeps_its_task() -> None:
    jobs = fold(ROW, attempt_row(0, 1, A), attempt_row(1, 2, B))
    jobs.mark_lost(ref(0, 1))
    jobs.grant(ref(0, 1))
    assert jobs.ready_tasks(JOB, 9, at()) == [2, 3]
    jobs.node_lost(B, 1)
    jobs.mark_lost(ref(1, 2))
    assert jobs.ready_tasks(JOB, 9, at()) == [1, 2, 3]
    jobs.node_back(B, 1)
    assert jobs.ready_tasks(JOB, 9, at()) == [2, 3]
    jobs.mark_lost(ref(1, 2))
    jobs.node_back(B, 1)
    assert jobs.ready_tasks(JOB, 9, at()) == [1, 2, 3], "a node that was never lost has said that it does not run it"


def test_a_grant_for_a_job_or_task_that_is_not_here_changes_nothing() -> None:
    jobs = fold(ROW)
    jobs.grant(ref(99, 1))
    jobs.grant(ref(0, 1, OTHER))
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 1, 2, 3]


def test_body_of_a_failed_attempt_is_read_when_asked() -> None:
    body = AttemptBody(A, 1, 0, 3, 1, text="no such camera")
    row = failed_row(0, 1)
    job = folded(ROW, Rec(*row[:-1], pack_body(body)))
    assert job.tasks.attempts_of(FIRST)[0].body.text == "no such camera"
