"""Who is told what has become available here: nodes that asked for a blob lately and have not said that they have it.

Theory (bitfield and have of BitTorrent, BEP 3): whoever asks for a blob that is not complete here waits for it too. It
is told at once which verified pieces are here (`PartIs`), and from then on of new ones (`PartHas`), many in a message
and at most one message in `ROUND_S`, since a message for each piece and peer would be 10,000 a second among 200 nodes.
When the blob is complete it is told so (`HaveIs`), once, and that is also how it learns that we need nothing more.
A `PartIs` says that its sender waits as well: so interest is mutual, whoever asked first.

Invariants: nothing is told that is not offered (`Incoming.is_offered`); at most `NEIGHBOURS` nodes are told of a blob
and `MOST_INTERESTS` interests are kept. A message may be lost: then a piece is fetched elsewhere, no harm is done.

Called by `farmd.core.swarm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.incoming import is_small
from protocol.messages import HaveIs, PartHas, PartIs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.incoming import Incoming
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId

ROUND_S = 0.2
NEIGHBOURS = 24
"""Nodes that are told of one blob."""
INTEREST_S = 60.0
"""An interest in what is not on its way here is kept for so long."""
MOST_INTERESTS = 20_000
"""Small blobs on top of so many are not told of: who waits asks again."""
FORGET_EVERY_S = 10.0


class Spreading:
    """Interests, and what is to be told in the next round."""

    def __init__(self, incoming: Mapping[BlobAddress, Incoming]) -> None:
        self._incoming = incoming
        self._interest: dict[BlobAddress, dict[NodeId, float]] = {}
        self._count = 0
        self._greet: dict[BlobAddress, dict[NodeId, None]] = {}
        self._fresh: dict[BlobAddress, list[int]] = {}
        self._complete: dict[NodeId, list[BlobAddress]] = {}
        self._forget_at = 0.0
        self.at: float | None = None
        """When the next round is due."""

    # -- who waits ------------------------------------------------------------------------------------------------

    def asked(self, turn: Turn, node: NodeId, blob: BlobAddress) -> None:
        """A node asked for a blob that is not complete here: tell it what there is, and remember it."""
        self._forget_old(turn)
        self._remember(turn, node, blob)
        incoming = self._incoming.get(blob)
        if incoming is not None and not is_small(blob):
            self._greet.get(blob, {}).pop(node, None)
            turn.send(node, PartIs(blob, _offered(incoming)), volatile=True)

    def joined(self, turn: Turn, node: NodeId, blob: BlobAddress) -> None:
        """A node said what it has of a blob that is on its way there, and here too."""
        if node not in self._interest.get(blob, {}) and self._remember(turn, node, blob):
            self._greet.setdefault(blob, {})[node] = None
            self._wake(turn)

    def has_all(self, node: NodeId, blob: BlobAddress) -> None:
        """A node has the whole blob: it waits no longer."""
        nodes = self._interest.get(blob)
        if nodes is not None and nodes.pop(node, None) is not None:
            self._count -= 1
            if not nodes:
                del self._interest[blob]

    def lost(self, node: NodeId) -> None:
        """A node is gone."""
        for blob in list(self._interest):
            self.has_all(node, blob)
        self._complete.pop(node, None)

    def _remember(self, turn: Turn, node: NodeId, blob: BlobAddress) -> bool:
        nodes = self._interest.get(blob, {})
        full = self._count >= MOST_INTERESTS and (is_small(blob) or blob not in self._incoming)
        if node not in nodes and (full or len(nodes) >= NEIGHBOURS):
            return False
        self._count += node not in nodes
        self._interest.setdefault(blob, nodes)[node] = turn.now.mono
        return True

    def _forget_old(self, turn: Turn) -> None:
        now = turn.now.mono
        if now < self._forget_at:
            return
        self._forget_at = now + FORGET_EVERY_S
        for blob in [blob for blob in self._interest if blob not in self._incoming]:
            for node in [node for node, at in self._interest[blob].items() if at + INTEREST_S < now]:
                self.has_all(node, blob)

    # -- what there is to tell ------------------------------------------------------------------------------------

    def verified(self, turn: Turn, incoming: Incoming, index: int) -> None:
        """A piece is here and agrees with its hash."""
        if incoming.is_offered and incoming.blob in self._interest:
            self._fresh.setdefault(incoming.blob, []).append(index)
            self._wake(turn)

    def completed(self, turn: Turn, blob: BlobAddress) -> None:
        """A blob is complete here."""
        if not (self._interest or self._fresh or self._greet):  # as for most of thousands of small blobs
            return
        self._fresh.pop(blob, None)
        self._greet.pop(blob, None)
        nodes = self._interest.pop(blob, {})
        self._count -= len(nodes)
        for node in nodes:
            self._complete.setdefault(node, []).append(blob)
            self._wake(turn)

    def withdraw(self, turn: Turn, blob: BlobAddress) -> None:
        """What was here of a blob is not to be had any more."""
        self._fresh.pop(blob, None)
        if blob in self._interest and not is_small(blob):
            self._greet[blob] = dict.fromkeys(self._interest[blob])
            self._wake(turn)

    def on_timer(self, turn: Turn) -> None:
        """Tell everybody, if a round is due."""
        if self.at is None or self.at > turn.now.mono:
            return
        self.at = None
        for node, blobs in self._complete.items():
            turn.send(node, HaveIs(tuple(blobs)))
        greet, fresh, self._complete, self._greet, self._fresh = self._greet, self._fresh, {}, {}, {}
        for blob, nodes in greet.items():
            for node in nodes:
                self._tell_all(turn, node, blob)
        for blob, numbers in fresh.items():
            self._tell_fresh(turn, blob, numbers, greet.get(blob, {}))

    def _tell_all(self, turn: Turn, node: NodeId, blob: BlobAddress) -> None:
        incoming = self._incoming.get(blob)
        pieces = _offered(incoming) if incoming is not None else b""
        turn.send(node, PartIs(blob, pieces), volatile=True)

    def _tell_fresh(self, turn: Turn, blob: BlobAddress, numbers: list[int], greeted: dict[NodeId, None]) -> None:
        incoming = self._incoming.get(blob)
        if incoming is None or not incoming.is_offered:
            return
        for node in self._interest.get(blob, {}):
            theirs = incoming.parts.get(node)
            news = tuple([number for number in numbers if theirs is None or number not in theirs])
            if news and node not in greeted:
                turn.send(node, PartHas(blob, news), volatile=True)

    def _wake(self, turn: Turn) -> None:
        if self.at is None:
            self.at = turn.now.mono + ROUND_S


def _offered(incoming: Incoming) -> bytes:
    return incoming.held.to_bytes() if incoming.is_offered else b""
