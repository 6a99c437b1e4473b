"""What an hour of each machine costs: the fold of the price rows.

A price is set for one machine, or for every machine of one configuration of hardware, those that join later included;
the first beats the second. No price is not the same as a price of 0: what was rendered without a price is told apart.

Called by `farmd.core.registry`. Unreadable keys are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from farmd.core.cost import MAX_PRICE, hardware_of
from protocol.records import NodeField

if TYPE_CHECKING:
    from protocol.bodies import ControlBody, NodeBody
    from protocol.ids import NodeId

NO_PRICE = -1
"""Value of a price that was taken away."""
_SUB_AT = 9


class Price(NamedTuple):
    """What an hour costs.

    Attributes:
        value: In millionths.
        actor: Who said so.
        hardware: The configuration that it was set for; empty if for this machine alone.
    """

    value: int
    actor: str
    hardware: str = ""


class Prices:
    """Prices by machine and by configuration."""

    def __init__(self) -> None:
        self._of_node: dict[NodeId, Price] = {}
        self._of_hardware: dict[str, Price] = {}

    def put_node(self, node: NodeId, body: ControlBody) -> None:
        """Take the price of one machine."""
        self._of_node[node] = Price(body.value, body.actor)

    def put_hardware(self, pk: bytes, body: ControlBody) -> bool:
        """Take the price of a configuration; False if the key names none."""
        try:
            hardware = pk[_SUB_AT:].decode()
        except UnicodeDecodeError:
            return False
        self._of_hardware[hardware] = Price(body.value, body.actor, hardware)
        return True

    def of(self, node: NodeId, body: NodeBody) -> Price | None:
        """Return what an hour of a machine costs, or None if nobody has said it."""
        for price in (self._of_node.get(node), self._of_hardware.get(hardware_of(body))):
            if price is not None and 0 <= price.value <= MAX_PRICE:
                return price
        return None

    def known_hardware(self) -> list[str]:
        """List the configurations that were ever priced."""
        return sorted(self._of_hardware)

    def of_hardware(self, hardware: str) -> int | None:
        """Return what an hour of a configuration costs, or None if nobody has said it."""
        price = self._of_hardware.get(hardware)
        return price.value if price is not None and 0 <= price.value <= MAX_PRICE else None

    def set_for(self, node: NodeId, body: NodeBody, *, alike: bool) -> int:
        """Return what was set for a machine alone, or for all of its configuration; `NO_PRICE` if nothing."""
        price = self._of_hardware.get(hardware_of(body)) if alike else self._of_node.get(node)
        return price.value if price is not None else NO_PRICE


def is_hardware_price(pk: bytes) -> bool:
    """Tell whether the key of a NODE_CONTROL row names a configuration and no node."""
    return len(pk) > _SUB_AT and pk[8] == NodeField.HARDWARE_PRICE and not any(pk[:8])
