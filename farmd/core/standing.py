"""Which nodes are no source for a while, and why: corrupt pieces, lies, or parts that turned out to be wrong.

A node that sends three corrupt pieces is left out for a while, and again for each further one: the cause may pass (a
bad switch), and it may be the only one that has the blob. A node that stands by wrong bytes is left out for longer each
time. A node that passed wrong pieces on, of a blob that it was still fetching, is left out of exchanging parts only: it
was most likely lied to, and what it holds completely it has seen the MD5 of.

Called by `farmd.core.swarm`, which judges (`farmd.core.blame`). Knows no blob.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

STRIKES = 3
"""Corrupt pieces after which a node is no source for `LEFT_OUT_S`."""
LEFT_OUT_S = 30.0
LIED_S = 30.0
"""A node that stands by wrong bytes is no source for so long; each further time doubles that."""
MOST_LIED_S = 600.0


class Standing:
    """What each node has done, and until when it is left out."""

    def __init__(self) -> None:
        self._strikes: dict[NodeId, int] = {}
        self._lies: dict[NodeId, int] = {}
        self._left_out: dict[NodeId, float] = {}
        self._no_parts: dict[NodeId, float] = {}

    def is_left_out(self, turn: Turn, node: NodeId) -> bool:
        """True while a node is no source."""
        return turn.now.mono < self._left_out.get(node, 0.0)

    def has_parts(self, turn: Turn, node: NodeId) -> bool:
        """True unless a node is no source of blobs that it does not hold completely."""
        return not self.is_left_out(turn, node) and turn.now.mono >= self._no_parts.get(node, 0.0)

    def strike(self, turn: Turn, node: NodeId) -> bool:
        """A corrupt piece came; True if its sender is left out now."""
        strikes = self._strikes[node] = self._strikes.get(node, 0) + 1
        if strikes < STRIKES:
            return False
        if strikes == STRIKES:
            turn.note("peer-corrupt", f"sent {STRIKES} corrupt pieces; no source for {LEFT_OUT_S:g} s", node=node)
        self._left_out[node] = max(turn.now.mono + LEFT_OUT_S, self._left_out.get(node, 0.0))
        return True

    def convict(self, turn: Turn, node: NodeId) -> None:
        """It stood by wrong bytes."""
        lies = self._lies[node] = self._lies.get(node, 0) + 1
        pause_s = min(MOST_LIED_S, LIED_S * 2 ** min(lies - 1, 10))
        turn.note("peer-lies", f"stands by a copy that is wrong; no source for {pause_s:g} s", node=node)
        self._left_out[node] = turn.now.mono + pause_s

    def distrust_parts(self, turn: Turn, node: NodeId) -> None:
        """It passed wrong pieces on."""
        self._no_parts[node] = turn.now.mono + LEFT_OUT_S
