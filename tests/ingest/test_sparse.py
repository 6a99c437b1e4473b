"""Files with holes: their zeros are hashed, but never written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.adapters.checkout import Checkouts
from farmd.ingest.copying import HOLE_BYTES, copy
from farmd.ingest.hashing import (
    READ_BYTES,
    SPARSE_FROM_BYTES,
    FileChanged,
    address_of_bytes,
    hash_file,
    hash_files,
)
from farmd.ingest.manifest import manifest_of
from tests.ingest.carrying import JOB, carry

if TYPE_CHECKING:
    from pathlib import Path

MARKS = {0: b"begin", 1: b"middle", 2: b"end"}


def made_sparse(path: Path, size: int) -> None:
    """Write three marks into a file that is hole otherwise."""
    with path.open("wb") as file:
        for place, mark in MARKS.items():
            file.seek(place * (size - 8) // 2)
            file.write(mark)
        file.truncate(size)


def marks_of(path: Path, size: int) -> dict[int, bytes]:
    with path.open("rb") as file:
        return {place: os.pread(file.fileno(), len(mark), place * (size - 8) // 2) for place, mark in MARKS.items()}


def disk_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.mark.parametrize("content", ["holes", "zeros"])
def test_file_of_zeros_takes_no_room_in_store_and_checkout(tmp_path: Path, content: str) -> None:
    scene = tmp_path / "cache.vdb"
    if content == "holes":
        made_sparse(scene, 40 << 20)
    else:
        scene.write_bytes(bytes(40 << 20))
    arrived = carry(tmp_path / "node", scene) / "cache.vdb"
    assert arrived.read_bytes() == scene.read_bytes()
    (blob,) = (tmp_path / "node" / "blobs" / "blobs").glob("*/*")
    assert disk_bytes(blob) <= 4 << 20  # a piece at each mark, one of them across a border
    assert disk_bytes(arrived) <= 8 * HOLE_BYTES


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([1, 100, HOLE_BYTES - 1, HOLE_BYTES, HOLE_BYTES + 1, READ_BYTES])),
        max_size=8,
    )
)
def test_copy_with_holes_has_the_same_content(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[bool, int]]
) -> None:
    data = b"".join((b"\0" if is_zero else b"x") * size for is_zero, size in runs)
    folder = tmp_path_factory.mktemp("copy")
    (folder / "source").write_bytes(data)
    with (folder / "source").open("rb") as source, (folder / "target").open("wb") as target:
        assert copy(source.fileno(), target.fileno()) == address_of_bytes(data)
    assert (folder / "target").read_bytes() == data


@pytest.mark.parametrize("cut", [0, 1, SPARSE_FROM_BYTES, 3 * READ_BYTES + 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_holes_that_are_not_read_are_hashed(tmp_path: Path, cut: int, threads: int) -> None:
    path = tmp_path / "cache.vdb"
    data = bytearray(SPARSE_FROM_BYTES + 3 * READ_BYTES + 17)
    with path.open("wb") as file:
        file.truncate(len(data))
        for at in (cut, cut + 700_000, len(data) - 1):
            data[at : at + 1] = b"x"
            os.pwrite(file.fileno(), b"x", at)
    assert disk_bytes(path) < len(data)
    seen: list[int] = []
    (digest,) = hash_files([path], threads=threads, progress=seen.append).values()
    assert digest.address == address_of_bytes(bytes(data))
    assert sum(seen) == len(data)


def test_sparse_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.vdb"
    made_sparse(path, 2 * SPARSE_FROM_BYTES)
    with pytest.raises(FileChanged):
        hash_file(path, lambda _: os.truncate(path, SPARSE_FROM_BYTES))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_50_gb_that_are_nearly_all_hole_are_listed_and_laid_out(tmp_path: Path) -> None:
    """MD5 of 50 GB takes more than a minute, whatever they are; so the store stands aside: it would hash them again."""
    size = 50 * 10**9
    scene = tmp_path / "ocean.vdb"
    made_sparse(scene, size)
    manifest, files = manifest_of(scene)
    assert (files, manifest.entries[0].size) == ({"ocean.vdb": str(scene)}, size)
    arrived = Checkouts(tmp_path / "checkouts", lambda _: scene).build(JOB, manifest).scene
    assert arrived.stat().st_size == size
    assert marks_of(arrived, size) == MARKS
    assert disk_bytes(arrived) <= 8 * HOLE_BYTES
