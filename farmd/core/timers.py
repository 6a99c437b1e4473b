"""The one timer of a node: when the next of its machines wants to be woken, and who is woken then.

Each machine says by `next_deadline` when its time comes; the driver keeps a single timer for the earliest. When it
rings, every machine whose time has come gets its turn, in the order in which they are listed here.

Called by `farmd.core.node` and `farmd.core.dispatch`. Never looks at a clock: a turn brings its own instant.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farmd.core.node import Node
    from farmd.core.turn import Turn

LAG_S = 0.2
"""A timer that rings later than this says that the whole machine lags, which membership has to allow for."""


class Timers:
    """Deadlines of all machines of one node."""

    def __init__(self, node: Node) -> None:
        """List the machines; all must have been made."""
        self._node = node
        self._machines = (
            node.membership, node.election, node.gossip, node.swarm, node.outputs, node.losses, node.logs, node.door,
            node.releasing, node.recalling,
            node.thumbnails, node.alerts, node.notices, node.rounds, node.room.eviction, node.room.tidying, node.retention,
        )  # fmt: skip
        self._deadlines = (
            *[machine.next_deadline for machine in self._machines],
            node.leader.next_deadline,
            node.acknowledge.next_deadline,
            node.jobs.next_due,
        )

    def next_deadline(self, mono: float) -> float | None:
        """Return the earliest deadline of all machines, as seen at `mono`."""
        earliest = inf
        for next_deadline in self._deadlines:  # asked after every few events: no lists
            at = next_deadline()
            if at is not None and at < earliest:
                earliest = at
        introduce_at = self._node.life.deadline_after(mono)
        if introduce_at is not None:
            earliest = min(earliest, introduce_at)
        return earliest if earliest < inf else None

    def ring(self, turn: Turn, late_s: float) -> None:
        """Give every machine whose time has come its turn; the timer rang `late_s` too late."""
        node, now = self._node, turn.now.mono
        if late_s > LAG_S:
            node.membership.note_lag(late_s)
        for machine in self._machines:
            deadline = machine.next_deadline()
            if deadline is not None and deadline <= now:
                machine.on_timer(turn)
        node.leader.on_timer(turn)
        for job_id in node.jobs.release(turn.now):
            node.chronicle.touch(job_id)
            node.leader.on_jobs_changed()
        node.acknowledge.review(turn)
