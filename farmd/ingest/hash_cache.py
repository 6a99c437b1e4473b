"""Remember the hashes of files, so that unchanged ones are never read again.

A file is known by device, inode, size, mtime_ns and ctime_ns; ctime cannot be set by a program, so neither `touch -d`
nor a copy over the file deceives it. One hole remains, the one that git calls racy: a file that is written, hashed and
written again within one tick of the file system's clock has the same marks twice. Digests of files touched less than two
seconds before they were hashed are therefore not remembered.

It is a cache: if its file is broken it is deleted, if it is locked or its folder cannot be written it is done without.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from farmd.ingest.finding import FIRST_NS, Finding, batches, find_nothing, hashed_before, marks_of, record_of, signed
from farmd.ingest.hashing import hash_files, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmd.ingest.finding import Find
    from farmd.ingest.hashing import FileDigest, P, Progress

KEPT_DAYS = 90
_BUSY_S = 1.0
_CLEAN = "DROP TABLE IF EXISTS digest"
"""Of an earlier farmctl: six columns instead of a record."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS known (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (device, inode)
) WITHOUT ROWID
"""
_REMEMBER = "INSERT OR REPLACE INTO known VALUES (?, ?, ?)"
_FORGET = "DELETE FROM known WHERE record < ?"


def default_cache_path() -> Path:
    """Return where the cache of this user lies (XDG base directories)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".cache"
    return base / "farmd" / "hashes.sqlite"


class HashCache:
    """A cache in one file; close it, or use it as a context manager. For one thread."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def find(self, status: os.stat_result) -> FileDigest | None:
        """Return the digest of the file with exactly these marks, if it is known."""
        with self.finding() as find:
            return find([marks_of(status)])[0]

    @contextmanager
    def finding(self) -> Iterator[Find]:
        """Ask about many files, as `find`, with the file locked once and few questions."""
        if self._connection is None:
            yield find_nothing
            return
        cursor = self._connection.execute("BEGIN")
        try:
            yield Finding(cursor)
        finally:
            self._connection.rollback()

    def remember(self, digests: Iterable[FileDigest]) -> None:
        """Keep these for next time, racy ones left out."""
        if self._connection is None:
            return
        lines = [
            (signed(digest.device), signed(digest.inode), record_of(digest))
            for digest in digests
            if not digest.is_racy and digest.mtime_ns >= FIRST_NS
        ]
        if not lines:
            return
        with suppress(sqlite3.Error), self._connection:
            self._connection.executemany(_REMEMBER, lines)
            self._connection.execute(_FORGET, (hashed_before(time.time_ns() - KEPT_DAYS * 86_400 * 10**9),))

    def digests(
        self, paths: Iterable[P], *, threads: int | None = None, progress: Progress | None = None
    ) -> dict[P, FileDigest]:
        """Return the digest of every file; only those that are not known are read.

        Args:
            paths: Files.
            threads: As in `hash_files`.
            progress: As in `hash_files`; a file that is known counts with its whole size.

        Raises:
            UserError: As `hash_file`.
        """
        found: dict[P, FileDigest | None] = {}
        with self.finding() as find:
            for batch in batches(paths):
                found.update(zip(batch, find([marks_of(_status(path)) for path in batch]), strict=True))
        if progress is not None:
            for digest in found.values():
                if digest is not None:
                    progress(digest.size)
        unknown = [path for path, digest in found.items() if digest is None]
        read = hash_files(unknown, threads=threads, progress=progress)
        self.remember(read.values())
        return {path: digest or read[path] for path, digest in found.items()}


def _status(path: str | os.PathLike[str]) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116  # Path.stat costs half as much again
    except OSError as error:
        raise unreadable(path, error) from error


def _open(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _connect(path)
        except sqlite3.OperationalError:
            return None
        except sqlite3.DatabaseError:
            with suppress(OSError):
                path.unlink()
        except OSError:
            return None
    return None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # losing the cache costs time only
        connection.execute(_CLEAN)
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
