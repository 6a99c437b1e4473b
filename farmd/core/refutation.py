"""What a node does when others say of it that it is suspected, dead, gone, or in a later life than it knows of.

Only the member itself can end a suspicion: it refutes the claim with a higher incarnation, and says so to a few at
once. Who claims a later life has met this node after its disk was last saved (it was restored from a copy): the node
then goes on under a number above that, at most every `EPOCH_LEAP_PERIOD_S`, so that a liar cannot drive it on.

Called by `farmd.core.membership`. Never speaks of another member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.roster import Member
from protocol.states import MemberState

if TYPE_CHECKING:
    from random import Random

    from farmd.core.riders import Riders
    from farmd.core.roster import Roster
    from farmd.core.suspicion import LocalHealth
    from farmd.core.turn import Turn
    from protocol.messages import MemberUpdate

SPREAD_TO = 3
"""A refutation goes to this many members at once, beside riding on every later message."""
EPOCH_LEAP_PERIOD_S = 10.0


class Refutation:
    """Answers claims about this node.

    Attributes:
        dirty_meta: Facts to save with the next turn: "epoch", if a peer remembered a later life of this node.
    """

    def __init__(self, roster: Roster, health: LocalHealth, riders: Riders, rng: Random) -> None:
        self._roster = roster
        self._health = health
        self._riders = riders
        self._rng = rng
        self._leapt_at: float | None = None
        self.dirty_meta: dict[str, Any] = {}

    def hear(self, turn: Turn, claim: MemberUpdate) -> None:
        """Refute what is claimed of this node, if it is not what this node says of itself."""
        me, now = self._roster.me, turn.now.mono
        if claim.epoch > me.epoch:
            if self._leapt_at is not None and now < self._leapt_at + EPOCH_LEAP_PERIOD_S:
                return
            self._leapt_at = now
            me = Member(me.node, MemberState.ALIVE, claim.epoch + 1, 0, me.address, now)
            self.dirty_meta["epoch"] = me.epoch
            turn.note("member.epoch", f"a peer remembers life {claim.epoch} of this node; it goes on as {me.epoch}")
        elif claim.epoch < me.epoch or (claim.incarnation, claim.state) <= (me.incarnation, MemberState.ALIVE):
            return
        else:
            self._health.worse()
        incarnation = claim.incarnation + 1 if claim.epoch == me.epoch else 0
        self._roster.take(me.claim()._replace(incarnation=incarnation), now)
        self._spread(turn)

    def _spread(self, turn: Turn) -> None:
        others = self._roster.alive_others
        for node in self._rng.sample(others, min(SPREAD_TO, len(others))):
            self._riders.whisper(turn, node)
