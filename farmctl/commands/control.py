"""`farmctl job pause|resume|cancel|approve|reject|retry|priority|delete`: change what was asked for.

All take several jobs and answer for each. Cancel asks nothing: what is finished stays, and scripts need it; only delete
loses results and asks first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.context import Session, pass_session
from farmctl.errors import report
from farmctl.lazy import Verb
from farmctl.options import jobs_argument
from farmctl.selecting import select_jobs
from protocol.errors import UserError
from protocol.exitcodes import ExitCode
from protocol.frames import parse_frames
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from farmctl.output import View

SCHEMA: Final = "farm.controls.v1"


def _why(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--why", default="", metavar="TEXT", help="What others read as the reason.")(function)


def _yes(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


@click.command("pause", cls=Verb, examples=("farmctl pause JOB", "farmctl pause JOB --now --why 'need the machines'"))
@jobs_argument
@click.option("--now", is_flag=True, help="Stop running frames too; costs them no retry.")
@_why
@pass_session
def pause(session: Session, words: tuple[str, ...], why: str, *, now: bool) -> int:
    """Start no more frames; those that run are finished."""
    return change(session, words, "pause", why=why, now=now)


@click.command(
    "resume", cls=Verb, examples=("farmctl resume JOB", "farmctl job list --state paused -q | farmctl resume -")
)
@jobs_argument
@_why
@pass_session
def resume(session: Session, words: tuple[str, ...], why: str) -> int:
    """Go on after a pause."""
    return change(session, words, "resume", why=why)


@click.command("cancel", cls=Verb, examples=("farmctl cancel JOB", "farmctl cancel JOB --why 'wrong camera'"))
@jobs_argument
@_why
@_yes
@pass_session
def cancel(session: Session, words: tuple[str, ...], why: str, *, yes: bool) -> int:  # noqa: ARG001  # see below
    """Stop jobs for ever; finished frames stay and can be downloaded.

    Asks nothing, with or without -y: no result is lost.
    """
    return change(session, words, "cancel", why=why)


@click.command("approve", cls=Verb, examples=("farmctl job approve JOB",))
@jobs_argument
@_why
@pass_session
def approve(session: Session, words: tuple[str, ...], why: str) -> int:
    """Let the rest of a job render: its test frames are good."""
    return change(session, words, "approve", why=why)


@click.command("reject", cls=Verb, examples=("farmctl job reject JOB --why 'too dark'",))
@jobs_argument
@_why
@pass_session
def reject(session: Session, words: tuple[str, ...], why: str) -> int:
    """Stop a job whose test frames are not good; a retry of its test frames opens it again."""
    return change(session, words, "reject", why=why)


@click.command("retry", cls=Verb, examples=("farmctl job retry JOB", "farmctl job retry JOB --frames 7,12-14"))
@jobs_argument
@click.option("--frames", metavar="RANGE", help="These frames, even finished ones; else all that failed.")
@_why
@pass_session
def retry(session: Session, words: tuple[str, ...], frames: str | None, why: str) -> int:
    """Render failed or chosen frames again."""
    canonical = str(parse_frames(frames)) if frames is not None else ""
    return change(session, words, "retry", why=why, frames=canonical)


@click.command("priority", cls=Verb, examples=("farmctl job priority JOB 80",))
@click.argument("words", nargs=-1, required=True, metavar="JOB... NUMBER")
@_why
@pass_session
def priority(session: Session, words: tuple[str, ...], why: str) -> int:
    """Say how urgent jobs are: NUMBER from 0 to 100, larger goes first, 50 is usual."""
    *jobs, number = words
    if not jobs or not number.isdecimal() or int(number) > 100:
        raise click.UsageError("the last word is the priority, a number from 0 to 100", click.get_current_context())
    return change(session, jobs, "priority", why=why, value=int(number))


@click.command("delete", cls=Verb, examples=("farmctl job delete JOB", "farmctl job delete JOB -y"))
@jobs_argument
@_why
@_yes
@click.option("--no-input", is_flag=True, help="Never ask; refuse instead.")
@pass_session
def delete(session: Session, words: tuple[str, ...], why: str, *, yes: bool, no_input: bool) -> int:
    """Forget jobs for ever, with their results in the farm; files in output folders stay."""
    from farmctl.confirm import confirm

    jobs = select_jobs(session, words)
    what = jobs[0] if len(jobs) == 1 else f"{len(jobs)} jobs"
    confirm(f"delete {what} and all results that the farm holds?", yes=yes, no_input=no_input)
    return change(session, jobs, "delete", why=why)


def change(session: Session, words: Sequence[str], action: str, **args: Any) -> int:
    """Ask for one change of every job and print one result each; the first refusal is the exit code."""
    results: list[View] = []
    code = 0
    for job in select_jobs(session, words):
        try:
            answer: View = session.call("job.control", job=job, action=action, **args)
        except UserError as error:
            refused = report(error, debug=session.debug)
            code = code or int(refused)
            if error.code == ExitCode.UNREACHABLE:
                break
            continue
        results.append({"job": job, "action": action} | answer)
        if answer.get("stored") == "here" and not answer.get("alone"):
            session.warn(f"{job}: stored here only, other machines learn of it as soon as one answers")
    _print(session, {"schema": SCHEMA, "results": results})
    return code


def _print(session: Session, document: View) -> None:
    def lines(shown: View, _now_ms: int) -> Iterable[str]:
        for result in shown["results"]:
            unchanged = "" if result.get("changed", True) else "  (was so already)"
            yield f"{result['job']}  {printable(str(result.get('state', '')))}{unchanged}"

    if document["results"]:
        session.printer.one(document, "\n".join(str(result["job"]) for result in document["results"]), lines)
