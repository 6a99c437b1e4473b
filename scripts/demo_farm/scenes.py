"""The scene that the demo submits: a .blend where Blender is there, else Mitsuba's XML; both draw `sea`.

A Mitsuba scene gets the frame as `$frame` and knows no arithmetic, so what moves lies in one file for each frame.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from protocol.errors import UserError
from scripts.demo_farm import sea

BLENDER_TIMEOUT_S: Final = 60
_IN_BLENDER: Final = Path(__file__).with_name("sea_in_blender.py")
_SAMPLES: Final = 4


class Scene(NamedTuple):
    """A scene to submit.

    Attributes:
        file: Where it lies.
        renderer: Name of the renderer, as `farmctl submit --renderer` takes it.
        chunk: Frames per task: a process that starts slowly had better render several.
        inputs: Folders that it needs beside itself.
    """

    file: Path
    renderer: str
    chunk: int
    inputs: tuple[Path, ...] = ()


def has_blender() -> bool:
    """Tell whether there is a program `blender`."""
    return shutil.which("blender") is not None


def make_scene(renderer: str, folder: Path, frames: int) -> Scene:
    """Make the scene for one of the two renderers.

    Raises:
        UserError: Blender does not work.
    """
    folder.mkdir(exist_ok=True)
    return _blender_scene(folder, frames) if renderer == "blender" else _mitsuba_scene(folder, frames)


def _blender_scene(folder: Path, frames: int) -> Scene:
    file = folder / "sea.blend"
    argv = ["blender", "-b", "--factory-startup", "--python-exit-code", "3", "--python", str(_IN_BLENDER), "--"]
    try:
        done = subprocess.run(
            [*argv, str(frames), str(file)], capture_output=True, timeout=BLENDER_TIMEOUT_S, check=False, text=True
        )
        said = (done.stdout + done.stderr).strip().splitlines()
    except subprocess.TimeoutExpired:
        said = [f"it took longer than {BLENDER_TIMEOUT_S} s"]
    if not file.exists():
        raise UserError(
            "Blender could not make the scene",
            next((line for line in said if "Error" in line), said[-1] if said else "it said nothing"),
            "scripts/demo --renderer mitsuba",
        )
    return Scene(file, "blender", 3)


def _mitsuba_scene(folder: Path, frames: int) -> Scene:
    """Write the scene, and beside it one file for each frame with what moves, as exporters do."""
    moving = folder / "moving"
    moving.mkdir(exist_ok=True)
    for frame in range(1, frames + 1):
        (moving / f"{frame}.xml").write_text(moving_xml(frame), encoding="utf-8")
    file = folder / "sea.xml"
    file.write_text(still_xml(), encoding="utf-8")
    return Scene(file, "mitsuba", 2, (moving,))


def still_xml() -> str:
    """Write what stands still in Mitsuba's words."""
    width, height = sea.SIZE
    shades = "\n  ".join(map(_shade, range(sea.SHADES + 1)))
    shines_to = _triple(tuple(-part for part in sea.SUN_COMES_FROM))
    return f"""\
<scene version="3.0.0">
  <default name="frame" value="1"/>
  <integrator type="path"><integer name="max_depth" value="3"/></integrator>
  <sensor type="perspective">
    <float name="fov" value="{sea.FIELD_OF_VIEW_DEG}"/>
    <transform name="to_world">
      <lookat origin="{_triple(sea.CAMERA)}" target="{_triple(sea.LOOKS_AT)}" up="0, 0, 1"/>
    </transform>
    <film type="hdrfilm"><integer name="width" value="{width}"/><integer name="height" value="{height}"/></film>
    <sampler type="multijitter"><integer name="sample_count" value="{_SAMPLES}"/></sampler>
  </sensor>
  <emitter type="constant"><rgb name="radiance" value="{_triple(sea.SKY)}"/></emitter>
  <emitter type="directional">
    <vector name="direction" value="{shines_to}"/><rgb name="irradiance" value="3.2"/>
  </emitter>
  {shades}
  <include filename="moving/$frame.xml"/>
</scene>
"""


def moving_xml(frame: int) -> str:
    """Write where everything is in one frame."""
    shapes = [
        f'<shape type="sphere"><float name="radius" value="{sea.RADIUS}"/>'
        f'<point name="center" value="{_triple(ball.place_at(frame))}"/><ref id="shade{ball.shade}"/></shape>'
        for ball in sea.balls()
    ]
    return "\n".join(['<scene version="3.0.0">', *shapes, "</scene>", ""])


def _shade(shade: int) -> str:
    colour = _triple(sea.colour_of(shade))
    return f'<bsdf type="plastic" id="shade{shade}"><rgb name="diffuse_reflectance" value="{colour}"/></bsdf>'


def _triple(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
