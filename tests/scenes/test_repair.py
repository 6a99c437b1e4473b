"""What is proposed where a file is missing, and what is not."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from farmd.scenes import nearby
from farmd.scenes.analyse import Wishes, analyse_repaired
from farmd.scenes.content import Reference, Role, Spread
from farmd.scenes.report import Means
from farmd.scenes.rules import applied
from tests.scenes.reading import FakeReader, found_in, only, report_on, rule, texture, touch

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.report import Report


def repaired(
    scene: Path, *references: Reference, application: str = "maya", **wishes: object
) -> tuple[Report, dict[str, str]]:
    reader = FakeReader(application)
    reader.put(scene.name, *references)
    touch(scene.parent, scene.name)
    given: dict[str, object] = {"environment": {}, "read": reader} | wishes
    report, rules = analyse_repaired(scene, Wishes(**given))  # type: ignore[arg-type]  # a test's own
    return report, dict(rules)


def test_other_letters_are_repaired_for_this_path_alone(tmp_path: Path) -> None:
    touch(tmp_path, "xgen/a__hair.xgen")
    missing = only(report_on(tmp_path / "a.ma", texture("xgen/a__Hair.xgen")))
    assert missing.repair is not None
    assert (missing.repair.means, missing.repair.found) == (Means.CASE, tmp_path / "xgen" / "a__hair.xgen")
    assert rule(missing) == ("xgen/a__Hair.xgen", f"{tmp_path}/xgen/a__hair.xgen")


def test_letters_of_a_pattern_are_repaired_and_it_stays_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.1001.exr", "tex/wood.1002.exr")
    report, rules = repaired(tmp_path / "a.ma", texture("Tex/Wood.<UDIM>.exr", spread=Spread.UDIM))
    assert rules == {"Tex/Wood.<UDIM>.exr": f"{tmp_path}/tex/wood.<UDIM>.exr"}
    assert (found_in(report, tmp_path), report.missing) == (["tex/wood.1001.exr", "tex/wood.1002.exr"], ())


def test_two_spellings_are_told_and_none_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "Wood.png", "WOOD.png")
    report = report_on(tmp_path / "a.ma", texture("wood.png"))
    assert only(report).repair is None
    assert [one.code for one in report.remarks] == ["ambiguous"]
    assert f"{tmp_path}/WOOD.png, {tmp_path}/Wood.png" in report.remarks[0].text


def test_path_that_blender_takes_for_relative_is_found_from_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.png")
    missing = only(report_on(tmp_path / "a" / "b.blend", texture(f"/{tmp_path}/tex/wood.png"), application="blender"))
    assert missing.repair is not None
    assert missing.repair.means is Means.SLASHES
    assert applied(missing.written, [rule(missing)]) == f"{tmp_path}/tex/wood.png"


def test_rule_of_the_farm_is_proposed_before_a_search(tmp_path: Path) -> None:
    touch(tmp_path, "mnt/show/tex/wood.png", "a/tex/wood.png")
    rules = (("Y:/", f"{tmp_path}/wrong"), ("Y:/show", f"{tmp_path}/mnt/show"))
    missing = only(report_on(tmp_path / "a" / "a.ma", texture("y:\\show\\tex\\wood.png"), rules=rules))
    assert missing.repair is not None
    assert (missing.repair.means, missing.repair.found) == (Means.RULE, tmp_path / "mnt/show/tex/wood.png")


@pytest.mark.parametrize(
    "written", ["Y:/proj/show/tex/wood.png", "Y:\\proj\\show\\tex\\wood.png", "//nas/show/tex/wood.png"]
)
def test_longest_end_of_the_path_below_the_project_gives_the_prefix(tmp_path: Path, written: str) -> None:
    touch(tmp_path, "show/workspace.mel", "show/tex/wood.png", "show/old/tex/wood.png", "show/wood.png")
    missing = only(report_on(tmp_path / "show" / "scenes" / "a.ma", texture(written)))
    assert missing.repair is not None
    assert (missing.repair.means, missing.repair.found) == (Means.PREFIX, tmp_path / "show/tex/wood.png")
    prefix, becomes = rule(missing)
    assert len(prefix) < len(written) - len("tex/wood.png")
    assert applied(written, [(prefix, becomes)]) == f"{tmp_path}/show/tex/wood.png"


def test_own_tree_of_the_scene_goes_before_what_lies_around_it(tmp_path: Path) -> None:
    touch(tmp_path, "show/tex/wood.png", "tex/wood.png")
    missing = only(report_on(tmp_path / "show" / "a.ma", texture("Y:/tex/wood.png")))
    assert rule(missing)[1].startswith(f"{tmp_path}/show")


def test_prefix_that_one_file_taught_finds_the_next(tmp_path: Path) -> None:
    touch(tmp_path, "mnt/lib/a/wood.png", "mnt/lib/b/deep/stone.png", "mnt/show/lib/b/deep/stone.png")
    scene = tmp_path / "mnt" / "show" / "a.ma"
    first = texture(f"{tmp_path}/mnt/lib/a/wood.png")
    _, rules = repaired(
        scene, first, texture("Y:/lib/a/wood.png", "file2"), texture("Y:/lib/b/deep/stone.png", "file3")
    )
    assert rules == {"Y:/": f"{tmp_path}/mnt/"}


def test_rule_takes_no_file_away_that_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.png", "show/elsewhere/tex/stone.png")
    written = (f"{tmp_path}/tex/wood.png", f"{tmp_path}/tex/stone.png")
    report, rules = repaired(tmp_path / "show" / "a.ma", *map(texture, written, ("a", "b")))
    assert rules == {written[1]: f"{tmp_path}/show/elsewhere/tex/stone.png"}
    assert (len(report.found), report.missing) == (2, ())


def test_rules_that_contradict_each_other_become_longer(tmp_path: Path) -> None:
    touch(tmp_path, "one/tex/wood.png", "two/tex/stone.png")
    report, rules = repaired(tmp_path / "a.ma", texture("Y:/tex/wood.png", "a"), texture("Y:/tex/stone.png", "b"))
    assert (len(report.found), report.missing) == (2, ())
    for written in ("Y:/tex/wood.png", "Y:/tex/stone.png"):
        assert applied(written, tuple(rules.items())).endswith(written[3:])


def test_same_name_below_the_folder_is_found_and_taken_for_this_path_alone(tmp_path: Path) -> None:
    touch(tmp_path, "maps/old/wood.png")
    missing = only(report_on(tmp_path / "a.ma", texture("Y:/lib/tex/wood.png")))
    assert missing.repair is not None
    assert missing.repair.means is Means.BESIDE
    assert rule(missing) == ("Y:/lib/tex/wood.png", f"{tmp_path}/maps/old/wood.png")


def test_same_name_twice_is_told_and_none_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a/wood.png", "b/wood.png")
    report = report_on(tmp_path / "a.ma", texture("Y:/lib/wood.png"))
    assert only(report).repair is None
    assert "could be any of 2" in report.remarks[0].text


def test_same_tiles_below_the_folder_are_found_as_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "maps/w.1001.exr", "maps/w.1002.exr", "maps/w.exr")
    report, rules = repaired(tmp_path / "a.ma", texture("Y:/lib/w.<UDIM>.exr", spread=Spread.UDIM))
    assert rules == {"Y:/lib/w.<UDIM>.exr": f"{tmp_path}/maps/w.<UDIM>.exr"}
    assert len(report.found) == 2


def test_search_ends_after_so_many_entries_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"many/{number}.txt" for number in range(20)), "z/wood.png")
    monkeypatch.setattr(nearby.Nearby.__init__, "__defaults__", (10,))
    report = report_on(tmp_path / "a.ma", texture("Y:/lib/wood.png"))
    assert only(report).repair is None
    assert [one.code for one in report.remarks] == ["search_bounded"]


@pytest.mark.parametrize(
    ("written", "lies_at"),
    [
        ("${PROJECT}xgen/collections/hair/a.ptx", "xgen/collections/hair/a.ptx"),
        ("$MAYA_PROJECT/xgen/a.ptx", "xgen/a.ptx"),
        ("${DESC}/guides.abc", "xgen/collections/hair/long/guides.abc"),
        ("${DESC}/paintmaps/${FXMODULE}/mask.ptx", "xgen/collections/hair/long/paintmaps/Clump1/mask.ptx"),
    ],
)
def test_variable_that_nothing_explains_is_expanded_from_the_project(
    tmp_path: Path, written: str, lies_at: str
) -> None:
    touch(tmp_path, "workspace.mel", lies_at, "elsewhere/" + lies_at.rpartition("/")[2])
    report, rules = repaired(tmp_path / "scenes" / "a.ma", Reference("hair", "map", written, Role.GROOM))
    assert found_in(report, tmp_path) == [lies_at], report
    assert applied(written, tuple(rules.items())) == str(tmp_path / lies_at)


def test_project_of_another_machine_is_replaced_by_this_one(tmp_path: Path) -> None:
    touch(tmp_path, "workspace.mel", "xgen/collections/hair/a.ptx")
    hair = Reference(
        "hair", "map", "${PROJECT}xgen/collections/hair/a.ptx", Role.GROOM, variables={"PROJECT": "D:/show/"}
    )
    report, rules = repaired(tmp_path / "scenes" / "a.ma", hair)
    assert found_in(report, tmp_path) == ["xgen/collections/hair/a.ptx"]
    assert all(becomes.startswith("/") for becomes in rules.values())


def test_repaired_scene_is_read_and_its_own_lacks_are_repaired(tmp_path: Path) -> None:
    touch(tmp_path, "assets/rig.ma", "assets/maps/skin.png")
    reader = FakeReader()
    reader.put("a.ma", Reference("rigRN", "reference", "Y:/assets/rig.ma", Role.SCENE))
    reader.put("rig.ma", texture("Y:/old/maps/skin.png"))
    touch(tmp_path, "a.ma")
    report, rules = analyse_repaired(tmp_path / "a.ma", Wishes(environment={}, read=reader))
    assert (found_in(report, tmp_path), report.missing) == (["assets/maps/skin.png", "assets/rig.ma"], ())
    assert len(rules) == 2
    assert sorted(reader.read) == ["a.ma", "rig.ma"]


def test_every_rule_of_many_repairs_holds_for_what_it_was_made(tmp_path: Path) -> None:
    folders = ["a/tex", "b/tex", "a/b", "c"]
    names = [f"{folder}/{name}.png" for folder, name in itertools.product(folders, ("x", "y", "z"))]
    unique = [name.replace(".png", f"{at}.png") for at, name in enumerate(names)]
    touch(tmp_path, *unique)
    written = [
        f"{drive}:/{'old/' * (at % 3)}{name}" for at, (drive, name) in enumerate(zip("YZ" * 6, unique, strict=True))
    ]
    report, rules = repaired(tmp_path / "s" / "s.ma", *(texture(path, path) for path in written))
    assert report.missing == ()
    assert [applied(path, tuple(rules.items())) for path in written] == [f"{tmp_path}/{name}" for name in unique]


def test_nothing_is_searched_where_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "wood.png")
    monkeypatch.setattr(nearby, "os", None)
    assert len(report_on(tmp_path / "a.ma", texture("wood.png")).found) == 1
