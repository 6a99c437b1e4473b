"""The replica: every replicated row this node knows, and how two replicas become one.

Theory. Let W be all writes in the farm, each named by (origin, seq). A version vector V stands for the writes
{(o, s) : s <= V[o]}, and the state of a replica is a *function of its vector*: for each key the write with the
largest stamp, less the rows of jobs whose tombstone is among the writes. Two replicas with equal vectors are equal,
whatever way the writes took (a state-based CRDT: Shapiro et al., "Conflict-free Replicated Data Types", 2011). Hence

- a delta and the vector that it leads to are taken in together or not at all. A part of a delta leaves out rows that
  another part supersedes: it is the state of no vector;
- a row that the vector already covers is not merged again, only compared (invariant 3);
- whole rows win. Joining fields under one stamp gives two contents one name: it diverges for ever;
- a sequence number is used once. When the file may have gone back in time (restored backup, lost tail) the numbers
  that only peers remember would come to name two contents, so the stream is left for a new one: before the first
  write unless peers confirmed the old one, and at once when a peer is seen to know more of it than we do.

Everything is served from memory, so that the core stays synchronous. Rows lie on one *shelf* per job: a tombstone
empties a shelf in one step, and a later version can put cold shelves away behind the same methods.

Called by the node and its machines. Never sends and never saves: the node picks up `take_save`, `take_changes` and
`take_own_spans` at the end of a turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from farmd.core.effects import Save
from farmd.core.rows import MAX_BODY_BYTES, MAX_PK_BYTES, NO_JOB, STREAM_ORDER, check_rows, is_tombstone, shelf_of
from farmd.core.vector import StreamIndex, VersionVector
from protocol.errors import InvariantBroken
from protocol.ids import pack_job
from protocol.messages import Span
from protocol.records import JOB_PREFIXED, Kind, Rank, Rec, row_hash, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

    from farmd.core.turn import Turn
    from protocol.clock import HybridClock
    from protocol.ids import JobId

_Key = tuple[int, bytes]


class Change(NamedTuple):
    """One row before and after: `old` None = it is new here, `new` None = it went with its deleted job."""

    old: Rec | None
    new: Rec | None


@dataclass(slots=True)
class _OwnSpan:
    """Rows written to one of our streams since the spans were last taken."""

    origin: int
    after: int
    upto: int
    rows: dict[_Key, Rec] = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    """What the database does not know yet."""

    rows: dict[_Key, Rec] = field(default_factory=dict)
    vector: dict[int, int] = field(default_factory=dict)
    dropped: dict[_Key, None] = field(default_factory=dict)
    new_origin: bool = False

    def save(self, origin: int) -> Save | None:
        if not (self.rows or self.vector or self.dropped or self.new_origin):
            return None
        meta = (("origin", origin),) if self.new_origin else ()
        return Save(tuple(self.rows.values()), tuple(self.vector.items()), tuple(self.dropped), meta)


class Replica:
    """All rows in memory, their streams, and what has changed since the node last asked.

    Attributes:
        clock: Stamps own writes, follows the stamps of others.
        vector: What has been taken in.
        digest: XOR of the hashes of all rows.
        origin: The stream that own writes go to.
        origin_confirmed: As far as can be known, no peer remembers more of `origin` than we do.
        conflicts: Numbers seen with two contents (invariant 3): must stay 0.
        clocks_ahead: Rows whose stamp lay too far ahead to follow.
        rotations: How often `origin` was left for a new one.
    """

    def __init__(self, rng: Random, clock: HybridClock) -> None:
        self._rng = rng
        self.clock = clock
        self.vector = VersionVector()
        self.digest = 0
        self.origin = 0
        self.origin_confirmed = False
        self.conflicts = 0
        self.clocks_ahead = 0
        self.rotations = 0
        self._own_origins: dict[int, None] = {}
        self._shelves: dict[bytes, dict[_Key, Rec]] = {NO_JOB: {}}
        self._tombstones: dict[bytes, Rec] = {}
        self._streams = StreamIndex()
        self._count = 0
        self._changes: list[Change] = []
        self._own_spans: list[_OwnSpan] = []
        self._pending = _Pending()
        self._take_new_origin()

    # -- start -----------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[Rec], vector: Mapping[int, int], origin: int | None, *, wall_ms: int) -> None:
        """Take in what the database holds, once, before anything else; nothing of it counts as a change.

        Args:
            rows: All rows, each key once.
            vector: The whole version vector.
            origin: Stream of this database; None if it has none yet (a new database).
            wall_ms: Wall time now, for the stamps.
        """
        for rec in sorted(rows, key=STREAM_ORDER):
            self.clock.merge(rec.hlc, wall_ms)
            if not self._place(rec, None):
                self._pending.dropped[rec.kind, rec.pk] = None
        self._changes.clear()
        for seen, seq in vector.items():
            self.vector.advance(seen, seq)
        if origin is not None:
            self._own_origins = {origin: None}
            self.origin, self.origin_confirmed = origin, False
            self._pending.new_origin = False

    def confirm_origin(self, turn: Turn, known_by_peers: int) -> None:
        """Enough peers told what they know of our stream: `known_by_peers` is the largest number among them."""
        self.note_foreign_knowledge(turn, self.origin, known_by_peers)
        self.origin_confirmed = True

    def note_foreign_knowledge(self, turn: Turn, origin: int, seq: int) -> None:
        """A peer knows `origin` up to `seq`: if that is our stream and more than we know, our tail was lost."""
        if origin == self.origin and seq > self.seq:
            self._rotate(turn, f"peers know our stream up to {seq}, this database only up to {self.seq}")

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        """Number of the last write to our stream."""
        return self.vector.known(self.origin)

    @property
    def vector_hash(self) -> int:
        """63-bit hash of the vector, whatever the order of its entries."""
        return self.vector.hash63

    def __len__(self) -> int:
        return self._count

    def get(self, kind: int, pk: bytes) -> Rec | None:
        """Return the standing version of a row."""
        shelf = self._shelves.get(shelf_of(kind, pk))
        return None if shelf is None else shelf.get((kind, pk))

    def rows(self) -> list[Rec]:
        """Return all rows."""
        return [rec for shelf in self._shelves.values() for rec in shelf.values()]

    def rows_of(self, kind: int) -> list[Rec]:
        """Return all rows of one kind."""
        on_job_shelves = kind in JOB_PREFIXED or kind == Kind.HOLDING
        shelves = self._shelves.values() if on_job_shelves else (self._shelves[NO_JOB],)
        return [rec for shelf in shelves for rec in shelf.values() if rec.kind == kind]

    def rows_of_job(self, job: JobId) -> list[Rec]:
        """Return all rows of one job: specification, controls, attempts, holdings."""
        return list(self._shelves.get(pack_job(job), {}).values())

    def is_deleted(self, job: JobId) -> bool:
        """Tell whether the tombstone of that job is here."""
        return pack_job(job) in self._tombstones

    def is_own(self, origin: int) -> bool:
        """Tell whether a stream is, or was in this life, the one that this node writes to."""
        return origin in self._own_origins

    def delta(self, theirs: Mapping[int, int]) -> list[Rec]:
        """Return the rows above another node's vector; with our present vector they make it know all we know."""
        newer = self.vector.beyond(theirs)
        return [rec for origin, _ in newer for rec in self._streams.above(origin, theirs.get(origin, 0))]

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, turn: Turn, kind: int, pk: bytes, body: bytes, *, rank: int = Rank.NORMAL) -> Rec:
        """Write the next version of a row to our stream.

        Returns:
            The version that stands now. Nothing is written where another absorbs it: an older one of higher rank,
            or the tombstone of its job.

        Raises:
            InvariantBroken: The key or the body is too large to be replicated.
        """
        old = self.get(kind, pk)
        absorber = self._tombstones.get(shelf_of(kind, pk)) or (old if old is not None and old.rank > rank else None)
        if absorber is not None:
            return absorber
        if len(body) > MAX_BODY_BYTES or len(pk) > MAX_PK_BYTES:
            raise InvariantBroken(f"row of kind {kind} with {len(pk)} + {len(body)} bytes is over the limit")
        if not self.origin_confirmed:
            self._rotate(turn, "first write of this life, and no peer has confirmed that the database is up to date")
        ver = 1 if old is None else old.ver + 1
        hlc = self.clock.tick(turn.now.wall_ms)
        rec = Rec(int(kind), pk, ver, hlc, self.origin, self.seq + 1, int(rank), body)
        self._remember_own(rec)
        self._merge(rec)
        self._advance(rec.origin, rec.seq)
        return rec

    def _remember_own(self, rec: Rec) -> None:
        if not self._own_spans or self._own_spans[-1].origin != rec.origin:
            self._own_spans.append(_OwnSpan(rec.origin, rec.seq - 1, rec.seq))
        span = self._own_spans[-1]
        span.upto = rec.seq
        span.rows.pop((rec.kind, rec.pk), None)
        span.rows[rec.kind, rec.pk] = rec

    # -- joining ---------------------------------------------------------------------------------------------------

    def apply(self, turn: Turn, rows: Iterable[Rec], advance: Iterable[tuple[int, int]]) -> list[Rec]:
        """Take in rows of other nodes together with the vector entries that they lead to.

        Args:
            turn: For notes and the wall time.
            rows: A complete delta, or the rows of a span that is contiguous with our vector.
            advance: Pairs (origin, seq): what we know afterwards. Lower entries than ours do no harm.

        Returns:
            The rows that were news and stand now.

        Raises:
            PeerError: The rows are malformed or lie above `advance`; nothing was changed.
        """
        ordered, entries = sorted(rows, key=STREAM_ORDER), dict(advance)
        check_rows(ordered, entries, self.vector)
        for origin, seq in entries.items():
            self.note_foreign_knowledge(turn, origin, seq)
        merged = [rec for rec in ordered if self._is_news(turn, rec) and self._merge(rec)]
        for origin, seq in entries.items():
            self._advance(origin, seq)
        return [rec for rec in merged if self.get(rec.kind, rec.pk) is rec]

    def _is_news(self, turn: Turn, rec: Rec) -> bool:
        if rec.seq > self.vector.known(rec.origin):
            self.clocks_ahead += not self.clock.merge(rec.hlc, turn.now.wall_ms)
            return True
        standing = self._streams.find(rec.origin, rec.seq)
        if standing is not None and standing != rec:
            self.conflicts += 1
            turn.note("replica-conflict", f"({rec.origin}, {rec.seq}) names two contents: {standing!r} and {rec!r}")
        return False

    def _merge(self, rec: Rec) -> bool:
        """Join one row; returns False if it loses."""
        old = self.get(rec.kind, rec.pk)
        if old is not None and stamp(old) >= stamp(rec):
            return False
        if not self._place(rec, old):
            return False
        self._pending.rows[rec.kind, rec.pk] = rec
        self._changes.append(Change(old, rec))
        return True

    def _place(self, rec: Rec, old: Rec | None) -> bool:
        """Put a winning row on its shelf; returns False if its job is deleted."""
        job = shelf_of(rec.kind, rec.pk)
        deletes = is_tombstone(rec)
        if job in self._tombstones and not deletes:
            return False
        if old is not None:
            self._unindex(old)
        self._shelves.setdefault(job, {})[rec.kind, rec.pk] = rec
        self._streams.add(rec)
        self._count += 1
        self.digest ^= row_hash(rec)
        if deletes:
            self._tombstones[job] = rec
            self._empty_shelf(job, rec)
        return True

    def _empty_shelf(self, job: bytes, tombstone: Rec) -> None:
        for key, rec in list(self._shelves[job].items()):
            if rec is tombstone:
                continue
            self._unindex(rec)
            del self._shelves[job][key]
            self._pending.rows.pop(key, None)
            self._pending.dropped[key] = None
            self._changes.append(Change(rec, None))

    def _unindex(self, rec: Rec) -> None:
        self._streams.retire(rec)
        self._count -= 1
        self.digest ^= row_hash(rec)

    def _advance(self, origin: int, seq: int) -> None:
        if self.vector.advance(origin, seq):
            self._pending.vector[origin] = seq

    def _rotate(self, turn: Turn, why: str) -> None:
        turn.note("origin-rotated", f"stream {self.origin} is left at {self.seq}: {why}")
        self.rotations += 1
        self._take_new_origin()

    def _take_new_origin(self) -> None:
        origin = self._rng.getrandbits(63)
        while origin in self.vector or origin in self._own_origins:
            origin = self._rng.getrandbits(63)
        self.origin, self.origin_confirmed = origin, True
        self._own_origins[origin] = None
        self._pending.new_origin = True

    # -- what the node picks up --------------------------------------------------------------------------------------

    def take_save(self) -> Save | None:
        """Return what must be committed before anything is said of it, and forget it; None if there is nothing."""
        pending, self._pending = self._pending, _Pending()
        return pending.save(self.origin)

    def take_changes(self) -> list[Change]:
        """Return what happened to rows since the last call, own writes included, in order."""
        changes, self._changes = self._changes, []
        return changes

    def own_unpushed(self) -> list[Rec]:
        """Return the rows written here since `take_own_spans` was called last."""
        return [rec for span in self._own_spans for rec in span.rows.values()]

    def take_own_spans(self) -> list[Span]:
        """Return what was written here since the last call, complete, for pushing."""
        spans, self._own_spans = self._own_spans, []
        return [Span(span.origin, span.after, span.upto, tuple(span.rows.values())) for span in spans]

    # -- proof -----------------------------------------------------------------------------------------------------

    def digest_from_scratch(self) -> int:
        """Compute the digest over all rows."""
        digest = 0
        for rec in self.rows():
            digest ^= row_hash(rec)
        return digest

    def check(self) -> None:
        """Compare everything kept incrementally with the same from scratch.

        Raises:
            InvariantBroken: They differ, a row lies above the vector, or a row of a deleted job is here.
        """
        rows = self.rows()
        if self.digest != self.digest_from_scratch() or self._count != len(rows):
            raise InvariantBroken("digest or count of the replica is wrong")
        if sorted(self.delta({}), key=STREAM_ORDER) != sorted(rows, key=STREAM_ORDER):
            raise InvariantBroken("the streams do not list exactly the standing rows")
        for rec in rows:
            if rec.seq > self.vector.known(rec.origin):
                raise InvariantBroken(f"row above the vector: {rec!r}")
            if shelf_of(rec.kind, rec.pk) in self._tombstones and not is_tombstone(rec):
                raise InvariantBroken(f"row of a deleted job: {rec!r}")
