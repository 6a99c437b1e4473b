"""The gate: the whole table of its states, and what a job does at each."""

from __future__ import annotations

import pytest

from farmd.core.gate import APPROVED, REJECTED, GateFacts, GateState, decide
from protocol.bodies import ControlBody
from protocol.ids import TaskIndex
from protocol.jobspec import GateMode
from protocol.records import JobField
from protocol.states import JobState
from tests.core.foldrows import (
    A,
    B,
    C,
    at,
    attempt_row,
    control_row,
    done_row,
    failed_row,
    folded,
    job_row,
    requeue_row,
    spec,
)

BAD = TaskIndex(1)
OPEN, TESTING, AWAITING = GateState.OPEN, GateState.TESTING, GateState.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("mode", "done", "failed", "decision", "expected"),
    [
        (GateMode.OFF, 0, None, None, OPEN),
        (GateMode.OFF, 0, BAD, REJECTED, OPEN),
        (GateMode.AUTO, 0, None, None, TESTING),
        (GateMode.AUTO, 1, None, None, TESTING),
        (GateMode.AUTO, 1, None, APPROVED, TESTING),
        (GateMode.AUTO, 2, None, None, OPEN),
        (GateMode.AUTO, 1, BAD, None, GateState.FAILED),
        (GateMode.AUTO, 1, BAD, APPROVED, GateState.FAILED),
        (GateMode.AUTO, 2, None, REJECTED, GateState.REJECTED),
        (GateMode.HOLD, 1, None, None, TESTING),
        (GateMode.HOLD, 1, None, APPROVED, TESTING),
        (GateMode.HOLD, 1, None, REJECTED, GateState.REJECTED),
        (GateMode.HOLD, 2, None, None, AWAITING),
        (GateMode.HOLD, 2, None, APPROVED, OPEN),
        (GateMode.HOLD, 2, None, REJECTED, GateState.REJECTED),
        (GateMode.HOLD, 1, BAD, APPROVED, GateState.FAILED),
    ],
)
def test_truth_table(
    mode: GateMode, done: int, failed: TaskIndex | None, decision: int | None, expected: GateState
) -> None:
    facts = GateFacts(mode, tests=2, done=done, failed=failed, generation=3)
    body = ControlBody(decision, "anna", generation=3) if decision is not None else None
    assert decide(facts, body) is expected
    older = ControlBody(decision, "anna", generation=2) if decision is not None else None
    assert decide(facts, older) is decide(facts, None)


@pytest.mark.parametrize("mode", [GateMode.AUTO, GateMode.HOLD])
def test_a_gate_without_test_frames_is_open(mode: GateMode) -> None:
    assert decide(GateFacts(mode, 0, 0, None, 0), None) is OPEN


TESTED = job_row(spec("1-10", tests=(1, 5)))
HELD = job_row(spec("1-10", tests=(1, 5), mode=GateMode.HOLD))


def test_only_test_frames_are_ready_before_the_gate_opens() -> None:
    job = folded(TESTED)
    assert job.ready_tasks(100, at()) == [0, 1]
    assert folded(TESTED, done_row(0, 1)).ready_tasks(100, at()) == [1]
    assert folded(TESTED, done_row(0, 1), done_row(1, 2)).ready_tasks(100, at()) == list(range(2, 10))


def test_a_test_frame_that_failed_on_two_nodes_fails_the_job() -> None:
    once = folded(TESTED, failed_row(0, 1, A), failed_row(0, 2, A))
    assert (once.gate, once.state) == (TESTING, JobState.TESTING)
    twice = folded(TESTED, failed_row(0, 1, A), failed_row(0, 2, B))
    assert (twice.gate, twice.state) == (GateState.FAILED, JobState.FAILED)
    assert twice.ready_tasks(100, at()) == []


def test_a_test_frame_whose_retries_are_spent_on_one_node_fails_the_job() -> None:
    rows = [failed_row(0, n, A) for n in range(1, 5)]
    assert folded(TESTED, *rows[:3]).gate is TESTING
    assert folded(TESTED, *rows).gate is GateState.FAILED


def test_a_late_result_of_the_failed_test_frame_reopens_the_gate() -> None:
    job = folded(TESTED, failed_row(0, 1, A), failed_row(0, 2, B), done_row(0, 3, C), done_row(1, 4))
    assert job.gate is OPEN


def test_requeueing_the_failed_test_frame_tests_again() -> None:
    job = folded(TESTED, failed_row(0, 1, A), failed_row(0, 2, B), requeue_row(0, 0, 1))
    assert (job.gate, job.state) == (TESTING, JobState.TESTING)
    assert job.ready_tasks(100, at()) == [0, 1]


def test_hold_waits_for_a_person() -> None:
    rows = (HELD, done_row(0, 1), done_row(1, 2))
    job = folded(*rows)
    assert (job.state, job.ready_tasks(100, at())) == (JobState.AWAITING_APPROVAL, [])
    approved = folded(*rows, control_row(JobField.GATE, APPROVED))
    assert (approved.state, approved.ready_tasks(100, at())) == (JobState.RENDERING, list(range(2, 10)))
    assert folded(*rows, control_row(JobField.GATE, REJECTED)).state is JobState.REJECTED


def test_an_approval_of_an_older_generation_opens_nothing() -> None:
    rows = (HELD, done_row(0, 1), done_row(1, 2), requeue_row(1, 1, 1), done_row(1, 3, generation=1))
    assert folded(*rows, control_row(JobField.GATE, APPROVED, generation=0)).gate is AWAITING
    assert folded(*rows, control_row(JobField.GATE, APPROVED, generation=1)).gate is OPEN


def test_a_rejected_job_is_tested_again_after_its_test_frames_are_requeued() -> None:
    rows = (HELD, done_row(0, 1), done_row(1, 2), control_row(JobField.GATE, REJECTED))
    assert folded(*rows, requeue_row(0, 1, 1)).state is JobState.TESTING


def test_test_frames_prefer_nodes_without_one() -> None:
    job = folded(TESTED, attempt_row(0, 1, B), failed_row(1, 2, C))
    assert job.prefer_other_nodes(TaskIndex(1)) == (B, C)
    assert job.prefer_other_nodes(TaskIndex(0)) == (C,)
    assert job.prefer_other_nodes(TaskIndex(5)) == ()
