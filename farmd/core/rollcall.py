"""Asking others whom they know: what repairs everything that rumours have missed.

Rumours are dropped after a while, and a newcomer has heard none. So a node asks the first few members that answer it,
then a random one about every half minute, and soon after a split has healed. The answer names all members that are
here or have left; the dead are left out, for hearing of a death proves nothing (`farmd.core.judgement`).

On the wire it is a `PingReq` whose target is its own sender, answered by `PingAck`s.

Called by `farmd.core.membership`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.messages import PingAck, PingReq
from protocol.states import MemberState

if TYPE_CHECKING:
    from random import Random

    from farmd.core.roster import Roster
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

PERIOD_S = 30.0
HEALING_S = 2.0
"""Time for the members beyond a healed split to refute their death, before they are asked for in one go."""
CALLS_AT_START = 3
CLAIMS = 40
"""Claims in one answer: about two kilobytes."""


class RollCall:
    """Asks from time to time; answers always.

    Attributes:
        at: Monotonic second of the next question; None before the start and after the farewell.
    """

    def __init__(self, roster: Roster, rng: Random) -> None:
        self._roster = roster
        self._rng = rng
        self._left_at_start = CALLS_AT_START
        self.at: float | None = None

    def start(self, now: float) -> None:
        """Begin to ask."""
        self.at = self._after(now, PERIOD_S)

    def stop(self) -> None:
        """Ask no more: this node leaves."""
        self.at = None

    def hurry(self, now: float) -> None:
        """A partition has healed: look for the others without delay."""
        if self.at is not None:
            self.at = min(self.at, self._after(now, HEALING_S))

    def on_contact(self, turn: Turn, member: NodeId) -> None:
        """A member that is alive answered: ask it, if it is one of the first."""
        if self._left_at_start:
            self._left_at_start -= 1
            self._ask(turn, member)

    def on_timer(self, turn: Turn) -> None:
        """Ask a random member, if it is time."""
        if self.at is None or turn.now.mono < self.at:
            return
        self.at = self._after(turn.now.mono, PERIOD_S)
        others = self._roster.alive_others
        if others:
            self._ask(turn, self._rng.choice(others))

    def answer(self, turn: Turn, asker: NodeId, seq: int) -> None:
        """Name all members but the dead and the asker."""
        members = self._roster.view().values()
        claims = [m.claim() for m in members if m.state is not MemberState.DEAD and m.node != asker]
        for first in range(0, len(claims), CLAIMS):
            turn.send(asker, PingAck(seq, None, tuple(claims[first : first + CLAIMS])), volatile=True)

    def _ask(self, turn: Turn, node: NodeId) -> None:
        turn.send(node, PingReq(0, self._roster.self_id, (self._roster.me.claim(),)), volatile=True)

    def _after(self, now: float, period_s: float) -> float:
        return now + period_s * (0.5 + self._rng.random())
