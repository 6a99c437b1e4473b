"""`farmctl job pause|resume|cancel|approve|reject|retry|priority|delete`: change what was asked for.

All take several jobs, or a filter, and answer for each. Cancelling named jobs asks nothing: what is finished stays, and
scripts need it; cancelling all that a filter finds asks, since one letter can make that everything. Only delete loses
results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.changing import ask_before, change, change_and_wait
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import change_options, jobs_and, jobs_argument, wait_options
from farmctl.selecting import select_jobs
from protocol.frames import parse_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.exitcodes import ExitCode


def _wait(function: Callable[..., Any]) -> Callable[..., Any]:
    flag = click.option("--wait", is_flag=True, help="Wait until the jobs have ended; their end is the exit code.")
    return flag(wait_options(function))


@click.command(
    "pause",
    cls=Verb,
    examples=(
        "farmctl pause JOB",
        "farmctl pause JOB --now --why 'need the machines'",
        "farmctl pause --filter 'owner=me,state=rendering'",
    ),
)
@jobs_argument
@click.option("--now", is_flag=True, help="Stop running frames too; costs them no retry.")
@change_options
@pass_session
def pause(session: Session, words: tuple[str, ...], why: str, *, now: bool) -> int:
    """Start no more frames; those that run are finished."""
    return change(session, select_jobs(session, words), "pause", why=why, now=now)


@click.command(
    "resume",
    cls=Verb,
    examples=("farmctl resume JOB --wait", "farmctl job list --state paused -q | farmctl resume -"),
)
@jobs_argument
@change_options
@_wait
@pass_session
def resume(session: Session, /, words: tuple[str, ...], why: str, **wish: Any) -> int | ExitCode:
    """Go on after a pause."""
    return change_and_wait(session, select_jobs(session, words), "resume", wish, why=why)


@click.command(
    "cancel",
    cls=Verb,
    examples=(
        "farmctl cancel JOB --why 'wrong camera'",
        "farmctl cancel --filter 'owner=me,name~test_*' --dry-run",
        "farmctl job list --state paused -q | farmctl cancel -",
    ),
)
@jobs_argument
@change_options
@pass_session
def cancel(session: Session, words: tuple[str, ...], why: str) -> int:
    """Stop jobs for ever; finished frames stay and can be downloaded.

    Jobs that are named are cancelled without a question: no result is lost. What --filter finds is counted first.
    """
    jobs = select_jobs(session, words)
    if session.chosen and jobs:
        ask_before(session, jobs, "cancel", "what is not rendered yet never will be")
    return change(session, jobs, "cancel", why=why)


@click.command("approve", cls=Verb, examples=("farmctl job approve JOB", "farmctl job approve JOB --wait"))
@jobs_argument
@change_options
@_wait
@pass_session
def approve(session: Session, /, words: tuple[str, ...], why: str, **wish: Any) -> int | ExitCode:
    """Let the rest of a job render: its test frames are good."""
    return change_and_wait(session, select_jobs(session, words), "approve", wish, why=why)


@click.command("reject", cls=Verb, examples=("farmctl job reject JOB --why 'too dark'",))
@jobs_argument
@change_options
@pass_session
def reject(session: Session, words: tuple[str, ...], why: str) -> int:
    """Stop a job whose test frames are not good; a retry of its test frames opens it again."""
    return change(session, select_jobs(session, words), "reject", why=why)


@click.command(
    "retry",
    cls=Verb,
    examples=(
        "farmctl job retry JOB --wait",
        "farmctl job retry JOB --frames 7,12-14",
        "farmctl job retry --filter 'state=failed,owner=me'",
    ),
)
@jobs_argument
@click.option("--frames", metavar="RANGE", help="These frames, even finished ones; else all that failed.")
@change_options
@_wait
@pass_session
def retry(session: Session, /, words: tuple[str, ...], frames: str | None, why: str, **wish: Any) -> int | ExitCode:
    """Render failed or chosen frames again."""
    canonical = str(parse_frames(frames)) if frames is not None else ""
    return change_and_wait(session, select_jobs(session, words), "retry", wish, why=why, frames=canonical)


@click.command(
    "priority",
    cls=Verb,
    examples=("farmctl job priority JOB 80", "farmctl job priority --filter 'project=ad,state=queued' 80"),
)
@jobs_and("NUMBER")
@change_options
@pass_session
def priority(session: Session, words: tuple[str, ...], why: str) -> int:
    """Say how urgent jobs are: the last word is a number from 0 to 100; larger goes first, 50 is usual."""
    *jobs, number = words or ("",)
    if not (jobs or session.chosen) or not number.isdecimal() or int(number) > 100:
        raise click.UsageError("the last word is the priority, a number from 0 to 100", click.get_current_context())
    return change(session, select_jobs(session, jobs), "priority", why=why, value=int(number))


@click.command(
    "delete",
    cls=Verb,
    examples=("farmctl job delete JOB", "farmctl job delete --filter 'state=cancelled,age>30d' --dry-run"),
)
@jobs_argument
@change_options
@pass_session
def delete(session: Session, words: tuple[str, ...], why: str) -> int:
    """Forget jobs for ever, with their results in the farm; files in output folders stay."""
    jobs = select_jobs(session, words)
    if jobs:
        ask_before(session, jobs, "delete", "all results that the farm holds are lost", for_good=True)
    return change(session, jobs, "delete", why=why)
