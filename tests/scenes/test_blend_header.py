"""The first bytes of .blend files, made by hand."""

from __future__ import annotations

import gzip
import shutil
from typing import TYPE_CHECKING

import pytest

from farmd.scenes import blend_header
from farmd.scenes.blend_header import Compression, Header, parse_header, read_header
from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from pathlib import Path

OLD = b"BLENDER-v279REND"
NEW = b"BLENDER17-01v0502REND"


def zstd_frame(data: bytes) -> bytes:
    """One frame with one raw block, as RFC 8878 lays it out: no compressor needed."""
    descriptor, content_size = b"\x20", bytes([len(data)])  # single segment, one byte of content size
    block = (len(data) << 3 | 1).to_bytes(3, "little")  # raw and the last one
    return b"\x28\xb5\x2f\xfd" + descriptor + content_size + block + data


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"BLENDER-v279", Header(version=(2, 79), pointer_bytes=8, byte_order="little")),
        (b"BLENDER_v250", Header(version=(2, 50), pointer_bytes=4, byte_order="little")),
        (b"BLENDER_V248", Header(version=(2, 48), pointer_bytes=4, byte_order="big")),
        (b"BLENDER-v405", Header(version=(4, 5), pointer_bytes=8, byte_order="little")),
        (NEW, Header(version=(5, 2), pointer_bytes=8, byte_order="little", is_large=True)),
    ],
)
def test_header_of_each_layout_is_understood(head: bytes, expected: Header) -> None:
    assert parse_header(head) == expected


@pytest.mark.parametrize(
    "head", [b"", b"BLEND", b"BLENDER", b"BLENDER-v27", b"BLENDER17-01", b"BLENDER-x279", b"RENDER"]
)
def test_bytes_that_are_no_header_are_not_understood(head: bytes) -> None:
    assert parse_header(head) is None


@pytest.mark.parametrize(("head", "text"), [(b"BLENDER-v279", "2.79"), (b"BLENDER-v301", "3.1"), (NEW, "5.2")])
def test_version_is_written_as_people_write_it(head: bytes, text: str) -> None:
    found = parse_header(head)
    assert found is not None
    assert found.version_text == text


def test_raw_and_packed_files_tell_the_same_version(tmp_path: Path) -> None:
    scene = tmp_path / "a.blend"
    for data, compression in ((OLD, Compression.RAW), (gzip.compress(OLD * 9, mtime=0), Compression.GZIP)):
        scene.write_bytes(data)
        assert read_header(scene) == Header(compression, (2, 79), 8, "little")


def test_gzip_that_is_cut_later_on_still_tells_its_version(tmp_path: Path) -> None:
    scene = tmp_path / "a.blend"
    scene.write_bytes(gzip.compress(OLD + bytes(range(256)) * 40)[:200])
    assert read_header(scene).version == (2, 79)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the program zstd")
def test_zstd_is_unpacked_where_the_program_is_there(tmp_path: Path) -> None:
    scene = tmp_path / "a.blend"
    scene.write_bytes(zstd_frame(NEW) + b"a second frame that is no frame")
    assert read_header(scene) == Header(Compression.ZSTD, (5, 2), 8, "little", is_large=True)


def test_version_inside_zstd_is_unknown_where_nothing_can_unpack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blend_header, "_unzstd", lambda _: None)
    scene = tmp_path / "a.blend"
    scene.write_bytes(zstd_frame(NEW))
    found = read_header(scene)
    assert (found.compression, found.version, found.version_text) == (Compression.ZSTD, None, "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"BLEN", "is damaged"),
        (b"BLENDER-v2", "is damaged"),
        (b"hello, I am a text", "is no Blender file"),
        (gzip.compress(b"hello, I am a packed text", mtime=0), "is no Blender file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:74", "is no Blender file"),
        (b"\x1f\x8bno gzip at all", "is no Blender file"),
    ],
)
def test_file_that_is_no_scene_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    scene = tmp_path / "a.blend"
    scene.write_bytes(data)
    with pytest.raises(UserError, match=said) as caught:
        read_header(scene)
    assert caught.value.why
    assert caught.value.hint


def test_folder_with_the_name_of_a_scene_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.blend").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        read_header(tmp_path / "a.blend")


def test_scene_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        read_header(tmp_path / "a.blend")
