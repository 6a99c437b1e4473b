"""`farmctl farm costs|hardware` and `farmctl node price`: what rendering costs, and what an hour of a machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from farmctl.columns import text
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.moments import parse_moment
from farmctl.money import hours, money, parse_price
from farmctl.options import WHY, node_argument
from farmctl.output import Column, Listing, fields
from farmctl.selecting import select_node
from protocol.errors import UsageError
from protocol.human import parse_duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmctl.output import View

COSTS: Final = Listing(
    "rows",
    (
        Column("FOR", lambda row, _now: str(row.get("key") or "") or "(none)", cut=True),
        Column("NAME", text("name"), spare=1),
        Column("JOBS", text("jobs"), right=True, spare=2),
        Column("HOURS", lambda row, _now: hours(row.get("time_ms")), right=True),
        Column("COST", lambda row, _now: money(row.get("cost_micros")), right=True),
        Column("OF FAILED", lambda row, _now: money(row.get("wasted_micros")), right=True, spare=4),
        Column("HOURS WITHOUT PRICE", lambda row, _now: hours(row.get("unpriced_ms")), right=True, spare=3),
    ),
    "key",
    "nothing has been rendered",
)


@click.command(
    "costs",
    cls=Verb,
    examples=(
        "farmctl farm costs --since 30d",
        "farmctl farm costs --by owner --since 2026-10-01",
        "farmctl farm costs --by label.shot -o csv",
    ),
)
@click.option("--by", default="project", show_default=True, metavar="WHAT", help="project, owner, job or label.NAME.")
@click.option("--since", metavar="TIME", help="From the day (UTC) on that is so long ago, or a date: 30d, 2026-10-01.")
@pass_session
def costs(session: Session, by: str, since: str | None) -> None:
    """Sum up what rendering cost, by project, owner, job or label.

    Counted are all tries that have ended, failed ones too, at the price of their machine when they started (farmctl node
    price). Deleted jobs are in no sum; archived ones are.
    """
    since_ms = 0 if since is None else _since(since, session.now_ms())
    what = "labels." + by.removeprefix("label.") if by.startswith("label.") else by
    document: View = session.call("farm.costs", by=what, since_ms=since_ms)
    session.printer.listing(document, COSTS)
    if session.printer.is_for_people and document.get("rows"):
        total: View = document.get("total") or {}
        session.note(f"in all {money(total.get('cost_micros'))} for {hours(total.get('time_ms'))} hours")


def _since(written: str, now_ms: int) -> int:
    try:
        return now_ms - int(parse_duration(written) * 1000)
    except UsageError:
        at = parse_moment(written, now_ms)
    if at > now_ms:
        raise UsageError(f"{written!r} is still to come", "costs are of the past", "write --since 30d")
    return at


HARDWARE: Final = Listing(
    "hardware",
    (
        Column("HARDWARE", text("name")),
        Column("PRICE", lambda row, _now: money(row.get("price_micros")) or "none", right=True),
        Column("MACHINES", lambda row, _now: ", ".join(map(str, row.get("nodes") or [])), cut=True),
    ),
    "name",
    "no machines",
)


@click.command("hardware", cls=Verb, examples=("farmctl farm hardware", "farmctl farm hardware -o json"))
@pass_session
def hardware(session: Session) -> None:
    """List the configurations of hardware, their machines, and what an hour of each costs.

    The price of a machine of its own, farmctl node price, beats that of its hardware.
    """
    session.printer.listing(session.call("farm.hardware"), HARDWARE)


@click.command(
    "price",
    cls=Verb,
    examples=("farmctl node price ws07 1.20", "farmctl node price ws07 0.80 --alike", "farmctl node price ws07 none"),
)
@node_argument
@click.argument("price", required=False, metavar="[PRICE|none]")
@click.option("--alike", is_flag=True, help="Of all machines with the same cores, memory and GPUs, new ones too.")
@WHY
@pass_session
def price(session: Session, node_word: str, price: str | None, why: str, *, alike: bool) -> None:
    """Say what an hour of a machine costs, in the farm's currency; without PRICE, show it.

    A price of its own beats that of its hardware. It counts for what starts from now on: what was rendered before keeps
    its cost.
    """
    node = select_node(session, node_word)
    said = {} if price is None else {"price_micros": parse_price(price), "why": why}
    document: View = session.call("node.price", node=node, alike=alike, **said)
    session.printer.one(document, node, _price_lines)


def _price_lines(document: View, _now_ms: int) -> Iterable[str]:
    micros = document.get("price_micros")
    source = {"hardware": "as all of its hardware", "node": "its own"}.get(str(document.get("price_for")), "")
    return fields(
        [
            ("node", str(document.get("node"))),
            ("hardware", printable(str(document.get("hardware") or ""))),
            ("price", "none" if micros is None else f"{money(micros)} an hour ({source})"),
            ("set by", printable(str(document.get("price_actor") or ""))),
        ]
    )
