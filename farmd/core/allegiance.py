"""Whom a node follows, and until when that leader's lease is good.

The lease runs from the instant at which a heartbeat was received, and the leader's own from when it was sent: so a
follower never gives a leader up that still believes itself in office (`farmd.core.reign`). Half-way through a silent
lease the leader is worth a probe.

Called by `farmd.core.election`. Never decides who leads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from farmd.core.outlook import LeaderChange
from farmd.core.reign import LEASE_S, SILENT_S

if TYPE_CHECKING:
    from protocol.ids import NodeId


class Allegiance:
    """The leader as this node sees it.

    Attributes:
        leader: Whom this node follows, itself if it leads, None if it knows no leader.
    """

    def __init__(self) -> None:
        self.leader: NodeId | None = None
        self._lease_until = -math.inf
        self._hint_at = math.inf
        self._changes: list[LeaderChange] = []

    def follow(self, leader: NodeId, term: int, now: float) -> None:
        """Take a heartbeat of a leader: its lease begins anew."""
        self._lease_until = now + LEASE_S
        self._hint_at = now + SILENT_S
        if self.leader != leader:
            self.swear(leader, term)

    def swear(self, leader: NodeId | None, term: int) -> None:
        """Note that the leader or its term is another now."""
        self._changes.append(LeaderChange(self.leader, leader, term))
        self.leader = leader

    def renounce(self, term: int) -> None:
        """Follow nobody any more."""
        self._lease_until = -math.inf
        self.swear(None, term)

    def leader_at(self, now: float) -> NodeId | None:
        """Return the leader if its lease is good at this instant."""
        return self.leader if now < self._lease_until else None

    def is_over(self, now: float) -> bool:
        """Tell whether the lease has ended."""
        return now >= self._lease_until

    def next_deadline(self) -> float:
        """When the leader has been silent for long, or its lease is over."""
        return min(self._hint_at, self._lease_until)

    def take_doubt(self, now: float) -> bool:
        """Tell, once, that the leader has been silent for long."""
        if now < self._hint_at:
            return False
        self._hint_at = math.inf
        return True

    def take_changes(self) -> list[LeaderChange]:
        """Return the changes of leader and of its term since the last call."""
        changes, self._changes = self._changes, []
        return changes
