from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import xxhash

from farmd.adapters import checkout
from farmd.adapters.checkout import BlobMissing, CheckoutFailed, CheckoutFull, Checkouts
from farmd.ingest.manifest import Manifest, ManifestEntry
from protocol.errors import PeerError
from protocol.ids import BlobAddress, JobId

if TYPE_CHECKING:
    from pathlib import Path

JOB = JobId("0123456789abcdef")
OTHER = JobId("0123456789abcdeg")


class Shelf:
    """Stands for the content store: finds blobs, and remembers which were asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[BlobAddress] = []
        folder.mkdir()

    def put(self, data: bytes) -> BlobAddress:
        address = BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())
        path = self.folder / str(address)
        path.write_bytes(data)
        path.chmod(0o444)
        return address

    def find(self, address: BlobAddress) -> Path | None:
        self.asked.append(address)
        path = self.folder / str(address)
        return path if path.exists() else None


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def checkouts(tmp_path: Path, shelf: Shelf) -> Checkouts:
    return Checkouts(tmp_path / "work", shelf.find)


def manifest_of(shelf: Shelf, files: dict[str, bytes], *, mode: int = 0o600) -> Manifest:
    entries = []
    for path, data in sorted(files.items()):
        address = shelf.put(data)
        entries.append(ManifestEntry(path, address.size, 1_600_000_000_123, mode, address.xxh64, address.md5))
    return Manifest("/home/anna", entries[0].path, tuple(entries))


FILES = {"a.blend": b"scene", "tex/1.png": b"one", "tex/deep/2.png": b"two", "tex/empty": b""}


def test_tree_mirrors_the_manifest(checkouts: Checkouts, shelf: Shelf, tmp_path: Path) -> None:
    tree, scene = checkouts.build(JOB, manifest_of(shelf, FILES))
    assert (tree, scene) == (tmp_path / "work" / JOB, tmp_path / "work" / JOB / "a.blend")
    assert {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()} == FILES
    assert scene.stat().st_mtime_ns == 1_600_000_000_123 * 1_000_000
    assert scene.stat().st_mode & 0o777 == 0o644


def test_program_stays_a_program(checkouts: Checkouts, shelf: Shelf) -> None:
    scene = checkouts.build(JOB, manifest_of(shelf, {"run.sh": b"#!/bin/sh"}, mode=0o500)).scene
    assert scene.stat().st_mode & 0o777 == 0o755


def test_file_of_a_drive_lies_in_a_folder_of_its_letter(checkouts: Checkouts, shelf: Shelf) -> None:
    tree, scene = checkouts.build(JOB, manifest_of(shelf, {"C:/shot/a.blend": b"scene", "d:/tex/1.png": b"one"}))
    assert scene == tree / "C" / "shot" / "a.blend"
    assert (tree / "D" / "tex" / "1.png").read_bytes() == b"one"


def test_renderer_that_writes_into_its_tree_does_not_reach_the_store(checkouts: Checkouts, shelf: Shelf) -> None:
    scene = checkouts.build(JOB, manifest_of(shelf, FILES)).scene
    with scene.open("r+b") as file:
        file.write(b"SCENE")
    assert (shelf.folder / str(shelf.put(b"scene"))).read_bytes() == b"scene"


def test_complete_tree_is_not_built_again(checkouts: Checkouts, shelf: Shelf) -> None:
    manifest = manifest_of(shelf, FILES)
    first = checkouts.build(JOB, manifest)
    shelf.asked.clear()
    assert checkouts.build(JOB, manifest) == first
    assert shelf.asked == []


def test_interrupted_build_goes_on_where_it_stopped(checkouts: Checkouts, shelf: Shelf) -> None:
    manifest = manifest_of(shelf, FILES)
    last = manifest.entries[-1].address
    (shelf.folder / str(last)).unlink()
    with pytest.raises(BlobMissing) as caught:
        checkouts.build(JOB, manifest)
    assert caught.value.blob == last
    shelf.put(b"")
    shelf.asked.clear()
    tree = checkouts.build(JOB, manifest).tree
    assert shelf.asked == [last]
    assert (tree / "tex" / "empty").exists()


def test_tree_of_an_earlier_boot_is_looked_at_again(
    checkouts: Checkouts, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_of(shelf, FILES)
    scene = checkouts.build(JOB, manifest).scene
    os.truncate(scene, 0)  # what a power cut makes of a file that was not synced
    (tmp_path / "boot_id").write_text("another boot\n")
    monkeypatch.setattr(checkout, "_BOOT_ID", tmp_path / "boot_id")
    checkouts.build(JOB, manifest)
    assert scene.read_bytes() == b"scene"


def test_other_manifest_of_the_same_job_is_built(checkouts: Checkouts, shelf: Shelf) -> None:
    checkouts.build(JOB, manifest_of(shelf, FILES))
    tree = checkouts.build(JOB, manifest_of(shelf, {"a.blend": b"SCENE 2"})).tree
    assert (tree / "a.blend").read_bytes() == b"SCENE 2"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\0", "C:/../x", ""])
def test_path_that_leads_out_is_refused_before_anything_is_written(
    checkouts: Checkouts, shelf: Shelf, tmp_path: Path, path: str
) -> None:
    manifest = manifest_of(shelf, {"a.blend": b"scene"})
    bad = manifest._replace(entries=(*manifest.entries, manifest.entries[0]._replace(path=path)))
    with pytest.raises(PeerError):
        checkouts.build(JOB, bad)
    assert not (tmp_path / "work").exists()


def test_link_that_a_scene_left_in_the_tree_is_not_followed(checkouts: Checkouts, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "work" / JOB).mkdir(parents=True)
    (tmp_path / "work" / JOB / "tex").symlink_to(tmp_path / "outside")
    with pytest.raises(PeerError, match="link"):
        checkouts.build(JOB, manifest_of(shelf, FILES))
    assert list((tmp_path / "outside").iterdir()) == []


def test_blob_that_has_rotted_is_not_checked_out(
    checkouts: Checkouts, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "clone", lambda _source, _target: False)  # a reflink is not read
    manifest = manifest_of(shelf, FILES)
    path = shelf.folder / str(manifest.entries[0].address)
    path.chmod(0o644)
    path.write_bytes(b"SCENE")
    with pytest.raises(BlobMissing):
        checkouts.build(JOB, manifest)


def test_removed_tree_is_gone_with_what_renderers_left_and_links_lead_nowhere(
    checkouts: Checkouts, shelf: Shelf, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    manifest = manifest_of(shelf, FILES)
    tree = checkouts.build(JOB, manifest).tree
    checkouts.build(OTHER, manifest)
    (tree / "cache").symlink_to(tmp_path / "outside")
    (tree / "frame.tx").touch()
    (tmp_path / "work" / "none").mkdir()  # somebody else's folder
    assert checkouts.jobs() == (JOB, OTHER)
    checkouts.remove(JOB)
    checkouts.remove(JOB)
    assert checkouts.jobs() == (OTHER,)
    assert (tmp_path / "outside" / "file").exists()
    assert checkouts.build(JOB, manifest).scene.read_bytes() == b"scene"


@pytest.mark.parametrize("job", ["../../../../etc/", "..", "", "0123456789abcde/"])
def test_what_is_no_job_id_names_no_folder(checkouts: Checkouts, shelf: Shelf, job: str) -> None:
    with pytest.raises(PeerError):
        checkouts.remove(JobId(job))
    with pytest.raises(PeerError):
        checkouts.build(JobId(job), manifest_of(shelf, FILES))


def test_many_attempts_of_one_job_share_one_build(checkouts: Checkouts, shelf: Shelf) -> None:
    manifest = manifest_of(shelf, FILES)
    with ThreadPoolExecutor(8) as pool:
        built = set(pool.map(lambda _: checkouts.build(JOB, manifest), range(8)))
    assert len(built) == 1
    assert len(shelf.asked) == len(FILES)


def test_folder_that_cannot_be_is_told(tmp_path: Path, shelf: Shelf) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckoutFailed, match="Not a directory"):
        Checkouts(tmp_path / "file", shelf.find).build(JOB, manifest_of(shelf, FILES))


@pytest.mark.root
def test_full_disk_leaves_no_half_file_and_the_build_goes_on_when_there_is_room(small_disk: Path, shelf: Shelf) -> None:
    checkouts = Checkouts(small_disk / "work", shelf.find)
    (small_disk / "filler").write_bytes(bytes(1_000_000))
    manifest = manifest_of(shelf, {"a": b"a" * 500_000, "b": b"b" * 900_000})
    with pytest.raises(CheckoutFull):
        checkouts.build(JOB, manifest)
    assert [path.name for path in (small_disk / "work" / JOB).iterdir()] == ["a"]
    (small_disk / "filler").unlink()
    assert (checkouts.build(JOB, manifest).tree / "b").stat().st_size == 900_000
