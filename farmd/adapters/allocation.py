"""How the C library keeps memory that was freed, and what the garbage collector looks through.

glibc gives each block of a mebibyte back to the kernel when it is freed and asks for it anew, so every page of every
piece of a file is cleared and mapped again: a tenth of a transfer's processor time. Told to keep some, it reuses them.
`mallopt(3)`; on another C library nothing happens.

Python looks for garbage through all that is in memory whenever a quarter of it is new, and whatever hears of thousands of
files makes that much: each time the loop stood still for 30 ms, nearly all of them for modules, which stay to the end.
"""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 8 << 20
"""Blocks from this size on are mapped and given back one by one: larger than any message."""
KEPT_BYTES = 32 << 20
"""What is free at the end of the heap is given back from this size on."""
NEW_OBJECTS = 10_000
"""So many make a look through the new ones due: one job's files are thousands, and none of them is garbage yet."""


def keep_freed_memory() -> bool:
    """Have the C library of this process keep what a transfer uses again at once; False if it knows no such wish."""
    try:
        library = ctypes.CDLL(None)
        return bool(library.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES) and library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
    except (AttributeError, OSError):
        return False


def keep_what_is_loaded() -> None:
    """Have the garbage collector pass over what is in memory now, and look less often; once, when the daemon has begun."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
