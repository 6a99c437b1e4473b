"""Runs inside Blender: writes the small scenes of test_blend into the folder given last."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import bpy

folder = Path(sys.argv[-1])


def save(name: str, *, compress: bool = False) -> None:
    """Save the present scene under a name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=compress, relative_remap=False)


def image(name: str, path: str, source: str = "FILE") -> Any:
    """Make an image that comes from a file which need not exist."""
    made = bpy.data.images.new(name, 4, 4, tiled=source == "TILED")
    made.source = source
    made.filepath = path
    return made


def shown(made: Any) -> Any:
    """Put an image into the cube's material, so that a render needs it."""
    tree = bpy.data.objects["Cube"].data.materials[0].node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = made
    return node


# What a wrangler asks about.
bpy.ops.wm.read_factory_settings()
scene = bpy.context.scene
scene.frame_start, scene.frame_end, scene.frame_step = 5, 45, 2
scene.render.fps, scene.render.fps_base = 30, 1.001
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 1920, 1080, 33
scene.render.engine = "CYCLES"
scene.cycles.samples = 77
scene.render.use_motion_blur = True
scene.render.threads_mode, scene.render.threads = "FIXED", 3
scene.render.image_settings.file_format = "OPEN_EXR"
scene.render.filepath = "//renders/beauty_####"
scene.view_settings.view_transform = "Raw"
second = bpy.data.objects.new("CamB", bpy.data.cameras.new("CamB"))
scene.collection.objects.link(second)
scene.timeline_markers.new("switch", frame=20).camera = second
scene.view_layers.new("fg").use = False
bpy.data.scenes.new("Other")
script = bpy.data.texts.new("evil.py")
script.write(f"open({str(folder / 'owned')!r}, 'w').close()")
script.use_module = True
driver = bpy.data.objects["Cube"].driver_add("location", 0).driver
driver.expression = f"open({str(folder / 'driven')!r}, 'w').close() or 1.0"
save("facts.blend")
save("packed_zstd.blend", compress=True)

# Every kind of file that Debian's Blender can name.
bpy.ops.wm.read_factory_settings()
scene = bpy.context.scene
shown(image("wood", "//tex/wood.png"))
shown(image("win", "C:\\tex\\wood.png"))
shown(image("tiles", "//tex/skin.<UDIM>.png", "TILED"))
moving = shown(image("run", "//seq/run_0001.png", "SEQUENCE"))
moving.image_user.frame_duration, moving.image_user.frame_offset = 20, 10
inside = bpy.data.images.new("inside", 4, 4)
inside.filepath_raw = str(folder / "inside.png")
inside.save()
shown(bpy.data.images.load(inside.filepath_raw)).image.pack()
bpy.data.images.remove(inside)
(folder / "inside.png").unlink()
image("idle", "//tex/idle.png").use_fake_user = True
tree = bpy.data.objects["Cube"].data.materials[0].node_tree
lamp = tree.nodes.new("ShaderNodeTexIES")
lamp.mode, lamp.filepath = "EXTERNAL", "//ies/lamp.ies"
volume = bpy.data.volumes.new("smoke")
volume.filepath, volume.is_sequence = "//vdb/smoke_0017.vdb", True
volume.frame_duration, volume.frame_offset = 5, 16
scene.collection.objects.link(bpy.data.objects.new("smoke", volume))
cube = bpy.data.objects["Cube"]
cache = cube.modifiers.new("Mesh Cache", "MESH_CACHE")
cache.filepath = "//cache/run.mdd"
cube.modifiers.new("Cloth", "CLOTH")
hidden = cube.modifiers.new("Hidden Cache", "MESH_CACHE")
hidden.filepath, hidden.show_render = "//cache/hidden.mdd", False
soft = cube.modifiers.new("Softbody", "SOFT_BODY")
soft.point_cache.use_external = True
soft.point_cache.filepath = "//soft_cache"
editor = scene.sequence_editor_create()
strip = editor.sequences.new_image("plates", str(folder / "plates" / "p_0101.png"), channel=1, frame_start=1)
strip.directory = "//plates/"
strip.elements.append("p_0102.png")
strip.elements.append("p_0103.png")
text = bpy.data.texts.new("notes")
text.filepath = "//notes.txt"
save("files.blend")

# A simulation that runs whenever Blender shows the scene.
bpy.ops.wm.read_factory_settings()
domain = bpy.data.objects["Cube"].modifiers.new("Fluid", "FLUID")
domain.fluid_type = "DOMAIN"
domain.domain_settings.cache_directory = "//fluid"
save("fluid.blend")
shutil.rmtree(folder / "fluid", ignore_errors=True)

# Single pictures for each eye.
bpy.ops.wm.read_factory_settings()
bpy.context.scene.render.use_multiview = True
eyes = shown(image("eyes", "//tex/sky_L.png")).image
eyes.use_multiview, eyes.views_format = True, "INDIVIDUAL"
save("eyes.blend")

# Libraries in libraries, each in a folder of its own.
bpy.ops.wm.read_factory_settings()
shown(image("bark", "//bark.png"))
inner = bpy.data.collections.new("Tree")
inner.objects.link(bpy.data.objects["Cube"])
bpy.context.scene.collection.children.link(inner)
save("sets/trees/tree.blend")


def instance(name: str, library: Path) -> Any:
    """Link a collection of a library and put it into the scene."""
    with bpy.data.libraries.load(str(library), link=True, relative=True) as (_, wanted):
        wanted.collections = [name]
    empty = bpy.data.objects.new("instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", bpy.data.collections[name]
    return empty


bpy.ops.wm.read_factory_settings(use_empty=True)
save("sets/forest.blend")
forest = bpy.data.collections.new("Forest")
forest.objects.link(instance("Tree", folder / "sets" / "trees" / "tree.blend"))
bpy.context.scene.collection.children.link(forest)
save("sets/forest.blend")

bpy.ops.wm.read_factory_settings(use_empty=True)
save("linked.blend")
bpy.context.scene.collection.objects.link(instance("Forest", folder / "sets" / "forest.blend"))
save("linked.blend")
