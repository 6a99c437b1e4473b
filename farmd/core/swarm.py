"""Who fetches which piece from whom: every holder is a source, rarest blob first, a small window per source.

Theory (after BitTorrent, BEP 3, without its incentives: admitted nodes are trusted to be honest): a blob is cut into
pieces of 1 MiB, each travels with its xxHash64 and is verified on arrival; the blob counts only when its MD5 agrees
too. A source that sends three corrupt pieces is left out for a while, and again for each further one: the cause may
pass (a bad switch), and it may be the only one that has the blob. Pieces that arrived survive a restart (`FindBlobs` tells
which are here), so a transfer resumes instead of starting over.

Invariants: a piece is outstanding at most once; a source never has more than its window outstanding; a fetch is
reported exactly once. Bytes pass through as references; this machine decides only.

Called by `farmd.core.node`. Never reads or writes a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.effects import FindBlobs, ReadPiece, WritePiece
from protocol.messages import HaveAsk, HaveIs, PieceAsk, PieceIs, PieceRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from random import Random

    from farmd.core.events import BlobFinished, BlobsFound, PieceWritten
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId

PIECE_BYTES = 1 << 20
WINDOW_BYTES = 2 * PIECE_BYTES
"""Bytes outstanding per source: two whole pieces, or many small blobs."""
MAX_BLOB_BYTES = 1 << 40
"""Largest blob that is fetched: every piece of it is counted in memory, and a size is only what somebody said."""
WINDOW_PIECES = 32
PIECE_TIMEOUT_S = 8.0
LOOK_AROUND_S = 2.0
"""Pause between rounds of asking around for a blob that has no source."""
ASK_AROUND = 8
"""Nodes asked per round."""
STRIKES = 3
"""Corrupt pieces after which a node is no source for `LEFT_OUT_S`."""
LEFT_OUT_S = 30.0
BLOBS_PER_ASK = 2000


def piece_count(blob: BlobAddress) -> int:
    """Pieces of a blob; an empty blob has one empty piece."""
    return max(1, -(-blob.size // PIECE_BYTES))


def piece_size(blob: BlobAddress, index: int) -> int:
    """Bytes of one piece."""
    return min(PIECE_BYTES, blob.size - index * PIECE_BYTES)


@dataclass(slots=True)
class _Incoming:
    """A blob on its way here."""

    wanted: dict[int, None]
    """Piece indexes neither here nor outstanding."""
    outstanding: dict[int, tuple[NodeId, float]] = field(default_factory=dict)
    writing: dict[int, None] = field(default_factory=dict)
    sources: dict[NodeId, None] = field(default_factory=dict)
    keys: dict[Hashable, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Fetch:
    """A set of blobs that somebody waits for."""

    left: dict[BlobAddress, None]
    hints: tuple[NodeId, ...]


class Swarm:
    """Fetches sets of blobs; finished sets are picked up with `take_finished`."""

    def __init__(self, node: NodeId, rng: Random, alive_others: Callable[[], tuple[NodeId, ...]]) -> None:
        self._node = node
        self._rng = rng
        self._alive_others = alive_others
        self._fetches: dict[Hashable, _Fetch] = {}
        self._finding: dict[int, Hashable] = {}
        self._incoming: dict[BlobAddress, _Incoming] = {}
        self._strikes: dict[NodeId, int] = {}
        self._left_out: dict[NodeId, float] = {}
        self._load: dict[NodeId, tuple[int, int]] = {}
        self._finished: list[Hashable] = []
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
        if self._fetches.pop(key, None) is None:
            return
        for blob, incoming in list(self._incoming.items()):
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
        incoming = [(blob, self._incoming[blob]) for blob in fetch.left if blob in self._incoming]
        return sum(piece_size(blob, index) for blob, state in incoming for index in (*state.wanted, *state.outstanding))

    def take_finished(self) -> list[Hashable]:
        """Return the keys of sets that are complete here since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def on_found(self, turn: Turn, event: BlobsFound) -> None:
        """The store told what it lacks: start on the rest."""
        key = self._finding.pop(event.ask, None)
        fetch = self._fetches.get(key)
        if fetch is None:
            return
        lacking = dict(event.missing)
        for blob in list(fetch.left):
            if blob not in lacking:
                del fetch.left[blob]
                continue
            if not 0 <= blob.size <= MAX_BLOB_BYTES:
                continue
            incoming = self._incoming.get(blob)
            if incoming is None:
                have = dict.fromkeys(lacking[blob])
                wanted = {index: None for index in range(piece_count(blob)) if index not in have}
                wanted = wanted or dict.fromkeys(range(piece_count(blob)))
                incoming = self._incoming[blob] = _Incoming(wanted)
            incoming.keys[key] = None
        if fetch.left:
            self._look_around(turn, tuple(fetch.left), fetch.hints)
        self._finish_if_complete(key)
        self._pump(turn)

    def on_have_ask(self, turn: Turn, sender: NodeId, message: HaveAsk) -> None:
        """A node asks what is here; the store answers through `on_found_for`."""
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
        turn.send(sender, HaveIs(tuple(blob for blob in blobs if blob not in lacking)))
        return True

    def on_have(self, turn: Turn, sender: NodeId, message: HaveIs) -> None:
        """A node holds these blobs completely."""
        for blob in message.blobs:
            incoming = self._incoming.get(blob)
            if incoming is not None and not self._is_left_out(turn, sender):
                incoming.sources[sender] = None
        self._pump(turn)

    def on_piece_ask(self, turn: Turn, sender: NodeId, message: PieceAsk) -> None:
        """Serve a piece, or refuse what cannot be one."""
        if 0 <= message.number < piece_count(message.blob):
            turn.effects.append(ReadPiece(sender, message.blob, message.number))

    def on_piece(self, turn: Turn, sender: NodeId, message: PieceIs) -> None:
        """A piece arrived: have it verified and stored, if it was asked of this sender."""
        incoming = self._incoming.get(message.blob)
        if incoming is None or incoming.outstanding.get(message.number, ("", 0))[0] != sender:
            return
        self._settle(message.blob, incoming, message.number)
        incoming.writing[message.number] = None
        turn.effects.append(WritePiece(message.blob, message.number, message.xxh64, message.data, sender))
        self._pump(turn)

    def on_refused(self, turn: Turn, sender: NodeId, message: PieceRefused) -> None:
        """The node does not have it (any more): ask elsewhere."""
        incoming = self._incoming.get(message.blob)
        if incoming is None or incoming.outstanding.get(message.number, ("", 0))[0] != sender:
            return
        self._settle(message.blob, incoming, message.number)
        incoming.wanted[message.number] = None
        incoming.sources.pop(sender, None)
        self._pump(turn)

    def on_written(self, turn: Turn, event: PieceWritten) -> None:
        """A piece stands in the store, or has to be fetched again."""
        incoming = self._incoming.get(event.blob)
        if incoming is None:
            return
        incoming.writing.pop(event.index, None)
        if event.ok:
            self.pieces_in += 1
            return
        incoming.wanted[event.index] = None
        if event.corrupt:
            self.corrupt_in += 1
            self._strike(turn, event.source)
            self._pump(turn)
        else:
            self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def on_finished(self, turn: Turn, event: BlobFinished) -> None:
        """A blob is complete and verified, or all of it has to come again."""
        incoming = self._incoming.get(event.blob)
        if incoming is None:
            return
        if not event.ok:
            self.corrupt_in += 1
            turn.note("blob-corrupt", f"{event.blob} arrived whole but its MD5 does not agree; fetching it again")
            incoming.wanted = dict.fromkeys(range(piece_count(event.blob)))
            self._pump(turn)
            return
        self._drop(event.blob)
        for key in incoming.keys:
            fetch = self._fetches.get(key)
            if fetch is not None:
                fetch.left.pop(event.blob, None)
                self._finish_if_complete(key)
        self._pump(turn)

    def lost(self, turn: Turn, node: NodeId) -> None:
        """A node is gone: what was asked of it is asked elsewhere."""
        for incoming in self._incoming.values():
            incoming.sources.pop(node, None)
            for index in [index for index, (source, _) in incoming.outstanding.items() if source == node]:
                del incoming.outstanding[index]
                incoming.wanted[index] = None
        self._load.pop(node, None)
        self._pump(turn)

    def next_deadline(self) -> float | None:
        """When to look for overdue pieces and for more sources."""
        return self._look_at

    def on_timer(self, turn: Turn) -> None:
        """Ask again for overdue pieces; look around for blobs without a source."""
        if self._look_at is None or turn.now.mono < self._look_at:
            return
        self._look_at = None
        for blob, incoming in self._incoming.items():
            late = [index for index, (_, due) in incoming.outstanding.items() if due <= turn.now.mono]
            for index in late:
                incoming.sources.pop(incoming.outstanding[index][0], None)
                self._settle(blob, incoming, index)
                incoming.wanted[index] = None
        orphans = tuple(blob for blob, incoming in self._incoming.items() if incoming.wanted and not incoming.sources)
        if orphans:
            hints = dict.fromkeys(node for fetch in self._fetches.values() for node in fetch.hints)
            self._look_around(turn, orphans, tuple(hints))
        self._pump(turn)

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

    def _pump(self, turn: Turn) -> None:
        """Fill the windows: blobs with the fewest sources first."""
        ready = [(len(state.sources), blob) for blob, state in self._incoming.items() if state.wanted and state.sources]
        ready.sort(key=lambda entry: entry[0])
        for _, blob in ready:
            self._ask_for_pieces(turn, blob, self._incoming[blob])
        if self._incoming:
            self._wake_at(turn.now.mono + LOOK_AROUND_S)

    def _ask_for_pieces(self, turn: Turn, blob: BlobAddress, incoming: _Incoming) -> None:
        for index in list(incoming.wanted):
            source = self._free_source(incoming, piece_size(blob, index))
            if source is None:
                return
            del incoming.wanted[index]
            incoming.outstanding[index] = (source, turn.now.mono + PIECE_TIMEOUT_S)
            size, count = self._load.get(source, (0, 0))
            self._load[source] = (size + piece_size(blob, index), count + 1)
            turn.send(source, PieceAsk(blob, index), volatile=True)

    def _free_source(self, incoming: _Incoming, size: int) -> NodeId | None:
        best, best_load = None, (0, 0)
        for source in incoming.sources:
            load = self._load.get(source, (0, 0))
            if load[1] >= WINDOW_PIECES or (load[0] and load[0] + size > WINDOW_BYTES):
                continue
            if best is None or load < best_load:
                best, best_load = source, load
        return best

    def _settle(self, blob: BlobAddress, incoming: _Incoming, index: int) -> None:
        """A piece is no longer outstanding: give its room in the window back."""
        source, _ = incoming.outstanding.pop(index)
        size, count = self._load.get(source, (0, 0))
        self._load[source] = (max(0, size - piece_size(blob, index)), max(0, count - 1))

    def _strike(self, turn: Turn, source: NodeId) -> None:
        self._strikes[source] = self._strikes.get(source, 0) + 1
        if self._strikes[source] < STRIKES:
            return
        if self._strikes[source] == STRIKES:
            turn.note("peer-corrupt", f"sent {STRIKES} corrupt pieces; no source for {LEFT_OUT_S:g} s", node=source)
        self._left_out[source] = turn.now.mono + LEFT_OUT_S
        self.lost(turn, source)

    def _is_left_out(self, turn: Turn, node: NodeId) -> bool:
        return turn.now.mono < self._left_out.get(node, 0.0)

    def _drop(self, blob: BlobAddress) -> None:
        incoming = self._incoming.pop(blob)
        for index in list(incoming.outstanding):
            self._settle(blob, incoming, index)

    def _finish_if_complete(self, key: Hashable) -> None:
        fetch = self._fetches.get(key)
        if fetch is not None and not fetch.left:
            del self._fetches[key]
            self._finished.append(key)

    def _wake_at(self, at: float) -> None:
        self._look_at = at if self._look_at is None else min(self._look_at, at)
