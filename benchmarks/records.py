"""Reads a node's store from outside, while its daemon runs: what was really made durable, and how large it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from farmd.core.attempts import Attempt, read_attempt
from protocol.ids import JobId, pack_job
from protocol.records import Kind, Rec

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = "SELECT kind, pk, ver, hlc, origin, seq, rank, body FROM rec WHERE kind = ? AND pk BETWEEN ? AND ?"
_TERM_AT, _TERM_BYTES = 15, 4
"""Where the term stands in the key of an ATTEMPT row, counted from 1 as SQL does."""


def _open(data_dir: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{(data_dir / 'rec.db').as_uri()}?mode=ro", uri=True, timeout=5)


def attempts_of(data_dir: Path, job: str) -> list[Attempt]:
    """Read all attempts of a job."""
    packed = pack_job(JobId(job))
    with closing(_open(data_dir)) as store:
        rows = store.execute(_ROWS, (int(Kind.ATTEMPT), packed, packed + b"\xff" * 20)).fetchall()
    return [read_attempt(Rec(*row)) for row in rows]


def newest_term(data_dir: Path) -> int:
    """Return the highest term in which an attempt was granted that is durable here."""
    with closing(_open(data_dir)) as store:
        (term,) = store.execute(
            "SELECT max(substr(pk, ?, ?)) FROM rec WHERE kind = ?", (_TERM_AT, _TERM_BYTES, int(Kind.ATTEMPT))
        ).fetchone()
    return int.from_bytes(term or b"", "big")


def stored_bytes(data_dir: Path) -> int:
    """Return the size of the store's pages in use, the write-ahead log's content included."""
    with closing(_open(data_dir)) as store:
        pages, free, size = [
            store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        ]
    return int((pages - free) * size)


def disk_bytes(folder: Path) -> int:
    """Return the blocks that all files below a folder take."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
