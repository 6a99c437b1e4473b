r"""Runs inside Blender: writes a scene that names its files as an artist on Windows would, into the folder given last.

From left to right: a texture on `C:\`, one on `Y:\`, a UDIM tile on `Y:\`, and an object of a library on `Y:\` whose own
texture lies on a network share. `<folder>/shot/shot.blend` is the scene, `<folder>/filer/lib.blend` the library.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy

folder = Path(sys.argv[-1])


def save(name: str) -> None:
    """Save the present scene under a name; Blender would take paths of Windows for relative ones and rewrite them."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / name), compress=False, relative_remap=False)


def empty() -> None:
    """A scene of four pixels by one, seen from above, black where nothing is."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("night")
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = 32, 8
    scene.view_settings.view_transform = "Standard"
    camera = bpy.data.cameras.new("camera")
    camera.type = "ORTHO"
    camera.ortho_scale = 4
    scene.camera = bpy.data.objects.new("camera", camera)
    scene.camera.location = (0, 0, 5)
    scene.collection.objects.link(scene.camera)


def image_of(path: str, source: str = "FILE") -> Any:
    """Make an image that names a file which is not here."""
    image = bpy.data.images.new(path.rpartition("\\")[2], 4, 4, tiled=source == "TILED")
    image.source = source
    image.filepath = path
    return image


def plane(name: str, x: float, image: Any) -> Any:
    """Make a shining square of one image; its texture coordinates fill the first tile."""
    mesh = bpy.data.meshes.new(name)
    corners = [(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new()
    for loop, spot in zip(layer.data, [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)], strict=True):
        loop.uv = spot
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, shine, output = (
        nodes.new(kind) for kind in ("ShaderNodeTexImage", "ShaderNodeEmission", "ShaderNodeOutputMaterial")
    )
    texture.image = image
    links.new(texture.outputs["Color"], shine.inputs["Color"])
    links.new(shine.outputs["Emission"], output.inputs["Surface"])
    mesh.materials.append(material)
    item = bpy.data.objects.new(name, mesh)
    item.location = (x, 0, 0)
    bpy.context.scene.collection.objects.link(item)
    return item


empty()
plane("far", 1.5, image_of(r"\\filer\show\tex\white.png"))
save("filer/lib.blend")

empty()
plane("left", -1.5, image_of(r"C:\tex\red.png"))
plane("middle", -0.5, image_of(r"Y:\show\tex\green.png"))
plane("right", 0.5, image_of(r"y:\SHOW\tex\blue.<UDIM>.png", "TILED"))
with bpy.data.libraries.load(str(folder / "filer/lib.blend"), link=True) as (_, wanted):
    wanted.objects = ["far"]
bpy.context.scene.collection.objects.link(wanted.objects[0])
bpy.data.libraries[0].filepath = r"Y:\show\lib.blend"
save("shot/shot.blend")
