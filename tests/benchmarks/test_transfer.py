from __future__ import annotations

import hashlib
import os
import shutil
from random import Random
from typing import TYPE_CHECKING

import pytest
import xxhash

from benchmarks.carriers import Rsync
from benchmarks.carrying import files_of
from benchmarks.farm_carrier import FarmCarrier, is_verified
from benchmarks.small_files import write_files
from benchmarks.transfer import MIB, digest, ratios_of, round_of, write_file
from farmd.adapters.blobs import PIECE_BYTES, BlobStore
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from pathlib import Path


def test_ratios_are_taken_round_by_round_and_over_one_is_faster_than_the_peer() -> None:
    assert ratios_of({"farm": [1.0, 2.0, 4.0], "rsync": [2.0, 1.0, 4.0]}) == {"vs_rsync": 1.0}
    assert ratios_of({"rsync": [2.0]}) == {}, "there is nothing to compare"
    assert ratios_of({"farm": [2.0], "farm_verified": [1.0], "rsync": [3.0]}) == {
        "vs_rsync": 1.5,
        "verified_vs_rsync": 3.0,
    }


class Told(FarmCarrier):
    """Says what it is to say; no farm."""

    def __init__(self) -> None:
        self.verified_s = 1.0

    def carry(self, source: Path, target: Path) -> float:
        del source, target
        return 2.0


def test_round_tells_when_all_was_confirmed_and_when_all_was_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)
    assert round_of({"farm": Told()}, tmp_path / "round1", tmp_path) == {"farm": 2.0, "farm_verified": 1.0}


def test_pieces_are_verified_when_all_their_flags_stand_in_the_map(tmp_path: Path) -> None:
    data = Random(1).randbytes(2 * PIECE_BYTES + 1)
    address = BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())
    store, verified = BlobStore(tmp_path), []
    for index in range(3):
        piece = data[index * PIECE_BYTES :][:PIECE_BYTES]
        store.write_piece(address, index, xxhash.xxh64_intdigest(piece), piece)
        verified.append(is_verified([str(tmp_path / "blobs" / str(address))], tmp_path / "parts"))
    assert verified == [False, False, True]


def test_files_of_two_rounds_have_nothing_in_common(tmp_path: Path) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        write_files(tmp_path / str(seed), 3, 1000, seed)
        write_file(tmp_path / str(seed) / "large.bin", MIB + 5, seed)
    one, two = ([path.read_bytes() for path in files_of(tmp_path / str(seed))] for seed in (1, 2))
    assert [len(content) for content in one] == [MIB + 5, 1000, 1000, 1000]
    assert len({*one, *two}) == 8


def test_digest_of_two_folders_is_equal_when_their_files_are(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_files(tmp_path / name, 3, 1000, 1)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    (tmp_path / "two" / "tile.00001.exr").write_bytes(b"changed")
    assert digest(tmp_path / "one") != digest(tmp_path / "two")


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed: it is a peer of benchmarks only")
def test_rsync_brings_the_files_and_is_gone_afterwards(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    write_files(source, 20, 1000, 1)
    with Rsync(tmp_path / "rsync") as rsync:
        assert rsync.carry(source, target) > 0
    assert digest(target) == digest(source)
