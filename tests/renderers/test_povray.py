"""POV-Ray, the real one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farmd.renderers import Progress, RenderTask
from farmd.renderers.images import inspect
from farmd.renderers.povray import Povray
from farmd.renderers.registry import Registry
from protocol.bodies import RendererFact
from protocol.errors import MissingFeature, UsageError
from protocol.states import FailureClass
from tests.adapters.runnerkit import Kit, spec_of

if TYPE_CHECKING:
    from farmd.core.events import AttemptEnded

SCENE = """#version 3.7; global_settings { assumed_gamma 1.0 }
camera { location <0, 1, -3> look_at 0 } light_source { <2, 4, -3> 1 }
sphere { <clock / 10, 0, 0>, 1 pigment { rgb <1, 0, 0> } finish { ambient 0.3 } }
"""


def render(folder: Path, scene: str, frames: tuple[int, ...] = (1,), **params: str) -> tuple[AttemptEnded, Kit]:
    async def scenario() -> tuple[AttemptEnded, Kit]:
        kit = Kit(folder, Registry([Povray()], inspect=inspect))
        (kit.checkout_dir / "a scene.pov").write_text(scene)
        given: dict[str, Any] = {"renderer": "povray", "scene": "a scene.pov"}
        return await kit.run(spec_of(**given, params={"width": "64", "height": "36"} | params), frames), kit

    return asyncio.run(scenario())


@pytest.mark.povray
def test_probe_names_the_version() -> None:
    fact = Povray().probe()
    assert fact is not None
    assert fact.version.startswith("3.")
    assert "png" in fact.features


@pytest.mark.povray
def test_frames_of_a_chunk_differ_by_the_clock(tmp_path: Path) -> None:
    event, kit = render(tmp_path, SCENE, (1, 9))
    assert event.cause == 0, event
    assert [fact.name for fact in event.outputs] == ["0001.png", "0009.png"]
    assert kit.blobs["0001.png"] != kit.blobs["0009.png"]


@pytest.mark.povray
@pytest.mark.parametrize(
    ("scene", "cause", "word"),
    [
        ("sphere { <0,0,0>, pigment", FailureClass.ERROR, "Parse Error"),
        ('sphere { 0, 1 pigment { image_map { png "wood.png" } } }', FailureClass.MISSING_ASSET, "wood.png"),
        ('#error "the texture that was on the old file server of the studio is lost"', FailureClass.ERROR, "is lost"),
        ('#include "lib.inc"', FailureClass.MISSING_ASSET, "lib.inc"),
    ],
)
def test_broken_scene_is_named(tmp_path: Path, scene: str, cause: FailureClass, word: str) -> None:
    event, _ = render(tmp_path, scene)
    assert event.cause == cause, event
    assert word in event.text


@pytest.mark.slow
@pytest.mark.povray
def test_black_frame_beside_bright_ones_is_bad_output(tmp_path: Path) -> None:
    scene = SCENE + "#if (clock > 2) plane { z, -2.9 pigment { rgb 0 } finish { ambient 0 diffuse 0 } } #end"
    event, _ = render(tmp_path, scene, (1, 2, 3))
    assert event.cause == FailureClass.BAD_OUTPUT, event
    assert "0003.png: uniformly black" in event.text


@pytest.mark.povray
def test_typo_in_a_parameter_is_refused_before_anything_renders(tmp_path: Path) -> None:
    event, _ = render(tmp_path, SCENE, widht="640")
    assert event.cause == FailureClass.START_FAILED
    assert "'widht'" in event.text


def test_progress_is_the_last_count_of_an_overwritten_line() -> None:
    line = "Rendered 1024 of 2304 pixels (44%)Rendered 1152 of 2304 pixels (50%)"
    assert Povray().parse(line) == Progress(0.5)


def test_format_that_this_povray_was_built_without_may_be_written_elsewhere() -> None:
    poor = RendererFact("povray", "3.7", ("gif", "png"))
    task = RenderTask(Path("/a.pov"), Path("/"), (1,), (Path("/o/a.exr"),), Path("/o"), Path("/t"), installed=poor)
    with pytest.raises(MissingFeature, match="built without openexr"):
        Povray("sh").commands(task)
    assert Povray("sh").commands(replace(task, outputs=(Path("/o/a.png"),)))
    assert Povray("sh").commands(replace(task, outputs=(Path("/o/a.ppm"),)))


def test_formats_that_povray_cannot_write_are_refused() -> None:
    task = RenderTask(Path("/a.pov"), Path("/"), (1,), (Path("/o/a.webp"),), Path("/o"), Path("/t"))
    with pytest.raises(UsageError, match="cannot write"):
        Povray("sh").commands(task)
