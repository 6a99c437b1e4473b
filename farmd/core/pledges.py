"""A word given by the anchor of a job: its own copy was just hashed, and stays as long as the job needs it.

A node that would drop a file of a job that goes on, or a result that is not delivered, asks the node where the job was
submitted (`PledgeAsk`). That one looks whether it would ever drop the blob itself, has it hashed, and names those that
are sound (`PledgeIs`). It makes no promise that it has to remember: the rule of `farmd.core.evictable` binds it anyway,
and the hash shows that what it keeps is not a file gone bad.

Invariants: a node has one question open at a time; a blob is hashed once for all who wait for it; a stranger to a job
never answers for it. Called by `farmd.core.quota`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.effects import VerifyBlob
from farmd.core.incoming import check_blobs
from protocol.messages import PledgeAsk, PledgeIs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from farmd.core.events import BlobVerified
    from farmd.core.evictable import Evictable
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId
    from protocol.messages import Wanted

AT_ONCE = 64
"""Blobs in one question; what is beyond is passed over, and asked again."""
ANSWER_S = 30.0
"""A node that has not answered by then is asked again in the next round."""


@dataclass(slots=True)
class _Asked:
    """A question of another node.

    Attributes:
        ask: Its number.
        left: Blobs that are being hashed.
        sound: Blobs that were found good.
    """

    ask: int
    left: dict[BlobAddress, None]
    sound: list[BlobAddress] = field(default_factory=list)


class Pledges:
    """Asks, and answers for the jobs that were submitted here."""

    def __init__(self, evictable: Evictable, is_alive: Callable[[NodeId], bool]) -> None:
        self._evictable = evictable
        self.is_alive = is_alive
        self._asked: dict[NodeId, _Asked] = {}
        self._open: dict[NodeId, int] = {}
        self._ask = 0
        self.until = 0.0

    # -- who would drop -------------------------------------------------------------------------------------------

    def ask(self, turn: Turn, wanted: dict[NodeId, list[Wanted]]) -> None:
        """Ask each anchor for its word on these."""
        self._open.clear()
        self.until = turn.now.mono + ANSWER_S
        for anchor, items in wanted.items():
            self._ask += 1
            self._open[anchor] = self._ask
            turn.send(anchor, PledgeAsk(self._ask, tuple(items[:AT_ONCE])))

    @property
    def is_waiting(self) -> bool:
        """An anchor has not answered."""
        return bool(self._open)

    def give_up(self) -> None:
        """Wait no longer."""
        self._open.clear()

    def on_is(self, sender: NodeId, message: PledgeIs) -> tuple[BlobAddress, ...]:
        """Take the word of an anchor; empty if it answers a question that is no longer open."""
        if self._open.get(sender) != message.ask:
            return ()
        del self._open[sender]
        return message.blobs

    # -- who keeps ------------------------------------------------------------------------------------------------

    def on_ask(self, turn: Turn, sender: NodeId, message: PledgeAsk) -> None:
        """Have everything hashed that stays here.

        Raises:
            PeerError: No blob has such an address.
        """
        items = message.items[:AT_ONCE]
        check_blobs(item.blob for item in items)
        kept = dict.fromkeys(item.blob for item in items if self._evictable.stays_here(item.job, item.task, item.blob))
        busy = self._hashed()
        self._asked[sender] = _Asked(message.ask, kept)
        turn.effects += [VerifyBlob(blob) for blob in kept if blob not in busy]
        self._answer(turn, [sender])

    def on_verified(self, turn: Turn, event: BlobVerified) -> None:
        """A copy was hashed: answer those who waited for this one last."""
        for asked in self._asked.values():
            if event.blob in asked.left:
                del asked.left[event.blob]
                asked.sound += [event.blob] if event.ok else []
        self._answer(turn, list(self._asked))

    def _answer(self, turn: Turn, senders: Iterable[NodeId]) -> None:
        for sender in senders:
            asked = self._asked[sender]
            if not asked.left:
                del self._asked[sender]
                turn.send(sender, PledgeIs(asked.ask, tuple(asked.sound)))

    def _hashed(self) -> dict[BlobAddress, None]:
        return {blob: None for asked in self._asked.values() for blob in asked.left}
