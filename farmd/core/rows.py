"""Rows as the replica sees them: which are admissible, which belong to a job, which one deletes it.

Decided from kind, key and rank alone; bodies stay opaque. Used by `farmd.core.replica` only.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from protocol.errors import PeerError
from protocol.records import JOB_PREFIXED, JobField, Kind, Rank, Rec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.vector import VersionVector

MAX_BODY_BYTES = 2 << 20
MAX_PK_BYTES = 255
STREAM_ORDER = attrgetter("origin", "seq")
NO_JOB = b""
_LIMIT_63 = 1 << 63
_LIMIT_16 = 1 << 16
_JOB_BYTES = 10
_HOLDING_BYTES = 19


def shelf_of(kind: int, pk: bytes) -> bytes:
    """Return the packed job that a row is dropped with, or `NO_JOB`."""
    if kind in JOB_PREFIXED:
        return pk[:_JOB_BYTES]
    if kind == Kind.HOLDING and len(pk) == _HOLDING_BYTES:
        return pk[-_JOB_BYTES:]
    return NO_JOB


def is_tombstone(rec: Rec) -> bool:
    """Tell whether a row deletes its job: the DELETED register in its absorbing state."""
    return (
        rec.kind == Kind.JOB_CONTROL
        and rec.rank >= Rank.FINAL
        and len(rec.pk) == _JOB_BYTES + 1
        and rec.pk[_JOB_BYTES] == JobField.DELETED
    )


def check_rows(ordered: list[Rec], advance: Mapping[int, int], vector: VersionVector) -> None:
    """Refuse what no honest node sends, before anything is touched.

    Args:
        ordered: Rows in `STREAM_ORDER`.
        advance: Vector entries that came with them.
        vector: Of this replica.

    Raises:
        PeerError: A number is out of range, or a row lies above the vector it came with.
    """
    for origin, seq in advance.items():
        if not (0 <= origin < _LIMIT_63 and 0 <= seq < _LIMIT_63):
            raise PeerError(f"no vector entry: ({origin}, {seq})")
    before: Rec | None = None
    for rec in ordered:
        if not _is_sane(rec):
            raise PeerError(
                f"no row: kind {rec.kind}, {len(rec.pk)} + {len(rec.body)} bytes, ({rec.origin}, {rec.seq})"
            )
        if rec.seq > max(advance.get(rec.origin, 0), vector.known(rec.origin)):
            raise PeerError(f"row ({rec.origin}, {rec.seq}) lies above the vector that it came with")
        if before is not None and STREAM_ORDER(before) == STREAM_ORDER(rec) and before != rec:
            raise PeerError(f"({rec.origin}, {rec.seq}) names two rows of one message")
        before = rec


def _is_sane(rec: Rec) -> bool:
    return (
        0 < rec.seq < _LIMIT_63
        and 0 <= rec.origin < _LIMIT_63
        and 0 < rec.ver < _LIMIT_63 - 1
        and 0 <= rec.hlc < _LIMIT_63
        and 0 <= rec.rank < _LIMIT_16
        and 0 <= rec.kind < _LIMIT_16
        and len(rec.pk) <= MAX_PK_BYTES
        and len(rec.body) <= MAX_BODY_BYTES
    )
