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
    from collections.abc import Callable, Container, Hashable
    from random import Random

    from farmd.core.events import BlobsFound
    from farmd.core.fetches import Fetch
    from farmd.core.incoming import Incoming
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

LOOK_AROUND_S = 2.0
"""Pause between rounds of asking around for a blob that has no full source."""
LOOKED_AFTER = 8000
"""Blobs of one set that are looked after at a time, some 50 ms of the event loop; others of it have their turn later."""
ASK_AGAIN_S = 10.0
"""Pause before somebody is asked who else has a large blob that is on its way."""
ASK_AROUND = 8
"""Nodes asked per round."""
BLOBS_PER_ASK = 2000


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
        self._finding: dict[int, tuple[Hashable, tuple[BlobAddress, ...], Fetch | None]] = {}
        self._incoming: dict[BlobAddress, Incoming] = {}
        self._asking = Asking(node, self._incoming, rng, limit_bytes_s)
        self._spreading = Spreading(self._incoming)
        self.receiving = Receiving(self._asking, self._spreading, self._fetches, self._look_soon_after)
        self._standing = self.receiving.standing
        self.serving = Serving(self._incoming, limit_bytes_s)
        self.doubts = self.serving.doubts
        self._ask = 0
        self._look_at: float | None = None
        self._soon: dict[BlobAddress, None] = {}
        """Blobs that are looked after at the next look, whoever's turn it is."""

    # -- who waits for what ---------------------------------------------------------------------------------------

    def fetch(
        self,
        turn: Turn,
        key: Hashable,
        blobs: tuple[BlobAddress, ...],
        hints: tuple[NodeId, ...],
        holders: tuple[NodeId, ...] = (),
    ) -> None:
        """Bring a set of blobs here.

        Args:
            turn: The turn.
            key: Of whoever waits for it.
            blobs: The set.
            hints: Nodes that probably hold some of it: they are asked first what they have.
            holders: Nodes that have said that they hold all of it: of small blobs they are not asked first, but taken at
                their word.
        """
        if key in self._fetches:
            self.renew(key, hints)
        else:
            fetch = self._fetches.begin(key, blobs, hints, holders)
            fetch.unseen = self._from_anywhere(list(fetch.left))
            self._find(turn, key, fetch.next_look(), fetch)

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
        """Bytes that a set still lacks, of what the store was asked for so far (0 if it is not being fetched)."""
        left = self._fetches.left(key)
        return sum([self._incoming[blob].missing_bytes for blob in left if blob in self._incoming])

    def take_finished(self) -> list[Hashable]:
        """Return the keys of sets that are complete here since the last call."""
        return self._fetches.take_finished()

    def _find(self, turn: Turn, key: Hashable, blobs: tuple[BlobAddress, ...], fetch: Fetch | None = None) -> None:
        self._ask += 1
        self._finding[self._ask] = (key, blobs, fetch)
        turn.effects.append(FindBlobs(self._ask, blobs))

    def on_found(self, turn: Turn, event: BlobsFound) -> None:
        """The store told what it lacks: start on that, and have it look for the next ones of the set."""
        key, asked, fetch = self._finding.pop(event.ask, (None, (), None))
        lacking = dict(event.missing)
        if isinstance(key, BlobAddress):
            self._on_found_again(turn, key, lacking)
            return
        if fetch is None or fetch is not self._fetches.get(key):  # it was given up, and perhaps begun anew
            return
        for blob in asked:
            if blob not in lacking:
                fetch.left.pop(blob, None)
        self._begin(turn, key, fetch, {blob: lacking[blob] for blob in asked if blob in lacking and blob in fetch.left})
        rest = fetch.next_look()
        if rest:
            self._find(turn, key, rest, fetch)
        self._fetches.finish_if_complete(key)

    def _begin(self, turn: Turn, key: Hashable, fetch: Fetch, lacking: dict[BlobAddress, tuple[int, ...]]) -> None:
        """Start on blobs of a set of which these pieces are here."""
        possible = list(filter(is_possible, lacking))
        for blob in possible:
            incoming = self._incoming.get(blob)
            if incoming is None:
                incoming = self._incoming[blob] = begin(blob, lacking[blob])
            incoming.keys[key] = None
        small = [blob for blob in possible if is_small(blob)]
        if small:
            holders = self._believe(turn, small, fetch.holders)
            self._look_around(turn, tuple(small), fetch.hints, besides=holders)
            for node in holders:
                self._asking.pump(turn, node)
        # Of large ones the answers are few, and those who begin together hear of one another with the same question.
        large = tuple([blob for blob in possible if not is_small(blob)])
        if large:
            self._look_around(turn, large, fetch.hints)

    def _believe(self, turn: Turn, blobs: list[BlobAddress], holders: tuple[NodeId, ...]) -> dict[NodeId, None]:
        """Take those of the holders that are there as sources; returns them. What one lacks all the same, it refuses."""
        alive = dict.fromkeys(self._alive_others())
        believed = {node: None for node in holders if node in alive and not self._standing.is_left_out(turn, node)}
        for incoming in self._asking.known(blobs):
            for node in believed:
                incoming.found(node)
                self._asking.ready(node, incoming.blob)
        return believed

    def _from_anywhere(self, blobs: list[BlobAddress]) -> list[BlobAddress]:
        """Begin at a place of its own: nodes that fetch the same small files together get different ones first."""
        at = self._rng.randrange(len(blobs)) if blobs else 0
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
        self._look_soon_after(turn, blob)

    # -- who has what ---------------------------------------------------------------------------------------------

    def on_have_ask(self, turn: Turn, sender: NodeId, message: HaveAsk) -> None:
        """A node asks what is here; the store answers through `on_found_for_peer`.

        Raises:
            PeerError: It asks for what cannot be.
        """
        check_blobs(message.blobs)
        self._find(turn, ("asked", sender), message.blobs)

    def on_found_for_peer(self, turn: Turn, event: BlobsFound) -> bool:
        """Answer a node's question if this event belongs to one."""
        key, blobs, _ = self._finding.get(event.ask, (None, (), None))
        if not (isinstance(key, tuple) and key and key[0] == "asked"):
            return False
        del self._finding[event.ask]
        _, sender = key
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
        overdue = self._asking.take_overdue(turn.now.mono)
        unconfirmed = self.receiving.unconfirmed
        for blob in list(unconfirmed):
            del unconfirmed[blob]
            self._find(turn, blob, (blob,))
        due = dict.fromkeys([incoming.blob for incoming in overdue]) | self._soon | self._fetches.lots(LOOKED_AFTER)
        self._soon = {}
        wanting = [incoming for incoming in self._asking.known(due) if incoming.wanted]
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

    def _look_around(
        self, turn: Turn, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...], besides: Container[NodeId] = ()
    ) -> None:
        """Ask the hinted nodes and some others which of these they hold, but for those `besides`, of which it is known."""
        others = [
            node for node in self._alive_others() if node not in besides and not self._standing.is_left_out(turn, node)
        ]
        alive = dict.fromkeys(others)
        asked = dict.fromkeys(node for node in hints if node in alive)
        rest = [node for node in others if node not in asked]
        asked.update(dict.fromkeys(self._rng.sample(rest, min(len(rest), max(0, ASK_AROUND - len(asked))))))
        for incoming in self._asking.known(blobs):
            incoming.asked_at = turn.now.mono
        for start in range(0, len(blobs), BLOBS_PER_ASK):
            question = HaveAsk(blobs[start : start + BLOBS_PER_ASK])
            for node in asked:
                turn.send(node, question, volatile=True)
        self._look_later(turn)

    def _look_soon_after(self, turn: Turn, blob: BlobAddress) -> None:
        self._soon[blob] = None
        self._look_later(turn)

    def _look_later(self, turn: Turn) -> None:
        at = turn.now.mono + LOOK_AROUND_S
        self._look_at = at if self._look_at is None else min(self._look_at, at)
