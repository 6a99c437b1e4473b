"""One blob on its way here: which pieces are wanted, asked for, or being written.

Pieces are numbered; those never asked for are a cursor and not a list, so a blob of terabytes costs what is under way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from protocol.ids import BlobAddress, NodeId

PIECE_BYTES = 1 << 20
MAX_BLOB_BYTES = 1 << 44
"""16 TiB: nothing larger is believed."""
TRIES_KEPT = 4
"""Failed tries of one blob that are remembered to find out who sent what was wrong."""


def piece_count(blob: BlobAddress) -> int:
    """Pieces of a blob; an empty blob has one empty piece."""
    return max(1, -(-blob.size // PIECE_BYTES))


def piece_size(blob: BlobAddress, index: int) -> int:
    """Bytes of one piece."""
    return min(PIECE_BYTES, blob.size - index * PIECE_BYTES)


def is_possible(blob: BlobAddress) -> bool:
    """True if a blob can have this address."""
    return 0 <= blob.size <= MAX_BLOB_BYTES and 0 <= blob.xxh64 < 1 << 64 and len(blob.md5) == 16


def check_blobs(blobs: Iterable[BlobAddress]) -> None:
    """Refuse addresses that no blob can have.

    Raises:
        PeerError: There is one.
    """
    for blob in blobs:
        if not is_possible(blob):
            raise PeerError(f"not the address of a blob: {blob}")


@dataclass(slots=True)
class Incoming:
    """The pieces of one blob.

    Attributes:
        blob: Which.
        have: Pieces that were here when the fetch began.
        outstanding: Pieces asked for: of whom, and when to give up.
        sources: Nodes that hold the blob.
        keys: Fetches that wait for it.
        claims: Pieces that arrived in this try: from whom, and the hash that came with them.
        failed: `claims` of the last tries whose whole had another MD5; from then on each try has a single source.
        doubted: Sources that were asked to hash their copies; True if they did and stand by them.
    """

    blob: BlobAddress
    have: dict[int, None]
    outstanding: dict[int, tuple[NodeId, float]] = field(default_factory=dict)
    sources: dict[NodeId, None] = field(default_factory=dict)
    keys: dict[Hashable, None] = field(default_factory=dict)
    claims: dict[int, tuple[NodeId, int]] = field(default_factory=dict)
    failed: list[dict[int, tuple[NodeId, int]]] = field(default_factory=list)
    doubted: dict[NodeId, bool] = field(default_factory=dict)
    _again: dict[int, None] = field(default_factory=dict)
    _cursor: int = 0
    _only: NodeId | None = None

    def __post_init__(self) -> None:
        """A blob whose pieces are all here and that is not complete all the same begins anew."""
        if len(self.have) >= piece_count(self.blob):
            self.have = {}
        self._skip()

    @property
    def wants_more(self) -> bool:
        """True if a piece is neither here nor asked for."""
        return bool(self._again) or self._cursor < piece_count(self.blob)

    @property
    def missing_bytes(self) -> int:
        """Bytes that are not here yet, to within a piece."""
        left = piece_count(self.blob) - self._cursor + len(self._again) + len(self.outstanding)
        return min(self.blob.size, left * PIECE_BYTES)

    def next_piece(self) -> int:
        """The piece to ask for next; `ask` takes it."""
        return next(iter(self._again)) if self._again else self._cursor

    def ask(self, source: NodeId, due: float) -> int:
        """Take the next piece as asked of `source`."""
        index = self.next_piece()
        if index in self._again:
            del self._again[index]
        else:
            self._cursor += 1
            self._skip()
        self.outstanding[index] = (source, due)
        if self.failed:
            self._only = source
        return index

    def takes_from(self, source: NodeId) -> bool:
        """True if a piece may be asked of this node now."""
        return source in self.sources and self.wants_more and self._only in (None, source)

    def lose(self, source: NodeId) -> None:
        """The node is no source any more."""
        self.sources.pop(source, None)
        if self._only == source:
            self._only = None

    def give_back(self, index: int) -> None:
        """A piece has to be asked for again."""
        self._again[index] = None

    def begin_anew(self) -> None:
        """Everything has to come again, and from others if there are any."""
        self.have, self._again, self._cursor, self._only = {}, {}, 0, None
        self.claims = {}
        self.sources.clear()

    def fail(self) -> None:
        """The whole was wrong: everything comes again, from nodes that sent nothing of it if there are any."""
        others = {source: None for source in self.sources if source not in self.senders}
        self.failed = [*self.failed[1 - TRIES_KEPT :], self.claims]
        self.begin_anew()
        self.sources.update(others)

    @property
    def senders(self) -> dict[NodeId, None]:
        """Nodes that sent pieces in this try."""
        return dict.fromkeys(source for source, _ in self.claims.values())

    @property
    def sole_sender(self) -> NodeId | None:
        """The node that sent every single piece in this try, if one did."""
        senders = list(self.senders)
        return senders[0] if len(senders) == 1 and len(self.claims) == piece_count(self.blob) else None

    def wrong_claims(self) -> dict[NodeId, int]:
        """Of nodes that sent other bytes in a failed try than came now, when the whole is right: how many pieces."""
        found: dict[NodeId, int] = {}
        for claims in self.failed:
            for index, (source, xxh64) in claims.items():
                right = self.claims.get(index)
                if right is not None and right[0] != source and right[1] != xxh64:
                    found[source] = found.get(source, 0) + 1
        return found

    def _skip(self) -> None:
        while self._cursor in self.have:
            self._cursor += 1
