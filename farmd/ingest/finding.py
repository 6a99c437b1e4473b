"""Find many files in the table of the hash cache with few questions.

A question costs 4 µs, most of it around the search; a row of a longer answer costs less than 1 µs. So the inodes that are
asked about are sorted, and rows are read from the first on: files that were made together have inodes close together,
and what lies there was mostly hashed together too. Where that is not so, rows are read for nothing, in a cache that may
know a million files; as soon as fewer than one in `FEW` were of use, the rest is asked for by number.

Invariant: of n files on one device, at most `FEW` * n + `READ_ROWS` rows are read.
"""

from __future__ import annotations

import sqlite3
import struct
from bisect import bisect_right
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from farmd.ingest.hashing import FileDigest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Marks = tuple[int, int, int, int, int, int]
    """Device, inode, mode, size, mtime_ns, ctime_ns."""
    Find = Callable[[Sequence[Marks]], list[FileDigest | None]]
    """Answers about each file, in their order."""

T = TypeVar("T")
marks_of: Callable[[os.stat_result], Marks] = attrgetter(
    "st_dev", "st_ino", "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns"
)
"""What is needed of a status, which takes four times as much memory; too much for the processor's own cache."""
BATCH_FILES = 4_000
"""So many at once are worth asking about."""
READ_ROWS = 500
"""Of one answer; old builds of SQLite take 999 values in one question."""
FEW = 4
FIRST_NS = -(1 << 63)
"""What was changed before does not fit a record (an archive with nonsense in it; the end of time makes a file racy)."""
_SIGN, _ALL = 1 << 63, 1 << 64
_RECORD = struct.Struct(">qQ16sqqq")
"""When hashed, xxHash64, MD5, and the marks: size, mtime_ns, ctime_ns. One value is read in half the time of six."""
_COLUMNS = "SELECT inode, record FROM known WHERE device = ?"
_FROM = f"{_COLUMNS} AND inode BETWEEN ? AND ? ORDER BY inode LIMIT {READ_ROWS}"


class Finding:
    """Many questions in one transaction."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self._is_locked = False

    def __call__(self, files: Sequence[Marks]) -> list[FileDigest | None]:
        """Answer about each of these files, in their order."""
        if self._is_locked:
            return find_nothing(files)
        try:
            rows = {device: self._rows_on(device, files) for device in {marks[0] for marks in files}}
        except sqlite3.Error:  # somebody locks it: do without, and do not wait for it again with each question
            self._is_locked = True
            return find_nothing(files)
        return _matched(rows, files)

    def _rows_on(self, device: int, files: Sequence[Marks]) -> dict[int, bytes]:
        inodes = [marks[1] for marks in files if marks[0] == device]
        if max(inodes) >= _SIGN:
            inodes = [signed(inode) for inode in inodes]
        return rows_of(self._cursor, signed(device), sorted(inodes))


def rows_of(cursor: sqlite3.Cursor, device: int, inodes: Sequence[int]) -> dict[int, bytes]:
    """Return, by inode, the rows of these files and perhaps some others.

    Args:
        cursor: Of the cache.
        device: Signed, as the inodes.
        inodes: Sorted.

    Raises:
        sqlite3.Error: The cache is locked or broken.
    """
    rows: dict[int, bytes] = {}
    at = 0
    while at < len(inodes):
        read: list[tuple[int, bytes]] = cursor.execute(_FROM, (device, inodes[at], inodes[-1])).fetchall()
        rows.update(read)
        if len(read) < READ_ROWS:
            return rows
        begun, at = at, bisect_right(inodes, read[-1][0])
        if (at - begun) * FEW < len(read):
            break
    for batch in batches(inodes[at:], READ_ROWS):
        question = f"{_COLUMNS} AND inode IN ({','.join('?' * len(batch))})"
        rows.update(cursor.execute(question, (device, *batch)).fetchall())
    return rows


def _matched(rows: dict[int, dict[int, bytes]], files: Sequence[Marks]) -> list[FileDigest | None]:
    """Make digests of the rows of those files that still have the marks in them; a row that is no record is unknown.

    It is done for each of very many files: written out, and past the constructor, which takes as long as all the rest.
    """
    found: list[FileDigest | None] = []
    made, unpacked, add = tuple.__new__, _RECORD.unpack, found.append
    for device, inode, mode, size, mtime_ns, ctime_ns in files:
        record = rows[device].get(inode if inode < _SIGN else inode - _ALL)
        if record is None:
            add(None)
            continue
        try:
            hashed_at_ns, xxh64, md5, size_then, mtime_then, ctime_then = unpacked(record)
        except (struct.error, TypeError):  # somebody else's row
            add(None)
            continue
        if size != size_then or mtime_ns != mtime_then or ctime_ns != ctime_then:
            add(None)
            continue
        add(made(FileDigest, (xxh64, md5, size, mtime_ns, ctime_ns, device, inode, mode & 0o777, hashed_at_ns)))
    return found


def record_of(digest: FileDigest) -> bytes:
    """Pack what is kept of a file that was last changed after `FIRST_NS`; records sort by when they were hashed."""
    return _RECORD.pack(digest.hashed_at_ns, digest.xxh64, digest.md5, digest.size, digest.mtime_ns, digest.ctime_ns)


def hashed_before(at_ns: int) -> bytes:
    """Return what sorts after the records of files that were hashed before this, and before all others.

    A clock that has lost the time may say less than zero; records hold no such times.
    """
    return max(0, at_ns).to_bytes(8, "big")


def find_nothing(files: Sequence[Marks]) -> list[FileDigest | None]:
    """Answer for a cache that is not there."""
    return [None] * len(files)


def signed(number: int) -> int:
    """Fold an unsigned 64-bit number into SQLite's range (some file systems use all 64 bits of an inode)."""
    return number - _ALL if number >= _SIGN else number


def batches(items: Iterable[T], count: int = BATCH_FILES) -> Iterator[list[T]]:
    """Cut into lists of so many, and a rest."""
    rest = iter(items)
    while batch := list(islice(rest, count)):
        yield batch
