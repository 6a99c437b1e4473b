"""`farmctl scene analyse`: what a person and a program read of a scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farmd.scenes import document, readers
from farmd.scenes.content import Camera, Content, Layer, Reference, Remark, Role
from protocol.errors import Unreachable
from tests.farmctl.fakes import FakeNode, run
from tests.scenes.against_schema import faults
from tests.scenes.reading import FakeReader, texture, touch

SCHEMA: dict[str, Any] = json.loads(Path(document.__file__).with_name("asset.schema.json").read_text())


@pytest.fixture
def node() -> FakeNode:
    return FakeNode({"path.list": Unreachable("no node")})


@pytest.fixture(autouse=True)
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """A Maya scene of everything, read without Maya."""
    reader = FakeReader("maya")
    monkeypatch.setattr(readers, "reader_of", lambda path: reader if path.suffix == ".ma" else None)
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.ma", "tex/wood.png", "tex/stone.png", "rain.abc")
    reader.put(
        "a.ma",
        texture("tex/wood.png"),
        Reference("rain", "filename", "rain.abc", Role.CACHE),
        version="2022",
        renderer="arnold",
        plugins={"mtoa": "5.0", "xgen": ""},
        start=1.0,
        end=48.0,
        animation=True,
        fps=24.0,
        width=1920,
        height=1080,
        image_format="exr",
        cameras=(Camera("persp"), Camera("shotCam", renderable=True)),
        layers=(Layer("beauty"), Layer("matte"), Layer("old", renderable=False)),
        sampling={"camera": 3, "diffuse": 2},
    )
    return reader


def add(reader: FakeReader, *references: Reference, remarks: tuple[Remark, ...] = ()) -> None:
    content = reader.contents["a.ma"]
    reader.contents["a.ma"] = Content(content.facts, (*content.references, *references), remarks)


def test_card_says_what_a_wrangler_asks(node: FakeNode, tmp_path: Path) -> None:
    result = run(node, "scene", "analyse", "a.ma")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.replace(str(tmp_path), "TOP").splitlines() == [
        "scene        TOP/a.ma  (4B)",
        "application  maya 2022",
        "renderer     arnold",
        "frames       1-48[1] at 24 frames a second",
        "size         1920x1080 exr",
        "cameras      shotCam; 1 switched off",
        "layers       beauty, matte; 1 switched off",
        "sampling     camera 3, diffuse 2",
        "plug-ins     mtoa 5.0, xgen",
        "files        2 (20B): 1 cache, 1 texture",
    ]
    assert node.calls == []


def test_missing_files_come_with_place_reason_and_repair(node: FakeNode, reader: FakeReader, tmp_path: Path) -> None:
    hum = Reference("hum", "filename", "hum.wav", Role.SOUND)
    add(reader, texture("Y:/old/tex/stone.png", "file7"), hum, remarks=(Remark("x", "something to know"),))
    result = run(node, "scene", "analyse", "a.ma")
    assert result.exit_code == 1
    assert result.stdout.replace(str(tmp_path), "TOP").splitlines()[10:] == [
        "",
        "missing: 2 files, 1 of them stop the render",
        "  file7.fileTextureName  Y:/old/tex/stone.png",
        "      there is no drive Y: on this machine",
        "      repair: read Y:/old/ as TOP/ (prefix)",
        "  hum.filename  hum.wav",
        "      it is not in TOP; renders without it",
        "",
        "remarks",
        "  something to know",
    ]


def test_accepted_repairs_are_listed_as_path_rules(node: FakeNode, reader: FakeReader, tmp_path: Path) -> None:
    add(reader, texture("Y:/old/tex/stone.png", "file7"))
    result = run(node, "scene", "analyse", "a.ma", "--repair")
    assert result.exit_code == 0
    assert result.stdout.replace(str(tmp_path), "TOP").splitlines()[-3:] == [
        "",
        "path rules that repair the rest",
        "  Y:/old/ -> TOP/",
    ]


def test_json_is_asset_json(node: FakeNode, reader: FakeReader, tmp_path: Path) -> None:
    add(reader, texture("Y:/old/tex/stone.png", "file7"))
    told = json.loads(run(node, "scene", "analyse", "a.ma", "-o", "json").stdout)
    assert faults(SCHEMA, told) == []
    assert (told["asset_num"], told["missing"]) == (2, {"file7.fileTextureName": "Y:/old/tex/stone.png"})
    told = json.loads(run(node, "scene", "analyse", "a.ma", "--json", "--repair").stdout)
    assert (told["asset_num"], told["analysis"]["path_rules"]) == (3, [["Y:/old/", f"{tmp_path}/"]])


def test_names_are_the_files_one_a_line(node: FakeNode, tmp_path: Path) -> None:
    stdout = run(node, "scene", "analyse", "a.ma", "-o", "name").stdout
    assert stdout.splitlines() == [str(tmp_path / name) for name in ("a.ma", "rain.abc", "tex/wood.png")]


def test_rule_of_the_command_is_in_force(node: FakeNode, reader: FakeReader) -> None:
    add(reader, texture("Y:/tex/stone.png"))
    assert run(node, "scene", "analyse", "a.ma", "--map", "Y:/=.").exit_code == 0
    assert run(node, "scene", "analyse", "a.ma", "--map", "Y:/").exit_code == 2


@pytest.mark.parametrize(("name", "code", "says"), [("none.ma", 5, "no scene"), ("a.c4d", 1, "what is read: .ma, .mb")])
def test_what_cannot_be_analysed_is_refused_in_three_lines(node: FakeNode, name: str, code: int, says: str) -> None:
    Path("a.c4d").touch()
    result = run(node, "scene", "analyse", name)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (code, "", 3)
    assert says in result.stderr


def test_what_a_scene_says_cannot_steer_the_terminal(node: FakeNode, reader: FakeReader) -> None:
    reader.put(
        "a.ma", texture("\x1b[2Jx.png", "\x1b]0;x"), version="\x1b[31m", cameras=(Camera("\x1b", renderable=True),)
    )
    for form in ("table", "json", "name"):
        result = run(node, "scene", "analyse", "a.ma", "-o", form)
        assert "\x1b" not in result.stdout + result.stderr
