"""Packs: one question for many small blobs, answered in one message.

A question and an answer for each of 2,000 files cost more than their bytes do. The answer names what it brings, in the
order of the question, and what its sender lacks is left out. Each blob can leave a pack while it is on its way (it was
cancelled, or is asked elsewhere); its room is given back when none is left or the answer came.

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
PACK_BLOBS = 512
"""Most bytes and blobs of one pack."""


@dataclass(slots=True, eq=False)
class Pack:
    """Small blobs that were asked for together.

    Attributes:
        asked: All of them.
        left: Those that are still waited for.
        size: Bytes.
    """

    asked: dict[BlobAddress, None]
    size: int
    left: dict[BlobAddress, None] = field(init=False)

    def __post_init__(self) -> None:
        self.left = dict(self.asked)


def check_pack(blobs: tuple[BlobAddress, ...]) -> None:
    """Refuse a list that is no pack: too many, too large, or one twice.

    Raises:
        PeerError: It is none.
    """
    sizes = [blob.size for blob in blobs]
    if len(blobs) > PACK_BLOBS or sum(sizes) > PACK_BYTES:
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
