"""`farmctl farm status|doctor` and the shortcut `farmctl status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.completing import complete_jobs
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb

if TYPE_CHECKING:
    from farmctl.output import View
    from protocol.exitcodes import ExitCode


@click.command("status", cls=Verb, examples=("farmctl farm status", "farmctl farm status -o json | jq -r .leader"))
@pass_session
def farm_status(session: Session) -> None:
    """Show leader, machines and jobs, as the node sees them."""
    show_farm(session)


@click.command("doctor", cls=Verb, examples=("farmctl farm doctor", "farmctl farm doctor -o json"))
@pass_session
def farm_doctor(session: Session) -> ExitCode:
    """Check the farm as a whole: leader, machines, versions, space; exit code 1 if something needs attention."""
    from farmctl.checkup import checks_of, print_checks

    return print_checks(session, checks_of(session.call("farm.status")))


@click.command("status", cls=Verb, examples=("farmctl status", "farmctl status --watch", "farmctl status JOB"))
@click.argument("job_word", metavar="[JOB]", required=False, shell_complete=complete_jobs)
@click.option("-w", "--watch", is_flag=True, help="Show it anew whenever something changes, until interrupted.")
@pass_session
def status(session: Session, job_word: str | None, *, watch: bool) -> ExitCode | None:
    """Show what is going on: machines, pace, what needs somebody, what runs and what waits. With JOB, that job.

    --watch stays in its place on a terminal and goes on with another node when the one that answers is gone; of a JOB
    it is the same as farmctl job watch.
    """
    if job_word is not None:
        return _of_job(session, job_word, watch=watch)
    from farmctl.overview import Overview, overview_lines

    printer = session.printer
    if watch:
        from farmctl.watching import watch_farm

        return watch_farm(session)
    document = Overview().look(session.call)
    printer.one(document, str(document["farm"]), lambda shown, now_ms: overview_lines(printer, shown, now_ms))
    return None


def _of_job(session: Session, job_word: str, *, watch: bool) -> ExitCode | None:
    if watch:
        from farmctl.commands.job import watch_job

        return watch_job(session, job_word)
    from farmctl.commands.job import show_job

    show_job(session, job_word)
    return None


def show_farm(session: Session) -> None:
    """Print the state of the farm, and for people its machines below."""
    from farmctl.cards import farm_card
    from farmctl.columns import NODES

    document: View = session.call("farm.status")
    printer = session.printer
    printer.one(document, str(document.get("farm", "")), farm_card)
    if printer.is_for_people and document.get("nodes"):
        click.echo()
        printer.listing(document, NODES)
