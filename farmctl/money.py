"""Money and hours as people read and write them; the farm has one currency, and does not know which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError

if TYPE_CHECKING:
    from farmctl.output import View

MILLIONTHS: Final = 1_000_000
NO_PRICE: Final = -1
_PRICE: Final = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,6}))?")


def parse_price(text: str) -> int:
    """Read a price into millionths; "none" takes a price away.

    Raises:
        UsageError: It is none.
    """
    if text.strip().lower() == "none":
        return NO_PRICE
    found = _PRICE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text[:40]!r} is no price", "a price is a number such as 1.20", "write 1.20, or none")
    whole, fraction = found.groups("")
    return int(whole) * MILLIONTHS + int(fraction.ljust(6, "0"))


def money(micros: object) -> str:
    """Write an amount with two decimals; a small one with as many as it needs to be more than nothing."""
    if not isinstance(micros, int):
        return ""
    if 0 < micros < MILLIONTHS // 100:
        return f"{micros / MILLIONTHS:.6f}".rstrip("0")
    return f"{micros / MILLIONTHS:.2f}"


def hours(time_ms: object) -> str:
    """Write a time in hours with one decimal, a short one with two."""
    if not isinstance(time_ms, int):
        return ""
    value = time_ms / 3_600_000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def cost_text(costs: View) -> str:
    """Say what a job cost so far: money, hours, and what of it says less than it seems to."""
    if not costs.get("time_ms"):
        return ""
    if not costs.get("cost_micros") and costs.get("unpriced_ms") == costs["time_ms"]:
        return f"{hours(costs['time_ms'])} hours on machines without a price"
    parts = [f"{money(costs.get('cost_micros'))} for {hours(costs.get('time_ms'))} hours"]
    if costs.get("wasted_micros"):
        parts.append(f"{money(costs['wasted_micros'])} of it for tries that failed or were stopped")
    if costs.get("unpriced_ms"):
        parts.append(f"{hours(costs['unpriced_ms'])} hours on machines without a price")
    return "; ".join(parts)


def price_text(node: View) -> str:
    """Say what an hour of a machine costs, and whether that is its own price."""
    micros = node.get("price_micros")
    if micros is None:
        return ""
    alike = f", as all with {node.get('hardware')}" if node.get("price_for") == "hardware" else ""
    return f"{money(micros)} an hour{alike}"
