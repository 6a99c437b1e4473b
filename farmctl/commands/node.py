"""`farmctl node list|show`."""

from __future__ import annotations

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import node_argument
from farmctl.selecting import select_node


@click.command("list", cls=Verb, examples=("farmctl node list", "farmctl node list -o wide"))
@pass_session
def list_nodes(session: Session) -> None:
    """List the machines of the farm: what they have, what they do, and why not."""
    from farmctl.columns import NODES

    session.printer.listing(session.call("node.list"), NODES)


@click.command("show", cls=Verb, examples=("farmctl node show ws07", "farmctl node show ws07 -o json"))
@node_argument
@pass_session
def show(session: Session, node_word: str) -> None:
    """Show one machine."""
    from farmctl.cards import node_card

    document = session.call("node.show", node=select_node(session, node_word))
    session.printer.one(document, str(document.get("id", "")), node_card)
