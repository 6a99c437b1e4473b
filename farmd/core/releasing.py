"""Ends a hold whose time is over: the machine that is held lets itself go, when its own clock says so.

A hold with an end is a row like any other, and what it means does not depend on anybody's clock: the machine is held
until a row says that it is not. That row is written by the machine itself when its wall clock has passed the end, so
clocks that differ can never make two machines disagree about who is held; at worst a machine whose clock is wrong is
held for too long or too short, by its own error. One that is off at that time lets itself go when it is back.

Wall clocks are set forward and back, so the time is looked at again at least every `LOOK_S`.
Called by `farmd.core.folding` when the row of this node has changed, and by the timer of the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.bodies import ControlBody, pack_body
from protocol.records import Kind, NodeField, node_control_pk

if TYPE_CHECKING:
    from farmd.core.node import Node
    from farmd.core.turn import Turn

ACTOR = "farmd"
WHY = "its time was over"
LOOK_S = 60.0
WAIT_S = 1.0
"""Pause while this node may not write yet, since nobody has confirmed its stream."""


class Releasing:
    """Watches the end of this node's own hold."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._due: float | None = None

    def review(self, turn: Turn) -> None:
        """This node was held or released, or has just started: look when that ends."""
        hold = self._node.registry.hold_of(self._node.id)
        if hold is None or not hold.until_ms:
            self._due = None
            return
        left_s = max(0.0, (hold.until_ms - turn.now.wall_ms) / 1000)
        self._due = turn.now.mono + min(left_s, LOOK_S)

    def next_deadline(self) -> float | None:
        """When the end of the hold is looked at again."""
        return self._due

    def on_timer(self, turn: Turn) -> None:
        """Let go, if the time is over."""
        hold = self._node.registry.hold_of(self._node.id)
        if hold is None or not hold.until_ms or hold.until_ms > turn.now.wall_ms:
            self.review(turn)
            return
        if not self._node.life.introduced:
            self._due = turn.now.mono + WAIT_S
            return
        self._due = None
        pk = node_control_pk(self._node.id, NodeField.HELD)
        self._node.replica.write(turn, Kind.NODE_CONTROL, pk, pack_body(ControlBody(0, ACTOR, WHY)))
