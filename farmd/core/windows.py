"""How much is asked of each source at a time: two whole pieces or two packs, so that the wire never idles.

Packs grow while they come quickly (as the window of TCP in slow start, RFC 5681, 3.1) and shrink when they do not.

Invariant: a source is asked for nothing while that would be more than its window; one that has shrunk may be overdrawn.
Called by `farmd.core.asking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.incoming import PIECE_BYTES, SMALL_BYTES, is_small, piece_size
from farmd.core.packs import MOST_PACK_BYTES, PACK_BYTES, Pack
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Collection

    from protocol.ids import BlobAddress, NodeId

WINDOW_BYTES = 2 * PIECE_BYTES
"""Bytes outstanding per source: two whole pieces, or some of the sizes between."""
WINDOW_ALONE_BYTES = 4 * PIECE_BYTES
"""The same while nobody else is on the way to the blob: with two pieces the wire idled for a sixth of the time on busy
processors; among eight who exchange pieces, four asked for beforehand would leave the source twice more often."""
WINDOW_PIECES = 32
WINDOW_PACKS = 2
QUICK_S, SLOW_S = 0.1, 0.5
"""A pack that came within the one is followed by larger ones, one that took longer than the other by smaller ones."""


class Windows:
    """What is outstanding at each source."""

    def __init__(self) -> None:
        self._pieces: dict[NodeId, tuple[int, int]] = {}
        self._packs: dict[NodeId, list[Pack]] = {}
        self._pack_bytes: dict[NodeId, int] = {}

    def forget(self, source: NodeId) -> None:
        """A node is gone; nothing is outstanding there any more."""
        self._pieces.pop(source, None)
        self._packs.pop(source, None)
        self._pack_bytes.pop(source, None)

    def outstanding_bytes(self, source: NodeId) -> int:
        """Bytes asked of a source and not come yet."""
        return self._pieces.get(source, (0, 0))[0] + sum([pack.size for pack in self._packs.get(source, ())])

    def has_room(self, source: NodeId, size: int, *, alone: bool = False) -> bool:
        """True if so many bytes more may be asked for in one piece."""
        return self._fits(source, size, WINDOW_ALONE_BYTES if alone else WINDOW_BYTES)

    def _fits(self, source: NodeId, size: int, window: int) -> bool:
        outstanding, packs = self.outstanding_bytes(source), len(self._packs.get(source, ()))
        count = self._pieces.get(source, (0, 0))[1] + packs
        return count < WINDOW_PIECES and (not outstanding or outstanding + size <= window)

    def has_room_for_pack(self, source: NodeId, size: int) -> bool:
        """True if one more pack of up to so many bytes may be asked for."""
        window = max(WINDOW_BYTES, WINDOW_PACKS * size)
        return len(self._packs.get(source, ())) < WINDOW_PACKS and self._fits(source, size, window)

    def pack_bytes(self, source: NodeId) -> int:
        """How large the next pack may be, if nobody else has what is wanted."""
        return self._pack_bytes.get(source, PACK_BYTES)

    def came(self, source: NodeId, pack: Pack, now: float, most_bytes: int) -> None:
        """A pack came: the next ones are larger or smaller.

        Args:
            source: From here.
            pack: Which; one that is not half full tells little.
            now: On the local clock.
            most_bytes: What the source says that it goes along with.
        """
        size, took_s = self.pack_bytes(source), now - pack.asked_at
        if took_s > SLOW_S:
            size = min(size, pack.most // 2)
        elif took_s <= QUICK_S and 2 * pack.size >= pack.most:
            size = max(size, 2 * pack.most)
        self._pack_bytes[source] = max(PACK_BYTES, min(size, most_bytes, MOST_PACK_BYTES))

    def is_full(self, source: NodeId) -> bool:
        """True if the packs that are outstanding leave no room for anything else: then nothing has to be looked at."""
        return len(self._packs.get(source, ())) >= WINDOW_PACKS and not self.has_room(source, SMALL_BYTES)

    def late(self, source: NodeId) -> None:
        """Something did not come in time: packs begin small again."""
        self._pack_bytes.pop(source, None)

    def ask_piece(self, source: NodeId, size: int) -> None:
        """A piece was asked for."""
        outstanding, count = self._pieces.get(source, (0, 0))
        self._pieces[source] = (outstanding + size, count + 1)

    def ask_pack(self, source: NodeId, blobs: tuple[BlobAddress, ...], most: int, now: float) -> None:
        """A pack was asked for, of up to so many bytes."""
        pack = Pack(dict.fromkeys(blobs), sum([blob.size for blob in blobs]), most, now)
        self._packs.setdefault(source, []).append(pack)

    def settle(self, source: NodeId, blob: BlobAddress, index: int) -> None:
        """A piece, or a blob of a pack, is no longer outstanding."""
        if is_small(blob):
            self._leave_pack(source, blob)
            return
        outstanding, count = self._pieces.get(source, (0, 0))
        self._pieces[source] = (max(0, outstanding - piece_size(blob, index)), max(0, count - 1))

    def arrived(self, source: NodeId, pack: Pack, blobs: Collection[BlobAddress]) -> None:
        """These of a pack came; its room is given back when nothing of it is left."""
        for blob in blobs:
            del pack.left[blob]
        if blobs and not pack.left:
            self._packs[source].remove(pack)

    def _leave_pack(self, source: NodeId, blob: BlobAddress) -> None:
        packs = self._packs.get(source, [])
        for pack in packs:
            if blob in pack.left:
                del pack.left[blob]
                if not pack.left:
                    packs.remove(pack)
                return

    def pack_of(self, source: NodeId, blobs: tuple[BlobAddress, ...]) -> Pack | None:
        """Find the question to which these blobs are the answer: an answer without any is one to the oldest.

        Raises:
            PeerError: Some of them were not asked for together with the others.
        """
        for pack in self._packs.get(source, ()):
            if not blobs or blobs[0] in pack.asked:
                if not pack.asked.keys() >= set(blobs):
                    raise PeerError("a pack with a blob that was not asked for")
                return pack
        return None
