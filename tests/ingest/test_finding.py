"""Many files are found with few questions, whatever inodes they have, and few rows are read that nobody asked about."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.ingest.finding import BATCH_FILES, FEW, READ_ROWS, Finding, batches, marks_of, rows_of
from farmd.ingest.hash_cache import HashCache
from farmd.ingest.hashing import FileDigest

if TYPE_CHECKING:
    from collections.abc import Iterable

DEVICE = 66306
NOW_NS = time.time_ns()
OLD_NS = NOW_NS - 60 * 10**9
INODES = st.integers(0, 40) | st.integers(2**63 - 3, 2**63 + 3) | st.integers(2**64 - 3, 2**64 - 1)
FILES = st.tuples(st.sampled_from([1, DEVICE, 2**64 - 1]), INODES)


def digest(inode: int, device: int = DEVICE) -> FileDigest:
    return FileDigest(2**64 - 1 - inode, b"%016x" % inode, 50_000, OLD_NS, OLD_NS + 1, device, inode, 0o640, NOW_NS)


def status(inode: int, device: int = DEVICE, **marks: int) -> os.stat_result:
    size = marks.pop("st_size", 50_000)
    times = {"st_mtime_ns": OLD_NS, "st_ctime_ns": OLD_NS + 1} | marks
    return os.stat_result((0o100640, inode, device, 1, 0, 0, size, 0, 0, 0), times)


class Counting(sqlite3.Cursor):
    """Counts questions and the rows of their answers."""

    questions = rows = 0

    def execute(self, *asked: Any) -> Counting:
        self.questions += 1
        super().execute(*asked)
        return self

    def fetchall(self) -> list[Any]:
        answer = super().fetchall()
        self.rows += len(answer)
        return answer


def asked(folder: Path, known: Iterable[int], inodes: list[int]) -> tuple[set[int], Counting]:
    """Ask a new cache that knows these about those; which are found, and what it cost."""
    with HashCache(folder / "cache") as cache:
        cache.remember(map(digest, known))
    with closing(sqlite3.connect(folder / "cache")) as connection:
        cursor = connection.cursor(Counting)
        found = rows_of(cursor, DEVICE, inodes)
    return found.keys() & set(inodes), cursor


def test_files_made_together_are_found_with_few_questions(tmp_path: Path) -> None:
    inodes = list(range(1000, 5000, 2))
    found, cursor = asked(tmp_path, range(1000, 5000, 2), inodes)
    assert found == set(inodes)
    assert cursor.questions <= len(inodes) // READ_ROWS + 1


def test_files_scattered_in_a_large_cache_are_found_without_reading_it(tmp_path: Path) -> None:
    inodes = list(range(0, 100_000, 50))
    found, cursor = asked(tmp_path, range(100_000), inodes)
    assert found == set(inodes)
    assert cursor.rows <= len(inodes) + READ_ROWS
    assert cursor.questions <= len(inodes) // READ_ROWS + 2


def test_rows_read_stay_bounded_where_files_lie_close_at_first(tmp_path: Path) -> None:
    inodes = [*range(1000), *range(1000, 40_000, FEW), *range(40_000, 100_000, 1000)]
    found, cursor = asked(tmp_path, range(100_000), inodes)
    assert found == set(inodes)
    assert cursor.rows <= FEW * len(inodes) + READ_ROWS


def test_files_of_which_none_is_known_cost_few_questions(tmp_path: Path) -> None:
    found, cursor = asked(tmp_path, range(5000), list(range(10_000, 20_000)))
    assert found == set()
    assert (cursor.questions, cursor.rows) == (1, 0)


@given(known=st.sets(FILES), wanted=st.lists(FILES, max_size=60))
def test_answers_are_those_of_a_dictionary(known: set[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    with HashCache(Path(":memory:")) as cache:
        cache.remember(digest(inode, device) for device, inode in known)
        with cache.finding() as find:
            answers = find([marks_of(status(inode, device)) for device, inode in wanted])
    assert answers == [digest(inode, device) if (device, inode) in known else None for device, inode in wanted]


@pytest.mark.parametrize("mark", ["st_size", "st_mtime_ns", "st_ctime_ns"])
def test_file_with_one_other_mark_is_not_taken_for_the_one_that_is_known(mark: str) -> None:
    with HashCache(Path(":memory:")) as cache:
        cache.remember(map(digest, range(10)))
        with cache.finding() as find:
            answers = find([marks_of(status(4)), marks_of(status(5, **{mark: OLD_NS - 1})), marks_of(status(6))])
    assert answers == [digest(4), None, digest(6)]


@pytest.mark.parametrize("record", [b"", b"x" * 55, b"x" * 57, "x" * 56, 7])
def test_row_that_is_no_record_is_done_without(tmp_path: Path, record: bytes | str | int) -> None:
    with HashCache(tmp_path / "cache") as cache:
        cache.remember(map(digest, range(4)))
    with closing(sqlite3.connect(tmp_path / "cache")) as other, other:
        other.execute("UPDATE known SET record = ? WHERE inode = 2", (record,))
    with HashCache(tmp_path / "cache") as cache:
        with cache.finding() as find:
            assert find([marks_of(status(1)), marks_of(status(2)), marks_of(status(3))]) == [digest(1), None, digest(3)]
        cache.remember([digest(2)])
        assert cache.find(status(2)) == digest(2), "it is written over"


def test_mode_is_that_of_today() -> None:
    """A change of mode changes ctime, but not every file system says so."""
    with HashCache(Path(":memory:")) as cache:
        cache.remember([digest(4)._replace(mode=0o600)])
        assert cache.find(status(4)) == digest(4)


def test_lock_is_waited_for_once(tmp_path: Path) -> None:
    with HashCache(tmp_path / "cache") as cache:
        cache.remember(map(digest, range(10)))
    with (
        closing(sqlite3.connect(tmp_path / "cache", isolation_level=None)) as holder,
        closing(sqlite3.connect(tmp_path / "cache", timeout=0.01)) as connection,
    ):
        find = Finding(cursor := connection.cursor(Counting))
        holder.execute("BEGIN EXCLUSIVE")
        assert find([marks_of(status(4))]) == [None]
        assert find([marks_of(status(5)), marks_of(status(6))]) == [None, None]
    assert cursor.questions == 1


def test_more_files_than_a_batch_are_cut_and_none_is_lost() -> None:
    cut = list(batches(range(2 * BATCH_FILES + 1)))
    assert [len(batch) for batch in cut] == [BATCH_FILES, BATCH_FILES, 1]
    assert [number for batch in cut for number in batch] == list(range(2 * BATCH_FILES + 1))
