"""What people order machines to do: hold, drain, release; and what an hour of one costs.

Holding and draining write one register: no new work, and what runs is finished, unless the order says *now*; then it is
stopped, at no cost to its tasks. Draining differs in the word alone, for who reads it: somebody waits for the machine to
be empty. Either may name an end, at which the machine lets itself go (`farmd.core.releasing`).

A price is for one machine, or for every machine of its configuration of hardware; the first beats the second.

Called by `farmd.core.door`. Asking for what already holds writes nothing, unless it is asked for another reason, which
then stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import find_node, number_of, why_of
from farmd.core.cost import MAX_PRICE, MILLIONTHS, hardware_of
from farmd.core.prices import NO_PRICE
from farmd.core.submitting import refuse_on_full_disk
from farmd.core.worker import STOP_NOW
from protocol.bodies import ControlBody, pack_body
from protocol.errors import UsageError, UserError
from protocol.records import Kind, NodeField, hardware_price_pk, node_control_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.records import Rec

DRAIN = "drain"
MAX_AHEAD_MS = 366 * 86_400_000
"""A hold ends within so long a time, or when somebody ends it."""


class NodeOrders:
    """Writes the registers of nodes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "node.hold": self._hold,
            "node.drain": self._drain,
            "node.release": self._release,
            "node.price": self._price,
        }

    def _hold(self, turn: Turn, event: ClientAsked) -> None:
        self._set_hold(turn, event, self._held(turn, event, ""))

    def _drain(self, turn: Turn, event: ClientAsked) -> None:
        self._set_hold(turn, event, self._held(turn, event, DRAIN))

    def _release(self, turn: Turn, event: ClientAsked) -> None:
        self._set_hold(turn, event, ControlBody(0, event.actor, why_of(event)))

    def _held(self, turn: Turn, event: ClientAsked, word: str) -> ControlBody:
        until_ms = number_of(event, "until_ms", 0)
        if until_ms and not turn.now.wall_ms < until_ms <= turn.now.wall_ms + MAX_AHEAD_MS:
            why = "it is over" if until_ms <= turn.now.wall_ms else "it is more than a year ahead"
            raise UsageError("a machine cannot be held until then", why, "say --for 2h, or --until 18:00")
        value = STOP_NOW if event.args.get("now") else 1
        return ControlBody(value, event.actor, why_of(event), text=word, until_ms=until_ms)

    def _set_hold(self, turn: Turn, event: ClientAsked, body: ControlBody) -> None:
        refuse_on_full_disk(self._node)
        node = self._node_of(event)
        known = self._node.registry.hold_of(node)
        same = not body.value if known is None else _says(known) == _says(body) and body.why in ("", known.why)
        data = {"node": node, "changed": not same, "until_ms": body.until_ms}
        pk = node_control_pk(node, NodeField.HELD)
        answer_order(self._node, turn, event, data, [] if same else [self._write(turn, pk, body)])

    def _price(self, turn: Turn, event: ClientAsked) -> None:
        """Set a price or take it away; without one in the request, only tell it."""
        node = self._node_of(event)
        body, prices = self._node.registry.bodies.get(node), self._node.registry.prices
        if body is None:
            raise UserError(f"node {node} has not described itself", "its hardware is not known", "farmctl node list")
        alike, is_changed = bool(event.args.get("alike")), False
        if "price_micros" in event.args:
            refuse_on_full_disk(self._node)
            value = _price_of(event)
            is_changed = value != prices.set_for(node, body, alike=alike)
            pk = hardware_price_pk(hardware_of(body)) if alike else node_control_pk(node, NodeField.PRICE)
            order = ControlBody(value, event.actor, why_of(event))
            written = [self._write(turn, pk, order)] if is_changed else []
            self._node.fold(turn)
        else:
            written = []
        data = {"schema": "farm.price.v1", "node": node, "alike": alike, "changed": is_changed}
        answer_order(self._node, turn, event, data | price_view(self._node, node), written)

    def _node_of(self, event: ClientAsked) -> NodeId:
        return find_node(self._node, str(event.args.get("node") or self._node.id))

    def _write(self, turn: Turn, pk: bytes, body: ControlBody) -> Rec:
        return self._node.replica.write(turn, Kind.NODE_CONTROL, pk, pack_body(body))


def price_view(node: Node, which: NodeId) -> dict[str, Any]:
    """Say what an hour of a machine costs, and for what the price was set: for it, or for its hardware."""
    body = node.registry.body_of(which)
    price = node.registry.prices.of(which, body)
    return {
        "hardware": hardware_of(body),
        "price_micros": None if price is None else price.value,
        "price_for": "" if price is None else "hardware" if price.hardware else "node",
        "price_actor": "" if price is None else price.actor,
    }


def _says(body: ControlBody) -> tuple[int, str, int]:
    return body.value, body.text, body.until_ms


def _price_of(event: ClientAsked) -> int:
    value = number_of(event, "price_micros", NO_PRICE)
    if not NO_PRICE <= value <= MAX_PRICE:
        raise UsageError(f"{value / MILLIONTHS:g} is no price of an hour", "it is not between 0 and a million", "")
    return value
