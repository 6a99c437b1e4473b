"""Two contents of one size and one xxHash64: the address needs its MD5, and here is why.

XXH64 takes in 32 bytes at a time, in four lanes of eight: `lane = rotl(lane + word * P2, 31) * P1` (xxHash
specification, section "XXH64 algorithm description", step 2). That can be turned round: whatever a changed word does to
its lane, one word in the next stripe undoes.
"""

from __future__ import annotations

import struct
from typing import Final

_P1: Final = 0x9E3779B185EBCA87
_P2: Final = 0xC2B2AE3D27D4EB4F
_MASK: Final = (1 << 64) - 1
_P2_INVERSE: Final = pow(_P2, -1, 1 << 64)


def _lane_after(lane: int, word: int) -> int:
    taken = (lane + word * _P2) & _MASK
    return (((taken << 31) | (taken >> 33)) * _P1) & _MASK


def colliding_with(content: bytes) -> bytes:
    """Return another content of the same size and the same xxHash64 (seed 0); `content` has 64 bytes or more."""
    assert len(content) >= 64
    first, second = struct.unpack_from("<Q", content, 0)[0], struct.unpack_from("<Q", content, 32)[0]
    start = (_P1 + _P2) & _MASK
    other = first ^ 1
    gone, came = _lane_after(start, first), _lane_after(start, other)
    undone = (second + (gone - came) * _P2_INVERSE) & _MASK
    changed = bytearray(content)
    struct.pack_into("<Q", changed, 0, other)
    struct.pack_into("<Q", changed, 32, undone)
    return bytes(changed)
