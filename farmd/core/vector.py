"""What a replica has seen: the version vector, and the change streams that it speaks of.

The vector maps each origin to the largest sequence number such that *every* write up to it has been taken in. The
state of a replica is a function of its vector alone (see `farmd.core.replica`), so two nodes compare hashes of their
vectors instead of their rows. The streams hold, per origin and in ascending order, the rows that still stand, so
that everything above another node's vector is found by bisection. Used by the replica only; knows no messages.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.records import Rec

_MASK_63 = (1 << 63) - 1
_COMPACT_ABOVE = 32
"""Streams with fewer gaps than this are left alone."""


def _entry_hash(origin: int, seq: int) -> int:
    return xxhash.xxh64_intdigest(origin.to_bytes(8, "big") + seq.to_bytes(8, "big")) & _MASK_63


class VersionVector(Mapping[int, int]):
    """Origin to largest sequence number, with a hash that does not depend on the order of entries."""

    __slots__ = ("_seqs", "hash63")

    def __init__(self) -> None:
        self._seqs: dict[int, int] = {}
        self.hash63 = 0

    def __getitem__(self, origin: int) -> int:
        return self._seqs[origin]

    def __iter__(self) -> Iterator[int]:
        return iter(self._seqs)

    def __len__(self) -> int:
        return len(self._seqs)

    def known(self, origin: int) -> int:
        """Return how far that stream is known; 0 = not at all."""
        return self._seqs.get(origin, 0)

    def advance(self, origin: int, seq: int) -> bool:
        """Raise an entry; returns False if it already was as high."""
        old = self._seqs.get(origin, 0)
        if seq <= old:
            return False
        self.hash63 ^= _entry_hash(origin, seq) ^ (_entry_hash(origin, old) if old else 0)
        self._seqs[origin] = seq
        return True

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Return all entries, as messages carry them."""
        return tuple(self._seqs.items())

    def beyond(self, other: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
        """Return the entries that are higher here than in `other`."""
        return tuple([(origin, seq) for origin, seq in self._seqs.items() if seq > other.get(origin, 0)])

    def lags(self, other: Mapping[int, int]) -> bool:
        """Tell whether `other` has an entry that is higher than ours."""
        mine = self._seqs
        return any(seq > mine.get(origin, 0) for origin, seq in other.items())


@dataclass(slots=True)
class _Stream:
    """Standing rows of one origin, ascending; None where a row was superseded or dropped."""

    seqs: list[int] = field(default_factory=list)
    recs: list[Rec | None] = field(default_factory=list)
    gaps: int = 0


class StreamIndex:
    """The standing rows by (origin, seq)."""

    __slots__ = ("_streams",)

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    def add(self, rec: Rec) -> None:
        """Enter a row; its number is above all numbers of its stream that were entered before."""
        stream = self._streams.get(rec.origin)
        if stream is None:
            stream = self._streams[rec.origin] = _Stream()
        stream.seqs.append(rec.seq)
        stream.recs.append(rec)

    def retire(self, rec: Rec) -> None:
        """Take out a row that no longer stands; a stream that is half gaps is rewritten."""
        stream = self._streams[rec.origin]
        stream.recs[bisect_left(stream.seqs, rec.seq)] = None
        stream.gaps += 1
        if stream.gaps > _COMPACT_ABOVE and stream.gaps * 2 > len(stream.seqs):
            standing = [kept for kept in stream.recs if kept is not None]
            self._streams[rec.origin] = _Stream([kept.seq for kept in standing], list(standing))

    def find(self, origin: int, seq: int) -> Rec | None:
        """Return the standing row with that number, if there is one."""
        stream = self._streams.get(origin)
        if stream is None:
            return None
        at = bisect_left(stream.seqs, seq)
        return stream.recs[at] if at < len(stream.seqs) and stream.seqs[at] == seq else None

    def above(self, origin: int, seq: int) -> list[Rec]:
        """Return the standing rows of a stream with larger numbers, ascending."""
        stream = self._streams.get(origin)
        if stream is None:
            return []
        return [rec for rec in stream.recs[bisect_right(stream.seqs, seq) :] if rec is not None]
