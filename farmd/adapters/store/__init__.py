"""The record store; `farmd.adapters.store.sqlite` tells what it promises."""

from farmd.adapters.store.eventlog import EventFilter
from farmd.adapters.store.file import Loaded, StoreFailed, StoreFull
from farmd.adapters.store.reading import read_rows
from farmd.adapters.store.removal import count_rows, out_of_use, remove, was_corrupt
from farmd.adapters.store.soundness import Verdict, check
from farmd.adapters.store.sqlite import SqliteStore

__all__ = [
    "EventFilter",
    "Loaded",
    "SqliteStore",
    "StoreFailed",
    "StoreFull",
    "Verdict",
    "check",
    "count_rows",
    "out_of_use",
    "read_rows",
    "remove",
    "was_corrupt",
]
