from __future__ import annotations

import hashlib
import os
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest
import xxhash

from farmd.adapters import delivery
from farmd.adapters.delivery import DeliveryFailed, DeliveryFull, DeliveryRefused, DeliveryReport, deliver
from protocol.bodies import OutputFact
from protocol.errors import PeerError
from protocol.existing import ExistingFile
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from pathlib import Path


class Shelf:
    """Stands for the content store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def output(self, name: str, data: bytes) -> OutputFact:
        address = BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())
        (self.folder / str(address)).write_bytes(data)
        return OutputFact(name, address)

    def find(self, address: BlobAddress) -> Path | None:
        path = self.folder / str(address)
        return path if path.exists() else None


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "renders" / "shot"


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_outputs_stand_in_a_new_folder(folder: Path, shelf: Shelf) -> None:
    outputs = [shelf.output("f_0001.exr", b"one"), shelf.output("beauty/f_0001.png", b"two"), shelf.output("log", b"")]
    report = deliver(folder, outputs, shelf.find)
    assert report == DeliveryReport(("f_0001.exr", "beauty/f_0001.png", "log"), (), ())
    assert files_in(folder) == {"f_0001.exr": b"one", "beauty/f_0001.png": b"two", "log": b""}


def test_delivered_file_has_the_permissions_of_any_new_file(folder: Path, shelf: Shelf) -> None:
    deliver(folder, [shelf.output("a", b"one")], shelf.find)
    (folder / "usual").touch()
    assert (folder / "a").stat().st_mode == (folder / "usual").stat().st_mode


def test_equal_file_is_left_alone(folder: Path, shelf: Shelf) -> None:
    outputs = [shelf.output("a", b"one")]
    deliver(folder, outputs, shelf.find)
    os.utime(folder / "a", (1, 1))
    before = (folder / "a").stat()
    assert deliver(folder, outputs, shelf.find).equal == ("a",)
    assert ((folder / "a").stat().st_ino, (folder / "a").stat().st_mtime) == (before.st_ino, 1)


@pytest.mark.parametrize("there", [b"other", b"longer than the output"])
def test_file_of_somebody_else_is_moved_aside_unless_told_otherwise(folder: Path, shelf: Shelf, there: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(there)
    outputs = [shelf.output("a", b"right"), shelf.output("b", b"second")]

    with pytest.raises(DeliveryRefused, match="different file"):
        deliver(folder, outputs, shelf.find, existing=ExistingFile.FAIL)
    assert files_in(folder) == {"a": there, "b": b"second"}

    report = deliver(folder, outputs, shelf.find, existing=ExistingFile.KEEP)
    assert report == DeliveryReport((), ("b",), ("a",))
    assert "a is another file and was left" in report.remark
    assert files_in(folder) == {"a": there, "b": b"second"}

    report = deliver(folder, outputs, shelf.find)
    assert report == DeliveryReport(("a",), ("b",), (), (("a", "a.~1~"),))
    assert report.remark == "a was another file; it is a.~1~ now"
    assert files_in(folder) == {"a": b"right", "a.~1~": there, "b": b"second"}
    assert deliver(folder, outputs, shelf.find) == DeliveryReport((), ("a", "b"), ())


def test_file_of_somebody_else_is_lost_only_where_that_was_asked_for(folder: Path, shelf: Shelf) -> None:
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"other")
    report = deliver(folder, [shelf.output("a", b"right")], shelf.find, existing=ExistingFile.REPLACE)
    assert report == DeliveryReport(("a",), (), ())
    assert files_in(folder) == {"a": b"right"}


def test_files_moved_aside_before_are_never_overwritten(folder: Path, shelf: Shelf) -> None:
    for content in (b"first", b"second", b"third"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a").write_bytes(content)
        deliver(folder, [shelf.output("a", b"right")], shelf.find)
    assert files_in(folder) == {"a": b"right", "a.~1~": b"first", "a.~2~": b"second", "a.~3~": b"third"}


@pytest.mark.parametrize("existing", list(ExistingFile))
def test_former_result_of_the_same_job_is_replaced(folder: Path, shelf: Shelf, existing: ExistingFile) -> None:
    before, after = shelf.output("a", b"before"), shelf.output("a", b"after")
    deliver(folder, [before], shelf.find, existing=existing)
    report = deliver(folder, [after], shelf.find, existing=existing, former=(before.blob,))
    assert report == DeliveryReport(("a",), (), ())
    assert files_in(folder) == {"a": b"after"}


def test_former_result_that_was_painted_over_is_no_longer_the_jobs(folder: Path, shelf: Shelf) -> None:
    before, after = shelf.output("a", b"before"), shelf.output("a", b"after")
    deliver(folder, [before], shelf.find)
    (folder / "a").write_bytes(b"BEFORE")
    deliver(folder, [after], shelf.find, former=(before.blob,))
    assert files_in(folder) == {"a": b"after", "a.~1~": b"BEFORE"}


def test_folder_that_has_the_name_of_an_output_is_told(folder: Path, shelf: Shelf) -> None:
    (folder / "a").mkdir(parents=True)
    with pytest.raises(DeliveryFailed, match="cannot write into"):
        deliver(folder, [shelf.output("a", b"right")], shelf.find)
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../a", "/tmp/a", "x/../../a", "a\0b", "", ".", "C:/../a"])
def test_name_that_leads_out_is_refused_before_anything_is_written(folder: Path, shelf: Shelf, name: str) -> None:
    with pytest.raises(PeerError):
        deliver(folder, [shelf.output("good", b"good"), shelf.output("bad", b"bad")._replace(name=name)], shelf.find)
    assert not folder.exists()


def test_links_in_the_folder_lead_nowhere(folder: Path, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_bytes(b"precious")
    folder.mkdir(parents=True)
    (folder / "way").symlink_to(tmp_path / "outside")
    (folder / "a").symlink_to(tmp_path / "outside" / "precious")
    with pytest.raises(PeerError, match="link"):
        deliver(folder, [shelf.output("way/a", b"one")], shelf.find)
    deliver(folder, [shelf.output("a", b"one")], shelf.find)
    assert files_in(tmp_path / "outside") == {"precious": b"precious"}
    assert (folder / "a").read_bytes() == b"one"
    assert (folder / "a.~1~").is_symlink()


def test_output_that_is_not_here_is_named(folder: Path, shelf: Shelf) -> None:
    output = shelf.output("f_0007.exr", b"one")
    (shelf.folder / str(output.blob)).unlink()
    with pytest.raises(DeliveryFailed, match=r"f_0007\.exr is not in the content store"):
        deliver(folder, [output], shelf.find)


@pytest.mark.parametrize("reflinks", [False, True])
def test_output_that_has_rotted_in_the_store_is_not_delivered(
    folder: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, reflinks: bool
) -> None:
    def clone(source: int, target: int) -> bool:
        os.write(target, os.read(source, 100))
        return True

    monkeypatch.setattr(delivery, "clone", clone if reflinks else lambda _source, _target: False)
    output = shelf.output("a", b"good")
    (shelf.folder / str(output.blob)).write_bytes(b"evil")
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"before")
    with pytest.raises(DeliveryFailed, match=r"damaged|not the same"):
        deliver(folder, [output], shelf.find)
    assert files_in(folder) == {"a": b"before"}


def test_drive_that_reads_back_something_else_is_noticed(
    folder: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def lose(descriptor: int) -> None:
        os.pwrite(descriptor, b"X", 0)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", lose)
    with pytest.raises(DeliveryFailed, match="read back"):
        deliver(folder, [shelf.output("a", b"good")], shelf.find)
    assert files_in(folder) == {}


def test_folder_that_cannot_be_made_is_told(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryFailed, match=r"cannot write into .*file/renders: Not a directory"):
        deliver(tmp_path / "file" / "renders", [shelf.output("a", b"one")], shelf.find)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the next test does it with a mount")
def test_folder_without_permission_is_told(folder: Path, shelf: Shelf) -> None:
    folder.mkdir(parents=True, mode=0o555)
    with pytest.raises(DeliveryFailed, match="Permission denied"):
        deliver(folder, [shelf.output("a", b"one")], shelf.find)


@pytest.mark.root
def test_read_only_folder_is_told(small_disk: Path, shelf: Shelf) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DeliveryFailed, match="Read-only file system"):
        deliver(small_disk / "renders", [shelf.output("a", b"one")], shelf.find)


@pytest.mark.root
def test_full_disk_keeps_the_old_file_and_nothing_half_written(small_disk: Path, shelf: Shelf) -> None:
    (small_disk / "b").write_bytes(b"before")
    outputs = [
        shelf.output("a", b"fits"),
        shelf.output("b", Random(1).randbytes(3_000_000)),
    ]  # zeros would take no room
    with pytest.raises(DeliveryFull, match="No space left"):
        deliver(small_disk, outputs, shelf.find)
    assert files_in(small_disk) == {"a": b"fits", "b": b"before"}
