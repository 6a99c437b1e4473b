"""The one save of a turn: changed rows, the vector, and the few facts that only this node's disk keeps.

Local facts are the epoch, the vote of elections, what membership remembers, and whether the disk may have lost rows
that it had confirmed: a node that came up after a power cut asks its peers for everything until its own stream is
confirmed, and remembers over restarts that it still has to.

Called by `farmd.core.node` at the end of each turn. Never decides what is durable: the machines mark that themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.effects import Save

if TYPE_CHECKING:
    from farmd.core.election import Election
    from farmd.core.membership import Membership
    from farmd.core.replica import Replica


class Saving:
    """What must be on disk before anything of a turn is said."""

    def __init__(
        self, replica: Replica, election: Election, membership: Membership, *, epoch: int, doubted: bool
    ) -> None:
        """Prepare.

        Args:
            replica: Whose rows are saved.
            election: Has local facts of its own.
            membership: Has local facts of its own.
            epoch: Of this life; part of its first save.
            doubted: The disk may lack rows that it had confirmed.
        """
        self._replica = replica
        self._machines = (election, membership)
        self._doubted = doubted
        self._meta: dict[str, Any] = {"epoch": epoch}
        if doubted:
            self._meta["doubted"] = True

    def keep(self, name: str, value: Any) -> None:
        """Save one more local fact with this turn."""
        self._meta[name] = value

    def take(self) -> Save | None:
        """Return what has changed since the last call, if anything."""
        save = self._replica.take_save()
        if self._doubted and self._replica.origin_confirmed:
            self._doubted = self._meta["doubted"] = False
        meta = self._take_meta()
        if not meta:
            return save
        if save is None:
            return Save(meta=tuple(meta.items()))
        return Save(save.rows, save.vector, save.dropped, (*save.meta, *meta.items()))

    def _take_meta(self) -> dict[str, Any]:
        meta, self._meta = self._meta, {}
        for machine in self._machines:
            meta |= machine.dirty_meta
            machine.dirty_meta.clear()
        return meta
