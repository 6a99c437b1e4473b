"""Files that are, and files that are not, the picture that was promised."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from farmd.renderers import Promise
from farmd.renderers.images import BadImage, check_file, inspect
from tests.renderers.pictures import exr, png

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["with Pillow", "without Pillow"])
def pillow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Runs a test twice: the extra is optional."""
    if request.param == "without Pillow":
        monkeypatch.setitem(sys.modules, "PIL", None)
        return False
    pytest.importorskip("PIL")
    return True


def write(folder: Path, data: bytes, name: str = "0001.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_good_png_has_its_size_and_light(tmp_path: Path, pillow: bool) -> None:
    picture = check_file(write(tmp_path, png(8, 4, b"\x80\x80\x80")), 8, 4)
    assert (picture.width, picture.height, picture.black) == (8, 4, False)
    if pillow:
        assert picture.luminance == pytest.approx(128 / 255)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="was not written"):
        check_file(tmp_path / "0001.png")
    with pytest.raises(BadImage, match="is empty"):
        check_file(write(tmp_path, b""))


def test_another_size_than_promised_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="8x4 pixels instead of 16x4"):
        check_file(write(tmp_path, png()), 16, 4)


def test_every_truncation_of_a_png_is_seen(tmp_path: Path) -> None:
    whole = png()
    for length in range(1, len(whole)):
        with pytest.raises(BadImage):
            check_file(write(tmp_path, whole[:length]))


def test_every_flipped_byte_of_a_png_is_seen(tmp_path: Path, pillow: bool) -> None:
    whole = png()
    end_mark = len(whole) - 12
    for at in range(end_mark):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        with pytest.raises(BadImage):
            check_file(write(tmp_path, bytes(broken)))


@pytest.mark.parametrize("pixel", [b"\0", b"\0\xff", b"\0\0\0", b"\0\0\0\xff"])
@pytest.mark.parametrize("filtering", [0, 1])
def test_black_is_seen_whatever_alpha_and_filter(tmp_path: Path, pixel: bytes, filtering: int, pillow: bool) -> None:
    assert check_file(write(tmp_path, png(pixel=pixel, filtering=filtering))).black


@pytest.mark.parametrize("pixel", [b"\x90", b"\x90\xff", b"\0\0\x90", b"\x90\0\0\0"])
def test_one_lit_channel_is_not_black(tmp_path: Path, pixel: bytes, pillow: bool) -> None:
    assert not check_file(write(tmp_path, png(pixel=pixel))).black


def test_large_picture_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    path = write(tmp_path, png(3000, 3000, b"\0\0\0\xff"))
    assert check_file(path).black


def test_exr_without_all_its_blocks_is_bad(tmp_path: Path) -> None:
    assert check_file(write(tmp_path, exr(), "a.exr"), 4, 3).luminance is None
    with pytest.raises(BadImage, match="ends early"):
        check_file(write(tmp_path, exr(filled=False), "a.exr"))
    with pytest.raises(BadImage):
        check_file(write(tmp_path, exr()[:60], "a.exr"))


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "RGB"), ("a.tif", "RGB"), ("a.png", "I;16")])
def test_formats_of_pillow_are_read_by_our_own_readers_too(tmp_path: Path, name: str, mode: str, pillow: bool) -> None:
    if not pillow:
        pytest.skip("Pillow writes the file")
    from PIL import Image

    Image.new(mode, (20, 10), 40000 if mode == "I;16" else (200, 100, 50)).save(tmp_path / name)
    picture = check_file(tmp_path / name, 20, 10)
    assert picture.luminance is not None
    assert picture.luminance > 0.3
    data = (tmp_path / name).read_bytes()
    with pytest.raises(BadImage):
        check_file(write(tmp_path, data[: len(data) // 2], name))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.exr", "a.tif"])
def test_junk_under_the_name_of_an_image_is_bad(tmp_path: Path, name: str, pillow: bool) -> None:
    with pytest.raises(BadImage):
        check_file(write(tmp_path, b"not a picture at all, and long enough for any header" * 9, name))


def test_what_is_no_image_by_its_name_needs_only_content(tmp_path: Path) -> None:
    assert check_file(write(tmp_path, b"x", "cache.abc")).width == 0
    with pytest.raises(BadImage):
        check_file(write(tmp_path, b"", "cache.abc"))


BLACK, BRIGHT = png(pixel=b"\0\0\0"), png(pixel=b"\xff\xff\xff")


def test_black_frame_alone_is_only_suspect(tmp_path: Path) -> None:
    seen = inspect([Promise(write(tmp_path, BLACK))], ())
    assert (seen.fault, seen.remark) == ("", "suspect: 0001.png uniformly black")
    assert inspect([Promise(write(tmp_path, BLACK))], (0.0, 0.001)).fault == ""


def test_black_frame_beside_bright_ones_is_bad(tmp_path: Path) -> None:
    black = write(tmp_path, BLACK)
    assert "1 other frame(s) of the job are not" in inspect([Promise(black)], (0.4,)).fault
    bright = write(tmp_path, BRIGHT, "0002.png")
    assert "0001.png: uniformly black" in inspect([Promise(black), Promise(bright)], ()).fault


def test_bright_frames_give_their_light_for_later_ones(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    assert inspect([Promise(write(tmp_path, BRIGHT))], ()).luminances == (1.0,)


def test_command_may_write_anything_under_a_pictures_name_but_no_broken_picture(tmp_path: Path) -> None:
    text, broken = tmp_path / "a.png", tmp_path / "b.png"
    text.write_text("not a picture")
    broken.write_bytes(write(tmp_path, BRIGHT).read_bytes()[:-20])
    assert "broken" in inspect([Promise(text)], ()).fault
    assert inspect([Promise(text, any_content=True)], ()).fault == ""
    assert "broken" in inspect([Promise(broken, any_content=True)], ()).fault
