"""Mitsuba, the real one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from farmd.renderers.images import inspect
from farmd.renderers.mitsuba import Mitsuba
from farmd.renderers.registry import Registry
from protocol.states import FailureClass
from tests.adapters.runnerkit import Kit, spec_of

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.core.events import AttemptEnded

pytestmark = pytest.mark.mitsuba

SCENE = """<scene version="3.0.0"><default name="frame" value="1"/><integrator type="path"/>
<sensor type="perspective"><film type="hdrfilm"><integer name="width" value="32"/><integer name="height" value="18"/>
</film><sampler type="independent"><integer name="sample_count" value="2"/></sampler>
<transform name="to_world"><lookat origin="0,0,5" target="0,0,0" up="0,1,0"/></transform></sensor>
<emitter type="constant"/><shape type="sphere"><bsdf type="diffuse"/>
<transform name="to_world"><translate x="$frame"/></transform></shape></scene>
"""


def render(folder: Path, scene: str, frames: tuple[int, ...] = (1,), **given: Any) -> tuple[AttemptEnded, Kit]:
    async def scenario() -> tuple[AttemptEnded, Kit]:
        kit = Kit(folder, Registry([Mitsuba()], inspect=inspect))
        (kit.checkout_dir / "scene.xml").write_text(scene)
        return await kit.run(spec_of(renderer="mitsuba", scene="scene.xml", **given), frames), kit

    return asyncio.run(scenario())


def test_probe_reads_the_version_without_importing_the_package() -> None:
    import sys

    fact = Mitsuba().probe()
    assert fact is not None
    assert fact.version[0] == "3"
    assert "mitsuba" not in sys.modules


def test_frames_differ_by_their_parameter(tmp_path: Path) -> None:
    event, kit = render(tmp_path, SCENE, (0, 2))
    assert event.cause == 0, event
    assert [fact.name for fact in event.outputs] == ["0000.png", "0002.png"]
    assert kit.blobs["0000.png"] != kit.blobs["0002.png"]


def test_scene_that_does_not_know_frames_renders_too(tmp_path: Path) -> None:
    still = SCENE.replace('<default name="frame" value="1"/>', "").replace("$frame", "0")
    event, _ = render(tmp_path, still, output_name="still.exr")
    assert event.cause == 0, event
    assert [fact.name for fact in event.outputs] == ["still.exr"]


def test_checkout_cannot_shadow_the_package(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "mitsuba.py").write_text("raise SystemExit('shadowed')")
    event, _ = render(tmp_path, SCENE)
    assert event.cause == 0, event


@pytest.mark.parametrize(
    ("scene", "given", "cause", "word"),
    [
        (SCENE[:200], {}, FailureClass.ERROR, "Parsing of XML"),
        (
            SCENE.replace(
                '<emitter type="constant"/>',
                '<emitter type="envmap"><string name="filename" value="sky.exr"/></emitter>',
            ),
            {},
            FailureClass.MISSING_ASSET,
            "sky.exr",
        ),
        (SCENE, {"params": {"variant": "scalar_rbg"}}, FailureClass.MISSING_FEATURE, "no variant"),
        (
            SCENE.replace('<emitter type="constant"/>', '<emitter type="nebula"/>'),
            {},
            FailureClass.MISSING_FEATURE,
            'Plugin "nebula" not found',
        ),
        (SCENE, {"params": {"light": "3"}}, FailureClass.ERROR, "light"),
    ],
)
def test_broken_scene_is_named(tmp_path: Path, scene: str, given: Any, cause: FailureClass, word: str) -> None:
    event, _ = render(tmp_path, scene, **given)
    assert event.cause == cause, event
    assert word in event.text
