from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from farmd.ingest import hash_cache
from farmd.ingest.hash_cache import HashCache, default_cache_path
from farmd.ingest.hashing import FileDigest, hash_file, hash_files
from protocol.errors import UserError


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were really read."""
    seen: list[Path] = []

    def counting(paths: list[Path], **options: int) -> dict[Path, FileDigest]:
        seen.extend(paths)
        return hash_files(paths, threads=1)

    monkeypatch.setattr(hash_cache, "hash_files", counting)
    return seen


def remember_as_old(cache: HashCache, path: Path) -> FileDigest:
    """Remember a file as if it had been hashed long after its last change (ctime cannot be set)."""
    digest = hash_file(path)._replace(hashed_at_ns=time.time_ns() + 60 * 10**9)
    cache.remember([digest])
    return digest


def test_unchanged_file_is_not_read_again_even_by_the_next_process(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with HashCache(tmp_path / "cache" / "hashes.sqlite") as cache:
        digest = remember_as_old(cache, path)
    with HashCache(tmp_path / "cache" / "hashes.sqlite") as cache:
        assert cache.digests([path]) == {path: digest}
    assert reads == []


def test_file_hashed_within_two_seconds_of_its_change_is_not_trusted(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with HashCache(tmp_path / "cache") as cache:
        first = cache.digests([path])[path]
        assert first.is_racy
        path.write_bytes(b"two")
        assert cache.digests([path])[path].address != first.address
    assert reads == [path, path]


def test_change_hidden_by_setting_the_mtime_back_is_seen(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with HashCache(tmp_path / "cache") as cache:
        digest = remember_as_old(cache, path)
        path.write_bytes(b"two")
        os.utime(path, ns=(digest.mtime_ns, digest.mtime_ns))
        assert path.stat().st_mtime_ns == digest.mtime_ns
        assert cache.digests([path])[path].md5 != digest.md5
    assert reads == [path]


def test_other_file_of_the_same_name_size_and_mtime_is_read(tmp_path: Path, reads: list[Path]) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"one")
    with HashCache(tmp_path / "cache") as cache:
        digest = remember_as_old(cache, path)
        other.write_bytes(b"two")
        os.utime(other, ns=(digest.mtime_ns, digest.mtime_ns))
        other.replace(path)
        assert cache.digests([path])[path].md5 != digest.md5
    assert reads == [path]


@pytest.mark.parametrize("seconds", [-(2**40), 2**40])
def test_file_of_another_age_of_the_world_is_read_each_time(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = hash_file(path)
    status = path.stat()
    times = {"st_mtime_ns": seconds * 10**9, "st_ctime_ns": status.st_ctime_ns}
    with HashCache(tmp_path / "cache") as cache:
        cache.remember([before._replace(mtime_ns=seconds * 10**9, hashed_at_ns=time.time_ns() + 60 * 10**9)])
        assert cache.find(os.stat_result(tuple(status), times)) is None


def test_file_that_nobody_sent_for_three_months_is_forgotten(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    then = time.time_ns() - (hash_cache.KEPT_DAYS + 1) * 86_400 * 10**9
    with HashCache(tmp_path / "cache") as cache:
        first = hash_file(old)._replace(mtime_ns=then - 10**10, ctime_ns=then - 10**10, hashed_at_ns=then)
        status = os.stat_result(tuple(old.stat()), {"st_mtime_ns": first.mtime_ns, "st_ctime_ns": first.ctime_ns})
        monthly = first._replace(hashed_at_ns=then + 31 * 86_400 * 10**9)
        cache.remember([monthly])
        remember_as_old(cache, new)
        assert cache.find(status) == monthly
        cache.remember([first])
        assert cache.find(status) is None
        assert cache.find(new.stat()) is not None


def test_clock_that_has_lost_the_time_forgets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with HashCache(tmp_path / "cache") as cache:
        monkeypatch.setattr(time, "time_ns", lambda: 86_400 * 10**9)
        digest = hash_file(path)._replace(mtime_ns=0, ctime_ns=0)
        cache.remember([digest])
        status = os.stat_result(tuple(path.stat()), {"st_mtime_ns": 0, "st_ctime_ns": 0})
        assert cache.find(status) == digest


def test_cache_of_an_earlier_farmctl_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with closing(sqlite3.connect(tmp_path / "cache")) as earlier:
        earlier.execute("CREATE TABLE digest (device INTEGER, inode INTEGER, PRIMARY KEY (device, inode))")
        earlier.execute("INSERT INTO digest VALUES (1, 2)")
        earlier.commit()
    for _ in range(2):
        with HashCache(tmp_path / "cache") as cache:
            assert cache.find(path.stat()) is None
    with HashCache(tmp_path / "cache") as cache:
        digest = remember_as_old(cache, path)
        assert cache.find(path.stat()) == digest
    with closing(sqlite3.connect(tmp_path / "cache")) as now:
        assert [name for (name,) in now.execute("SELECT name FROM sqlite_schema")] == ["known"]


def test_progress_counts_known_files_too(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    counts: list[int] = []
    with HashCache(tmp_path / "cache") as cache:
        remember_as_old(cache, path)
        cache.digests([path], progress=counts.append)
    assert counts == [5]


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 40, b""])
def test_broken_cache_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_bytes(content)
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with HashCache(tmp_path / "cache") as cache:
        digest = remember_as_old(cache, path)
        assert cache.find(path.stat()) == digest


def test_cache_that_cannot_be_written_is_done_without(tmp_path: Path, reads: list[Path]) -> None:
    (tmp_path / "file").write_bytes(b"one")
    with HashCache(tmp_path / "file" / "no-folder") as cache:
        assert len(cache.digests([tmp_path / "file"])) == 1
    assert reads == [tmp_path / "file"]


def test_locked_cache_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_cache, "_BUSY_S", 0.01)
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with HashCache(tmp_path / "cache") as cache:
        holder = sqlite3.connect(tmp_path / "cache", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        assert cache.digests([path])[path].address == hash_file(path).address
        holder.close()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with HashCache(tmp_path / "cache") as cache, pytest.raises(UserError, match="none"):
        cache.digests([tmp_path / "none"])


def test_cache_lies_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_path() == tmp_path / "farmd" / "hashes.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_cache_path() == Path.home() / ".cache" / "farmd" / "hashes.sqlite"
