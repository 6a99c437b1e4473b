"""`farmctl node list|show|hold|release`."""

from __future__ import annotations

from typing import Any

import click

from farmctl.context import Session, pass_session
from farmctl.holding import until_ms_of, until_options
from farmctl.lazy import Verb
from farmctl.options import filter_option, node_argument
from farmctl.selecting import keep_chosen, select_node


@click.command(
    "list",
    cls=Verb,
    examples=("farmctl node list", "farmctl node list -o wide", "farmctl node list --filter 'state=idle,ram>=64G' -q"),
)
@filter_option("state=idle,ram>=64G,renderer=blender: all must hold; see farmctl help filters.")
@pass_session
def list_nodes(session: Session) -> None:
    """List the machines of the farm: what they have, what they do, and why not."""
    from farmctl.columns import NODES
    from farmctl.filters import NODE_FIELDS

    document = session.call("node.list")
    document["nodes"] = keep_chosen(session, document["nodes"], NODE_FIELDS)
    session.printer.listing(document, NODES)


@click.command("show", cls=Verb, examples=("farmctl node show ws07", "farmctl node show ws07 -o json"))
@node_argument
@pass_session
def show(session: Session, node_word: str) -> None:
    """Show one machine."""
    from farmctl.cards import node_card

    document = session.call("node.show", node=select_node(session, node_word))
    session.printer.one(document, str(document.get("id", "")), node_card)


_why = click.option("--why", default="", metavar="TEXT", help="What others read as the reason.")


@click.command(
    "hold",
    cls=Verb,
    examples=(
        "farmctl node hold ws07 --why 'I work here today'",
        "farmctl node hold ws07 --until 18:00",
        "farmctl node hold ws07 --for 2h --now",
    ),
)
@node_argument
@until_options
@click.option("--now", is_flag=True, help="Stop what runs there, too; costs the frames no retry.")
@_why
@pass_session
def hold(session: Session, /, node_word: str, why: str, **given: Any) -> None:
    """Give a machine no more work; what runs there is finished.

    It lets go by itself when its own clock passes the time of --until or --for.
    """
    until_ms = until_ms_of(session, given["until"], given["lasting"])
    _order(session, "node.hold", node_word, why, until_ms=until_ms, now=given["now"])


@click.command("release", cls=Verb, examples=("farmctl node release ws07",))
@node_argument
@_why
@pass_session
def release(session: Session, node_word: str, why: str) -> None:
    """Let a machine work again."""
    _order(session, "node.release", node_word, why)


def _order(session: Session, operation: str, node_word: str, why: str, **more: Any) -> None:
    from farmctl.cards import node_card

    node = select_node(session, node_word)
    session.call(operation, node=node, why=why, **more)
    document = session.call("node.show", node=node)
    session.printer.one(document, str(document.get("id", "")), node_card)
