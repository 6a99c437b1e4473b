"""`farmctl events`: what happened, who did it, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.completing import complete_jobs, complete_nodes
from farmctl.context import Session, pass_session
from farmctl.forms import Format
from farmctl.lazy import Verb
from farmctl.output import print_json
from farmctl.selecting import select_job
from protocol.errors import UsageError
from protocol.human import parse_duration, printable

if TYPE_CHECKING:
    from farmctl.output import View

_PAGE: Final = 1_000
_WAIT_S: Final = 5.0
"""How long the node may hold a question back for news; less than the patience of a session."""
_EXAMPLES = (
    "farmctl events --since 2h",
    "farmctl events --job JOB --what 'attempt-*'",
    "farmctl events --actor anna -f -o jsonl",
)
_WHEN: Final = "TIME"


@click.command("events", cls=Verb, examples=_EXAMPLES)
@click.option("--job", "job_word", metavar="JOB", shell_complete=complete_jobs, help="Only what concerns this job.")
@click.option("--on", "node", metavar="NODE", shell_complete=complete_nodes, help="Only what concerns this machine.")
@click.option("--actor", metavar="WHO", help="Only what this person did; farmd: what the farm did by itself.")
@click.option("--what", multiple=True, metavar="WORD", help="Only such: pause, 'attempt-*'; may be repeated.")
@click.option("--since", metavar=_WHEN, help="From then on: 2h (ago), or 2026-03-01T18:00.")
@click.option("--until", metavar=_WHEN, help="Before then.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what happens.")
@click.option("--tail", type=click.IntRange(0), default=50, show_default=True, help="The last so many.")
@pass_session
def events(session: Session, /, tail: int, *, follow: bool, **chosen: Any) -> None:
    """Show what happened in the farm, oldest first: who did what, when and why.

    Each machine keeps a log of its own; what people order and how frames end stands in all of them.
    """
    from farmctl.columns import EVENTS

    asked = _asked(session, chosen)
    document: View = session.call("event.list", after=None, limit=max(1, tail), **asked)
    rows: list[View] = document["events"]
    last = document.get("last", rows[-1]["id"] if rows else 0)
    rows = sorted(rows, key=lambda row: (row.get("at_ms") or 0, row["id"]))  # a node may learn late of what happened
    document = {"schema": "farm.events.v1"} | document | {"events": rows[-tail:] if tail else []}
    if not follow:
        session.printer.listing(document, EVENTS)
        return
    _print_lines(session, document["events"])
    while True:
        answer: View = session.call("event.list", after=last, limit=_PAGE, wait_s=_WAIT_S, **asked)
        rows = answer["events"]
        last = answer.get("last", rows[-1]["id"] if rows else last)
        _print_lines(session, rows)


def _asked(session: Session, chosen: View) -> View:
    """Read what is wanted into the words of the operation; what was not said is left out."""
    asked: View = {name: chosen[name] for name in ("node", "actor") if chosen[name]}
    if chosen["job_word"] is not None:
        asked["job"] = select_job(session, chosen["job_word"])
    if chosen["what"]:
        asked["what"] = list(chosen["what"])
    for name in ("since", "until"):
        if chosen[name]:
            asked[f"{name}_ms"] = _instant(session, chosen[name])
    return asked


def _instant(session: Session, text: str) -> int:
    """Read a time of day of this machine, or how long ago it was.

    Raises:
        UsageError: It is neither.
    """
    try:
        return session.now_ms() - int(1000 * parse_duration(text))
    except UsageError:
        pass
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except ValueError:
        what, why = f"not a time: {text[:40]!r}", "a time is how long ago (90m, 2d) or a date and a time of day"
        raise UsageError(what, why, "write 2h, 2026-03-01 or 2026-03-01T18:00") from None


def _print_lines(session: Session, rows: list[View]) -> None:
    """Print events as they come: no columns, since their widths are not known yet."""
    for row in rows:
        if session.format in (Format.JSON, Format.JSONL):
            print_json(row, one_line=True)
            continue
        at = datetime.fromtimestamp(int(row.get("at_ms") or 0) / 1000, UTC).astimezone()
        parts = [at.strftime("%H:%M:%S"), *(str(row.get(name) or "") for name in ("what", "text", "actor", "job"))]
        click.echo("  ".join(printable(part) for part in parts if part))
