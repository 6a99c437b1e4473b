"""Jobs: states, pauses, dependencies, deletion, rows in any order, and what clients are told."""

from __future__ import annotations

import pytest

from farmd.core.jobs import Folded, Jobs
from farmd.core.jobstatus import task_reason, task_state
from protocol.bodies import OutputFact, pack_body
from protocol.ids import BlobAddress, JobId, NodeId, TaskIndex
from protocol.jobspec import GateMode, JobSpec
from protocol.reasons import ReasonCode
from protocol.records import HoldingWhat, JobField, Kind, Rank, Rec, holding_pk, job_pk
from protocol.states import FailureClass, JobState, TaskState
from tests.core.foldrows import (
    BLOB,
    JOB,
    OTHER,
    A,
    B,
    C,
    at,
    attempt_row,
    control_row,
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
    stopped_row,
)

ROW = job_row(spec("1-4"))
DONE = [done_row(task, task + 1) for task in range(4)]
LAST_FAILS = [*DONE[:3], *[failed_row(3, n) for n in range(4, 8)]]


def state(*rows: Rec) -> JobState:
    return fold(*rows).state_of(JOB)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], JobState.QUEUED),
        ([attempt_row(0, 1)], JobState.RENDERING),
        (DONE[:2], JobState.RENDERING),
        (DONE, JobState.COMPLETED),
        (LAST_FAILS, JobState.FAILED),
        ([*LAST_FAILS, requeue_row(3, 3, 1)], JobState.RENDERING),
        ([*LAST_FAILS, done_row(3, 9)], JobState.COMPLETED),
        ([control_row(JobField.PAUSED, 1)], JobState.PAUSED),
        ([control_row(JobField.PAUSED, 1), control_row(JobField.PAUSED, 0, ver=2)], JobState.QUEUED),
        ([*DONE, control_row(JobField.PAUSED, 1)], JobState.COMPLETED),
        ([control_row(JobField.CANCELLED, 1)], JobState.CANCELLED),
        ([*DONE, control_row(JobField.CANCELLED, 1)], JobState.CANCELLED),
    ],
)
def test_the_state_follows_from_the_rows(rows: list[Rec], expected: JobState) -> None:
    assert state(ROW, *rows) is expected


def test_a_job_with_files_is_preparing_until_an_eligible_node_holds_them() -> None:
    row = job_row(spec("1-4", manifest=BLOB))
    here = holding_row(A, HoldingWhat.ASSETS)
    assert state(row) is JobState.PREPARING
    assert state(row, here) is JobState.QUEUED
    assert state(row, here, holding_row(A, HoldingWhat.ASSETS, ver=2, complete=False)) is JobState.PREPARING
    assert state(row, attempt_row(0, 1)) is JobState.RENDERING

    def only_b(what: JobSpec, node: NodeId) -> bool:
        return what.renderer == "mitsuba" and node == B

    assert Jobs.from_scratch([row, here], at(), only_b).state_of(JOB) is JobState.PREPARING
    there = holding_row(B, HoldingWhat.ASSETS)
    assert Jobs.from_scratch([row, here, there], at(), only_b).state_of(JOB) is JobState.QUEUED


def test_a_granted_task_starts_the_job() -> None:
    jobs = fold(job_row(spec("1-4", tests=(1,))))
    jobs.grant(ref(0, 1))
    assert jobs.state_of(JOB) is JobState.TESTING


def test_a_gate_on_hold_keeps_a_job_of_test_frames_only_from_being_complete() -> None:
    row = job_row(spec("1-2", tests=(1, 2), mode=GateMode.HOLD))
    assert state(row, done_row(0, 1), done_row(1, 2)) is JobState.AWAITING_APPROVAL
    assert state(row, done_row(0, 1), done_row(1, 2), control_row(JobField.GATE, 1)) is JobState.COMPLETED


def test_priority_is_the_last_one_set() -> None:
    assert folded(ROW).priority == 50
    assert folded(ROW, control_row(JobField.PRIORITY, 90)).priority == 90
    assert folded(ROW, control_row(JobField.PRIORITY, 900)).priority == 100
    newer = control_row(JobField.PRIORITY, 10, ver=2, hlc=1)
    assert folded(ROW, newer, control_row(JobField.PRIORITY, 90, ver=1, hlc=999)).priority == 10


@pytest.mark.parametrize("stop", [JobField.PAUSED, JobField.CANCELLED])
def test_a_stopped_job_grants_nothing_and_is_no_candidate(stop: JobField) -> None:
    jobs = fold(ROW, control_row(stop, 1))
    assert jobs.ready_tasks(JOB, 9, at()) == []
    assert jobs.candidates() == []


def test_attempts_of_a_cancelled_job_are_pointless() -> None:
    assert len(folded(ROW, attempt_row(0, 1), control_row(JobField.CANCELLED, 1)).pointless_attempts()) == 1


# -- it pauses itself -------------------------------------------------------------------------------------------------

WIDE = job_row(spec("1-200", retries=0))


def failing(first: int, last: int, hlc: int = 50) -> list[Rec]:
    return [failed_row(task, task + 1, hlc=hlc) for task in range(first, last)]


def test_a_job_pauses_itself_past_a_tenth_of_its_tasks() -> None:
    assert state(WIDE, *failing(0, 20)) is JobState.RENDERING
    jobs = fold(WIDE, *failing(0, 21))
    status = jobs.status_of(JOB, at())
    assert (status.state, status.paused_by_failures) == (JobState.PAUSED, True)
    assert status.reason is not None
    assert status.reason.code is ReasonCode.JOB_PAUSED_ITSELF
    assert jobs.ready_tasks(JOB, 9, at()) == []


def test_a_small_job_bears_ten_failures() -> None:
    row = job_row(spec("1-20", retries=0))
    assert state(row, *failing(0, 10)) is JobState.RENDERING
    assert state(row, *failing(0, 11)) is JobState.PAUSED


def test_resuming_gives_a_whole_new_allowance() -> None:
    resumed = [*failing(0, 30), control_row(JobField.PAUSED, 0, hlc=60)]
    assert state(WIDE, *resumed) is JobState.RENDERING
    assert state(WIDE, *resumed, *failing(30, 50, hlc=70)) is JobState.RENDERING
    assert state(WIDE, *resumed, *failing(30, 51, hlc=70)) is JobState.PAUSED


def test_a_resume_older_than_the_failures_forgives_nothing() -> None:
    assert state(WIDE, *failing(0, 21, hlc=80), control_row(JobField.PAUSED, 0, hlc=60)) is JobState.PAUSED


def test_retried_tasks_no_longer_count() -> None:
    assert state(WIDE, *failing(0, 21), requeue_row(0, 0, 1)) is JobState.RENDERING


# -- dependencies -----------------------------------------------------------------------------------------------------

AFTER = job_row(spec("1-2", after=(JOB,)), OTHER)


def test_a_job_waits_for_those_before_it() -> None:
    jobs = fold(ROW, AFTER, *DONE[:3])
    assert jobs.ready_tasks(OTHER, 9, at()) == []
    assert jobs.blocked_by(OTHER) == (JOB,)
    status = jobs.status_of(OTHER, at())
    assert status.state is JobState.QUEUED
    assert status.reason is not None
    assert status.reason.code is ReasonCode.AFTER_JOB
    jobs.apply(DONE[3], at())
    assert jobs.ready_tasks(OTHER, 9, at()) == [0, 1]
    assert [job.id for job in jobs.candidates()] == [OTHER]


def test_requeueing_the_earlier_job_stops_a_later_one_only_before_its_start() -> None:
    jobs = fold(ROW, AFTER, *DONE)
    jobs.apply(requeue_row(0, 0, 1), at())
    assert jobs.ready_tasks(OTHER, 9, at()) == []
    started = fold(ROW, AFTER, *DONE, attempt_row(0, 1, job=OTHER))
    started.apply(requeue_row(0, 0, 1), at())
    assert started.ready_tasks(OTHER, 9, at()) == [1]


def test_an_unknown_or_deleted_job_before_it_holds_a_job_back() -> None:
    jobs = fold(AFTER)
    assert jobs.blocked_by(OTHER) == (JOB,)
    jobs.apply(ROW, at())
    for row in DONE:
        jobs.apply(row, at())
    assert jobs.blocked_by(OTHER) == ()
    jobs.forget(JOB)
    assert jobs.ready_tasks(OTHER, 9, at()) == []


def test_jobs_that_wait_for_each_other_only_wait() -> None:
    jobs = fold(job_row(spec(after=(OTHER,))), job_row(spec(after=(JOB,)), OTHER), job_row(spec(after=(JOB,))))
    assert jobs.candidates() == []


# -- rows -------------------------------------------------------------------------------------------------------------


def test_rows_that_come_before_their_job_wait_for_it() -> None:
    rows = [*DONE[:2], control_row(JobField.PRIORITY, 70), holding_row(B, HoldingWhat.OUTPUTS, ((0, 0),))]
    jobs = fold(*rows)
    assert jobs.get(JOB) is None
    assert jobs.apply(ROW, at()) == Folded(JOB, (TaskIndex(0), TaskIndex(1)))
    job = jobs.get(JOB)
    assert job is not None
    assert (marks(job), job.priority) == (["safe", "done", "waiting", "waiting"], 70)


def test_rows_that_cannot_be_read_are_skipped_and_counted() -> None:
    bad = [
        DONE[0]._replace(body=b"\xc1"),
        DONE[0]._replace(pk=DONE[0].pk[:-1]),
        done_row(99, 1),
        control_row(JobField.PAUSED, 1)._replace(body=b""),
        done_row(0, 1)._replace(body=pack_body(("not a node", 1, 0, 4))),
        attempt_row(0, 1)._replace(body=pack_body((A, 1, 0, 77))),
        job_row(spec(), OTHER)._replace(body=b"\x80"),
        holding_row(B, HoldingWhat.OUTPUTS)._replace(body=b"x"),
    ]
    jobs = fold(ROW, *bad)
    assert jobs.skipped == len(bad)
    assert fold(*bad, ROW).skipped == len(bad)
    assert jobs.get(OTHER) is None
    job = jobs.get(JOB)
    assert job is not None
    assert marks(job) == ["waiting"] * 4


def test_rows_of_other_kinds_and_unknown_fields_are_no_news_of_a_job() -> None:
    jobs = fold(ROW)
    assert jobs.apply(Rec(99, job_pk(JOB), 1, 1, 1, 1, 0, b""), at()) is None
    assert jobs.apply(Rec(Kind.NODE, b"12345678", 1, 1, 1, 1, 0, b""), at()) is None
    assert jobs.apply(Rec(Kind.JOB, b"short", 1, 1, 1, 1, 0, b""), at()) is None
    strange = holding_pk(A, HoldingWhat.ASSETS, JOB)
    assert jobs.apply(holding_row(A, HoldingWhat.ASSETS)._replace(pk=strange[:8] + b"\x63" + strange[9:]), at()) is None
    assert jobs.skipped == 0


def test_only_changed_results_are_told() -> None:
    jobs = fold(ROW)
    assert jobs.apply(attempt_row(0, 5, hlc=50), at()) == Folded(JOB)
    assert jobs.apply(done_row(0, 5, hlc=50), at()) == Folded(JOB, (TaskIndex(0),))
    assert jobs.apply(done_row(0, 5, hlc=50), at()) is None
    assert jobs.apply(done_row(0, 6, hlc=60), at()) == Folded(JOB)
    assert jobs.apply(done_row(0, 4, hlc=40), at()) == Folded(JOB, (TaskIndex(0),))
    assert jobs.apply(requeue_row(0, 3, 1), at()) == Folded(JOB, (TaskIndex(0),))


def test_a_deleted_job_never_returns() -> None:
    jobs = fold(ROW, attempt_row(0, 1))
    assert jobs.apply(control_row(JobField.DELETED, 1), at()) == Folded(JOB)
    for row in (ROW, *DONE):
        assert jobs.apply(row, at()) is None
    assert (jobs.get(JOB), jobs.is_deleted(JOB), len(jobs)) == (None, True, 0)
    assert (jobs.running_on(A), jobs.candidates(), jobs.nodes_running()) == ([], [], ())


def test_a_second_specification_wins_by_stamp_whatever_comes_first() -> None:
    newer = Rec(Kind.JOB, job_pk(JOB), 2, 9, 1, 1, Rank.NORMAL, job_row(spec("1-2")).body)
    for rows in ([ROW, newer], [newer, ROW]):
        jobs = fold(rows[0], *DONE[:2], attempt_row(1, 9), rows[1])
        assert jobs.state_of(JOB) is JobState.COMPLETED
        assert [attempt.id.n for attempt in jobs.running_on(A)] == [9]


def test_rows_that_say_running_are_found_even_without_their_job() -> None:
    jobs = fold(ROW, attempt_row(0, 1, A), attempt_row(1, 2, B), attempt_row(2, 3, A, job=OTHER), done_row(3, 4, A))
    assert [found for found, _ in jobs.running_rows_of(A)] == [ref(0, 1), ref(2, 3, OTHER)]
    assert jobs.nodes_running() == (A, B)
    jobs.node_lost(A, 1)
    assert [found for found, _ in jobs.running_rows_of(A)] == [ref(0, 1), ref(2, 3, OTHER)]
    assert jobs.running_on(A) == []


def test_a_lost_node_frees_its_tasks_and_a_returning_one_takes_them_back() -> None:
    jobs = fold(ROW, attempt_row(0, 1, A), attempt_row(1, 2, A, epoch=2), attempt_row(2, 3, B))
    assert jobs.node_lost(A, 1) == [ref(0, 1)]
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 3]
    assert jobs.node_lost(A, 2) == [ref(1, 2)]
    jobs.node_back(A, 1)
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 1, 3], "an old life does not come back"
    jobs.node_back(A, 2)
    assert jobs.ready_tasks(JOB, 9, at()) == [0, 3]
    assert [attempt.ref for attempt in jobs.running_attempts(JOB)] == [ref(1, 2), ref(2, 3)]


# -- what clients are told --------------------------------------------------------------------------------------------


def test_status_counts_frames_and_lists_them_as_ranges() -> None:
    row = job_row(spec("1-100", tests=(1, 50, 200), chunk=10, retries=0))
    tests = [done_row(task, task + 1, node) for task, node in enumerate((A, B, C))]
    jobs = fold(row, *tests, done_row(3, 10), done_row(4, 11), failed_row(5, 12, B), attempt_row(6, 13, C))
    status = jobs.status_of(JOB, at())
    assert (status.state, status.total_frames, status.total_tasks) == (JobState.RENDERING, 101, 13)
    assert (status.done, status.failed, status.running, status.waiting) == (5, 1, 1, 6)
    assert (status.completed_frames, status.failed_frames) == ("1-21,50,200", "22-31")
    assert (status.done_frames, round(status.progress, 2)) == (23, 22.77)
    assert status.nodes == (A, B, C)
    assert status.mean_task_s == 60.0
    assert status.ended_at_ms == 0


def test_status_shows_the_test_frames() -> None:
    fact = OutputFact("0001.png", BlobAddress(1, 2, b"x" * 16))
    row = job_row(spec("1-10", tests=(1, 5, 9), mode=GateMode.HOLD))
    done = done_row(0, 1, A, peak=5_000, outputs=(fact,))
    shown = fold(row, done, failed_row(1, 2, B)).status_of(JOB, at()).test_frames
    assert [(test.frame, test.state, test.node) for test in shown] == [
        (1, TaskState.DONE, A),
        (5, TaskState.WAITING, B),
        (9, TaskState.WAITING, None),
    ]
    assert (shown[0].outputs, shown[0].peak_ram_bytes, shown[0].seconds) == ((fact,), 5_000, 60.0)


def test_a_completed_job_has_an_end_and_no_reason() -> None:
    status = fold(ROW, *DONE, holding_row(B, HoldingWhat.DELIVERED, ((0, 2),))).status_of(JOB, at())
    assert (status.progress, status.reason, status.delivered) == (100.0, None, 3)
    assert status.ended_at_ms > status.started_at_ms > 0


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([control_row(JobField.PAUSED, 1)], ReasonCode.PAUSED),
        ([control_row(JobField.CANCELLED, 1)], ReasonCode.CANCELLED),
        ([], ReasonCode.GATE_TESTING),
        ([done_row(0, 1)], ReasonCode.GATE_APPROVAL),
        ([done_row(0, 1), control_row(JobField.GATE, 2)], ReasonCode.GATE_REJECTED),
        ([failed_row(0, 1, A), failed_row(0, 2, B)], ReasonCode.GATE_FAILED),
        ([failed_row(0, 1, cause=FailureClass.LICENSE)], ReasonCode.LICENSE),
    ],
)
def test_every_waiting_task_of_a_held_job_has_the_reason_of_its_job(rows: list[Rec], code: ReasonCode) -> None:
    job = folded(job_row(spec("1-4", tests=(1,), mode=GateMode.HOLD)), *rows)
    reason = task_reason(job, TaskIndex(2), at())
    assert reason is not None
    assert reason.code is code
    assert "?" not in reason.text()


def test_a_task_has_a_reason_of_its_own() -> None:
    lost = [stopped_row(0, n, node, FailureClass.NODE_LOST) for n, node in ((1, A), (2, B))]
    job = folded(ROW, *lost, failed_row(1, 3, A), failed_row(1, 4, B))
    codes = [reason.code if (reason := task_reason(job, TaskIndex(task), at())) else None for task in range(4)]
    assert codes == [ReasonCode.POISON, ReasonCode.RETRY_DELAY, None, None]
    assert [task_state(job, TaskIndex(task)) for task in range(3)] == [
        TaskState.HELD,
        TaskState.WAITING,
        TaskState.WAITING,
    ]


def test_task_states_in_the_words_of_clients() -> None:
    row = job_row(spec("1-4", tests=(1,)))
    assert task_state(folded(row), TaskIndex(0)) is TaskState.WAITING
    assert task_state(folded(row), TaskIndex(1)) is TaskState.HELD
    cancelled = folded(row, done_row(0, 1), control_row(JobField.CANCELLED, 1))
    assert [task_state(cancelled, TaskIndex(task)) for task in (0, 1)] == [TaskState.DONE, TaskState.CANCELLED]
    jobs = fold(row)
    jobs.grant(ref(0, 1))
    job = jobs.get(JOB)
    assert job is not None
    assert task_state(job, TaskIndex(0)) is TaskState.GRANTED


def test_an_unknown_job_is_no_job() -> None:
    assert JobId("0" * 16) not in fold(ROW)
    assert [job.id for job in fold(ROW)] == [JOB]
