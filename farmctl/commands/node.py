"""`farmctl node list|show|hold|release`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.context import Session, pass_session
from farmctl.holding import until_ms_of, until_options
from farmctl.lazy import Verb
from farmctl.options import DRY_RUN, SORT, WHY, filter_option, node_argument, nodes_argument
from farmctl.selecting import keep_chosen, select_node, select_nodes
from protocol.errors import UserError
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    from farmctl.sorting import sort_rows
    from protocol.filters import NODE_FIELDS

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
    return order_machines(
        session, "node.hold", select_nodes(session, words), why=why, until_ms=until_ms, now=given["now"]
    )


@click.command(
    "release", cls=Verb, examples=("farmctl node release ws07", "farmctl node release --filter 'state=held'")
)
@nodes_argument
@WHY
@DRY_RUN
@pass_session
def release(session: Session, words: tuple[str, ...], why: str) -> int:
    """Let a machine work again."""
    return order_machines(session, "node.release", select_nodes(session, words), why=why)


def order_machines(session: Session, operation: str, nodes: Sequence[str], *, told: bool = True, **args: Any) -> int:
    """Ask for one change of every machine and print one result each; the first refusal is the exit code."""
    from farmctl.changing import Order, carry_out, warn_if_here_only

    action = operation.partition(".")[2]

    def ask(node: str) -> View:
        if session.dry_run:
            return _result(session.call("node.show", node=node), node, action) | {"changed": False, "dry_run": True}
        answer: View = session.call(operation, node=node, **args)
        try:
            view = session.call("node.show", node=node)
        except UserError:
            view = {}  # the order was given, and that is what is told
        warn_if_here_only(session, str(view.get("name") or node), answer)
        return _result(view, node, action) | {
            key: answer[key] for key in ("changed", "stored", "nodes") if key in answer
        }

    return carry_out(session, nodes, Order(action, "node"), ask, _order_line, told=told)


def _result(view: View, node: str, action: str) -> View:
    known = {key: view[key] for key in ("name", "state", "reason", "held_until_ms") if view.get(key)}
    return {"node": node, "action": action} | known


def _order_line(result: View) -> str:
    if result.get("dry_run"):
        return f"{result.get('state', '')}  (would be asked to {result['action']})"
    reason = result.get("reason")
    why = f": {printable(str(reason))}" if reason and isinstance(reason, str) else ""
    remark = "" if result.get("changed", True) else "  (was so already)"
    return f"{printable(str(result.get('state') or 'asked'))}{why}{remark}"


def print_machines(session: Session, shown: list[View]) -> None:
    """Print machines as a list, one machine as a card to a person."""
    from farmctl.cards import node_card
    from farmctl.columns import NODES

    if len(shown) == 1 and session.printer.is_for_people:
        session.printer.one(shown[0], str(shown[0].get("id", "")), node_card)
    else:
        session.printer.listing({"schema": "farm.nodes.v1", "nodes": shown}, NODES)
