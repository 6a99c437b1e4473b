"""Every way in which a command can end, by every flag: one number, and no other flag changes it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.forms import ColourMode, Format, ProgressMode
from protocol.errors import (
    FilesLost,
    InvariantBroken,
    NotAllowed,
    NotFound,
    PeerError,
    Unreachable,
    UsageError,
    UserError,
)
from protocol.exitcodes import JOB_END_CODES, MEANINGS, ExitCode
from protocol.states import JOB_TERMINAL, JobState
from tests.farmctl.fakes import JOB, OTHER, Clock, FakeNode, farm, job_view, run

if TYPE_CHECKING:
    from farmctl.output import View

LOOKS = [
    (),
    ("-q",),
    ("--debug",),
    *[("-o", form.value) for form in Format],
    ("--json",),
    *[("--progress", mode.value) for mode in ProgressMode],
    *[("--color", mode.value) for mode in ColourMode],
]
"""Flags that say how something is shown; none may change how it ends."""
FOLLOWING = [
    ("job", "wait", JOB),
    ("job", "watch", JOB),
    ("job", "retry", JOB, "--wait"),
    ("resume", JOB, "--wait"),
    ("job", "approve", JOB, "--wait"),
    ("task", "retry", JOB, "7", "--wait"),
    ("submit", "--command", "true", "--frames", "1-100", "--wait"),
]
REFUSALS = {
    UserError("no", "because", "do that"): ExitCode.FAILED,
    FilesLost("no"): ExitCode.FAILED,
    UsageError("no"): ExitCode.USAGE,
    NotFound("no"): ExitCode.NOT_FOUND,
    NotAllowed("no"): ExitCode.NOT_ALLOWED,
    Unreachable("no"): ExitCode.UNREACHABLE,
    PeerError("garbage"): ExitCode.FAILED,
    InvariantBroken("bug"): ExitCode.FAILED,
    PermissionError(13, "Permission denied", "x"): ExitCode.FAILED,
    KeyboardInterrupt(): ExitCode.INTERRUPTED,
}
ASKING = [
    ("farm.feed", ("status",)),
    ("farm.status", ("farm", "status")),
    ("job.list", ("job", "list")),
    ("job.show", ("job", "show", JOB)),
    ("node.list", ("node", "list")),
    ("task.show", ("task", "show", JOB, "3")),
    ("asset.show", ("asset", "show", JOB)),
    ("why", ("why", JOB)),
    ("path.list", ("path", "list")),
    ("job.control", ("pause", JOB)),
    ("job.control", ("job", "retry", JOB, "--wait")),
]


def watching(views: list[View], clock: Clock) -> FakeNode:
    """Make a node that tells these states one after the other, and holds questions back at the last one."""

    def watch(job: str, since: int, timeout_s: float) -> View:
        version = min(len(views), max(0, since) + 1)
        if since == len(views):
            clock.wait(timeout_s)
        return {"version": version, "job": views[version - 1]}

    changed = {"state": "rendering", "changed": True, "stored": "farm"}
    submitted = {"job": JOB, "stored": "farm", "nodes": ["ws07"], "deliver": "none"}
    return FakeNode(farm() | {"job.watch": watch, "job.control": changed, "job.submit": submitted})


def story(*states: str) -> list[View]:
    return [job_view(state=state, deliver="none") for state in states]


def flags(*more: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Draw any set of flags, before or after one another."""
    chosen = st.lists(st.sampled_from([look for look in LOOKS if look] + list(more)), max_size=3)
    return chosen.map(lambda sets: list(itertools.chain.from_iterable(sets)))


def test_the_codes_of_ends_cover_every_terminal_state_and_every_code_has_a_meaning() -> None:
    assert set(JOB_END_CODES) == set(JOB_TERMINAL)
    assert set(MEANINGS) == set(ExitCode)


@given(
    words=st.sampled_from(FOLLOWING),
    before=st.lists(st.sampled_from(["queued", "preparing", "testing", "rendering", "paused"]), max_size=3),
    end=st.sampled_from(sorted(JOB_TERMINAL)),
    given_flags=flags(("--stop-at-gate",), ("--timeout", "1h")),
)
def test_the_end_of_the_job_is_the_code_whatever_else_is_asked_for(
    words: tuple[str, ...], before: list[str], end: JobState, given_flags: list[str]
) -> None:
    clock = Clock()
    result = run(watching(story(*before, end.value), clock), *words, *given_flags, clock=clock)
    assert result.exit_code == JOB_END_CODES[end], result.output


@given(words=st.sampled_from(FOLLOWING), given_flags=flags(), stops=st.booleans(), limited=st.booleans())
def test_the_gate_ends_the_wait_with_9_only_where_asked_and_else_the_time_does(
    words: tuple[str, ...], given_flags: list[str], stops: bool, limited: bool
) -> None:
    clock = Clock()
    more = [*(["--stop-at-gate"] if stops else []), *(["--timeout", "90"] if limited or not stops else [])]
    result = run(watching(story("testing", "awaiting_approval"), clock), *words, *given_flags, *more, clock=clock)
    assert result.exit_code == (ExitCode.WAITS_FOR_PERSON if stops else ExitCode.TIMEOUT), result.output


@given(words=st.sampled_from(FOLLOWING), given_flags=flags(("--stop-at-gate",)))
def test_the_end_of_the_time_is_8_and_the_job_goes_on(words: tuple[str, ...], given_flags: list[str]) -> None:
    clock = Clock()
    node = watching(story("rendering"), clock)
    result = run(node, *words, "--timeout", "30s", *given_flags, clock=clock)
    assert result.exit_code == ExitCode.TIMEOUT, result.output
    assert {args["action"] for args in node.asked("job.control")} <= {"retry", "resume", "approve"}


@given(asked=st.sampled_from(ASKING), error=st.sampled_from(sorted(REFUSALS, key=repr)), given_flags=flags())
def test_a_refusal_is_its_code_whatever_is_asked_and_however_it_is_shown(
    asked: tuple[str, tuple[str, ...]], error: BaseException, given_flags: list[str]
) -> None:
    op, words = asked
    result = run(FakeNode(farm() | {op: error}), *words, *given_flags)
    assert result.exit_code == REFUSALS[error], result.output
    assert result.stderr.lstrip().startswith(("error: ", "Traceback"))


@given(
    states=st.lists(st.sampled_from(sorted(JOB_TERMINAL)), min_size=1, max_size=4),
    given_flags=flags(),
)
def test_of_several_jobs_the_first_that_was_not_completed_decides(
    states: list[JobState], given_flags: list[str]
) -> None:
    jobs = [f"0h3kq8v2m5x7a9b{letter}" for letter in "cdef"[: len(states)]]
    ends = dict(zip(jobs, states, strict=True))

    def watch(job: str, since: int, timeout_s: float) -> View:
        return {"version": 1, "job": job_view(id=job, state=ends[job].value, deliver="none")}

    result = run(FakeNode(farm() | {"job.watch": watch}), "job", "wait", *jobs, *given_flags)
    codes = [JOB_END_CODES[state] for state in states]
    assert result.exit_code == next((code for code in codes if code), ExitCode.DONE)


@given(
    outcomes=st.lists(st.sampled_from([None, NotAllowed("no"), NotFound("no")]), min_size=1, max_size=4),
    given_flags=flags(("-n",)),
)
def test_of_several_orders_the_first_refusal_decides_and_the_others_are_carried_out(
    outcomes: list[UserError | None], given_flags: list[str]
) -> None:
    jobs = [f"0h3kq8v2m5x7a9b{letter}" for letter in "cdef"[: len(outcomes)]]
    answers = dict(zip(jobs, outcomes, strict=True))

    def control(job: str, **_: Any) -> Any:
        return answers[job] or {"state": "paused", "changed": True, "stored": "farm"}

    node = FakeNode(farm() | {"job.control": control})
    result = run(node, "pause", *jobs, *given_flags)
    refused = [error.code for error in outcomes if error is not None]
    dry = "-n" in given_flags
    assert result.exit_code == (0 if dry else next(iter(refused), 0)), result.output
    assert len(node.asked("job.control")) == (0 if dry else len(jobs))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("job",),
        ("job", "shwo", JOB),
        ("job", "show"),
        ("job", "list", "--nonsense"),
        ("job", "list", "-o", "yaml"),
        ("job", "list", "--filter", "colour=red"),
        ("task", "show", JOB),
        ("task", "show", JOB, "1", "--task", "2"),
        ("cancel", "--filter", "total>0", "--no-input"),
        ("config", "set", "noed", "x"),
        ("config", "set", "output", "yaml"),
        ("help", "nonsense"),
    ],
)
@pytest.mark.parametrize("look", LOOKS[:3], ids=str)
def test_wrong_usage_is_2_and_asks_for_no_change(words: tuple[str, ...], look: tuple[str, ...]) -> None:
    node = FakeNode(farm())
    result = run(node, *look, *words)
    assert result.exit_code == ExitCode.USAGE, result.output
    assert result.stdout == ""
    assert node.asked("job.control") == []


def test_a_wait_for_what_a_failed_command_should_have_named_is_not_done() -> None:
    assert run(FakeNode(farm()), "job", "wait", "-", stdin="").exit_code == ExitCode.NOT_FOUND
    assert run(FakeNode(farm()), "job", "wait", "--filter", "failed>99").exit_code == ExitCode.DONE


def test_nothing_to_change_is_done_and_is_said() -> None:
    result = run(FakeNode(farm()), "resume", "-", stdin="\n")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "stdin names no job\n")


def test_an_interrupted_wait_is_130_and_the_next_job_is_not_waited_for() -> None:
    node = FakeNode(farm() | {"job.watch": KeyboardInterrupt()})
    assert run(node, "job", "wait", JOB, OTHER).exit_code == ExitCode.INTERRUPTED
    assert len(node.asked("job.watch")) == 1
