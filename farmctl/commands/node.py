"""`farmctl node list|show|hold|release`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.context import Session, pass_session
from farmctl.errors import report
from farmctl.holding import until_ms_of, until_options
from farmctl.lazy import Verb
from farmctl.options import DRY_RUN, SORT, WHY, filter_option, node_argument, nodes_argument
from farmctl.selecting import keep_chosen, select_node, select_nodes
from protocol.errors import UserError
from protocol.exitcodes import ExitCode

if TYPE_CHECKING:
    from farmctl.output import View


@click.command(
    "list",
    cls=Verb,
    examples=("farmctl node list", "farmctl node list -o wide", "farmctl node list --filter 'state=idle,ram>=64G' -q"),
)
@filter_option("state=idle,ram>=64G,renderer=blender: all must hold; see farmctl help filters.")
@SORT
@pass_session
def list_nodes(session: Session, sort: str | None) -> None:
    """List the machines of the farm: what they have, what they do, and why not."""
    from farmctl.columns import NODES
    from farmctl.filters import NODE_FIELDS
    from farmctl.sorting import sort_rows

    document = session.call("node.list")
    document["nodes"] = sort_rows(keep_chosen(session, document["nodes"], NODE_FIELDS), sort, NODE_FIELDS)
    session.printer.listing(document, NODES)


@click.command("show", cls=Verb, examples=("farmctl node show ws07", "farmctl node show ws07 -o json"))
@node_argument
@pass_session
def show(session: Session, node_word: str) -> None:
    """Show one machine."""
    from farmctl.cards import node_card

    document = session.call("node.show", node=select_node(session, node_word))
    session.printer.one(document, str(document.get("id", "")), node_card)


@click.command(
    "hold",
    cls=Verb,
    examples=(
        "farmctl node hold ws07 --why 'I work here today'",
        "farmctl node hold ws07 --until 18:00",
        "farmctl node hold ws07 --for 2h --now",
        "farmctl node hold --filter 'name~render*' --why 'new drivers' --dry-run",
    ),
)
@nodes_argument
@until_options
@click.option("--now", is_flag=True, help="Stop what runs there, too; costs the frames no retry.")
@WHY
@DRY_RUN
@pass_session
def hold(session: Session, /, words: tuple[str, ...], why: str, **given: Any) -> int:
    """Give a machine no more work; what runs there is finished.

    It lets go by itself when its own clock passes the time of --until or --for.
    """
    until_ms = until_ms_of(session, given["until"], given["lasting"])
    return order_machines(session, "node.hold", words, why=why, until_ms=until_ms, now=given["now"])


@click.command(
    "release", cls=Verb, examples=("farmctl node release ws07", "farmctl node release --filter 'state=held'")
)
@nodes_argument
@WHY
@DRY_RUN
@pass_session
def release(session: Session, words: tuple[str, ...], why: str) -> int:
    """Let a machine work again."""
    return order_machines(session, "node.release", words, why=why)


def order_machines(session: Session, operation: str, words: tuple[str, ...], **args: Any) -> int:
    """Ask for one change of every machine and show how each is then; the first refusal is the exit code."""
    shown: list[View] = []
    code = 0
    for node in select_nodes(session, words):
        try:
            if not session.dry_run:
                session.call(operation, node=node, **args)
            shown.append(session.call("node.show", node=node))
        except UserError as error:
            code = code or int(report(error, debug=session.debug))
            if error.code == ExitCode.UNREACHABLE:
                break
    print_machines(session, shown)
    if session.dry_run:
        session.note("dry run: nothing was changed")
    return code


def print_machines(session: Session, shown: list[View]) -> None:
    """Print one machine as a card, several as a list."""
    from farmctl.cards import node_card
    from farmctl.columns import NODES

    if len(shown) == 1:
        session.printer.one(shown[0], str(shown[0].get("id", "")), node_card)
    elif shown:
        session.printer.listing({"schema": "farm.nodes.v1", "nodes": shown}, NODES)
