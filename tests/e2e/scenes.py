"""Scenes for tests, made by Blender itself when they are needed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 64, 36
_SCRIPT = """
import bpy
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples = 1
scene.cycles.use_denoising = False
scene.render.resolution_x, scene.render.resolution_y = {width}, {height}
scene.render.resolution_percentage = 100
scene.frame_start, scene.frame_end = 1, 40
cube = bpy.data.objects["Cube"]
for frame, x in ((1, -3.0), (40, 3.0)):
    cube.location.x = x
    cube.keyframe_insert("location", frame=frame)
bpy.ops.wm.save_as_mainfile(filepath={path!r})
"""


def make_blend(path: Path) -> Path:
    """Make a scene of a cube that moves from frame 1 to 40: 64x36, one sample, no denoising."""
    script = path.with_suffix(".py")
    script.write_text(_SCRIPT.format(width=WIDTH, height=HEIGHT, path=str(path)))
    words = ["blender", "--background", "--factory-startup", "--python-exit-code", "9", "--python", str(script)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert path.exists(), f"{done.stdout}\n{done.stderr}"
    return path
