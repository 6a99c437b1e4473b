"""What a written path means on this machine, and why there is nothing where it leads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from farmd.scenes import resolve as resolving
from farmd.scenes.content import Reference, Role, Spread
from farmd.scenes.folders import Folders
from farmd.scenes.report import Why
from farmd.scenes.written import expand
from tests.scenes.reading import FakeReader, found_in, only, report_of, report_on, texture, touch


@pytest.mark.parametrize(
    ("application", "written", "leads_to"),
    [
        ("maya", "{top}/tex/wood.png", "tex/wood.png"),
        ("maya", "{top}//tex///wood.png", "tex/wood.png"),
        ("maya", "{top}\\tex\\wood.png", "tex/wood.png"),
        ("maya", "{top}/scenes/../tex/wood.png", "tex/wood.png"),
        ("maya", "../tex/wood.png", "tex/wood.png"),
        ("maya", "C:/old/place//tex/wood.png", "tex/wood.png"),
        ("blender", "//../tex/wood.png", "tex/wood.png"),
        ("blender", "//..\\tex\\wood.png", "tex/wood.png"),
        ("blender", "{top}/tex/wood.png", "tex/wood.png"),
        ("mitsuba", "../tex/wood.png", "tex/wood.png"),
        ("povray", "../tex/wood.png", "tex/wood.png"),
    ],
)
def test_written_path_leads_where_the_application_would_look(
    tmp_path: Path, application: str, written: str, leads_to: str
) -> None:
    touch(tmp_path, leads_to, "workspace.mel")
    report = report_on(tmp_path / "scenes" / "a.scene", texture(written.format(top=tmp_path)), application=application)
    assert (found_in(report, tmp_path), report.missing) == ([leads_to], ())


def test_blender_reads_a_drive_as_a_folder_of_its_letter() -> None:
    reference = texture("Q:\\show\\wood.png")
    place = resolving.Place(Path("/scenes"), "blender")
    assert list(resolving.candidates(reference.written, reference, place)) == ["/q/show/wood.png"]
    assert list(resolving.candidates(reference.written, reference, resolving.Place(Path("/scenes"), "maya"))) == []


@pytest.mark.parametrize(
    ("role", "written", "lies_at"),
    [
        (Role.TEXTURE, "wood.png", "pictures/wood.png"),
        (Role.TEXTURE, "pictures/wood.png", "pictures/wood.png"),
        (Role.CACHE, "rain.abc", "cache/alembic/rain.abc"),
        (Role.SCENE, "rig.ma", "scenes/rig.ma"),
        (Role.SOUND, "hum.wav", "sound/hum.wav"),
        (Role.OTHER, "beside.txt", "shots/010/beside.txt"),
    ],
)
def test_relative_path_of_maya_follows_the_rules_of_the_project(
    tmp_path: Path, role: Role, written: str, lies_at: str
) -> None:
    touch(tmp_path, lies_at)
    rules = {"sourceImages": "pictures", "alembicCache": "cache/alembic", "sound": "sound"}
    text = "".join(f'workspace -fr "{kind}" "{folder}";\n' for kind, folder in rules.items())
    (tmp_path / "workspace.mel").write_text(text)
    report = report_on(tmp_path / "shots" / "010" / "a.ma", Reference("n", "a", written, role))
    assert found_in(report, tmp_path) == [lies_at]


def test_project_that_the_scene_names_goes_before_the_one_above_it(tmp_path: Path) -> None:
    touch(tmp_path, "named/sourceimages/wood.png", "sourceimages/wood.png", "workspace.mel")
    reader = FakeReader()
    reader.put("a.ma", texture("wood.png"), project=str(tmp_path / "named"))
    assert found_in(report_of(tmp_path / "scenes" / "a.ma", reader), tmp_path) == ["named/sourceimages/wood.png"]


def test_base_of_a_reference_goes_before_the_folder_of_the_scene(tmp_path: Path) -> None:
    touch(tmp_path, "lib/wood.png", "wood.png")
    assert found_in(report_on(tmp_path / "a.ma", texture("wood.png", base="lib")), tmp_path) == ["lib/wood.png"]


def test_variables_come_from_the_reference_before_the_environment(tmp_path: Path) -> None:
    touch(tmp_path, "hair/x/guides.abc", "show/wood.png")
    hair = Reference(
        "desc", "guides", "${DESC}/guides.abc", Role.GROOM, variables={"DESC": "${TOP}hair/x", "TOP": f"{tmp_path}/"}
    )
    report = report_on(
        tmp_path / "a.ma", hair, texture("$SHOW/wood.png"), environment={"SHOW": f"{tmp_path}/show", "DESC": "/no"}
    )
    assert found_in(report, tmp_path) == ["hair/x/guides.abc", "show/wood.png"]


def test_variables_that_name_each_other_end() -> None:
    assert len(expand("$A", {"A": "$B", "B": "$A"})[1]) == 1


@pytest.mark.parametrize(
    ("spread", "written", "files"),
    [
        (Spread.UDIM, "t.<UDIM>.exr", ["t.1001.exr", "t.1011.exr"]),
        (Spread.UDIM, "t.1001.exr", ["t.1001.exr", "t.1011.exr"]),
        (Spread.ONE, "t.<udim>.exr", ["t.1001.exr", "t.1011.exr"]),
        (Spread.UDIM, "m_<UVTILE>.png", ["m_u1_v1.png", "m_u2_v1.png"]),
        (Spread.UDIM, "m_u1_v1.png", ["m_u1_v1.png", "m_u2_v1.png"]),
        (Spread.UDIM, "m_u<u>_v<v>.png", ["m_u1_v1.png", "m_u2_v1.png"]),
        (Spread.FRAMES, "s.####.vdb", ["s.0001.vdb", "s.0002.vdb", "s.12345.vdb"]),
        (Spread.FRAMES, "s.%04d.vdb", ["s.0001.vdb", "s.0002.vdb", "s.12345.vdb"]),
        (Spread.FRAMES, "s.<f>.vdb", ["s.0001.vdb", "s.0002.vdb", "s.12345.vdb", "s.7.vdb"]),
        (Spread.FRAMES, "s.0002.vdb", ["s.0001.vdb", "s.0002.vdb", "s.12345.vdb"]),
        (Spread.FRAMES, "part<f>/g.abc", ["part1/g.abc", "part2/g.abc"]),
        (Spread.FOLDER, "deep", ["deep/a.txt", "deep/er/b.txt"]),
    ],
)
def test_pattern_stands_for_every_file_that_fits(
    tmp_path: Path, spread: Spread, written: str, files: list[str]
) -> None:
    touch(tmp_path, "t.1001.exr", "t.1011.exr", "t.99.exr", "t.1001.exr.tx", "m_u1_v1.png", "m_u2_v1.png", "m_u2.png")
    touch(tmp_path, "s.0001.vdb", "s.0002.vdb", "s.12345.vdb", "s.7.vdb", "part1/g.abc", "part2/g.abc", "part3/h.abc")
    touch(tmp_path, "deep/a.txt", "deep/er/b.txt")
    assert found_in(report_on(tmp_path / "a.ma", texture(written, spread=spread)), tmp_path) == files


def test_file_that_is_named_like_a_pattern_goes_before_it(tmp_path: Path) -> None:
    touch(tmp_path, "s.##.vdb", "s.01.vdb")
    assert found_in(report_on(tmp_path / "a.ma", texture("s.##.vdb")), tmp_path) == ["s.##.vdb"]


def test_sequence_is_cut_to_the_frames_that_the_scene_asks_for_and_gaps_are_told(tmp_path: Path) -> None:
    touch(tmp_path, *(f"s_{number:04d}.vdb" for number in (1, 2, 3, 5, 9)))
    report = report_on(
        tmp_path / "a.blend", texture("//s_0003.vdb", spread=Spread.FRAMES, frames=(2, 6)), application="blender"
    )
    assert found_in(report, tmp_path) == ["s_0002.vdb", "s_0003.vdb", "s_0005.vdb"]
    assert [(one.code, one.text) for one in report.remarks] == [
        ("gaps", "//s_0003.vdb (file1): the sequence lacks 4,6")
    ]


@pytest.mark.parametrize(
    ("written", "spread", "why", "says"),
    [
        ("", Spread.ONE, Why.EMPTY, "no file is named"),
        ("{top}/tex/none.png", Spread.ONE, Why.ABSENT, "it is not in {top}/tex"),
        ("{top}/no/such/none.png", Spread.ONE, Why.NO_FOLDER, "there is no folder {top}/no"),
        ("{top}/TEX/Wood.png", Spread.ONE, Why.CASE, "it is here in other letters: {top}/tex/wood.png"),
        ("{top}/tex/WOOD.png", Spread.ONE, Why.CASE, "it is here in other letters: {top}/tex/wood.png"),
        ("Y:/tex/wood.png", Spread.ONE, Why.DRIVE, "there is no drive Y: on this machine"),
        ("y:\\tex\\wood.png", Spread.ONE, Why.DRIVE, "there is no drive Y: on this machine"),
        ("\\\\nas\\show\\wood.png", Spread.ONE, Why.DRIVE, "there is no share //nas/show on this machine"),
        ("//nas/show/wood.png", Spread.ONE, Why.DRIVE, "there is no share //nas/show on this machine"),
        ("../../Y:/show/wood.png", Spread.ONE, Why.DRIVE, "there is no drive Y: on this machine"),
        ("${NOWHERE}/wood.png", Spread.ONE, Why.VARIABLE, "nothing here says what ${{NOWHERE}} means"),
        ("{top}/tex/w.<UDIM>.png", Spread.UDIM, Why.NO_MATCH, "no file in {top}/tex fits the pattern"),
        ("{top}/no/w.<UDIM>.png", Spread.UDIM, Why.NO_FOLDER, "there is no folder {top}/no"),
        ("{top}/TEX/w.####.png", Spread.FRAMES, Why.NO_FOLDER, "there is no folder {top}/TEX"),
        ("{top}/tex", Spread.ONE, Why.NOT_A_FILE, "it is no file"),
        ("{top}/tex/wood.png", Spread.FOLDER, Why.NOT_A_FILE, "a file stands where a folder is needed"),
        ("{top}/empty", Spread.FOLDER, Why.NO_MATCH, "the folder is empty"),
        ("{top}/gone", Spread.FOLDER, Why.ABSENT, "there is no folder {top}/gone"),
    ],
)
def test_what_is_missing_says_why(tmp_path: Path, written: str, spread: Spread, why: Why, says: str) -> None:
    touch(tmp_path, "tex/wood.png")
    (tmp_path / "empty").mkdir()
    if "{{" not in says:
        says = says.format(top=tmp_path)
    missing = only(report_on(tmp_path / "a.ma", texture(written.replace("{top}", str(tmp_path)), spread=spread)))
    assert (missing.why, missing.text) == (why, says.replace("{{", "{").replace("}}", "}"))


def test_file_that_may_not_be_read_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "wood.png")
    monkeypatch.setattr("farmd.scenes.resolve.os.access", lambda path, mode: Path(path).name != "wood.png")
    assert only(report_on(tmp_path / "a.ma", texture("wood.png"))).why is Why.UNREADABLE


def test_name_with_accents_in_two_parts_is_the_same_in_other_letters(tmp_path: Path) -> None:
    touch(tmp_path, "cafe\u0301.png")
    assert only(report_on(tmp_path / "a.ma", texture("caf\u00e9.png"))).why is Why.CASE


def test_backslash_is_a_letter_where_the_program_takes_it_for_one(tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.png")
    missing = only(report_on(tmp_path / "a.pov", texture("tex\\wood.png"), application="povray"))
    assert missing.why is Why.ABSENT
    assert missing.repair is not None
    assert (missing.repair.means, missing.repair.becomes) == ("slashes", f"{tmp_path}/tex/")


def test_folder_is_listed_once_for_many_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"t{number}.1001.exr" for number in range(20)))
    listed: list[str] = []

    def listing(folder: str) -> list[str]:
        listed.append(folder)
        return [entry.name for entry in os.scandir(folder)]

    monkeypatch.setattr("farmd.scenes.folders.os.listdir", listing)
    folders = Folders()
    for number in range(20):
        assert folders.matching(f"{tmp_path}/t{number}.<UDIM>.exr") is not None
    assert listed == [str(tmp_path)]
