"""Packs: one question for many small blobs, answered in one message.

A question and an answer for each of 2,000 files cost more than their bytes do. The answer names what it brings, in the
order of the question, and what its sender lacks is left out. Each blob can leave a pack while it is on its way (it was
cancelled, or is asked elsewhere); its room is given back when none is left or the answer came.

Each pack costs the loops of both nodes some tenths of a millisecond whatever its size, so on a fast network packs are
large, and on a slow one small, for a question that is not answered in time is given up: the first are of `PACK_BYTES`, and
while those that are at least half full come quickly, the next are twice as large, as far as their sender goes along.

Called by `farmd.core.windows`, `farmd.core.serving` and `farmd.core.swarm`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.incoming import SMALL_BYTES
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Collection

    from protocol.ids import BlobAddress
    from protocol.messages import PackIs

PACK_BYTES = 1 << 20
"""Of the first packs that a source is asked for, and of those from a slow one; every version answers these."""
MOST_PACK_BYTES = (4 << 20) - (64 << 10)
"""Most bytes of one pack: it has to go into a message of 4 MiB together with what encrypts it."""
PACK_BLOBS = 512
"""Most blobs of one pack."""


@dataclass(slots=True, eq=False)
class Pack:
    """Small blobs that were asked for together.

    Attributes:
        asked: All of them.
        size: Bytes.
        most: How large it might have been.
        asked_at: When, on the local clock.
        left: Those that are still waited for.
    """

    asked: dict[BlobAddress, None]
    size: int
    most: int
    asked_at: float
    left: dict[BlobAddress, None] = field(init=False)

    def __post_init__(self) -> None:
        self.left = dict(self.asked)


def check_pack(blobs: tuple[BlobAddress, ...]) -> None:
    """Refuse a list that is no pack: too many, too large, or one twice.

    Raises:
        PeerError: It is none.
    """
    sizes = [blob.size for blob in blobs]
    if len(blobs) > PACK_BLOBS or sum(sizes) > MOST_PACK_BYTES:
        raise PeerError(f"{len(blobs)} blobs are too much for a pack")
    if max(sizes, default=0) > SMALL_BYTES or len(set(blobs)) < len(blobs):
        raise PeerError("a pack with a blob that is too large, or twice in it")


def pick_out(answer: PackIs, wanted: Collection[BlobAddress]) -> tuple[tuple[BlobAddress, ...], bytes]:
    """Split an answer; return the blobs that are still wanted, and their bytes.

    Raises:
        PeerError: The bytes are more or fewer than the addresses say, or a blob is in it twice.
    """
    check_pack(answer.blobs)
    if sum([blob.size for blob in answer.blobs]) != len(answer.data):
        raise PeerError(f"a pack of {len(answer.data)} bytes, which is not what its addresses say")
    kept = tuple([blob for blob in answer.blobs if blob in wanted])
    if len(kept) == len(answer.blobs):
        return kept, answer.data
    parts, at = [], 0
    for blob in answer.blobs:
        if blob in wanted:
            parts.append(answer.data[at : at + blob.size])
        at += blob.size
    return kept, b"".join(parts)
