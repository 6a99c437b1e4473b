"""`farmctl job list|show|wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument, jobs_argument
from farmctl.selecting import select_job, select_jobs
from protocol.exitcodes import ExitCode
from protocol.human import parse_duration
from protocol.states import JobState

if TYPE_CHECKING:
    from farmctl.output import View


@click.command(
    "list",
    cls=Verb,
    examples=(
        "farmctl job list",
        "farmctl job list --filter 'state=failed|cancelled,owner=me,age<1d'",
        "farmctl job list --state paused -q | farmctl job resume -",
    ),
)
@click.option("--state", type=click.Choice([state.value for state in JobState]), multiple=True, help="Only this state.")
@click.option("--filter", "filter_text", metavar="TESTS", help="state=failed,owner=me,age>2h: all must hold.")
@pass_session
def list_jobs(session: Session, state: tuple[str, ...], filter_text: str | None) -> None:
    """List jobs, with the reason of those that do not run."""
    from farmctl.columns import JOBS
    from farmctl.filters import Asking, parse_filter
    from farmctl.submission import user_name

    keeps = parse_filter(filter_text or "", Asking(user_name(), session.now_ms()))
    document: View = session.call("job.list")
    document["jobs"] = [row for row in document["jobs"] if keeps(row) and (not state or row.get("state") in state)]
    session.printer.listing(document, JOBS)


@click.command(
    "show", cls=Verb, examples=("farmctl job show JOB", "farmctl job show JOB -o json | jq -r .completed_frames")
)
@job_argument
@pass_session
def show(session: Session, job_word: str) -> None:
    """Show one job: how far it is, its test frames, and what it waits for."""
    show_job(session, job_word)


def show_job(session: Session, word: str) -> None:
    """Print one job."""
    from farmctl.cards import job_card

    document: View = session.call("job.show", job=select_job(session, word))
    session.printer.one(document, str(document.get("id", "")), job_card)


@click.command(
    "wait",
    cls=Verb,
    examples=(
        "farmctl job wait JOB",
        "farmctl job wait JOB --timeout 2h --stop-at-gate",
        "farmctl submit shot.blend --frames 1-9 -q | farmctl job wait -",
    ),
)
@jobs_argument
@click.option("--timeout", type=parse_duration, metavar="TIME", help="Give up after so long (exit code 8).")
@click.option("--stop-at-gate", is_flag=True, help="Leave with 9 when a person must decide.")
@pass_session
def wait(session: Session, words: tuple[str, ...], timeout: float | None, *, stop_at_gate: bool) -> ExitCode:
    """Wait until jobs have ended, one way or another.

    Exit code 0: all completed. 3: one failed. 4: one was cancelled or rejected. 8: the time is over. Of several jobs,
    the first that was not completed decides. Says on stderr what it waits for, and goes on with another node when the
    one that answered is gone.
    """
    from farmctl.cards import job_card
    from farmctl.follow import Follower, Wish

    follower = Follower(session, Wish(timeout, stop_at_gate=stop_at_gate))
    codes = []
    for job in select_jobs(session, words):
        codes.append(follower.follow(job))
        if follower.view:
            session.printer.one(follower.view, job, job_card)
        if codes[-1] is ExitCode.INTERRUPTED:
            return ExitCode.INTERRUPTED
    return next((code for code in codes if code is not ExitCode.DONE), ExitCode.DONE)
