from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from benchmarks.carriers import Rsync, files_of
from benchmarks.small_files import write_files
from benchmarks.transfer import MIB, digest, ratios_of, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_ratios_are_taken_round_by_round_and_over_one_is_faster_than_the_peer() -> None:
    assert ratios_of({"farm": [1.0, 2.0, 4.0], "rsync": [2.0, 1.0, 4.0]}) == {"vs_rsync": 1.0}
    assert ratios_of({"rsync": [2.0]}) == {}, "there is nothing to compare"
    assert ratios_of({"farm": [1.0], "farm_confirmed": [2.0], "rsync": [3.0]}) == {
        "vs_rsync": 3.0,
        "confirmed_vs_rsync": 1.5,
    }


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
