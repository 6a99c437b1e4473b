"""How the C library keeps memory that was freed.

glibc gives each block of a mebibyte back to the kernel when it is freed and asks for it anew, so every page of every
piece of a file is cleared and mapped again: a tenth of a transfer's processor time. Told to keep some, it reuses them.
`mallopt(3)`; on another C library nothing happens.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 8 << 20
"""Blocks from this size on are mapped and given back one by one: larger than any message."""
KEPT_BYTES = 32 << 20
"""What is free at the end of the heap is given back from this size on."""


def keep_freed_memory() -> bool:
    """Have the C library of this process keep what a transfer uses again at once; False if it knows no such wish."""
    try:
        library = ctypes.CDLL(None)
        return bool(library.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES) and library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
    except (AttributeError, OSError):
        return False
