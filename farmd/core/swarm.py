"""Who fetches what from whom: every holder is a source, also of parts, with a small window for each.

Theory (after BitTorrent, BEP 3, without its incentives: admitted nodes are trusted to be honest): a large blob is cut
into pieces of 1 MiB, each travels with its xxHash64 and is verified on arrival; the blob counts only when its MD5
agrees too. Small blobs travel many in a pack. Who fetches a blob offers the pieces that it has verified. What arrived
survives a restart (`FindBlobs` tells which pieces are here), so a transfer resumes instead of starting over.

The parts: `incoming` which pieces, `asking` whom to ask next, `windows` how much at a time, `serving` what others get,
`spreading` who is told what is here, `receiving` what arrives, `blame` and `standing` who was wrong and what follows,
`doubts` our own copies, `fetches` who waits for what. This one knows who has what, and looks around for sources.

Invariants: a piece is outstanding at most once; a source never has more than its window outstanding; a fetch is
reported exactly once. Bytes pass through as references; this machine decides only.

Called by `farmd.core.node`. Never reads or writes a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.asking import Asking
from farmd.core.effects import FindBlobs
from farmd.core.fetches import Fetches
from farmd.core.incoming import begin, check_blobs, is_possible, is_small, piece_count
from farmd.core.pieces import Pieces
from farmd.core.receiving import Receiving
from farmd.core.serving import Serving
from farmd.core.spreading import Spreading
from protocol.ids import BlobAddress
from protocol.messages import HaveAsk, HaveIs, PartHas, PartIs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from random import Random

    from farmd.core.events import BlobsFound
    from farmd.core.incoming import Incoming
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

LOOK_AROUND_S = 2.0
"""Pause between rounds of asking around for a blob that has no full source."""
ASK_AGAIN_S = 10.0
"""Pause before somebody is asked who else has a large blob that is on its way."""
ASK_AROUND = 8
"""Nodes asked per round."""
BLOBS_PER_ASK = 2000
BLOBS_PER_FIRST_ASK = 250
"""Each question is twice as long as the one before: the first small files are on their way while the rest is looked for."""


class Swarm:
    """Fetches sets of blobs; finished sets are picked up with `take_finished`."""

    def __init__(
        self,
        node: NodeId,
        rng: Random,
        alive_others: Callable[[], tuple[NodeId, ...]],
        limit_bytes_s: int = 0,
    ) -> None:
        """Prepare; `limit_bytes_s` holds for each direction, 0 is none."""
        self._rng = rng
        self._alive_others = alive_others
        self._fetches = Fetches()
        self._finding: dict[int, Hashable] = {}
        self._incoming: dict[BlobAddress, Incoming] = {}
        self._asking = Asking(node, self._incoming, rng, limit_bytes_s)
        self._spreading = Spreading(self._incoming)
        self.receiving = Receiving(self._asking, self._spreading, self._fetches, self._look_later)
        self._standing = self.receiving.standing
        self.serving = Serving(self._incoming, limit_bytes_s)
        self.doubts = self.serving.doubts
        self._ask = 0
        self._look_at: float | None = None

    # -- who waits for what ---------------------------------------------------------------------------------------

    def fetch(self, turn: Turn, key: Hashable, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...]) -> None:
        """Bring a set of blobs here; `hints` are nodes that probably hold them."""
        if key in self._fetches:
            self.renew(key, hints)
        else:
            self._find(turn, key, self._fetches.begin(key, blobs, hints))

    def renew(self, key: Hashable, hints: tuple[NodeId, ...]) -> None:
        """Replace the hints of a set that is being fetched, if it is."""
        fetch = self._fetches.get(key)
        if fetch is not None:
            fetch.hints = hints

    def cancel(self, key: Hashable) -> None:
        """No longer wait for a set; pieces that nobody else wants are not asked for any more."""
        for blob in self._fetches.end(key):
            incoming = self._incoming.get(blob)
            if incoming is not None:
                incoming.keys.pop(key, None)
                if not incoming.keys:
                    self._asking.drop(blob)

    def is_fetching(self, key: Hashable) -> bool:
        """True while a set is on its way and something of it is known to be missing."""
        return any(blob in self._incoming for blob in self._fetches.left(key))

    def missing_bytes(self, key: Hashable) -> int:
        """Bytes that a set still lacks (0 if it is not being fetched)."""
        left = self._fetches.left(key)
        return sum([self._incoming[blob].missing_bytes for blob in left if blob in self._incoming])

    def take_finished(self) -> list[Hashable]:
        """Return the keys of sets that are complete here since the last call."""
        return self._fetches.take_finished()

    def _find(self, turn: Turn, key: Hashable, blobs: tuple[BlobAddress, ...]) -> None:
        self._ask += 1
        self._finding[self._ask] = key
        turn.effects.append(FindBlobs(self._ask, blobs))

    def on_found(self, turn: Turn, event: BlobsFound) -> None:
        """The store told what it lacks: start on the rest."""
        key = self._finding.pop(event.ask, None)
        lacking = dict(event.missing)
        if isinstance(key, BlobAddress):
            self._on_found_again(turn, key, lacking)
            return
        fetch = self._fetches.get(key)
        if fetch is None:
            return
        for blob in [blob for blob in fetch.left if blob not in lacking]:
            del fetch.left[blob]
        for blob in filter(is_possible, fetch.left):
            incoming = self._incoming.get(blob)
            if incoming is None:
                incoming = self._incoming[blob] = begin(blob, lacking[blob])
            incoming.keys[key] = None
        if fetch.left:
            self._look_around(turn, self._from_anywhere(tuple(fetch.left)), fetch.hints)
        self._fetches.finish_if_complete(key)

    def _from_anywhere(self, blobs: tuple[BlobAddress, ...]) -> tuple[BlobAddress, ...]:
        """Begin at a place of its own: nodes that fetch the same small files together get different ones first."""
        at = self._rng.randrange(len(blobs))
        return blobs[at:] + blobs[:at]

    def _on_found_again(self, turn: Turn, blob: BlobAddress, lacking: dict[BlobAddress, tuple[int, ...]]) -> None:
        """After trouble with the disk: is the blob complete now, or does it have to come again?"""
        incoming = self._incoming.get(blob)
        if incoming is None:
            return
        if blob not in lacking:
            self.receiving.complete(turn, incoming)
            return
        incoming.begin_anew()
        self._spreading.withdraw(turn, blob)
        self._look_later(turn)

    # -- who has what ---------------------------------------------------------------------------------------------

    def on_have_ask(self, turn: Turn, sender: NodeId, message: HaveAsk) -> None:
        """A node asks what is here; the store answers through `on_found_for_peer`.

        Raises:
            PeerError: It asks for what cannot be.
        """
        check_blobs(message.blobs)
        self._find(turn, ("asked", sender, message.blobs), message.blobs)

    def on_found_for_peer(self, turn: Turn, event: BlobsFound) -> bool:
        """Answer a node's question if this event belongs to one."""
        key = self._finding.get(event.ask)
        if not (isinstance(key, tuple) and key and key[0] == "asked"):
            return False
        del self._finding[event.ask]
        _, sender, blobs = key
        lacking = dict(event.missing)
        held = tuple([blob for blob in blobs if blob not in lacking and blob not in self.doubts])
        turn.send(sender, HaveIs(held), volatile=True)
        for blob in lacking:
            self._spreading.asked(turn, sender, blob)
        return True

    def on_have(self, turn: Turn, sender: NodeId, message: HaveIs) -> None:
        """A node holds these blobs completely."""
        is_source = not self._standing.is_left_out(turn, sender)
        for blob in message.blobs:
            self._spreading.has_all(sender, blob)
            incoming = self._incoming.get(blob)
            if incoming is not None and is_source:
                incoming.found(sender)
                if message.hashed and sender in incoming.doubted:
                    incoming.doubted[sender] = True
                self._asking.ready(sender, blob)
        self._asking.pump(turn, sender)

    def on_part(self, turn: Turn, sender: NodeId, message: PartIs) -> None:
        """A node that waits for a blob too holds these pieces of it, and no others.

        Raises:
            PeerError: There is no such blob, or it has no such pieces.
        """
        check_blobs((message.blob,))
        incoming = self._incoming.get(message.blob)
        pieces = Pieces.from_bytes(piece_count(message.blob), message.pieces)
        if incoming is None or is_small(message.blob):
            return
        self._spreading.joined(turn, sender, message.blob)
        if not incoming.failed and self._standing.has_parts(turn, sender):
            incoming.found_part(sender, pieces)
            self._asking.ready(sender, message.blob)
            self._asking.pump(turn, sender)

    def on_part_has(self, turn: Turn, sender: NodeId, message: PartHas) -> None:
        """A node that waits for a blob too holds these pieces as well."""
        incoming = self._incoming.get(message.blob)
        if incoming is not None and incoming.found_more(sender, message.numbers):
            self._asking.ready(sender, message.blob)
            self._asking.pump(turn, sender)

    def lost(self, turn: Turn, node: NodeId) -> None:
        """A node is gone, or its connection: what was asked of it is asked elsewhere at once."""
        self._spreading.lost(node)
        self._asking.lost(turn, node)
        if self._incoming:
            self._look_later(turn)

    # -- time -----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When to look for overdue pieces and for more sources, to go on asking or serving, or to tell others."""
        times = (self._look_at, self._asking.at, self.serving.at, self._spreading.at)
        return min([at for at in times if at is not None], default=None)

    def on_timer(self, turn: Turn) -> None:
        """Let go what had to wait; ask again for overdue pieces; look around for blobs without a source."""
        self.serving.on_timer(turn)
        self._asking.on_timer(turn)
        self._spreading.on_timer(turn)
        if self._look_at is not None and self._look_at <= turn.now.mono:
            self._look_at = None
            self._look_after_all(turn)

    def _look_after_all(self, turn: Turn) -> None:
        self._asking.take_overdue(turn.now.mono)
        unconfirmed = self.receiving.unconfirmed
        for blob in list(unconfirmed):
            del unconfirmed[blob]
            self._find(turn, blob, (blob,))
        wanting = [incoming for incoming in self._incoming.values() if incoming.wanted]
        unknown = tuple([incoming.blob for incoming in wanting if self._should_ask(turn, incoming)])
        if unknown:
            self._look_around(turn, unknown, self._fetches.hints())
        for incoming in wanting:
            for source in incoming.holders():
                self._asking.ready(source, incoming.blob)
        self._asking.pump_all(turn)
        if self._incoming:
            self._look_later(turn)

    def _should_ask(self, turn: Turn, incoming: Incoming) -> bool:
        """Nobody has the whole of it, or nobody was asked for a while: sources that were lost may be back."""
        again = not is_small(incoming.blob) and incoming.asked_at + ASK_AGAIN_S <= turn.now.mono
        return not incoming.sources or again

    def _look_around(self, turn: Turn, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...]) -> None:
        others = [node for node in self._alive_others() if not self._standing.is_left_out(turn, node)]
        alive = dict.fromkeys(others)
        asked = dict.fromkeys(node for node in hints if node in alive)
        rest = [node for node in others if node not in asked]
        asked.update(dict.fromkeys(self._rng.sample(rest, min(len(rest), max(0, ASK_AROUND - len(asked))))))
        for incoming in self._asking.known(blobs):
            incoming.asked_at = turn.now.mono
        start, most = 0, BLOBS_PER_FIRST_ASK
        while start < len(blobs):
            question = HaveAsk(blobs[start : start + most])
            for node in asked:
                turn.send(node, question, volatile=True)
            start, most = start + most, min(2 * most, BLOBS_PER_ASK)
        self._look_later(turn)

    def _look_later(self, turn: Turn) -> None:
        at = turn.now.mono + LOOK_AROUND_S
        self._look_at = at if self._look_at is None else min(self._look_at, at)
