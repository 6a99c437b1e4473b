"""Whom to ask for what next: keeps the window of each source full, with packs of small blobs and pieces of large ones.

Of the blobs at hand that a source has something of, the one with the fewest sources comes first (`LOOK` of them are
compared); which piece of it, `farmd.core.incoming` chooses. Partial sources are asked before full ones whenever there
is a choice, so that what is exchanged between those who wait is not taken from the one node that has it all.

`_ready` lists, for each source, the blobs of which it may have something that is wanted. A blob is struck off when a
look finds nothing, and comes back with news of the source or when a piece is given back: so looks are paid for by news.

Invariants: a piece is outstanding at most once; nothing is asked beyond the windows and the limit, and nothing while
much of what has come waits for the disk. Called by
`farmd.core.swarm`. Sends questions and nothing else.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from farmd.core.bandwidth import Bucket
from farmd.core.incoming import SMALL_BYTES, is_small, piece_size
from farmd.core.packs import PACK_BLOBS, PACK_BYTES
from farmd.core.windows import Windows
from protocol.messages import PackAsk, PieceAsk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from random import Random

    from farmd.core.incoming import Incoming
    from farmd.core.packs import Pack
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId

PIECE_TIMEOUT_S = 8.0
MOST_UNWRITTEN_BYTES = 32 << 20
"""What has arrived and waits for the disk, over all sources; where it is more, the disk is slower than the network."""
LOOK = 32
"""Blobs of a source that are compared to find the rarest."""
LOOK_FOR_PACK = 2 * PACK_BLOBS
"""Most blobs of a source that are looked at to fill a pack with the rarest."""


class Asking:
    """Fills windows; `incoming` is what is wanted."""

    def __init__(self, node: NodeId, incoming: dict[BlobAddress, Incoming], rng: Random, limit_bytes_s: int) -> None:
        self._node = node
        self.incoming = incoming
        self._rng = rng
        self._download = Bucket(limit_bytes_s)
        self._ready: dict[NodeId, dict[BlobAddress, None]] = {}
        self.windows = Windows()
        self._unwritten_bytes = 0
        self.at: float | None = None
        """When the limit lets the next question pass."""

    # -- what may be asked for ------------------------------------------------------------------------------------

    def ready(self, source: NodeId, blob: BlobAddress) -> None:
        """A source may have something of a blob that is wanted."""
        self._ready.setdefault(source, {})[blob] = None

    def offer(self, turn: Turn, blobs: Iterable[Incoming]) -> None:
        """Something of these blobs is wanted (again): any of their sources may be asked."""
        sources: dict[NodeId, None] = {}
        for incoming in blobs:
            for source in incoming.holders():
                self.ready(source, incoming.blob)
                sources[source] = None
        for source in sources:
            self.pump(turn, source)

    def give_back(self, turn: Turn, incoming: Incoming, index: int) -> None:
        """A piece has to be asked for again: any source may have it now."""
        incoming.give_back(index)
        self.offer(turn, (incoming,))

    def settle(self, incoming: Incoming, index: int) -> None:
        """A piece is no longer outstanding: give its room in the window back."""
        source, _ = incoming.outstanding.pop(index)
        self.windows.settle(source, incoming.blob, index)

    def settle_pack(self, source: NodeId, pack: Pack, blobs: Collection[BlobAddress]) -> list[Incoming]:
        """These of a pack came: they are no longer outstanding."""
        came = [self.incoming[blob] for blob in blobs]
        for incoming in came:
            del incoming.outstanding[0]
        self.windows.arrived(source, pack, blobs)
        return came

    def lost(self, turn: Turn, node: NodeId) -> None:
        """A node is no source any more: what was asked of it is asked elsewhere at once."""
        self._ready.pop(node, None)
        self.windows.forget(node)
        orphans: list[Incoming] = []
        for incoming in self.incoming.values():
            incoming.lose(node)
            indexes = [index for index, (source, _) in incoming.outstanding.items() if source == node]
            for index in indexes:
                del incoming.outstanding[index]
                incoming.give_back(index)
            if indexes:
                orphans.append(incoming)
        self.offer(turn, orphans)

    def known(self, blobs: Iterable[BlobAddress]) -> list[Incoming]:
        """Return those that are on their way here."""
        return [self.incoming[blob] for blob in blobs if blob in self.incoming]

    def drop(self, blob: BlobAddress) -> None:
        """A blob is wanted no longer."""
        incoming = self.incoming.pop(blob)
        for index in list(incoming.outstanding):
            self.settle(incoming, index)

    def take_overdue(self, now: float) -> list[Incoming]:
        """Give up what should have come by now, and return of which blobs; its sources are none any more for these."""
        overdue = []
        for incoming in self.incoming.values():
            if not incoming.outstanding:
                continue
            late = [index for index, (_, due) in incoming.outstanding.items() if due <= now]
            for index in late:
                source, _ = incoming.outstanding[index]
                self.windows.settle(source, incoming.blob, index)
                self.windows.late(source)
                incoming.give_up(index)
            if late:
                overdue.append(incoming)
        return overdue

    # -- asking ---------------------------------------------------------------------------------------------------

    def on_timer(self, turn: Turn) -> None:
        """Go on where the limit had stopped it."""
        if self.at is not None and self.at <= turn.now.mono:
            self.at = None
            self.pump_all(turn)

    def arrived(self, size: int) -> None:
        """So many bytes wait to be written from now on."""
        self._unwritten_bytes += size

    def written(self, turn: Turn, size: int) -> None:
        """So many bytes wait no longer, however that ended."""
        was_full = self._is_full()
        self._unwritten_bytes -= size
        if was_full and not self._is_full():
            self.pump_all(turn)

    def _is_full(self) -> bool:
        return self._unwritten_bytes >= MOST_UNWRITTEN_BYTES

    def pump_all(self, turn: Turn) -> None:
        """Fill the windows of all sources, the least loaded first."""
        for source in sorted(self._ready, key=self.windows.outstanding_bytes):
            self.pump(turn, source)

    def pump(self, turn: Turn, source: NodeId) -> None:
        """Fill the window of one source."""
        going = not self._is_full()
        while going and not self.windows.is_full(source):
            incoming = self._rarest(source)
            if incoming is None:
                return
            going = self._ask_pack(turn, source) if is_small(incoming.blob) else self._ask_piece(turn, source, incoming)

    def _rarest(self, source: NodeId) -> Incoming | None:
        """Of the blobs at hand of which a source has something, return the one with the fewest sources."""
        ready = self._ready.get(source, {})
        while ready:
            found = self._usable(source, LOOK)
            if found:
                return min(found, key=_copies_of)
        return None

    def _usable(self, source: NodeId, most: int) -> list[Incoming]:
        """Look at the first blobs at hand of a source; strike off those that it is not to be asked for."""
        ready, found = self._ready.get(source, {}), []
        for blob in list(islice(ready, most)):
            incoming = self._if_usable(source, blob, ready)
            if incoming is not None:
                found.append(incoming)
        return found

    def _pack_bytes(self, source: NodeId) -> int:
        """How large a pack may be: small while others have something too, for what is asked of one is not asked of them.

        Small, too, where a limit is set: after a large one nothing else may be asked for all the longer.
        """
        is_alone = all(node == source or not ready for node, ready in self._ready.items())
        is_free = is_alone and not self._download.limit_bytes_s
        return self.windows.pack_bytes(source) if is_free else PACK_BYTES

    def _for_pack(self, source: NodeId, enough: int) -> list[Incoming]:
        """Look at the first small blobs at hand of a source, until they are enough, and return the rarest first."""
        ready, found, size, useless = self._ready.get(source, {}), [], 0, []
        for blob in islice(ready, LOOK_FOR_PACK):
            if blob.size > SMALL_BYTES:
                continue
            incoming = self.incoming.get(blob)
            if incoming is None or not incoming.takes_from(source):
                useless.append(blob)
                continue
            found.append(incoming)
            size += blob.size
            if size > enough:
                break
        for blob in useless:
            del ready[blob]
        return sorted(found, key=_copies_of)

    def _if_usable(self, source: NodeId, blob: BlobAddress, ready: dict[BlobAddress, None]) -> Incoming | None:
        incoming = self.incoming.get(blob)
        if incoming is not None and incoming.takes_from(source):
            return incoming
        del ready[blob]
        return None

    def _ask_piece(self, turn: Turn, source: NodeId, incoming: Incoming) -> bool:
        """Ask for a piece; False if there is no room for it."""
        size = min(incoming.blob.size, piece_size(incoming.blob, 0))
        if not self.windows.has_room(source, size, alone=incoming.is_alone):
            return False
        index = incoming.pick(source, self._node, self._rng)
        if index is None:
            self._ready[source].pop(incoming.blob, None)
            return True
        size = piece_size(incoming.blob, index)
        if not self._may_take(turn, size):
            return False
        incoming.ask(index, source, turn.now.mono + PIECE_TIMEOUT_S)
        self.windows.ask_piece(source, size)
        turn.send(source, PieceAsk(incoming.blob, index), volatile=True)
        return True

    def _ask_pack(self, turn: Turn, source: NodeId) -> bool:
        """Ask for many small blobs at once, first for those that the fewest have; False if there is no room."""
        most = self._pack_bytes(source)
        if not self.windows.has_room_for_pack(source, most):
            return False
        pack: list[Incoming] = []
        size = 0
        for incoming in self._for_pack(source, 2 * most):
            if size + incoming.blob.size <= most and len(pack) < PACK_BLOBS:
                pack.append(incoming)
                size += incoming.blob.size
        if not self._may_take(turn, size):
            return False
        ready, due = self._ready[source], turn.now.mono + PIECE_TIMEOUT_S
        blobs = tuple([incoming.blob for incoming in pack])
        for incoming in pack:
            incoming.ask(0, source, due)
        for blob in blobs:
            del ready[blob]
        self.windows.ask_pack(source, blobs, most, turn.now.mono)
        turn.send(source, PackAsk(blobs), volatile=True)
        return True

    def _may_take(self, turn: Turn, size: int) -> bool:
        if self._download.take(turn.now.mono, size):
            return True
        self.at = turn.now.mono + self._download.wait_s()
        return False


def _copies_of(incoming: Incoming) -> int:
    return len(incoming.sources) + len(incoming.parts)
