"""What Python's garbage collector looks through while a daemon runs.

It looks through all that is in memory whenever a quarter of it is new, and whoever hears of thousands of files makes that
much: each time the loop stood still for 30 ms, nearly all of them for modules, which stay to the end.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000
"""So many make a look through the new ones due: one job's files are thousands, and none of them is garbage yet."""


def keep_what_is_loaded() -> None:
    """Pass over what is in memory now, and look less often; once in a process, when its daemon has begun."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
