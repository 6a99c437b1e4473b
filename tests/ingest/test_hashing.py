from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest
import xxhash

from farmd.ingest import hashing
from farmd.ingest.hashing import READ_BYTES, FileChanged, hash_file, hash_files
from protocol.errors import UserError
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from pathlib import Path


def address_by_hand(data: bytes) -> BlobAddress:
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())


@pytest.mark.parametrize("size", [0, 1, 50_000, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES + 7])
def test_file_of_any_size_gets_the_address_of_its_content(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    digest = hash_file(path)
    assert digest.address == address_by_hand(data)
    assert digest.mtime_ns == path.stat().st_mtime_ns
    assert digest.inode == path.stat().st_ino


def test_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * READ_BYTES))
    seen: list[int] = []

    def append_once(count: int) -> None:
        if not seen:
            with path.open("ab") as file:
                file.write(b"more")
        seen.append(count)

    with pytest.raises(FileChanged, match="changed while it was being read"):
        hash_file(path, append_once)


def test_file_rewritten_in_place_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * READ_BYTES))
    os.utime(path, (1_000, 1_000))

    def rewrite(_count: int) -> None:
        with path.open("r+b") as file:
            file.write(b"x")

    with pytest.raises(FileChanged):
        hash_file(path, rewrite)


def test_missing_file_is_told_in_three_lines(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read") as caught:
        hash_file(tmp_path / "none")
    assert caught.value.why == "No such file or directory"
    assert caught.value.hint


def test_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError) as caught:
        hash_file(tmp_path / "pipe")
    assert "regular" in caught.value.why


def test_many_files_come_back_in_order_with_progress_from_several_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:03}" for number in range(60)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 70_000)
    counts: list[int] = []
    digests = hash_files([*reversed(paths), paths[0]], threads=4, progress=counts.append)
    assert list(digests) == list(reversed(paths))
    assert all(digests[path].address == address_by_hand(path.read_bytes()) for path in paths)
    assert sum(counts) == 60 * 70_000


def test_many_files_are_hashed_on_as_many_threads_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / str(number) for number in range(2)]
    for path in paths:
        path.write_bytes(b"x")
    both = threading.Barrier(2, timeout=10)  # breaks, and fails the test, unless two threads meet
    address_of_bytes = hashing.address_of_bytes

    def meet(data: bytes) -> BlobAddress:
        both.wait()
        return address_of_bytes(data)

    monkeypatch.setattr(hashing, "address_of_bytes", meet)
    assert len(hash_files(paths, threads=2)) == 2


def test_one_unreadable_file_among_many_ends_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(UserError, match="none"):
        hash_files([tmp_path / "a", tmp_path / "none"], threads=2)


def test_no_files_give_no_digests() -> None:
    assert hash_files([]) == {}
