"""The tables of states: complete, consistent with one another, and drawn as they are. Exit codes likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from protocol import errors
from protocol.exitcodes import JOB_END_CODES, MEANINGS, ExitCode, exit_code_table
from protocol.states import (
    ATTEMPT_LOOKS,
    ATTEMPT_MOVES,
    ATTEMPT_TERMINAL,
    FAILURE_RULES,
    GROUP_COLOURS,
    JOB_LOOKS,
    JOB_MOVES,
    JOB_TERMINAL,
    NODE_LOOKS,
    TASK_LOOKS,
    TASK_MOVES,
    TASK_TERMINAL,
    AttemptState,
    ColourGroup,
    FailureClass,
    JobState,
    MemberState,
    NodeState,
    TaskState,
    attempt_diagram,
    is_terminal,
    job_diagram,
    look_of,
    task_diagram,
    word_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import Enum

UNFINISHED = set(JobState) - JOB_TERMINAL


@pytest.mark.parametrize(
    ("states", "looks"),
    [(JobState, JOB_LOOKS), (TaskState, TASK_LOOKS), (AttemptState, ATTEMPT_LOOKS), (NodeState, NODE_LOOKS)],
)
def test_every_state_has_a_look_of_its_own_kind(states: Any, looks: Mapping[Any, Any]) -> None:
    assert list(looks) == list(states)
    for state in states:
        assert type(next(key for key in looks if key is state)) is states
        look = look_of(state)
        assert look is looks[state]
        assert look.glyph in "○◐●✖‖⌀◷"
        assert look.meaning


@pytest.mark.parametrize(
    ("states", "moves", "first"),
    [
        (JobState, JOB_MOVES, JobState.QUEUED),
        (TaskState, TASK_MOVES, TaskState.WAITING),
        (AttemptState, ATTEMPT_MOVES, AttemptState.RUNNING),
    ],
)
def test_every_state_is_in_the_table_and_can_be_reached(
    states: Any, moves: Mapping[Any, Mapping[Any, str]], first: Enum
) -> None:
    assert set(moves) == set(states)
    seen, open_states = {first}, [first]
    while open_states:
        fresh = set(moves[open_states.pop()]) - seen
        seen |= fresh
        open_states.extend(fresh)
    assert seen == set(states)
    assert not any(state in following for state, following in moves.items())


def test_any_unfinished_job_can_be_paused_resumed_and_cancelled() -> None:
    for state in UNFINISHED - {JobState.PAUSED}:
        assert {JobState.PAUSED, JobState.CANCELLED} <= set(JOB_MOVES[state])
    assert set(JOB_MOVES[JobState.PAUSED]) == UNFINISHED - {JobState.PAUSED} | {JobState.CANCELLED}


def test_job_fails_and_is_rejected_only_from_where_it_can() -> None:
    into_failed = {state for state, moves in JOB_MOVES.items() if JobState.FAILED in moves}
    into_rejected = {state for state, moves in JOB_MOVES.items() if JobState.REJECTED in moves}
    assert into_failed == {JobState.PREPARING, JobState.TESTING, JobState.RENDERING}
    assert into_rejected == {JobState.AWAITING_APPROVAL}


def test_cancelled_is_never_left_and_done_attempts_are_final() -> None:
    assert not JOB_MOVES[JobState.CANCELLED]
    assert not TASK_MOVES[TaskState.CANCELLED]
    assert not ATTEMPT_MOVES[AttemptState.DONE]
    assert max(AttemptState) is AttemptState.DONE


def test_terminal_is_told_by_kind() -> None:
    assert {state for state in JobState if is_terminal(state)} == JOB_TERMINAL
    assert {state for state in TaskState if is_terminal(state)} == TASK_TERMINAL
    assert {state for state in AttemptState if is_terminal(state)} == ATTEMPT_TERMINAL
    assert {word_of(state) for state in JOB_TERMINAL} == {"completed", "failed", "cancelled", "rejected"}


@pytest.mark.parametrize(
    ("diagram", "states", "moves"),
    [
        (job_diagram(), JobState, JOB_MOVES),
        (task_diagram(), TaskState, TASK_MOVES),
        (attempt_diagram(), AttemptState, ATTEMPT_MOVES),
    ],
)
def test_a_diagram_shows_exactly_the_moves_of_its_table(
    diagram: str, states: Any, moves: Mapping[Any, Mapping[Any, str]]
) -> None:
    lines = diagram.splitlines()
    assert lines[0] == "stateDiagram-v2"
    drawn = {line.strip() for line in lines if " : " in line}
    expected = {
        f"{word_of(state)} --> {word_of(after)} : {cause}"
        for state, following in moves.items()
        for after, cause in following.items()
    }
    assert drawn == expected
    ends = {line.split()[0] for line in lines if line.endswith("--> [*]")}
    assert ends == {word_of(state) for state in states if is_terminal(state)}


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (AttemptState, {"RUNNING": 1, "STOPPED": 2, "FAILED": 3, "DONE": 4}),
        (MemberState, {"ALIVE": 1, "SUSPECT": 2, "DEAD": 3, "LEFT": 4}),
        (
            FailureClass,
            {
                "ERROR": 1,
                "CRASH": 2,
                "LICENSE": 3,
                "OOM": 4,
                "MISSING_ASSET": 5,
                "TIMEOUT": 6,
                "PREEMPTED": 7,
                "DISK_FULL": 8,
                "BAD_OUTPUT": 9,
                "NODE_LOST": 10,
                "SUPERSEDED": 11,
                "CANCELLED": 12,
                "START_FAILED": 13,
                "MISSING_FEATURE": 14,
                "FILES_LOST": 15,
            },
        ),
    ],
)
def test_numbers_in_durable_records_never_change(kind: Any, numbers: dict[str, int]) -> None:
    assert {item.name: item.value for item in kind} == numbers


def test_failures_that_are_not_the_frames_fault_cost_no_retry() -> None:
    free = {cause for cause, rule in FAILURE_RULES.items() if not rule.counts}
    assert set(FAILURE_RULES) == set(FailureClass)
    assert free == {
        FailureClass.LICENSE,
        FailureClass.OOM,
        FailureClass.PREEMPTED,
        FailureClass.NODE_LOST,
        FailureClass.SUPERSEDED,
        FailureClass.CANCELLED,
        FailureClass.MISSING_FEATURE,
        FailureClass.FILES_LOST,
    }
    assert {cause for cause, rule in FAILURE_RULES.items() if rule.bars_node} == {FailureClass.MISSING_FEATURE}
    assert not any(FAILURE_RULES[cause].blames_node for cause in free)


def test_groups_have_the_colours_of_the_board() -> None:
    assert [(group.value, GROUP_COLOURS[group]) for group in ColourGroup] == [
        ("pending", "yellow"),
        ("running", "blue"),
        ("completed", "green"),
        ("failed", "red"),
    ]


def test_the_word_of_a_state_is_its_value_where_it_has_a_text() -> None:
    for kind in (JobState, TaskState, NodeState, ColourGroup):
        assert all(word_of(state) == state.value for state in kind)
    assert word_of(FailureClass.MISSING_ASSET) == "missing_asset"


def test_exit_codes_keep_their_numbers_and_have_meanings() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]
    assert list(MEANINGS) == list(ExitCode)
    assert all(f"| {code.value} | {MEANINGS[code]} |" in exit_code_table() for code in ExitCode)


def test_every_end_of_a_job_has_its_exit_code() -> None:
    assert set(JOB_END_CODES) == JOB_TERMINAL
    assert [code for code in JOB_END_CODES.values() if code is ExitCode.DONE] == [ExitCode.DONE]


def test_errors_carry_codes_of_the_table() -> None:
    assert errors.UserError.code == ExitCode.FAILED
    assert errors.UsageError.code == ExitCode.USAGE
    assert errors.NotFound.code == ExitCode.NOT_FOUND
    assert errors.NotAllowed.code == ExitCode.NOT_ALLOWED
    assert errors.Unreachable.code == ExitCode.UNREACHABLE
