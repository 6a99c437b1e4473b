"""Names are bytes to Linux: what arrives in the checkout is what was submitted, or nothing moves."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from farmd.ingest import hashing
from farmd.ingest.manifest import manifest_of
from protocol.errors import UserError
from tests.ingest.carrying import carry, contents

TWIN = "Zoë"
ODD_NAMES = [
    "-rf",
    "--help",
    "two\nlines.png",
    "tab\tand\rreturn",
    "\x1b[31mred.png",
    " leading and trailing ",
    "*?[a-z]{1..3}$HOME`id`;&|<>!#~'\"\\",
    ".hidden",
    "...",
    "C:",
    "c:texture.png",
    "%04d.<UDIM>.exr",
    "\u200b\u202e\ufeff",
    "木目テクスチャ.png",
    "\U0001f3a8.png",
    "n" * 255,
    "ä" * 127 + "n",
    "\U0001f3a8" * 63 + "abc",
    unicodedata.normalize("NFC", TWIN),
    unicodedata.normalize("NFD", TWIN),
]


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    (tmp_path / "shot").mkdir()
    (tmp_path / "shot" / "scene.blend").write_bytes(b"scene")
    return tmp_path / "shot"


def test_names_of_any_letters_arrive_byte_for_byte(tmp_path: Path, shot: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        (shot / name).write_bytes(b"file %d" % number)
        (shot / "in" / name).mkdir(parents=True)
        (shot / "in" / name / name).write_bytes(b"inner %d" % number)
    tree = carry(tmp_path / "node", shot / "scene.blend", shot)
    assert contents(tree) == contents(shot)
    assert len(contents(tree)) == 2 * len(ODD_NAMES) + 1


def test_empty_files_arrive_empty(tmp_path: Path, shot: Path) -> None:
    for name in ("a", "b"):
        (shot / name).touch()
    assert contents(carry(tmp_path / "node", shot / "a", shot)) == {b"a": b"", b"b": b"", b"scene.blend": b"scene"}


def test_times_and_the_bit_of_programs_arrive(tmp_path: Path, shot: Path) -> None:
    (shot / "tool").write_bytes(b"#!/bin/sh\n")
    (shot / "tool").chmod(0o750)
    os.utime(shot / "tool", ns=(0, 981_173_106_000_000_000))
    status = (carry(tmp_path / "node", shot / "scene.blend", shot) / "tool").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o755, 981_173_106_000_000_000)


@pytest.mark.parametrize("seconds", [(1 << 40), -(1 << 33)])
def test_time_that_no_other_system_can_hold_does_not_stop_a_file(tmp_path: Path, shot: Path, seconds: int) -> None:
    try:
        os.utime(shot / "scene.blend", (0, seconds))
    except OverflowError:
        pytest.skip("this file system has no such time")
    assert contents(carry(tmp_path / "node", shot / "scene.blend")) == {b"scene.blend": b"scene"}


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def hash_file(*_: object, **__: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(hashing, "hash_file", hash_file)


@pytest.mark.parametrize("name", [b"gr\xfcn.png", b"\x93\xfa\x96{.exr", b"\xed\xa0\x80"])
@pytest.mark.usefixtures("no_reading")
def test_name_that_is_no_unicode_is_told_before_anything_is_read(shot: Path, name: bytes) -> None:
    (shot / os.fsdecode(name)).write_bytes(b"x")
    with pytest.raises(UserError, match="cannot be sent") as caught:
        manifest_of(shot / "scene.blend", [shot])
    assert repr(os.fsdecode(name))[1:-1] in caught.value.why
    assert "rename" in caught.value.hint


@pytest.mark.usefixtures("no_reading")
def test_project_folder_whose_name_is_no_unicode_is_told(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"gr\xfcn")
    folder.mkdir()
    (folder / "scene.blend").write_bytes(b"scene")
    with pytest.raises(UserError, match="cannot be sent"):
        manifest_of(folder / "scene.blend")


@pytest.mark.usefixtures("no_reading")
def test_path_too_long_for_a_checkout_is_told(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shot)
    for _ in range(16):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    Path("deep.png").write_bytes(b"x")
    os.chdir(shot)
    with pytest.raises(UserError, match="cannot be sent") as caught:
        manifest_of(shot / "scene.blend", [shot])
    assert "too long" in caught.value.why


@pytest.mark.usefixtures("no_reading")
def test_folder_that_is_called_like_a_drive_and_its_twin_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("C:", "C"):
        Path(folder).mkdir()
        Path(folder, "x").write_bytes(b"x")
    with pytest.raises(UserError) as caught:
        manifest_of(tmp_path / "C" / "x", [tmp_path])
    assert "'C/x'" in caught.value.why
    assert "'C:/x'" in caught.value.why
