"""Rows on their way from replica to replica."""

from __future__ import annotations

from typing import NamedTuple

from protocol.records import Rec


class Span(NamedTuple):
    """Rows of one stream that cover the interval (after, upto] of its sequence numbers, superseded ones left out."""

    origin: int
    after: int
    upto: int
    rows: tuple[Rec, ...]


class Push(NamedTuple):
    """New spans; applied only where contiguous."""

    spans: tuple[Span, ...]


class PushAck(NamedTuple):
    """What the receiver of a push now has of those streams, durably: pairs (origin, seq)."""

    known: tuple[tuple[int, int], ...]


class PullAsk(NamedTuple):
    """Compare: hash of the asker's version vector and digest of its rows."""

    vector_hash: int
    digest: int


class PullSame(NamedTuple):
    """Vectors are equal; `digest` lets the asker raise an alarm if the rows are not.

    `vector_hash` is that of the question, so that a late answer is not taken for one to a later question.
    """

    digest: int
    vector_hash: int = 0


class VectorIs(NamedTuple):
    """The whole version vector: pairs (origin, seq)."""

    vector: tuple[tuple[int, int], ...]


class DeltaAsk(NamedTuple):
    """Ask for everything above this vector; `ask` names the request."""

    ask: int
    vector: tuple[tuple[int, int], ...]


class DeltaPart(NamedTuple):
    """Part `part` of `parts` of a delta; applied together with `vector` in one transaction once all are here."""

    ask: int
    part: int
    parts: int
    rows: tuple[Rec, ...]
    vector: tuple[tuple[int, int], ...]


class OriginAsk(NamedTuple):
    """How much do you know of my stream? Asked at start, to notice a lost tail."""

    origin: int


class OriginIs(NamedTuple):
    """Largest sequence number known of that stream."""

    origin: int
    seq: int
