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


@click.command("status", cls=Verb, examples=("farmctl status", "farmctl status JOB"))
@click.argument("job_word", metavar="[JOB]", required=False, shell_complete=complete_jobs)
@pass_session
def status(session: Session, job_word: str | None) -> None:
    """Show how the farm is, or how one job is."""
    if job_word is None:
        show_farm(session)
    else:
        from farmctl.commands.job import show_job

        show_job(session, job_word)


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
