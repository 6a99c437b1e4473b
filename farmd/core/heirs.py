"""Which machine stands in for one that is gone for good: the fold of REPLACED registers.

A job names the node where it was submitted, which keeps copies of its results and delivers them. When that machine will
not come back, `farmctl node replace OLD NEW` names an heir, who does both from then on. Heirs may be replaced in their
turn; a circle, which two halves of a divided farm can make, leads to the largest id in it, so that all nodes agree.

Called by `farmd.core.registry`. Changes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocol.ids import NodeId

_NODE_ID = re.compile(r"[0-9a-f]{16}")

if TYPE_CHECKING:
    from protocol.bodies import ControlBody


class Heirs:
    """Who stands in for whom."""

    def __init__(self) -> None:
        self._heirs: dict[NodeId, NodeId] = {}

    def put(self, node: NodeId, body: ControlBody) -> None:
        """Take the register of a node; one that names nobody takes the heir away."""
        if body.value and _NODE_ID.fullmatch(body.text):
            self._heirs[node] = NodeId(body.text)
        else:
            self._heirs.pop(node, None)

    def of(self, node: NodeId) -> NodeId:
        """Return who does now what this node was to do: itself, if nobody stands in for it."""
        passed: dict[NodeId, None] = {}
        while node in self._heirs:
            if node in passed:
                names = list(passed)
                return max(names[names.index(node) :])
            passed[node] = None
            node = self._heirs[node]
        return node
