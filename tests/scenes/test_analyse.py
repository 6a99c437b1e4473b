"""A scene, the scenes that it refers to, and one report of it all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from farmd.scenes.analyse import MAX_DEPTH, Wishes, analyse
from farmd.scenes.content import Content, Facts, Reference, Remark, Role, Spread
from farmd.scenes.readers import format_of, reader_of
from farmd.scenes.report import Why
from protocol.errors import NotFound, UserError
from tests.scenes.reading import FakeReader, found_in, only, report_of, report_on, texture, touch

if TYPE_CHECKING:
    from pathlib import Path


def scene(written: str, node: str = "rigRN") -> Reference:
    return Reference(node, "reference", written, Role.SCENE)


def test_scenes_in_scenes_are_read_once_each_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "lib/b.ma", "lib/c.ma", "lib/tex/skin.png", "tex/wood.png")
    reader = FakeReader()
    reader.put("a.ma", scene("lib/b.ma"), scene("lib/c.ma"), texture("tex/wood.png"))
    reader.put("b.ma", scene("c.ma"), texture("tex/skin.png", "file7"))
    reader.put("c.ma", scene("../a.ma"), texture("tex/skin.png", "file8"))
    report = report_of(tmp_path / "a.ma", reader)
    assert reader.read == ["a.ma", "b.ma", "c.ma"]
    assert found_in(report, tmp_path) == ["lib/b.ma", "lib/c.ma", "lib/tex/skin.png", "tex/wood.png"]
    skin = report.found[2]
    assert (skin.node, skin.by, skin.written) == ("file7", tmp_path / "lib" / "b.ma", "tex/skin.png")
    assert report.asset_bytes == sum(map(len, ("lib/b.ma", "lib/c.ma", "lib/tex/skin.png", "tex/wood.png")))


def test_facts_are_those_of_the_scene_itself(tmp_path: Path) -> None:
    touch(tmp_path, "b.ma")
    reader = FakeReader()
    reader.put("a.ma", scene("b.ma"), end=48.0)
    reader.put("b.ma", end=7.0)
    assert report_of(tmp_path / "a.ma", reader).facts.end == 48


def test_chain_of_scenes_has_an_end(tmp_path: Path) -> None:
    reader = FakeReader()
    for at in range(MAX_DEPTH + 5):
        touch(tmp_path, f"{at}.ma")
        reader.put(f"{at}.ma", scene(f"{at + 1}.ma"))
    report = report_of(tmp_path / "0.ma", reader)
    assert len(reader.read) == MAX_DEPTH + 1
    assert [one.code for one in report.remarks] == ["too_deep"]


def test_referenced_scene_that_cannot_be_read_is_a_remark(tmp_path: Path) -> None:
    touch(tmp_path, "b.ma")
    reader = FakeReader()
    reader.put("a.ma", scene("b.ma"))

    def read(path: Path) -> Content:
        if path.name == "b.ma":
            raise UserError("b.ma is damaged", "it ends in the middle")
        return reader(path)

    report = report_of(tmp_path / "a.ma", FakeReader(), read=read)
    assert found_in(report, tmp_path) == ["b.ma"]
    assert report.remarks == (Remark("unread", f"{tmp_path}/b.ma: b.ma is damaged: it ends in the middle"),)


def test_scene_of_a_kind_that_nothing_reads_is_a_dependency_all_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "b.fbx")
    reader = FakeReader()
    reader.put("a.ma", scene("b.fbx"))
    report = report_of(tmp_path / "a.ma", reader)
    assert found_in(report, tmp_path) == ["b.fbx"]
    assert [one.code for one in report.remarks] == ["not_followed"]
    assert reader.read == ["a.ma"]


def test_folder_of_too_many_files_is_cut_and_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cache/a", "cache/b", "cache/deep/c")
    monkeypatch.setattr("farmd.scenes.resolve.MOST_FILES", 2)
    monkeypatch.setattr("farmd.scenes.analyse.MOST_FILES", 2)
    report = report_on(tmp_path / "a.ma", texture("cache", spread=Spread.FOLDER))
    assert found_in(report, tmp_path) == ["cache/a", "cache/b"]
    assert [one.code for one in report.remarks] == ["folder_cut"]


def test_remarks_of_a_referenced_scene_name_it(tmp_path: Path) -> None:
    touch(tmp_path, "b.ma")
    reader = FakeReader()
    reader.put("a.ma", scene("b.ma"))
    reader.contents["b.ma"] = Content(Facts("maya"), remarks=(Remark("plugin", "needs x"),))
    assert report_of(tmp_path / "a.ma", reader).remarks == (Remark("plugin", "b.ma: needs x"),)


def test_library_that_brings_a_file_along_is_where_its_path_starts(tmp_path: Path) -> None:
    touch(tmp_path, "lib/skin.png", "skin.png")
    by = str(tmp_path / "lib" / "lib.blend")
    report = report_on(tmp_path / "a.blend", texture("//skin.png", by=by), application="blender")
    assert (found_in(report, tmp_path), str(report.found[0].by)) == (["lib/skin.png"], by)


def test_definition_of_the_project_goes_along(tmp_path: Path) -> None:
    touch(tmp_path, "show/workspace.mel")
    report = report_on(tmp_path / "show" / "scenes" / "a.ma", texture(""))
    assert [(one.path, one.node) for one in report.found] == [(tmp_path / "show" / "workspace.mel", "project")]


def test_every_place_that_names_a_missing_file_is_told_once(tmp_path: Path) -> None:
    report = report_on(tmp_path / "a.ma", texture("x.png"), texture("x.png"), texture("x.png", "file2"))
    assert [one.node for one in report.missing] == ["file1", "file2"]


def test_missing_sound_stops_nothing(tmp_path: Path) -> None:
    report = report_on(tmp_path / "a.ma", Reference("audio1", "filename", "hum.wav", Role.SOUND))
    assert (len(report.missing), report.stopping) == (1, ())


def test_file_that_the_application_ships_is_not_missing(tmp_path: Path) -> None:
    shipped = replace(texture("colors.inc"), shipped=True)
    assert report_on(tmp_path / "a.pov", shipped, application="povray").missing == ()
    touch(tmp_path, "colors.inc")
    assert len(report_on(tmp_path / "a.pov", shipped, application="povray").found) == 1


def test_rules_in_force_change_what_is_read_and_not_what_is_written(tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.png")
    report = report_on(
        tmp_path / "a.ma",
        texture("Y:/tex/wood.png"),
        texture("Y:/tex/no.png", "file2"),
        applied=(("Y:/", f"{tmp_path}/"),),
    )
    assert [one.written for one in report.found] == ["Y:/tex/wood.png"]
    assert (only(report).written, only(report).why) == ("Y:/tex/no.png", Why.ABSENT)


def test_progress_is_told(tmp_path: Path) -> None:
    touch(tmp_path, *(f"t{frame}.png" for frame in range(600)))
    told: list[tuple[int, str]] = []
    every = texture("t<f>.png", spread=Spread.FRAMES)
    report_on(tmp_path / "a.ma", every, progress=lambda count, name: told.append((count, name)))
    assert told == [(256, "a.ma"), (512, "a.ma")]


def test_scene_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        analyse(tmp_path / "none.ma")


def test_scene_that_nothing_reads_is_refused_with_what_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.c4d")
    with pytest.raises(UserError, match="cannot be analysed") as refused:
        analyse(tmp_path / "a.c4d", wishes=Wishes())
    assert all(ending in refused.value.hint for ending in (".ma", ".mb", ".blend", ".xml", ".pov"))


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("a.ma", b"//Maya ASCII 2022 scene\n", "maya_ascii"),
        ("a.ma", b"FOR8\0\0\0\0", "maya_binary"),
        ("a.mb", b"FOR4\0\0\0\0", "maya_binary"),
        ("A.MA", b"requires maya", "maya_ascii"),
        ("a.blend1", b"BLENDER", "blend"),
        ("a.xml", b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <x> -->\n<scene version="3.0.0">', "mitsuba_xml"),
        ("a.xml", b"<project/>", None),
        ("a.pov", b"camera {}", "povray"),
        ("a.hipnc", b"070707", "houdini"),
        ("a.txt", b"<scene>", None),
    ],
)
def test_ending_and_first_bytes_name_the_reader(tmp_path: Path, name: str, content: bytes, reader: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    kind = format_of(tmp_path / name)
    assert (kind and kind.reader.split(":")[0].rpartition(".")[2]) == reader
    if reader is None:
        assert reader_of(tmp_path / name) is None
