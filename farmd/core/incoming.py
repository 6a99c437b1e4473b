"""One blob on its way here: which pieces are wanted, asked for, or held, and which of them whom can be asked for.

Theory (BitTorrent, BEP 3: rarest first): a source holds the whole blob or, while it fetches it itself, some pieces of
it. Of a partial source the piece is taken that the fewest others have; of a full one a piece that no partial source has,
so that each piece leaves a single full source about once and the rest is exchanged between those who wait for it.
Among equals chance decides where to look; and of what no partial source has, those who wait take every n-th piece
each, ranked by their names, as far as they know of one another: by chance alone a quarter of the pieces left the source
twice, for what another has just asked for cannot be seen yet.

But for the first few pieces, all of it happens in a stretch that moves along the blob, and while nobody else is on the
way pieces come in order: the hash of the whole can only be taken from its beginning on, and so follows close behind.

A look compares no more than `LOOK` pieces; all else is bitmaps (`farmd.core.pieces`): a blob of terabytes costs a bit a
piece, and a bit a piece for each partial source. After a whole that was wrong, partial sources are out: their pieces
were never compared with anything but what *their* source had said, and only who holds the whole can answer for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.pieces import Pieces
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from random import Random

    from protocol.ids import BlobAddress, NodeId

PIECE_BYTES = 1 << 20
MAX_BLOB_BYTES = 1 << 44
"""16 TiB: nothing larger is believed."""
SMALL_BYTES = 256 << 10
"""Blobs up to this travel in packs."""
TRIES_KEPT = 4
"""Failed tries of one blob that are remembered to find out who sent what was wrong."""
CLAIMS_KEPT = 1 << 14
"""Pieces of one try of which it is remembered who sent what; of larger blobs only who sent how many."""
LATE_KEPT = 64
"""Pieces that were given up and are taken all the same if they come before somebody else is asked."""
LOOK = 8
"""Pieces that are compared to find the rarest."""
STRETCH = 128
"""Pieces after the first one that is wanted, among which chance chooses where to look."""
LOOK_FOR_SHARE = 32
"""Pieces that nobody has passed on yet, of which one of our own share is looked for."""


def piece_count(blob: BlobAddress) -> int:
    """Pieces of a blob; an empty blob has one empty piece."""
    return max(1, -(-blob.size // PIECE_BYTES))


def piece_size(blob: BlobAddress, index: int) -> int:
    """Bytes of one piece."""
    return min(PIECE_BYTES, blob.size - index * PIECE_BYTES)


def is_small(blob: BlobAddress) -> bool:
    """True if the blob travels in packs."""
    return blob.size <= SMALL_BYTES


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
class Try:
    """What arrived of a blob until the whole was looked at.

    Attributes:
        claims: Pieces: from whom, and the hash that came with them; not more than `CLAIMS_KEPT`.
        sent: Who sent how many pieces.
        passed_on: Senders of which a piece came while they had not seen the whole themselves.
    """

    claims: dict[int, tuple[NodeId, int]] = field(default_factory=dict)
    sent: dict[NodeId, int] = field(default_factory=dict)
    passed_on: dict[NodeId, None] = field(default_factory=dict)

    def note(self, index: int, source: NodeId, xxh64: int, *, partial: bool) -> None:
        """A piece arrived."""
        if len(self.claims) < CLAIMS_KEPT:
            self.claims[index] = (source, xxh64)
        self.sent[source] = self.sent.get(source, 0) + 1
        if partial:
            self.passed_on[source] = None

    def unnote(self, index: int, source: NodeId) -> None:
        """It was not what its hash says, or the disk refused it: it does not count."""
        self.claims.pop(index, None)
        self.sent[source] = self.sent.get(source, 1) - 1
        if not self.sent[source]:
            del self.sent[source]


@dataclass(slots=True)
class Incoming:
    """The pieces of one blob.

    Attributes:
        blob: Which.
        wanted: Pieces that are neither here nor asked for.
        held: Pieces that are here, each verified against the hash that came with it.
        outstanding: Pieces asked for: of whom, and when to give up.
        late: Pieces that did not come in time: from whom they may still come.
        sources: Nodes that hold the blob.
        parts: Nodes that hold these pieces of it.
        keys: Fetches that wait for it.
        now: The present try.
        failed: The last tries whose whole had another MD5; from then on each try has a single source.
        doubted: Sources that were asked to hash their copies; True if they did and stand by them.
        suspect: A node that got pieces from here had a wrong whole: ours may be wrong too.
        asked_at: When somebody was last asked who has it.
    """

    blob: BlobAddress
    held: Pieces
    wanted: Pieces = field(init=False)
    outstanding: dict[int, tuple[NodeId, float]] = field(default_factory=dict)
    late: dict[int, NodeId] = field(default_factory=dict)
    sources: dict[NodeId, None] = field(default_factory=dict)
    parts: dict[NodeId, Pieces] = field(default_factory=dict)
    keys: dict[Hashable, None] = field(default_factory=dict)
    now: Try = field(default_factory=Try)
    failed: list[Try] = field(default_factory=list)
    doubted: dict[NodeId, bool] = field(default_factory=dict)
    suspect: bool = False
    asked_at: float = 0.0
    _elsewhere: Pieces | None = None
    _only: NodeId | None = None

    def __post_init__(self) -> None:
        """A blob whose pieces are all here and that is not complete all the same begins anew."""
        count, here = self.held.count, len(self.held)
        if here >= count:
            self.held = Pieces(count)
        self.wanted = Pieces.all_of(count)
        for index in self.held if here else ():
            self.wanted.discard(index)

    @property
    def missing_bytes(self) -> int:
        """Bytes that are not here yet, to within a piece."""
        return min(self.blob.size, (len(self.wanted) + len(self.outstanding)) * PIECE_BYTES)

    @property
    def is_offered(self) -> bool:
        """True if the pieces here may be had by others: of a large blob, and while nothing speaks against them."""
        return self.held.count > 1 and not self.failed and not self.suspect

    @property
    def is_alone(self) -> bool:
        """True if nobody else seems to be on the way to it: others may have begun at the same moment as we did."""
        return not self.parts and len(self.held) >= STRETCH // 4

    # -- who has it ---------------------------------------------------------------------------------------------

    def found(self, source: NodeId) -> None:
        """The node holds all of it."""
        self.sources[source] = None
        self.parts.pop(source, None)

    def found_part(self, source: NodeId, pieces: Pieces) -> None:
        """The node holds these pieces, and no more."""
        self.sources.pop(source, None)
        self.parts[source] = pieces
        self._passed_on().update(pieces)

    def found_more(self, source: NodeId, numbers: Iterable[int]) -> bool:
        """The node holds these pieces too; True if one of them is wanted."""
        part, wanted = self.parts.get(source), False
        for number in numbers if part is not None else ():
            if part is not None:
                part.add(number)
            self._passed_on().add(number)
            wanted = wanted or number in self.wanted
        return wanted

    def _passed_on(self) -> Pieces:
        """Pieces that partial sources have: a set that thousands of small blobs, which have no such sources, do without."""
        if self._elsewhere is None:
            self._elsewhere = Pieces(self.held.count)
        return self._elsewhere

    def lose(self, source: NodeId) -> None:
        """The node is no source any more."""
        self.sources.pop(source, None)
        if self._only == source:
            self._only = None
        if self.parts.pop(source, None) is not None:
            self._elsewhere = None
            for part in self.parts.values():
                self._passed_on().update(part)

    def holders(self) -> list[NodeId]:
        """Nodes that can be asked for some piece: first those that hold parts, to spare the others."""
        return [*self.parts, *self.sources]

    # -- which piece ----------------------------------------------------------------------------------------------

    def takes_from(self, source: NodeId) -> bool:
        """True if this node may be asked for a piece now, if it has one that is wanted."""
        return bool(self.wanted) and (source in self.sources or source in self.parts) and self._only in (None, source)

    def pick(self, source: NodeId, me: NodeId, rng: Random) -> int | None:
        """Choose the piece to ask this source for; None if it has none that is wanted."""
        begin = self._begin(rng)
        part = self.parts.get(source)
        if part is None and self.parts:
            unseen = self.wanted.find(begin, LOOK_FOR_SHARE, without=self._elsewhere)
            if unseen:
                return self._of_share(me, unseen)
        found = self.wanted.find(begin, LOOK if self.parts else 1, within=part)
        return min(found, key=self._copies_of, default=None)

    def _begin(self, rng: Random) -> int:
        """Choose where to look for a piece."""
        count = self.held.count
        if not self.parts and not self.is_alone:
            return rng.randrange(count)
        first = next(iter(self.wanted.find(0, 1)), 0)
        return first if self.is_alone else (first + rng.randrange(STRETCH)) % count

    def _of_share(self, me: NodeId, unseen: list[int]) -> int:
        """Of pieces that no partial source has, choose one that the others who wait will leave to us."""
        waiting = len(self.parts) + 1
        rank = sum([node < me for node in self.parts])
        return next((index for index in unseen if index % waiting == rank), unseen[0])

    def _copies_of(self, index: int) -> int:
        return sum([index in part for part in self.parts.values()])

    def ask(self, index: int, source: NodeId, due: float) -> None:
        """Take a piece as asked of `source`."""
        self.wanted.discard(index)
        self.outstanding[index] = (source, due)
        if self.failed:
            self._only = source

    def give_up(self, index: int) -> None:
        """A piece did not come in time: it has to be asked for again, and may come all the same."""
        source, _ = self.outstanding.pop(index)
        self.lose(source)
        self.give_back(index)
        if len(self.late) < LATE_KEPT and not self.failed:
            self.late[index] = source

    def is_late(self, index: int, source: NodeId) -> bool:
        """True if a piece was given up that may still come from this source, and nobody *else* was asked since."""
        asked = self.outstanding.get(index)
        return self.late.get(index) == source and (index in self.wanted if asked is None else asked[0] == source)

    def comes_late(self, index: int, source: NodeId) -> bool:
        """True if a piece was given up that now comes, before anybody was asked again: it is taken, once."""
        if index not in self.wanted or not self.is_late(index, source):
            return False
        del self.late[index]
        self.wanted.discard(index)
        return True

    def arrived(self, index: int, source: NodeId, xxh64: int) -> None:
        """A piece came; it counts until it turns out to be wrong."""
        self.now.note(index, source, xxh64, partial=source in self.parts)

    def give_back(self, index: int) -> None:
        """A piece has to be asked for again."""
        self.wanted.add(index)

    def begin_anew(self) -> None:
        """Everything has to come again, and from others if there are any."""
        count = self.held.count
        self.held, self.wanted, self._elsewhere = Pieces(count), Pieces.all_of(count), None
        self._only, self.now = None, Try()
        self.late.clear()
        self.sources.clear()
        self.parts.clear()

    def fail(self) -> None:
        """The whole was wrong: everything comes again, from full sources that sent nothing of it if there are any."""
        others = {source: None for source in self.sources if source not in self.now.sent}
        self.failed = [*self.failed[1 - TRIES_KEPT :], self.now]
        self.begin_anew()
        self.sources.update(others)

    # -- who was wrong --------------------------------------------------------------------------------------------

    @property
    def sole_sender(self) -> NodeId | None:
        """The node that sent every single piece in this try, if one did."""
        senders = list(self.now.sent.items())
        return senders[0][0] if len(senders) == 1 and senders[0][1] >= self.held.count else None

    def wrong_claims(self, *, passed_on: bool) -> dict[NodeId, int]:
        """Of nodes that sent other bytes in a failed try than came now, when the whole is right: how many pieces.

        Args:
            passed_on: Of those that had only passed pieces on, or of all others.
        """
        found: dict[NodeId, int] = {}
        for attempt in self.failed:
            for index, (source, xxh64) in attempt.claims.items():
                right = self.now.claims.get(index)
                if right is None or right[0] == source or right[1] == xxh64:
                    continue
                if (source in attempt.passed_on) == passed_on:
                    found[source] = found.get(source, 0) + 1
        return found


def begin(blob: BlobAddress, here: Iterable[int]) -> Incoming:
    """Begin to fetch a blob of which some pieces are here."""
    return Incoming(blob, Pieces(piece_count(blob), here))
