"""Which nodes a leader may grant work to just now, and which of them a given job should have.

Usable is a node that is alive, described by its row, neither held nor full, not sick, and that has not refused a grant
in the last second. Looking at all nodes costs time in proportion to the farm, so it is done only after something about
a node changed. Beside those that are here stand those seen within the last ten minutes: a node that is back soon is
worth waiting for, and a leader that sees fewer than half of them is on the smaller side of a split farm.

Called by `farmd.core.leader` and `farmd.core.granting`. Grants nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.capacity import need_of
from farmd.core.match import avoided_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from farmd.core.capacity import Need
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.match import Matcher
    from farmd.core.membership import Membership
    from farmd.core.turn import Instant
    from protocol.bodies import NodeBody
    from protocol.ids import NodeId

SEEN_LATELY_S = 600.0
"""Members seen within this time are the farm that a leader has in mind."""


class Workforce:
    """Nodes by what may be asked of them.

    Attributes:
        matcher: What each of them has room for.
        usable: May be granted work.
        sick: Would be usable if attempts did not fail there one after the other.
        largest_ram_bytes: Of the largest node of the farm that a leader has in mind; part of every job's need.
    """

    def __init__(
        self,
        matcher: Matcher,
        *,
        membership: Membership,
        jobs: Jobs,
        nodes: Callable[[], dict[NodeId, NodeBody]],
        may_work: Callable[[NodeId], bool],
    ) -> None:
        """Prepare.

        Args:
            matcher: Is told which nodes there are.
            membership: Who is there.
            jobs: Whose health book says which nodes are sick.
            nodes: Bodies of all NODE rows.
            may_work: False for a node that is held, full or revoked.
        """
        self.matcher = matcher
        self._membership = membership
        self._nodes = nodes
        self._may_work = may_work
        self._is_sick = jobs.health.is_sick
        self.usable: dict[NodeId, None] = {}
        self.sick: dict[NodeId, None] = {}
        self._cool: dict[NodeId, float] = {}
        self.largest_ram_bytes = 0
        self._dirty = True

    def clear(self) -> None:
        """An office ends: who refused this leader may be asked by the next."""
        self._cool.clear()
        self._dirty = True

    # -- what may have changed ------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something about a node is different: look at all of them before the next grant."""
        self._dirty = True

    def is_outdated(self, node: NodeId) -> bool:
        """Tell whether a node may work now and could not before, or the reverse."""
        return self._may_work(node) != (node in self.usable or node in self.sick)

    def review_health(self, node: NodeId) -> None:
        """An attempt ended on a node, which may have made it sick or well."""
        self._dirty = self._dirty or self._is_sick(node) != (node in self.sick)

    def cool(self, node: NodeId, until: float) -> None:
        """A node refused: leave it alone until then."""
        self._cool[node] = until
        self._dirty = True

    def review_cool(self) -> None:
        """Time has passed: some that were left alone may be asked again."""
        self._dirty = self._dirty or bool(self._cool)

    def cool_times(self) -> Iterable[float]:
        """Moments until which nodes are left alone; some may be over."""
        return self._cool.values()

    def refresh(self, now_mono: float) -> None:
        """Look at all nodes, if anything about one has changed."""
        if not self._dirty:
            return
        self._dirty = False
        bodies = self._nodes()
        able = {node: None for node in self._membership.alive() if node in bodies and self._may_work(node)}
        recent = self._membership.recent(now_mono, SEEN_LATELY_S)
        self.largest_ram_bytes = max((bodies[node].ram_bytes for node in recent if node in bodies), default=0)
        for capacity in list(self.matcher):
            if capacity.node not in able and not capacity.claims:
                self.matcher.drop(capacity.node)
        for node in able:
            self.matcher.put(node, bodies[node])
        self._cool = {node: at for node, at in self._cool.items() if at > now_mono}
        self.sick = {node: None for node in able if self._is_sick(node)}
        self.usable = {node: None for node in able if node not in self._cool and node not in self.sick}
        self.matcher.forget_full()

    # -- what a job may have --------------------------------------------------------------------------------------

    def is_usable(self, node: NodeId) -> bool:
        """Tell whether a node may be granted work."""
        return node in self.usable

    def is_cool(self, node: NodeId) -> bool:
        """Tell whether a node refused a moment ago."""
        return node in self._cool

    def epoch_of(self, node: NodeId) -> int:
        """Return the number of the life that a member is in."""
        return self._membership.members()[node].epoch

    def in_minority(self, now_mono: float) -> bool:
        """Tell whether fewer than half of the farm that this leader has in mind are here."""
        return 2 * len(self._membership.alive()) < len(self._membership.recent(now_mono, SEEN_LATELY_S))

    def need_of(self, job: Job) -> Need:
        """What a task needs; what was only learned from failures never exceeds the largest node that there is."""
        return need_of(job.spec, min(job.ram_floor_bytes, self.largest_ram_bytes))

    def nodes_for(self, job: Job, now: Instant) -> dict[NodeId, None]:
        """Nodes that may be granted tasks of a job: usable, holding its files, not failing on it."""
        avoided = self.avoided(job, now)
        nodes = {node: None for node in self.usable if node not in avoided} if avoided else self.usable
        if job.spec.manifest is None:
            return nodes
        return {node: None for node in job.copies.asset_holders() if node in nodes}

    def avoided(self, job: Job, now: Instant) -> dict[NodeId, None]:
        """Nodes that a job should not have: barred from it, or failing on it where others do not."""
        if not job.nodes_to_avoid(now):
            return dict.fromkeys(job.barred_nodes())
        bodies, recent = self._nodes(), self._membership.recent(now.mono, SEEN_LATELY_S)
        return avoided_nodes(job, self.need_of(job), {node: bodies[node] for node in recent if node in bodies}, now)
