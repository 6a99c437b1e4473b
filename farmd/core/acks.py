"""Who else has what we wrote: the largest number of our own streams that each peer is known to hold durably.

A number is learned from every message that carries a vector entry, since nodes say nothing of a row before it is
committed. Answers `--ack peer` and `--ack leader`. A peer that knows more of our stream than we do proves that our
tail was lost: the replica is told, and leaves the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmd.core.replica import Replica
    from farmd.core.turn import Turn
    from protocol.ids import NodeId


class Ack(NamedTuple):
    """`peer` now holds everything of our stream `origin` up to `seq`."""

    peer: NodeId
    origin: int
    seq: int


class Acks:
    """Largest number of each of our streams that each peer holds."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._known: dict[NodeId, dict[int, int]] = {}
        self._news: list[Ack] = []

    def learn(self, turn: Turn, peer: NodeId, pairs: Iterable[tuple[int, int]]) -> None:
        """Take what a peer says it holds; entries of other nodes' streams are passed over."""
        for origin, seq in pairs:
            if not self._replica.is_own(origin):
                continue
            self._replica.note_foreign_knowledge(turn, origin, seq)
            known = self._known.setdefault(peer, {})
            if seq > known.get(origin, 0):
                known[origin] = seq
                self._news.append(Ack(peer, origin, seq))

    def has(self, peer: NodeId, origin: int, seq: int) -> bool:
        """Tell whether a peer is known to hold our stream up to `seq`."""
        return self._known.get(peer, {}).get(origin, 0) >= seq

    def acked_by(self, origin: int, seq: int) -> list[NodeId]:
        """Return the peers known to hold our stream up to `seq`, sorted."""
        return sorted(peer for peer, known in self._known.items() if known.get(origin, 0) >= seq)

    def take(self) -> list[Ack]:
        """Return what became known since the last call."""
        news, self._news = self._news, []
        return news

    def forget(self, peer: NodeId) -> None:
        """Drop what is known of a peer: it left, or started a new life."""
        self._known.pop(peer, None)
