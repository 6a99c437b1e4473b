"""What rides along: the gossip that goes with each message of membership, and what was last said of machines.

Every message carries the sender's own claim first, then what is claimed of the receiver if that is not "alive"
(Lifeguard's buddy system), then as many rumours as there is room for. Whoever is wrongly suspected or dead so learns
it from the next message that it gets.

Called by `farmd.core.membership` and its parts; what was said is decided in `farmd.core.judgement`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.dissemination import Adverts, Rumours, copies_for, room_for
from protocol.messages import Advert, MemberUpdate, PingAck
from protocol.states import MemberState

if TYPE_CHECKING:
    from farmd.core.roster import Roster
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

    Load = tuple[tuple[MemberUpdate, ...], tuple[Advert, ...]]


class Riders:
    """Chooses what a message carries.

    Attributes:
        adverts: The latest of each member.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._rumours: Rumours[MemberUpdate] = Rumours()
        self.adverts = Adverts()

    def pass_on(self, claim: MemberUpdate) -> None:
        """Spread a claim that is believed here."""
        self._rumours.put(claim.node, claim)

    def drop(self, node: NodeId) -> None:
        """Say nothing of a node any more."""
        self._rumours.drop(node)

    def to(self, node: NodeId) -> Load:
        """Choose what a message to a member carries."""
        member = self._roster.get(node)
        about = (
            (member.claim(),) if member is not None and member.state is not MemberState.ALIVE and member.epoch else ()
        )
        return self._updates(about), self.adverts.take()

    def answer(self, to: NodeId, said: tuple[MemberUpdate, ...]) -> Load:
        """Choose what the answer to a ping carries: if its sender speaks for an earlier life, what is known of it."""
        member = self._roster.get(to)
        own = next((claim for claim in said if claim.node == to), None)
        if member is not None and own is not None and own.epoch < member.epoch:
            return self._updates((member.claim(),)), self.adverts.take()
        return self.to(to)

    def whisper(self, turn: Turn, to: NodeId) -> None:
        """Send nothing but gossip."""
        turn.send(to, PingAck(0, None, *self.to(to)), volatile=True)

    def _updates(self, about: tuple[MemberUpdate, ...]) -> tuple[MemberUpdate, ...]:
        room = room_for(len(self._rumours)) - 1 - len(about)
        return (self._roster.me.claim(), *about, *self._rumours.take(room, copies_for(self._roster.here)))
