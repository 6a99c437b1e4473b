"""Last uses of blobs on a real disk: they survive a restart, a use in between saves a blob, old parts go."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
import xxhash

from farmd.adapters.blobs import PIECE_BYTES, BlobStore, How
from farmd.adapters.blobs.ageing import TOUCH_S, was_touched
from farmd.core.events import HeldBlob
from farmd.ingest.hashing import address_of_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ids import BlobAddress

LONG_AGO_S = 10 * TOUCH_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> BlobStore:
    return BlobStore(root)


def put(store: BlobStore, data: bytes, *, durable: bool = True) -> BlobAddress:
    address = address_of_bytes(data)
    store.write_piece(address, 0, xxhash.xxh64_intdigest(data), data)
    assert store.confirm(address, durable=durable)
    return address


def age(store: BlobStore, address: BlobAddress, by_s: float) -> None:
    """Let a blob look as if it was used so long ago."""
    path = store.path(address)
    assert path is not None
    os.utime(path, (time.time() - by_s,) * 2)


def held(store: BlobStore) -> list[HeldBlob]:
    return list(store.listing().page(0, 1000))


def test_listing_names_the_oldest_use_first_and_pages_cover_it_all(root: Path) -> None:
    store = BlobStore(root)
    blobs = [put(store, f"blob {number}".encode()) for number in range(7)]
    for number, blob in enumerate(blobs):
        age(store, blob, LONG_AGO_S + 100 * number)

    listing = BlobStore(root).listing()  # as after a restart

    pages = [listing.page(start, 3) for start in (0, 3, 6)]
    assert [found.blob for page in pages for found in page] == blobs[::-1]
    assert len(listing) == 7


def test_blob_that_was_used_goes_to_the_end_and_soon_again_costs_nothing(store: BlobStore) -> None:
    one, other = put(store, b"one"), put(store, b"other")
    age(store, one, LONG_AGO_S + 100)
    age(store, other, LONG_AGO_S)
    path = store.use(one)
    assert path is not None
    assert [found.blob for found in held(store)] == [other, one]
    stamp = path.stat().st_mtime_ns

    store.use(one)

    assert path.stat().st_mtime_ns == stamp
    assert was_touched(stamp)


def test_blob_that_was_used_after_it_was_listed_is_not_evicted(store: BlobStore) -> None:
    one, other = put(store, b"one"), put(store, b"other")
    for blob in (one, other):
        age(store, blob, LONG_AGO_S)
    listed = {found.blob: found for found in held(store)}

    store.use(one)

    assert not store.evict(listed[one])
    assert store.evict(listed[other])
    assert store.path(one) is not None
    assert store.path(other) is None
    assert (store.held.blobs, store.held.size_bytes) == (1, one.size)


def test_blob_that_is_gone_already_counts_as_evicted_once(store: BlobStore) -> None:
    blob = put(store, b"one")
    listed = held(store)[0]
    assert store.evict(listed)
    assert store.evict(listed)
    assert (blob.size, store.held.size_bytes) == (3, 0)


def test_reservation_lies_in_the_future_and_only_moves_forward(store: BlobStore) -> None:
    blob = put(store, b"one")
    until_ms = int(time.time() * 1000) + 3_600_000

    store.reserve(blob, until_ms)
    store.reserve(blob, until_ms - 60_000)
    store.use(blob)

    assert held(store) == [HeldBlob(blob, until_ms)]


def test_reservation_of_a_blob_that_is_not_here_does_nothing(store: BlobStore) -> None:
    store.reserve(address_of_bytes(b"never"), int(time.time() * 1000))
    assert held(store) == []


def test_content_that_comes_again_is_used_again(store: BlobStore, tmp_path: Path) -> None:
    blob = put(store, b"one")
    age(store, blob, LONG_AGO_S)
    (tmp_path / "again").write_bytes(b"one")

    assert store.adopt(tmp_path / "again", How.COPY) == blob

    assert time.time() * 1000 - held(store)[0].used_ms < 60_000


def test_output_with_an_old_time_of_its_own_counts_as_used_now(store: BlobStore, tmp_path: Path) -> None:
    output = tmp_path / "f.png"
    output.write_bytes(b"picture")
    os.utime(output, (1_000_000_000, 1_000_000_000))

    store.adopt(output, How.MOVE)

    assert time.time() * 1000 - held(store)[0].used_ms < 60_000


def test_files_of_others_in_the_store_are_not_listed(store: BlobStore, root: Path) -> None:
    blob = put(store, b"one")
    (root / "blobs" / "README").write_text("not ours")
    (root / "blobs" / str(blob)[:2] / "notes.txt").write_text("not ours")
    assert [found.blob for found in held(store)] == [blob]


def test_power_cut_has_young_blobs_hashed_and_not_those_that_were_only_used(root: Path) -> None:
    store = BlobStore(root)
    old, young = put(store, b"old"), put(store, b"young", durable=False)
    age(store, old, LONG_AGO_S)
    for blob in (old, young):
        path = store.use(blob)
        assert path is not None
        path.chmod(0o644)
        stamp = path.stat().st_mtime_ns
        path.write_bytes(bytes(blob.size))
        os.utime(path, ns=(stamp, stamp))

    lost: list[BlobAddress] = []
    BlobStore(root, lost.append)

    assert lost == [young]


def test_part_that_nobody_adds_to_goes_and_a_young_one_stays(store: BlobStore, root: Path) -> None:
    data = [bytes([number]) * (2 * PIECE_BYTES) for number in (1, 2)]
    for content in data:
        piece = content[:PIECE_BYTES]
        store.write_piece(address_of_bytes(content), 0, xxhash.xxh64_intdigest(piece), piece)
    idle, young = map(address_of_bytes, data)
    os.utime(root / "parts" / f"{idle}.part", (time.time() - 7200,) * 2)

    assert store.drop_idle_parts(3600.0) == 1

    assert dict(store.missing((idle, young))) == {idle: (), young: (0,)}
    assert sorted(path.suffix for path in (root / "parts").iterdir()) == [".map", ".part"]
