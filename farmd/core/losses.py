"""When a silent node's attempts count as lost: not when it falls silent, but `lost_after` later.

Dead means no new grants at once. What the node ran may still be running, and a short outage must not render it twice;
so its attempts are given up only after max(30 s, a quarter of the mean frame time there). A restart
needs no patience: that life is over; a goodbye needs little, since the node ends its attempts itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.states import MemberState

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from farmd.core.roster import MemberChange
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

LOST_AFTER_S = 30.0
LEFT_S = 10.0
"""A node that says goodbye ends its attempts itself; their rows arrive within this time."""


class Losses:
    """Counts down for nodes that do not answer."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._due: dict[NodeId, tuple[int, float]] = {}
        self._gone: list[tuple[NodeId, int]] = []

    def on_change(self, turn: Turn, change: MemberChange) -> None:
        """A member changed its state or began a new life."""
        node = change.node
        if change.restarted:
            self._lose(turn, node, change.epoch - 1, "was restarted")
        if change.new is MemberState.LEFT:
            self._due[node] = (change.epoch, turn.now.mono + LEFT_S)
        elif change.new is MemberState.DEAD:
            self._due[node] = (change.epoch, turn.now.mono + self._patience_s(node))
        elif change.new is MemberState.ALIVE:
            self._due.pop(node, None)
            self._jobs.node_back(node, change.epoch)

    def expect(self, turn: Turn, node: NodeId) -> None:
        """A row says that a node runs something, and the node is not here: give it the usual time to come back."""
        epoch = max((attempt.epoch for attempt in self._jobs.running_on(node)), default=0)
        self._due.setdefault(node, (epoch, turn.now.mono + LOST_AFTER_S))

    def evicted(self, turn: Turn, node: NodeId) -> None:
        """The node belongs to the farm no longer: what it runs counts for nothing."""
        self._due.pop(node, None)
        epoch = max((attempt.epoch for attempt in self._jobs.running_on(node)), default=0)
        self._lose(turn, node, epoch, "was evicted")

    def take_gone(self) -> list[tuple[NodeId, int]]:
        """Return (node, last epoch that is over) since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def next_deadline(self) -> float | None:
        """When the next node is given up."""
        if not self._due:
            return None
        return min((due for _, due in self._due.values()), default=None)

    def on_timer(self, turn: Turn) -> None:
        """Give up nodes whose time is over."""
        for node, (epoch, due) in list(self._due.items()):
            if due <= turn.now.mono:
                del self._due[node]
                self._lose(turn, node, epoch, "did not come back")

    def _lose(self, turn: Turn, node: NodeId, epoch: int, why: str) -> None:
        lost = self._jobs.node_lost(node, epoch)
        self._gone.append((node, epoch))
        if lost:
            turn.note("attempts-lost", f"{len(lost)} running attempts: the node {why}", node=node)

    def _patience_s(self, node: NodeId) -> float:
        longest = 0.0
        for attempt in self._jobs.running_on(node):
            job = self._jobs.get(attempt.ref.job)
            if job is not None and job.rendered:
                longest = max(longest, job.rendered_ms / job.rendered / 1000)
        return max(LOST_AFTER_S, longest / 4)
