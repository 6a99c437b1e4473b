"""`farmctl job list|show|wait|watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.context import Session, pass_session
from farmctl.forms import Format
from farmctl.lazy import Verb
from farmctl.options import SORT, filter_option, job_argument, jobs_argument, wait_options
from farmctl.selecting import keep_chosen, select_job, select_jobs
from protocol.errors import NotFound
from protocol.states import JobState

if TYPE_CHECKING:
    from farmctl.output import View
    from protocol.exitcodes import ExitCode


@click.command(
    "list",
    cls=Verb,
    examples=(
        "farmctl job list",
        "farmctl job list --filter 'state=failed|cancelled,owner=me,age<1d'",
        "farmctl job list --sort=-failed --limit 10",
        "farmctl job list --state paused -q | farmctl job resume -",
    ),
)
@click.option("--state", type=click.Choice([state.value for state in JobState]), multiple=True, help="Only this state.")
@click.option("--archived", is_flag=True, help="Those that were put away, and no others.")
@filter_option("state=failed,owner=me,age>2h: all must hold; see farmctl help filters.")
@SORT
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@pass_session
def list_jobs(session: Session, state: tuple[str, ...], sort: str | None, limit: int | None, *, archived: bool) -> None:
    """List jobs, with the reason of those that do not run."""
    from farmctl.columns import JOBS
    from farmctl.listing import all_jobs
    from farmctl.sorting import sort_rows
    from protocol.filters import JOB_FIELDS

    document = all_jobs(session, archived="only" if archived else "without")
    chosen = keep_chosen(session, document["jobs"], JOB_FIELDS)
    kept = [row for row in chosen if not state or row.get("state") in state]
    document["jobs"] = sort_rows(kept, sort, JOB_FIELDS)[:limit]
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
    from farmctl.cards import job_card, wide_job_card

    card = wide_job_card if session.format is Format.WIDE else job_card
    document: View = session.call("job.show", job=select_job(session, word))
    session.printer.one(document, str(document.get("id", "")), card)


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
@wait_options
@pass_session
def wait(session: Session, words: tuple[str, ...], timeout: float | None, *, stop_at_gate: bool) -> ExitCode:
    """Wait until jobs have ended, one way or another.

    Exit code 0: all completed. 3: one failed. 4: one was cancelled or rejected. 8: the time is over. Of several jobs,
    the first that was not completed decides. Says on stderr what it waits for, and goes on with another node when the
    one that answered is gone.
    """
    from farmctl.follow import Wish, follow_all

    jobs = select_jobs(session, words)
    if not jobs and not session.chosen:
        # What should have named the job has most likely failed: that must not look like a job that was completed.
        raise NotFound("there is no job to wait for", "stdin is empty", "does the command before it say why?")
    return follow_all(session, jobs, Wish(timeout, stop_at_gate=stop_at_gate))


@click.command(
    "watch",
    cls=Verb,
    examples=("farmctl job watch JOB", "farmctl job watch JOB -o jsonl | jq --unbuffered .done"),
)
@job_argument
@wait_options
@pass_session
def watch(session: Session, job_word: str, timeout: float | None, *, stop_at_gate: bool) -> ExitCode:
    """Show a job, and show it anew whenever something changes, until it has ended.

    On a terminal the view stays in its place; elsewhere each change is printed below the last one, with -o jsonl as a
    line each. Exit codes are those of job wait.
    """
    return watch_job(session, job_word, timeout, stop_at_gate=stop_at_gate)


def watch_job(session: Session, word: str, timeout: float | None = None, *, stop_at_gate: bool = False) -> ExitCode:
    """Show a job and each change of it until it has ended; returns what to exit with.

    Raises:
        UserError: No node answered the first question, or there is no such job.
    """
    from farmctl.cards import job_card
    from farmctl.follow import Follower, Wish
    from farmctl.screen import Screen

    job = select_job(session, word)
    with Screen(session, job_card) as screen:
        return Follower(session, Wish(timeout, stop_at_gate=stop_at_gate), watch=screen.show).follow(job)
