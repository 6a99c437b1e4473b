"""asset.json: the source's fields, our own part, and the schema that describes both."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farmd.scenes import document
from farmd.scenes.content import Camera, Facts, Layer, Reference, Role
from farmd.scenes.document import asset_document, frames_text
from tests.scenes.against_schema import faults
from tests.scenes.reading import FakeReader, report_of, texture, touch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.scenes.report import Report

SCHEMA: dict[str, Any] = json.loads(Path(document.__file__).with_name("asset.schema.json").read_text())


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """A scene with something of everything."""
    touch(tmp_path, "tex/wood.png", "a__hair.xgen")
    os.utime(tmp_path / "tex" / "wood.png", (1_700_000_000, 1_700_000_000))
    reader = FakeReader()
    reader.put(
        "a.ma",
        texture("tex/wood.png"),
        texture("Y:/x.png", "file2"),
        texture("Y:/y.png", "file2"),
        Reference("pal", "xgFileName", "a__Hair.xgen", Role.GROOM),
        Reference("hum", "filename", "hum.wav", Role.SOUND),
        version="2022",
        plugins={"mtoa": "5.0"},
        renderer="arnold",
        start=1.0,
        end=3.0,
        animation=True,
        fps=24.0,
        width=1920,
        height=1080,
        image_format="exr",
        image_prefix="<Scene>/<RenderLayer>",
        cameras=(Camera("persp"), Camera("shotCam", renderable=True)),
        layers=(Layer("beauty"),),
        sampling={"volume": 2, "camera": 3, "other": 9},
        settings={"motion_blur": True, "auto_tx": False, "texture_memory_mb": 4096, "threads": 0, "shutter": 0.5},
    )
    return report_of(tmp_path / "a.ma", reader)


def test_fields_of_the_source_say_what_the_source_says(report: Report, tmp_path: Path) -> None:
    told = asset_document(report)
    del told["analysis"]
    assert told == {
        "schema": "farm.scene.v1",
        "scene_file": f"{tmp_path}/a.ma",
        "scene_file_size": 4,
        "asset_num": 1,
        "asset_size": 12,
        "animation": True,
        "start": 1,
        "end": 3,
        "by_frame": 1,
        "frames": "1-3[1]",
        "all_camera": ["persp", "shotCam"],
        "render_camera": ["shotCam"],
        "is_default_camera": False,
        "width": 1920,
        "height": 1080,
        "image_format": "exr",
        "image_file_prefix": "<Scene>/<RenderLayer>",
        "renderer": "arnold",
        "sampling": {"camera": 3, "volume": 2},
        "renumber_frames": None,
        "motion_blur_enable": True,
        "auto_tx": False,
        "tiled": None,
        "threads_autodetect": None,
        "textureMaxMemoryMB": 4096,
        "asset": [f"{tmp_path}/tex/wood.png (mtime 2023-11-14 22:13:20) size 12"],
        "missing": {
            "file2.fileTextureName": "Y:/x.png",
            "file2.fileTextureName[2]": "Y:/y.png",
            "pal.xgFileName": "a__Hair.xgen",
            "hum.filename": "hum.wav",
        },
    }


def test_document_is_as_the_schema_says_and_goes_through_json(report: Report) -> None:
    told = asset_document(report, (("Y:/", "/mnt/y/"),))
    assert json.loads(json.dumps(told)) == json.loads(json.dumps(told, default=str))
    assert faults(SCHEMA, json.loads(json.dumps(told))) == []


def test_our_own_part_holds_reason_and_repair(report: Report, tmp_path: Path) -> None:
    told = json.loads(json.dumps(asset_document(report)))["analysis"]
    assert [(one["why"], one["stops"]) for one in told["missing"]] == [
        ("drive", True),
        ("drive", True),
        ("case", True),
        ("absent", False),
    ]
    assert told["missing"][2]["repair"] == {
        "means": "case",
        "found": f"{tmp_path}/a__hair.xgen",
        "written": "a__Hair.xgen",
        "becomes": f"{tmp_path}/a__hair.xgen",
    }
    assert told["facts"]["settings"]["shutter"] == 0.5


@pytest.mark.parametrize(
    "wrong", [{"asset_num": "1"}, {"asset": ["a.png"]}, {"new": 1}, {"analysis": {}}, {"tiled": "x"}]
)
def test_document_that_is_otherwise_is_not_as_the_schema_says(report: Report, wrong: dict[str, Any]) -> None:
    assert faults(SCHEMA, json.loads(json.dumps(asset_document(report))) | wrong)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (Facts("maya", start=5, end=10), "5"),
        (Facts("maya", start=-3, end=10.5, step=0.5, animation=True), "-3-10.5[0.5]"),
    ],
)
def test_frames_are_written_as_the_source_writes_them(facts: Facts, text: str) -> None:
    assert frames_text(facts) == text
