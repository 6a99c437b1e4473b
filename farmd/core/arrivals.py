"""Who came, left or fell silent, in one line each for the event log, by the names that people gave the machines.

A node is first seen by its key or by a probe, when nobody knows its name yet: that is no line. Its row brings the name,
and that is told once: it joined, or, while this node itself is new and learns of everybody, it is a member.

Called by `farmd.core.folding` and `farmd.core.following`. Never changes anything but the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farmd.core.node import Node
    from farmd.core.roster import MemberChange
    from farmd.core.turn import Turn
    from protocol.ids import NodeId


class Arrivals:
    """Tells of other nodes, and remembers whose coming was told."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._newcomers: dict[NodeId, None] = {}

    def welcome(self, turn: Turn, node: NodeId) -> None:
        """Tell of a node whose row came for the first time: a newcomer, or, while this one is new, a member."""
        self._newcomers[node] = None
        what = "joined" if self._node.life.introduced else "is a member"
        turn.note("node", f"{self._node.registry.name_of(node)} {what}", node=node)

    def tell(self, turn: Turn, change: MemberChange) -> None:
        """One line for each change; the first sight of a newcomer is told when its row brings the name."""
        registry = self._node.registry
        known = change.node in registry.bodies and change.node not in self._newcomers
        if change.is_first_sight and not known:
            return
        text = change.text()
        if text:
            turn.note("node", f"{registry.name_of(change.node)} {text}", node=change.node)
