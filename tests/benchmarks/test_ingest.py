from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from benchmarks import ingest

if TYPE_CHECKING:
    from pathlib import Path


def test_limit_reads_the_whole_file(tmp_path: Path) -> None:
    (path,) = ingest.made(tmp_path / "one", 1, 1_500_000)
    assert path.stat().st_size == 1_500_000
    assert ingest.bare_md5(path) == hashlib.md5(path.read_bytes()).digest()


@pytest.mark.parametrize("part", ["small", "again"])
def test_parts_tell_ratios_and_figures(tmp_path: Path, part: str) -> None:
    ratios, figures = getattr(ingest, f"measure_{part}")(tmp_path, 2, 20)
    quiet = figures.pop(f"{part}_quiet_rounds", 0)  # others may take the processors all the time
    assert 0 <= quiet <= 2
    assert ratios
    assert all(value > 0 for value in (ratios | figures).values())
    assert list(tmp_path.glob("*/*")) == [], "no file stays"


def test_unchanged_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []

    def hash_files(paths: list[str], **options: object) -> dict[str, object]:
        read.extend(paths)
        return {}

    monkeypatch.setattr("farmd.ingest.manifest.hash_files", hash_files)
    ingest.measure_again(tmp_path, 1, 20)
    assert read == []
