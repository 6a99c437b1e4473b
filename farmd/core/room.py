"""Room on the disk of this node: the machines that keep its content store within bounds, and what they say of it.

Called by `farmd.core.node`, which hands them what the store says, and by `farmd.core.views`. Decides nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.evictable import Evictable, is_over
from farmd.core.eviction import Eviction
from farmd.core.keeping import Words
from farmd.core.pledges import Pledges
from farmd.core.quota import Quota
from farmd.core.survey import Survey
from farmd.core.tidying import Tidying
from protocol.human import format_size

if TYPE_CHECKING:
    from farmd.core.events import Measured
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.messages import Advert

BEGAN_MS = "jobs_known_since_ms"
"""Local fact: when this database began, by the wall clock. Blobs that are older may belong to jobs it never heard of."""


class Room:
    """Quota, rounds and tidying of one node."""

    def __init__(self, node: Node, limit_bytes: int) -> None:
        """Make the machines; those that they ask must have been made."""
        self._node = node
        self.quota = Quota(limit_bytes)
        node.condition.store = self.standing
        self.evictable = Evictable(
            node.id, jobs=node.jobs, assets=node.assets, outputs=node.outputs, worker=node.worker
        )
        self.survey = Survey(node.id, node.jobs, node.outputs)
        self.pledges = Pledges(self.evictable, node.membership.is_alive)
        self.eviction = Eviction(
            quota=self.quota,
            evictable=self.evictable,
            survey=self.survey,
            pledges=self.pledges,
            words=Words(node.jobs, node.assets, node.outputs),
            is_ready=lambda: node.replica.origin_confirmed or not node.links.expects_others(),
        )
        self.tidying = Tidying(node.jobs, node.worker)

    def begin_life(self, turn: Turn) -> None:
        """Plan the first looks."""
        self.eviction.begin_life(turn)
        self.tidying.begin_life(turn)

    def measured(self, turn: Turn, event: Measured) -> None:
        """Take how full store and disk are."""
        self.quota.measured(event)
        self.eviction.review(turn)
        if self.quota.cache_excess_bytes():
            self.tidying.hurry(turn)

    def on_job(self, turn: Turn, job: Job | None) -> None:
        """A job has changed, or is deleted: its files may be needed now, or no more."""
        if job is not None:
            self.survey.add_job(job)
        if self.quota.fault and (job is None or is_over(job)):
            self.eviction.hurry(turn)

    def standing(self) -> tuple[int, int, int]:
        """Bytes of the store, its quota, and what could be dropped (-1 = not known): what others are told."""
        evictable = self.quota.evictable_bytes
        return self.quota.used_bytes, self.quota.limit_bytes, -1 if evictable is None else evictable

    def check(self) -> tuple[bool, str]:
        """Say whether the store is well, and how full it is."""
        quota = self.quota
        if quota.fault:
            return False, quota.fault
        limit = f" of {format_size(quota.limit_bytes)}" if quota.limit_bytes else "; no quota is set"
        return True, f"the store holds {format_size(quota.used_bytes)}{limit}"


def store_view(advert: Advert | None) -> dict[str, Any]:
    """Show how full a node's store is, as it said last."""
    used, limit, evictable = advert.store if advert is not None else (None, None, -1)
    return {
        "store_bytes": used,
        "store_quota_bytes": limit,
        "store_evictable_bytes": None if evictable < 0 else evictable,
    }
