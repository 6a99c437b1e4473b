"""Who fetches which piece from whom: every holder is a source, rarest blob first, a small window per source.

Theory (after BitTorrent, BEP 3, without its incentives: admitted nodes are trusted to be honest): a blob is cut into
pieces of 1 MiB, each travels with its xxHash64 and is verified on arrival; the blob counts only when its MD5 agrees
too. A source that sends three corrupt pieces is left out for a while, and again for each further one: the cause may
pass (a bad switch), and it may be the only one that has the blob. A whole that is wrong although its pieces agreed with
their hashes is a bad copy or a lie: `farmd.core.blame` finds out whose, `farmd.core.doubts` looks at our own copies.
Pieces that arrived survive a restart (`FindBlobs` tells which are here), so a transfer resumes instead of starting over.

Invariants: a piece is outstanding at most once; a source never has more than its window outstanding; a fetch is
reported exactly once. Bytes pass through as references; this machine decides only.

Called by `farmd.core.node`. Never reads or writes a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from farmd.core.bandwidth import Bucket, Upload, Waiting
from farmd.core.blame import judge_right, judge_wrong
from farmd.core.doubts import Doubts
from farmd.core.effects import FindBlobs, ReadPiece, WritePiece
from farmd.core.incoming import PIECE_BYTES, Incoming, check_blobs, is_possible, piece_count, piece_size
from protocol.ids import BlobAddress
from protocol.messages import Doubt, HaveAsk, HaveIs, PieceAsk, PieceIs, PieceRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from random import Random

    from farmd.core.events import BlobFinished, BlobsFound, PieceWritten
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

WINDOW_BYTES = 2 * PIECE_BYTES
"""Bytes outstanding per source: two whole pieces, or many small blobs."""
WINDOW_PIECES = 32
PIECE_TIMEOUT_S = 8.0
LOOK_AROUND_S = 2.0
"""Pause between rounds of asking around for a blob that has no source."""
ASK_AROUND = 8
"""Nodes asked per round."""
STRIKES = 3
"""Corrupt pieces after which a node is no source for `LEFT_OUT_S`."""
LEFT_OUT_S = 30.0
LIED_S = 30.0
"""A node that stands by wrong bytes is no source for so long; each further time doubles that."""
MOST_LIED_S = 600.0
BLOBS_PER_ASK = 2000
LOOK = 32
"""Blobs of a source that are compared to find the rarest."""


@dataclass(slots=True)
class _Fetch:
    """A set of blobs that somebody waits for."""

    left: dict[BlobAddress, None]
    hints: tuple[NodeId, ...]


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
        self._download, self._upload = Bucket(limit_bytes_s), Upload(limit_bytes_s)
        self._pump_at: float | None = None
        self._node = node
        self._rng = rng
        self._alive_others = alive_others
        self._fetches: dict[Hashable, _Fetch] = {}
        self._finding: dict[int, Hashable] = {}
        self._incoming: dict[BlobAddress, Incoming] = {}
        self._ready: dict[NodeId, dict[BlobAddress, None]] = {}
        self._strikes: dict[NodeId, int] = {}
        self._left_out: dict[NodeId, float] = {}
        self._lies: dict[NodeId, int] = {}
        self._load: dict[NodeId, tuple[int, int]] = {}
        self._finished: list[Hashable] = []
        self._unconfirmed: dict[BlobAddress, None] = {}
        self.doubts = Doubts()
        self._ask = 0
        self._look_at: float | None = None
        self.pieces_in = 0
        self.corrupt_in = 0

    def fetch(self, turn: Turn, key: Hashable, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...]) -> None:
        """Bring a set of blobs here; `hints` are nodes that probably hold them."""
        if key in self._fetches:
            self.renew(key, hints)
            return
        self._fetches[key] = _Fetch(dict.fromkeys(blobs), hints)
        self._ask += 1
        self._finding[self._ask] = key
        turn.effects.append(FindBlobs(self._ask, tuple(self._fetches[key].left)))

    def renew(self, key: Hashable, hints: tuple[NodeId, ...]) -> None:
        """Replace the hints of a set that is being fetched, if it is."""
        fetch = self._fetches.get(key)
        if fetch is not None:
            fetch.hints = hints

    def cancel(self, key: Hashable) -> None:
        """No longer wait for a set; pieces that nobody else wants are not asked for any more."""
        fetch = self._fetches.pop(key, None)
        for blob in fetch.left if fetch is not None else ():
            incoming = self._incoming.get(blob)
            if incoming is not None:
                incoming.keys.pop(key, None)
                if not incoming.keys:
                    self._drop(blob)

    def is_fetching(self, key: Hashable) -> bool:
        """True while a set is on its way and something of it is known to be missing."""
        fetch = self._fetches.get(key)
        return fetch is not None and any(blob in self._incoming for blob in fetch.left)

    def missing_bytes(self, key: Hashable) -> int:
        """Bytes that a set still lacks (0 if it is not being fetched)."""
        fetch = self._fetches.get(key)
        if fetch is None:
            return 0
        return sum([self._incoming[blob].missing_bytes for blob in fetch.left if blob in self._incoming])

    def take_finished(self) -> list[Hashable]:
        """Return the keys of sets that are complete here since the last call."""
        finished, self._finished = self._finished, []
        return finished

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
        for blob in list(fetch.left):
            if blob not in lacking:
                del fetch.left[blob]
                continue
            if not is_possible(blob):
                continue
            incoming = self._incoming.get(blob)
            if incoming is None:
                incoming = self._incoming[blob] = Incoming(blob, dict.fromkeys(lacking[blob]))
            incoming.keys[key] = None
        if fetch.left:
            self._look_around(turn, tuple(fetch.left), fetch.hints)
        self._finish_if_complete(key)

    def _on_found_again(self, turn: Turn, blob: BlobAddress, lacking: dict[BlobAddress, tuple[int, ...]]) -> None:
        """After trouble with the disk: is the blob complete now, or does it have to come again?"""
        incoming = self._incoming.get(blob)
        if incoming is None:
            return
        if blob not in lacking:
            self._complete(turn, incoming)
            return
        incoming.begin_anew()
        self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def on_have_ask(self, turn: Turn, sender: NodeId, message: HaveAsk) -> None:
        """A node asks what is here; the store answers through `on_found_for_peer`.

        Raises:
            PeerError: It asks for what cannot be.
        """
        check_blobs(message.blobs)
        self._ask += 1
        self._finding[self._ask] = ("asked", sender, message.blobs)
        turn.effects.append(FindBlobs(self._ask, message.blobs))

    def on_found_for_peer(self, turn: Turn, event: BlobsFound) -> bool:
        """Answer a node's question if this event belongs to one."""
        key = self._finding.get(event.ask)
        if not (isinstance(key, tuple) and key and key[0] == "asked"):
            return False
        del self._finding[event.ask]
        _, sender, blobs = key
        lacking = dict(event.missing)
        turn.send(sender, HaveIs(tuple(blob for blob in blobs if blob not in lacking and blob not in self.doubts)))
        return True

    def on_have(self, turn: Turn, sender: NodeId, message: HaveIs) -> None:
        """A node holds these blobs completely."""
        if self._is_left_out(turn, sender):
            return
        for blob in message.blobs:
            incoming = self._incoming.get(blob)
            if incoming is not None:
                incoming.sources[sender] = None
                if message.hashed and sender in incoming.doubted:
                    incoming.doubted[sender] = True
                self._ready.setdefault(sender, {})[blob] = None
        self._pump(turn, sender)

    def on_piece_ask(self, turn: Turn, sender: NodeId, message: PieceAsk) -> None:
        """Serve a piece, or refuse what cannot be one.

        Raises:
            PeerError: No blob has such an address.
        """
        check_blobs((message.blob,))
        if message.blob in self.doubts:
            turn.send(sender, PieceRefused(message.blob, message.number), volatile=True)
        elif 0 <= message.number < piece_count(message.blob):
            size = piece_size(message.blob, message.number)
            if self._upload.ask(Waiting(sender, message.blob, message.number, size)):
                self._serve(turn)
            else:
                turn.send(sender, PieceRefused(message.blob, message.number), volatile=True)

    def _serve(self, turn: Turn) -> None:
        for going in self._upload.take(turn.now.mono):
            turn.effects.append(ReadPiece(going.to, going.blob, going.number))

    def on_doubt(self, turn: Turn, sender: NodeId, message: Doubt) -> None:
        """A whole was wrong in which a piece of ours was: hash our copy.

        Raises:
            PeerError: No blob has such an address.
        """
        check_blobs((message.blob,))
        self.doubts.add(turn, sender, message.blob)

    def on_piece(self, turn: Turn, sender: NodeId, message: PieceIs) -> None:
        """A piece arrived: have it verified and stored, if it was asked of this sender."""
        incoming = self._incoming.get(message.blob)
        if incoming is None or incoming.outstanding.get(message.number, ("", 0))[0] != sender:
            return
        self._settle(incoming, message.number)
        incoming.claims[message.number] = (sender, message.xxh64)
        turn.effects.append(WritePiece(message.blob, message.number, message.xxh64, message.data, sender))
        self._pump(turn, sender)

    def on_refused(self, turn: Turn, sender: NodeId, message: PieceRefused) -> None:
        """The node does not have it (any more): ask elsewhere."""
        incoming = self._incoming.get(message.blob)
        if incoming is None or incoming.outstanding.get(message.number, ("", 0))[0] != sender:
            return
        self._settle(incoming, message.number)
        incoming.lose(sender)
        self._give_back(turn, incoming, message.number)
        self._pump(turn, sender)

    def on_written(self, turn: Turn, event: PieceWritten) -> None:
        """A piece stands in the store, or has to be fetched again."""
        incoming = self._incoming.get(event.blob)
        if incoming is None:
            return
        if event.ok:
            self.pieces_in += 1
            return
        incoming.claims.pop(event.index, None)
        if event.corrupt:
            self.corrupt_in += 1
            self._strike(turn, event.source)
            self._give_back(turn, incoming, event.index)
        else:
            incoming.give_back(event.index)
            self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def on_finished(self, turn: Turn, event: BlobFinished) -> None:
        """A blob is complete and verified, or the disk refused it, or all of it has to come again."""
        incoming = self._incoming.get(event.blob)
        if incoming is None:
            return
        if event.ok:
            self._complete(turn, incoming)
            return
        if event.corrupt:
            self.corrupt_in += 1
            turn.note("blob-corrupt", f"{event.blob} arrived whole but its MD5 does not agree; fetching it again")
            for liar in judge_wrong(turn, incoming):
                self._leave_out_liar(turn, liar)
            self._offer_to_all(turn, incoming)
        else:
            self._unconfirmed[event.blob] = None
        self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def _complete(self, turn: Turn, incoming: Incoming) -> None:
        liars, others = judge_right(turn, incoming)
        for liar in liars:
            self._leave_out_liar(turn, liar)
        for other in others:
            self._strike(turn, other)
        sources = list(incoming.sources)
        self._drop(incoming.blob)
        for key in incoming.keys:
            fetch = self._fetches.get(key)
            if fetch is not None:
                fetch.left.pop(incoming.blob, None)
                self._finish_if_complete(key)
        for source in sources:
            self._pump(turn, source)

    def lost(self, turn: Turn, node: NodeId) -> None:
        """A node is gone: what was asked of it is asked elsewhere."""
        self._ready.pop(node, None)
        self._load.pop(node, None)
        for incoming in list(self._incoming.values()):
            incoming.lose(node)
            for index in [index for index, (source, _) in incoming.outstanding.items() if source == node]:
                del incoming.outstanding[index]
                self._give_back(turn, incoming, index)

    def _give_back(self, turn: Turn, incoming: Incoming, index: int) -> None:
        """A piece has to be asked for again: any source may have it now."""
        incoming.give_back(index)
        self._offer_to_all(turn, incoming)

    def _offer_to_all(self, turn: Turn, incoming: Incoming) -> None:
        for source in list(incoming.sources):
            self._ready.setdefault(source, {})[incoming.blob] = None
            self._pump(turn, source)

    def next_deadline(self) -> float | None:
        """When to look for overdue pieces and for more sources."""
        times = [at for at in (self._look_at, self._pump_at, self._upload.at) if at is not None]
        return min(times, default=None)

    def on_timer(self, turn: Turn) -> None:
        """Let go what had to wait; ask again for overdue pieces; look around for blobs without a source."""
        now = turn.now.mono
        if self._upload.at is not None and self._upload.at <= now:
            self._serve(turn)
        if self._pump_at is not None and self._pump_at <= now:
            self._pump_at = None
            self._pump_all(turn)
        if self._look_at is not None and self._look_at <= now:
            self._look_at = None
            self._look_after_all(turn)

    def _look_after_all(self, turn: Turn) -> None:
        for incoming in list(self._incoming.values()):
            late = [index for index, (_, due) in incoming.outstanding.items() if due <= turn.now.mono]
            for index in late:
                incoming.lose(incoming.outstanding[index][0])
                self._settle(incoming, index)
                incoming.give_back(index)
        for blob in list(self._unconfirmed):
            del self._unconfirmed[blob]
            self._ask += 1
            self._finding[self._ask] = blob
            turn.effects.append(FindBlobs(self._ask, (blob,)))
        orphans = tuple([blob for blob, state in self._incoming.items() if state.wants_more and not state.sources])
        if orphans:
            hints = dict.fromkeys(node for fetch in self._fetches.values() for node in fetch.hints)
            self._look_around(turn, orphans, tuple(hints))
        for blob, state in self._incoming.items():
            for source in state.sources if state.wants_more else ():
                self._ready.setdefault(source, {})[blob] = None
        self._pump_all(turn)
        if self._incoming:
            self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def _pump_all(self, turn: Turn) -> None:
        for source in list(self._ready):
            self._pump(turn, source)

    def _look_around(self, turn: Turn, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...]) -> None:
        others = [node for node in self._alive_others() if not self._is_left_out(turn, node)]
        alive = dict.fromkeys(others)
        asked = dict.fromkeys(node for node in hints if node in alive)
        rest = [node for node in others if node not in asked]
        asked.update(dict.fromkeys(self._rng.sample(rest, min(len(rest), max(0, ASK_AROUND - len(asked))))))
        for start in range(0, len(blobs), BLOBS_PER_ASK):
            for node in asked:
                turn.send(node, HaveAsk(blobs[start : start + BLOBS_PER_ASK]))
        self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def _pump(self, turn: Turn, source: NodeId) -> None:
        """Fill the window of one source: of the blobs at hand that it holds, the one with the fewest sources first."""
        ready = self._ready.get(source)
        while ready:
            incoming = self._rarest(source, ready)
            if incoming is None:
                return
            next_bytes = piece_size(incoming.blob, incoming.next_piece())
            if not self._has_room(source, next_bytes):
                return
            if not self._download.take(turn.now.mono, next_bytes):
                self._pump_at = turn.now.mono + self._download.wait_s()
                return
            index = incoming.ask(source, turn.now.mono + PIECE_TIMEOUT_S)
            size, count = self._load.get(source, (0, 0))
            self._load[source] = (size + piece_size(incoming.blob, index), count + 1)
            turn.send(source, PieceAsk(incoming.blob, index), volatile=True)

    def _rarest(self, source: NodeId, ready: dict[BlobAddress, None]) -> Incoming | None:
        best: Incoming | None = None
        stale: list[BlobAddress] = []
        for blob in islice(ready, LOOK):
            incoming = self._incoming.get(blob)
            if incoming is None or not incoming.takes_from(source):
                stale.append(blob)
            elif best is None or len(incoming.sources) < len(best.sources):
                best = incoming
        for blob in stale:
            del ready[blob]
        return best if best is not None or not stale else self._rarest(source, ready)

    def _has_room(self, source: NodeId, size: int) -> bool:
        load = self._load.get(source, (0, 0))
        return load[1] < WINDOW_PIECES and (not load[0] or load[0] + size <= WINDOW_BYTES)

    def _settle(self, incoming: Incoming, index: int) -> None:
        """A piece is no longer outstanding: give its room in the window back."""
        source, _ = incoming.outstanding.pop(index)
        size, count = self._load.get(source, (0, 0))
        self._load[source] = (max(0, size - piece_size(incoming.blob, index)), max(0, count - 1))

    def _strike(self, turn: Turn, source: NodeId) -> None:
        self._strikes[source] = self._strikes.get(source, 0) + 1
        if self._strikes[source] < STRIKES:
            return
        if self._strikes[source] == STRIKES:
            turn.note("peer-corrupt", f"sent {STRIKES} corrupt pieces; no source for {LEFT_OUT_S:g} s", node=source)
        self._left_out[source] = max(turn.now.mono + LEFT_OUT_S, self._left_out.get(source, 0.0))
        self.lost(turn, source)

    def _leave_out_liar(self, turn: Turn, node: NodeId) -> None:
        lies = self._lies[node] = self._lies.get(node, 0) + 1
        pause_s = min(MOST_LIED_S, LIED_S * 2 ** min(lies - 1, 10))
        turn.note("peer-lies", f"stands by a copy that is wrong; no source for {pause_s:g} s", node=node)
        self._left_out[node] = turn.now.mono + pause_s
        self.lost(turn, node)

    def _is_left_out(self, turn: Turn, node: NodeId) -> bool:
        return turn.now.mono < self._left_out.get(node, 0.0)

    def _drop(self, blob: BlobAddress) -> None:
        incoming = self._incoming.pop(blob)
        self._unconfirmed.pop(blob, None)
        for index in list(incoming.outstanding):
            self._settle(incoming, index)

    def _finish_if_complete(self, key: Hashable) -> None:
        fetch = self._fetches.get(key)
        if fetch is not None and not fetch.left:
            del self._fetches[key]
            self._finished.append(key)

    def _wake_at(self, at: float) -> None:
        self._look_at = at if self._look_at is None else min(self._look_at, at)
