"""Blender, the real one, with the seven traps that were measured on Debian's 3.4."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farmd.renderers import Problem, Progress
from farmd.renderers.blender import Blender, file_version, require_readable
from farmd.renderers.command import AnyCommand
from farmd.renderers.images import inspect
from farmd.renderers.registry import Registry
from protocol.errors import UserError
from protocol.states import FailureClass
from tests.adapters.runnerkit import Kit, spec_of

if TYPE_CHECKING:
    from farmd.core.events import AttemptEnded
    from protocol.bodies import RendererFact

blender = pytest.mark.blender
timeout = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    script = Path(__file__).with_name("make_scenes.py")
    argv = ["blender", "-b", "--factory-startup", "--python-exit-code", "9", "--python", str(script), "--", str(folder)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=90)
    return folder


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = Registry([AnyCommand(), Blender()], inspect=inspect)
    found.probe()
    return found


@pytest.fixture(scope="module")
def fact(registry: Registry) -> RendererFact:
    return next(fact for fact in registry.probe() if fact.name == "blender")


class Farm:
    """Renders scenes of the fixture and keeps what came out."""

    def __init__(self, folder: Path, scenes: Path, registry: Registry) -> None:
        self._folder = folder
        self._scenes = scenes
        self._registry = registry
        self.blobs: dict[str, bytes] = {}
        self.log = ""

    def render(self, scene: str, frames: tuple[int, ...] = (1,), **given: Any) -> AttemptEnded:
        async def scenario() -> AttemptEnded:
            kit = Kit(self._folder, self._registry)
            kit.checkout_dir = self._scenes
            event = await kit.run(spec_of(**{"renderer": "blender", "scene": scene} | given), frames)
            await kit.runner.close()
            self.blobs, self.log = kit.blobs, kit.log(event.ref)
            return event

        return asyncio.run(scenario())


@pytest.fixture
def farm(tmp_path: Path, scenes: Path, registry: Registry) -> Farm:
    return Farm(tmp_path, scenes, registry)


@blender
@timeout
def test_probe_tells_version_and_engines(fact: RendererFact) -> None:
    assert fact.version.split(".")[0].isdigit()
    assert {"cycles", "workbench"} <= set(fact.features)


@pytest.mark.slow
# Trap 1
@blender
@timeout
def test_denoising_without_the_denoiser_is_refused_with_what_to_do(farm: Farm, fact: RendererFact) -> None:
    if "oidn" in fact.features:
        pytest.skip("this Blender has OpenImageDenoise")
    event = farm.render("denoise.blend")
    assert event.cause == FailureClass.MISSING_FEATURE, event
    assert "OpenImageDenoise" in event.text
    assert "--param denoise=off" in event.text


@pytest.mark.slow
# Trap 1
@blender
@timeout
def test_denoising_is_switched_off_only_when_asked_and_says_so(farm: Farm) -> None:
    event = farm.render("denoise.blend", params={"denoise": "off"})
    assert event.cause == 0, event
    assert "denoise=off: denoising is switched off, as the job asks" in farm.log


# Trap 2
@blender
@timeout
@pytest.mark.parametrize(
    ("scene", "lost"), [("texture.blend", 'image "wood": //tex/wood.png'), ("library.blend", "trees.blend")]
)
def test_missing_file_is_missing_asset_although_blender_would_render(farm: Farm, scene: str, lost: str) -> None:
    event = farm.render(scene)
    assert event.cause == FailureClass.MISSING_ASSET, event
    assert "1 file is missing" in event.text
    assert lost in event.text


@pytest.mark.slow
# Trap 2
@blender
@timeout
def test_library_of_a_library_in_another_folder_is_found(farm: Farm) -> None:
    event = farm.render("forest.blend")
    assert event.cause == 0, event


@pytest.mark.slow
# Trap 2
@blender
@timeout
def test_missing_file_may_be_allowed_and_is_logged(farm: Farm) -> None:
    event = farm.render("texture.blend", params={"allow_missing": "1"})
    assert event.cause == 0, event
    assert "allow_missing=1: rendering although 1 file is missing" in farm.log


@pytest.mark.slow
# Trap 3
@blender
@timeout
@pytest.mark.parametrize("arguments", ["-f 1-3", "-f 1-3[1]", "-S NoScene -f 1"])
def test_exit_code_0_without_image_is_bad_output(farm: Farm, arguments: str) -> None:
    words = f"blender -b --factory-startup {{scene}} -o {{output}} -F PNG -x 0 {arguments}"
    event = farm.render("plain.blend", renderer="command", command=words, output_name="{frame:04d}.png")
    assert event.cause == FailureClass.BAD_OUTPUT, event
    assert event.text == "0001.png was not written"


@pytest.mark.slow
# Trap 4
@blender
@timeout
def test_two_renders_have_equal_pixels_and_no_tags_of_time_and_place(
    farm: Farm, tmp_path: Path, scenes: Path, registry: Registry
) -> None:
    assert farm.render("plain.blend").cause == 0
    again = Farm(tmp_path / "again", scenes, registry)
    assert again.render("plain.blend").cause == 0
    one, other = farm.blobs["0001.png"], again.blobs["0001.png"]
    assert one[one.index(b"IDAT") :] == other[other.index(b"IDAT") :]
    for tag in (b"RenderTime", b"Date", b"File", b"Hostname", b"Memory"):
        assert tag not in one


# Trap 5
@blender
@timeout
def test_file_of_blender_5_is_refused_with_the_version_it_needs(farm: Farm, scenes: Path, fact: RendererFact) -> None:
    if fact.version >= "4.5":
        pytest.skip("this Blender reads it")
    (scenes / "new.blend").write_bytes(b"BLENDER17-01v0500" + bytes(200))
    event = farm.render("new.blend")
    assert event.cause == FailureClass.MISSING_FEATURE, event
    assert "saved by Blender 5.0" in event.text
    assert fact.version in event.text


@pytest.mark.slow
# Trap 6
@blender
@timeout
@pytest.mark.parametrize("engine", ["eevee", "workbench"])
def test_engines_of_the_viewport_render_without_a_display(farm: Farm, fact: RendererFact, engine: str) -> None:
    if engine not in fact.features:
        pytest.skip(f"this Blender has no {engine}")
    event = farm.render("plain.blend", params={"engine": engine, "samples": "1"})
    assert event.cause == 0, event


@pytest.mark.slow
# Trap 7
@blender
@timeout
def test_scripts_of_the_scene_do_not_run(farm: Farm, scenes: Path) -> None:
    assert farm.render("script.blend").cause == 0
    assert not (scenes / "owned").exists()


@blender
@timeout
def test_chunk_is_one_process_and_its_dark_frame_is_found_among_bright_ones(farm: Farm) -> None:
    event = farm.render("plain.blend", (1, 2))
    assert event.cause == 0, event
    assert [fact.name for fact in event.outputs] == ["0001.png", "0002.png"]
    assert farm.log.count("Read blend") == 1
    assert farm.blobs["0001.png"] != farm.blobs["0002.png"]


@pytest.mark.slow
@blender
@timeout
def test_dark_frame_among_bright_ones_is_bad_output(farm: Farm) -> None:
    event = farm.render("plain.blend", (1, 3))
    assert event.cause == FailureClass.BAD_OUTPUT, event
    assert "0003.png: uniformly black" in event.text


@pytest.mark.slow
@blender
@timeout
def test_parameters_change_the_picture_and_the_check_knows_its_size(farm: Farm) -> None:
    event = farm.render("plain.blend", params={"resolution": "50", "samples": "2"}, output_name="s/{frame}.exr")
    assert event.cause == 0, event
    assert '"width": 16, "height": 9' in farm.log
    assert "Sample 2/2" in farm.log
    assert [fact.name for fact in event.outputs] == ["s/1.exr"]


@pytest.mark.slow
@blender
@timeout
@pytest.mark.parametrize(
    ("scene", "params", "cause", "words"),
    [
        ("nocamera.blend", {}, FailureClass.ERROR, "no camera"),
        ("corrupt.blend", {}, FailureClass.ERROR, "Failed to read blend file"),
        ("junk.blend", {}, FailureClass.START_FAILED, "File format is not supported"),
        ("gone.blend", {}, FailureClass.MISSING_ASSET, "Cannot read file"),
        ("plain.blend", {"engine": "luxcore"}, FailureClass.MISSING_FEATURE, "no engine 'luxcore'"),
        ("plain.blend", {"camera": "Cube"}, FailureClass.START_FAILED, "it has: Camera"),
        ("plain.blend", {"scene_name": "NoScene"}, FailureClass.START_FAILED, "no scene 'NoScene'; it has: Scene"),
        ("plain.blend", {"view_layers": "FX"}, FailureClass.START_FAILED, "no view layer 'FX'"),
        ("plain.blend", {"format": "JPEG9000"}, FailureClass.MISSING_FEATURE, "cannot write the format 'JPEG9000'"),
        ("plain.blend", {"format": "FFMPEG"}, FailureClass.START_FAILED, "writes a film"),
        ("plain.blend", {"sampels": "3"}, FailureClass.START_FAILED, "'sampels'"),
        ("plain.blend", {"samples": "many"}, FailureClass.START_FAILED, "samples=many"),
    ],
)
def test_what_cannot_render_says_why(
    farm: Farm, scenes: Path, scene: str, params: dict[str, str], cause: FailureClass, words: str
) -> None:
    (scenes / "corrupt.blend").write_bytes((scenes / "plain.blend").read_bytes()[:30_000])
    (scenes / "junk.blend").write_bytes(b"\1\2\3\4" * 100)
    event = farm.render(scene, params=params)
    assert event.cause == cause, event
    assert words in event.text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "Fra:1 Mem:9.90M (Peak 10.83M) | Time:00:00.09 | Mem:0.76M | Scene, ViewLayer | Sample 3/32",
            Progress(3 / 32),
        ),
        ("Fra:7 Mem:50.10M | Time:00:01 | Rendering 16 / 64 samples", Progress(0.25)),
        ("Fra:1 Mem:9.90M | Scene, ViewLayer | Updating Meshes", None),
        ("Error: Cannot render, no camera", Problem(FailureClass.ERROR, "Error: Cannot render, no camera")),
        (
            "Error: Engine 'LUXCORE' not available for scene 'S' (an add-on may need to be installed or enabled)",
            Problem(
                FailureClass.MISSING_FEATURE,
                "Error: Engine 'LUXCORE' not available for scene 'S' (an add-on may need to be installed or enabled)",
            ),
        ),
        (
            "Build without OpenImageDenoiser",
            Problem(FailureClass.MISSING_FEATURE, "Build without OpenImageDenoiser"),
        ),
        ("X11: Unable to open a display", None),
        ("System is out of GPU memory", Problem(FailureClass.OOM, "System is out of GPU memory")),
        ("Saved: '/tmp/0001.png'", None),
    ],
)
def test_lines_of_blender(line: str, said: object) -> None:
    assert Blender().parse(line) == said


@pytest.mark.slow
@blender
@timeout
def test_scene_of_an_engine_that_is_not_there_is_refused_where_blender_would_take_another(
    farm: Farm, scenes: Path
) -> None:
    saved = (scenes / "plain.blend").read_bytes()
    (scenes / "luxcore.blend").write_bytes(saved.replace(b"CYCLES\0", b"LUXCOR\0"))
    event = farm.render("luxcore.blend")
    assert event.cause == FailureClass.MISSING_FEATURE, event
    assert "has no engine 'LUXCOR'" in event.text
    event = farm.render("luxcore.blend", params={"engine": "cycles"})
    assert event.cause == 0, event


@pytest.mark.parametrize(
    ("exit_code", "tail", "cause"),
    [
        (-6, "Unable to open a display\n", FailureClass.MISSING_FEATURE),
        (1, "Unable to open a display\nsomething else\n", FailureClass.ERROR),
        (-11, "Writing: /tmp/a.crash.txt\n", FailureClass.CRASH),
    ],
)
def test_abort_for_want_of_a_display_is_told_from_a_crash(exit_code: int, tail: str, cause: FailureClass) -> None:
    assert Blender().classify(exit_code, tail) is cause


@pytest.mark.parametrize(
    ("head", "version"),
    [
        (b"BLENDER-v304REND", ((3, 4), False)),
        (b"BLENDER_V279", ((2, 79), False)),
        (b"BLENDER17-01v0500REND", ((5, 0), True)),
        (b"\x28\xb5\x2f\xfd", None),
        (b"", None),
    ],
)
def test_version_of_a_file_is_read_from_its_first_bytes(tmp_path: Path, head: bytes, version: object) -> None:
    (tmp_path / "a.blend").write_bytes(head)
    assert file_version(tmp_path / "a.blend") == version


def test_new_header_is_refused_only_where_it_cannot_be_read(tmp_path: Path) -> None:
    scene = tmp_path / "a.blend"
    scene.write_bytes(b"BLENDER17-01v0500")
    require_readable(scene, "4.5.1")
    with pytest.raises(UserError, match=r"saved by Blender 5\.0; this node has 4\.4\.3"):
        require_readable(scene, "4.4.3")
