"""`farmctl events`: what happened, and who did it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from farmctl.completing import complete_jobs
from farmctl.context import Session, pass_session
from farmctl.forms import Format
from farmctl.lazy import Verb
from farmctl.output import print_json
from farmctl.selecting import select_job
from protocol.human import printable

if TYPE_CHECKING:
    from farmctl.output import View

_PAGE: Final = 1_000
_POLL_S: Final = 1.0


@click.command(
    "events", cls=Verb, examples=("farmctl events", "farmctl events --job JOB --tail 100", "farmctl events -f -o jsonl")
)
@click.option("--job", "job_word", metavar="JOB", shell_complete=complete_jobs, help="Only what concerns this job.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what happens.")
@click.option("--tail", type=click.IntRange(0), default=50, show_default=True, help="The last so many.")
@pass_session
def events(session: Session, job_word: str | None, tail: int, *, follow: bool) -> None:
    """Show what happened in the farm, oldest first, as the node remembers it."""
    from farmctl.columns import EVENTS

    asked = {} if job_word is None else {"job": select_job(session, job_word)}
    rows: list[View] = session.call("events", after=None, limit=max(1, tail), **asked)["events"]
    last = rows[-1]["id"] if rows else 0
    document: View = {"schema": "farm.events.v1", "events": rows[-tail:] if tail else []}
    if not follow:
        session.printer.listing(document, EVENTS)
        return
    _print_lines(session, document["events"])
    while True:
        session.pause(_POLL_S)
        rows = _after(session, last, asked)
        last = rows[-1]["id"] if rows else last
        _print_lines(session, rows)


def _after(session: Session, last: int, asked: View) -> list[View]:
    """Read all events after one, page by page."""
    rows: list[View] = []
    while True:
        page: list[View] = session.call("events", after=last, limit=_PAGE, **asked)["events"]
        rows += page
        if len(page) < _PAGE:
            return rows
        last = page[-1]["id"]


def _print_lines(session: Session, rows: list[View]) -> None:
    """Print events as they come: no columns, since their widths are not known yet."""
    from datetime import UTC, datetime

    for row in rows:
        if session.format in (Format.JSON, Format.JSONL):
            print_json(row, one_line=True)
            continue
        at = datetime.fromtimestamp(int(row.get("at_ms") or 0) / 1000, UTC).astimezone()
        parts = [at.strftime("%H:%M:%S"), *(str(row.get(name) or "") for name in ("what", "text", "actor", "job"))]
        click.echo("  ".join(printable(part) for part in parts if part))
