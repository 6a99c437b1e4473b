"""`farmctl node evict|replace`: who belongs to the farm no more.

Both are for ever, so both first ask the node what would be lost, show it, and have a name typed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.completing import complete_nodes
from farmctl.confirm import confirm_by_name
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import change_options, node_argument
from farmctl.selecting import select_node
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmctl.output import View


@click.command(
    "evict",
    cls=Verb,
    examples=("farmctl node evict ws07 --why 'sold'", "farmctl node evict ws07 --dry-run -o json"),
)
@node_argument
@change_options
@pass_session
def evict(session: Session, node_word: str, why: str) -> None:
    """Take a machine's admission back, for ever.

    It is silenced everywhere at once, also on open connections. What it alone had counts as lost: results that somebody
    still waits for are rendered again. It can come back as a new machine only, with another data dir and a new token.
    """
    asked = {"node": select_node(session, node_word), "why": why}
    _order(session, "node.evict", asked, "evict {name} for ever?")


@click.command(
    "replace",
    cls=Verb,
    examples=("farmctl node replace ws07 ws12 --why 'its disk died'", "farmctl node replace ws07 ws12 --dry-run"),
)
@node_argument
@click.argument("by_word", metavar="NEW", shell_complete=complete_nodes)
@change_options
@pass_session
def replace(session: Session, node_word: str, by_word: str, why: str) -> None:
    """Let NEW stand in for the dead machine NODE, which is evicted.

    NEW keeps copies of the results of jobs that were submitted on NODE, and delivers what NODE still had to deliver. Add
    it first, as any machine: farmd join.
    """
    asked = {"node": select_node(session, node_word), "by": select_node(session, by_word), "why": why}
    _order(session, "node.replace", asked, "replace {name} by {by} and evict it for ever?")


def _order(session: Session, operation: str, asked: dict[str, str], question: str) -> None:
    """Show what would be lost, ask, then do it."""
    planned: View = session.call(operation, **asked, dry_run=True)
    name, by = (printable(str(planned.get(field) or "")) for field in ("node_name", "by_name"))
    if session.dry_run or not planned.get("changed"):
        session.printer.one(planned, str(planned["node"]), _lines)
        if session.dry_run:
            session.note("dry run: nothing was changed")
        return
    for line in _losses(planned):
        session.warn(line)
    confirm_by_name(question.format(name=name, by=by), name, yes=session.yes, no_input=session.no_input)
    answer: View = session.call(operation, **asked)
    session.printer.one(answer | {"findings": planned["findings"]}, str(answer["node"]), _done)
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn("stored here only, other machines learn of it as soon as one answers")
    if answer.get("alive"):
        session.note(f"stop its daemon, too: it does not know that it was evicted, and waits for the others ({name})")


def _losses(planned: View) -> Iterable[str]:
    if planned.get("alive"):
        yield f"{printable(str(planned['node_name']))} answers: what it renders is rendered again elsewhere"
    for finding in planned.get("findings", []):
        hint = f"; {finding['hint']}" if finding.get("hint") else ""
        yield printable(f"{finding.get('text', '')}{hint}")


def _lines(planned: View, _now_ms: int) -> Iterable[str]:
    name = printable(str(planned["node_name"]))
    yield f"{name} would be evicted for ever" if planned.get("changed") else f"{name} is evicted  (was so already)"
    yield from _losses(planned)


def _done(answer: View, _now_ms: int) -> Iterable[str]:
    by = f"; {printable(str(answer['by_name']))} stands in for it" if answer.get("by_name") else ""
    yield f"evicted: {printable(str(answer['node_name']))}{by}"
