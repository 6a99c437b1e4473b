"""POV-Ray's scenes: what they include and what their statements name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.scenes.analyse import analyse
from farmd.scenes.content import Role
from farmd.scenes.povray import read_povray
from protocol.errors import UserError
from tests.scenes.reading import found_in, only, touch

if TYPE_CHECKING:
    from pathlib import Path

SCENE = r"""#version 3.7;
#include "colors.inc"
// #include "commented.inc"
/* #include "away.inc" /* nested "quote */ still " */
#include "parts/table.inc" // "not this"
#declare Name = "a // b.png";
plane { y, 0 texture { pigment { image_map { png "tex/wood.png" interpolate 2 } } } }
plane { y, 0 normal { bump_map { "tex/bumps.jpg" } } }
height_field { tga "hills.tga" smooth }
box { 0, 1 interior { media { density { density_file df3 "smoke.df3" } } } }
text { ttf "timrom.ttf" "Hello" 0.1, 0 }
text { ttf "own.ttf" "image_map" 0.1, 0 }
#fopen Data "points.txt" read
#fopen Out "written.txt" write
pigment { image_map { png concat("f", str(clock, -4, 0), ".png") } }
#include Name
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "a.pov"
    path.write_text(SCENE)
    return path


def test_statements_that_name_files_are_references(scene: Path) -> None:
    named = [(one.node, one.attribute, one.written, one.role, one.shipped) for one in read_povray(scene).references]
    assert named == [
        ("line 2", "#include", "colors.inc", Role.SCENE, True),
        ("line 5", "#include", "parts/table.inc", Role.SCENE, False),
        ("line 7", "image_map", "tex/wood.png", Role.TEXTURE, False),
        ("line 8", "bump_map", "tex/bumps.jpg", Role.TEXTURE, False),
        ("line 9", "height_field", "hills.tga", Role.TEXTURE, False),
        ("line 10", "density_file", "smoke.df3", Role.CACHE, False),
        ("line 11", "ttf", "timrom.ttf", Role.FONT, True),
        ("line 12", "ttf", "own.ttf", Role.FONT, False),
        ("line 13", "fopen", "points.txt", Role.OTHER, False),
    ]


def test_names_that_are_computed_are_remarks(scene: Path) -> None:
    told = read_povray(scene).remarks
    assert [one.text.partition(":")[0] for one in told] == ["line 15", "line 16"]
    assert {one.code for one in told} == {"computed_name"}


def test_version_is_a_fact(scene: Path) -> None:
    facts = read_povray(scene).facts
    assert (facts.application, facts.version, facts.animation, facts.start) == ("povray", "3.7", False, 1)


def test_included_file_is_read_and_what_povray_brings_is_not_missing(scene: Path, tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.png", "tex/bumps.jpg", "hills.tga", "smoke.df3", "own.ttf", "points.txt", "top.png")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "table.inc").write_text('#declare T = pigment { image_map { png "top.png" } }\n')
    report = analyse(scene)
    assert report.missing == ()
    assert {"parts/table.inc", "top.png"} <= set(found_in(report, tmp_path))
    (tmp_path / "top.png").unlink()
    assert only(analyse(scene)).by == tmp_path / "parts" / "table.inc"


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pov").write_bytes(b"\x7fELF\0")
    with pytest.raises(UserError, match="no POV-Ray scene"):
        read_povray(tmp_path / "a.pov")
