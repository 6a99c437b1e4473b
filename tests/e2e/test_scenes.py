"""A scene whose textures lie elsewhere than it says: analysed, repaired and rendered, with real Blender."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Farm

pytestmark = [pytest.mark.blender, pytest.mark.timeout(180)]
_SCRIPT = """
import bpy
bpy.ops.wm.read_homefile(use_empty=True)
scene = bpy.context.scene
image = bpy.data.images.new("picture", 4, 4)
image.pixels = [0.0, 1.0, 0.0, 1.0] * 16
image.filepath_raw, image.file_format = {texture!r}, "PNG"
image.save()
bpy.data.images.remove(image)
bpy.ops.mesh.primitive_plane_add(size=100)
material = bpy.data.materials.new("m")
material.use_nodes = True
nodes = material.node_tree.nodes
nodes.clear()
picture, light, out = (nodes.new("ShaderNode" + kind) for kind in ("TexImage", "Emission", "OutputMaterial"))
picture.image = bpy.data.images.load({texture!r})
picture.image.filepath = {written!r}
material.node_tree.links.new(picture.outputs[0], light.inputs[0])
material.node_tree.links.new(light.outputs[0], out.inputs[0])
bpy.context.object.data.materials.append(material)
bpy.ops.object.camera_add(location=(0, 0, 5))
scene.camera = bpy.context.object
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.render.resolution_x, scene.render.resolution_y = 32, 18
scene.view_settings.view_transform = "Standard"
scene.frame_start, scene.frame_end = 3, 4
bpy.ops.wm.save_as_mainfile(filepath={path!r}, relative_remap=False)
"""


def make_scene(folder: Path, written: str) -> Path:
    """Make a scene that shows a green picture; it stands in `tex/green.png`, and the scene says something else."""
    (folder / "tex").mkdir(parents=True)
    path, script = folder / "green.blend", folder / "make.py"
    script.write_text(_SCRIPT.format(texture=str(folder / "tex" / "green.png"), written=written, path=str(path)))
    words = ["blender", "--background", "--factory-startup", "--python-exit-code", "9", "--python", str(script)]
    made = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return path


@pytest.mark.parametrize("written", ["Y:\\show\\tex\\green.png", "//Tex/Green.png", "//tex/green.png"])
def test_texture_is_drawn_though_the_scene_names_it_otherwise(farm: Farm, tmp_path: Path, written: str) -> None:
    (a,) = farm.start("a")
    scene, out = make_scene(tmp_path / "show", written), tmp_path / "out"
    words = ("submit", "-q", str(scene), "--output", str(out), "--wait")
    if written != "//tex/green.png":
        refused = a.ctl(*words)
        assert refused.returncode == 1
        assert "needs 1 file that is missing" in refused.stderr
        assert not out.exists()

    done = a.ctl(*words, "--repair", timeout_s=120)

    assert done.returncode == 0, done.stderr
    images = sorted(out.iterdir())
    assert [image.name for image in images] == ["0003.png", "0004.png"]
    for image in images:
        with Image.open(image) as picture:
            red, green, blue = picture.convert("RGB").resize((1, 1)).tobytes()
            assert (green > 250, max(red, blue) < 5) == (True, True), "a missing texture is drawn in pink"
