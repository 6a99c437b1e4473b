"""Thumbnails: small whatever the picture, right in colour, and never in anybody's way."""

from __future__ import annotations

import importlib.util
import io
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters import thumbnails
from farmd.adapters.thumbnails import MAX_BYTES, Thumbnails
from farmd.adapters.thumbnails.drawing import BROKEN, SIDE, draw
from farmd.adapters.thumbnails.exr import CannotShow, view_of
from tests.adapters.exrwriter import FLOAT, HALF, NONE, PIZ, RLE, ZIP, ZIPS, exr

if TYPE_CHECKING:
    from pathlib import Path

Image = pytest.importorskip("PIL.Image")


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (60, 40), colour: Any = None) -> Path:
    Image.new(mode, size, colour).save(path)
    return path


def colour_of(data: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        pixel: tuple[int, ...] = image.getpixel((image.width // 2, image.height // 2))
        return pixel


@pytest.mark.parametrize(
    ("name", "mode", "colour", "seen"),
    [
        ("a.png", "RGB", (200, 100, 50), (200, 100, 50)),
        ("a.png", "RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("a.png", "RGBA", (200, 100, 50, 0), (64, 64, 64)),
        ("a.png", "L", 90, (90, 90, 90)),
        ("a.png", "LA", (90, 255), (90, 90, 90)),
        ("a.png", "P", 0, (0, 0, 0)),
        ("a.png", "I;16", 0x8000, (128, 128, 128)),
        ("a.jpg", "RGB", (200, 100, 50), (200, 100, 50)),
        ("a.jpeg", "CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("a.tif", "RGB", (200, 100, 50), (200, 100, 50)),
        ("a.tiff", "F", 0.5, (128, 128, 128)),
        ("A.PNG", "RGB", (200, 100, 50), (200, 100, 50)),
    ],
)
def test_pictures_of_all_kinds_keep_their_colour(
    tmp_path: Path, name: str, mode: str, colour: Any, seen: tuple[int, int, int]
) -> None:
    path = tmp_path / name
    Image.new(mode, (60, 40), colour).save(path, "PNG" if name == "A.PNG" else None)
    maker = Thumbnails()
    assert maker.wants(path)
    (data,) = maker.make([path])
    assert all(abs(a - b) <= 4 for a, b in zip(colour_of(data), seen, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (480, 3), (3000, 2000), (200, 4000)])
def test_a_thumbnail_is_small_whatever_the_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "noise.png"
    noise = random.Random(1).randbytes(3 * size[0] * size[1])
    Image.frombytes("RGB", size, noise).save(path, compress_level=0)
    (data,) = Thumbnails().make([path])
    assert 0 < len(data) <= MAX_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert max(image.size) <= SIDE
        assert abs(image.width / image.height - size[0] / size[1]) <= size[0] / size[1] * 0.2


@pytest.mark.parametrize("packing", [NONE, RLE, ZIPS, ZIP])
@pytest.mark.parametrize("kind", [HALF, FLOAT])
def test_light_of_an_exr_is_shown_as_srgb(tmp_path: Path, packing: int, kind: int) -> None:
    path = tmp_path / "a.exr"
    shaders = {
        "R": lambda x, y: x / 39,
        "G": lambda x, y: y / 36,
        "B": lambda x, y: 7.5 if x > y else -1.0,
        "A": lambda x, y: 1.0,
    }
    path.write_bytes(exr(shaders, 40, 37, packing=packing, kind=kind))
    view = view_of(path, 480)
    assert (view.width, view.height) == (40, 37)
    for x, y in ((0, 0), (39, 0), (20, 11), (39, 36), (3, 30)):
        at = 3 * (40 * y + x)
        red, green, blue = view.rgb[at : at + 3]
        assert abs(red - srgb(x / 39)) <= 2
        assert abs(green - srgb(y / 36)) <= 2
        assert blue == (255 if x > y else 0)


def srgb(value: float) -> float:
    return 255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055)


def test_a_large_exr_is_looked_at_here_and_there(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(exr(dict.fromkeys("RGB", lambda x, y: x / 400), 401, 203))
    view = view_of(path, 100)
    assert (view.width, view.height) == (81, 41)
    assert len(view.rgb) == 3 * 81 * 41
    assert abs(view.rgb[3 * 40] - srgb(200 / 400)) <= 2


def test_the_picture_is_chosen_among_the_layers_of_an_exr(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    lit = {f"View.Combined.{c}": lambda x, y: 1.0 for c in "RGB"}
    dark = {f"View.AO.{c}": lambda x, y: 0.0 for c in "RGB"}
    path.write_bytes(exr({**dark, **lit, "View.Depth.Z": lambda x, y: 5.0}, 4, 4))
    assert view_of(path, 480).rgb == b"\xff" * 48
    path.write_bytes(exr({"Y": lambda x, y: 1.0}, 4, 4))
    assert view_of(path, 480).rgb == b"\xff" * 48
    path.write_bytes(exr({"Z": lambda x, y: 1.0}, 4, 4))
    with pytest.raises(CannotShow, match="no colours"):
        view_of(path, 480)


@pytest.mark.skipif(importlib.util.find_spec("OpenEXR") is not None, reason="the module reads it")
def test_an_exr_that_needs_the_library_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(exr(dict.fromkeys("RGB", lambda x, y: 1.0), 4, 4, packing=PIZ))
    with pytest.raises(CannotShow, match="OpenEXR"):
        view_of(path, 480)


@pytest.mark.parametrize("seed", range(40))
def test_a_broken_exr_is_an_error_of_a_known_kind(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(exr(dict.fromkeys("RGB", lambda x, y: x / 9), 10, 20, packing=rng.choice([NONE, RLE, ZIP])))
    for _ in range(rng.randrange(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path = tmp_path / "a.exr"
    path.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
    try:
        drawn = draw(path)
    except BROKEN:
        drawn = b""
    assert len(drawn) <= MAX_BYTES


def test_what_cannot_be_drawn_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    (tmp_path / "bad.exr").write_bytes(b"nonsense")
    paths = [tmp_path / "bad.png", picture(tmp_path / "a.png"), tmp_path / "bad.exr", tmp_path / "gone.png"]
    paths.append(picture(tmp_path / "large.png", size=(900, 900), colour=(0, 200, 0)))
    made = Thumbnails().make(paths)
    assert [bool(data) for data in made] == [False, True, False, False, True]
    assert colour_of(made[4])[1] > 190


def test_large_pictures_are_drawn_in_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[str] = []

    def draw_here(path: Path) -> bytes:
        here.append(path.name)
        return b"x"

    monkeypatch.setattr(thumbnails, "_draw_here", draw_here)
    small, large = picture(tmp_path / "small.png"), picture(tmp_path / "large.png", size=(1920, 1080))
    light = tmp_path / "light.exr"
    light.write_bytes(exr(dict.fromkeys("RGB", lambda x, y: 1.0), 8, 8))
    made = Thumbnails().make([small, large, light])
    assert here == ["small.png"]
    assert [bool(data) for data in made] == [True, True, True]


def test_a_node_that_is_busy_with_thumbnails_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "ROOM_S", 0.01)
    maker = Thumbnails()
    for _ in range(thumbnails.AT_ONCE):
        maker._room.acquire()
    assert maker.make([picture(tmp_path / "large.png", size=(1920, 1080))]) == [b""]


def test_a_process_that_dies_leaves_what_it_had_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nprintf '\\003\\000\\000\\000abc\\005\\000\\000\\000ab'\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    large = [picture(tmp_path / f"{n}.png", size=(1920, 1080)) for n in range(3)]
    assert Thumbnails().make(large) == [b"abc", b"", b""]


def test_a_node_without_an_image_library_makes_none_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    maker = Thumbnails()
    assert "Pillow is not installed" in maker.fault
    assert not maker.wants(tmp_path / "a.png")


def test_only_pictures_are_wanted(tmp_path: Path) -> None:
    maker = Thumbnails()
    assert [maker.wants(tmp_path / name) for name in ("a.png", "a.exr", "a.abc", "a", "a.png.txt")] == [
        True, True, False, False, False,
    ]  # fmt: skip
