"""Runs inside Blender: writes the tiny scenes of test_blender into the folder given last."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

folder = Path(sys.argv[-1])


def save(name: str) -> None:
    """Save the present scene under a name."""
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / name), compress=False)


def plain() -> None:
    """The factory scene, made tiny: one sample, 32x18, a white world that goes dark at frame 3."""
    bpy.ops.wm.read_factory_settings()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = 32, 18
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    bpy.data.objects.remove(bpy.data.objects["Light"])
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    for frame, strength in ((1, 1.0), (2, 0.5), (3, 0.0)):
        background.inputs["Strength"].default_value = strength
        background.inputs["Strength"].keyframe_insert("default_value", frame=frame)


plain()
save("plain.blend")
script = bpy.data.texts.new("evil.py")
script.write(f"open({str(folder / 'owned')!r}, 'w').close()")
script.use_module = True
save("script.blend")

plain()
bpy.context.scene.cycles.use_denoising = True
save("denoise.blend")

plain()
bpy.data.objects.remove(bpy.data.objects["Camera"])
save("nocamera.blend")

plain()
material = bpy.data.objects["Cube"].data.materials[0]
node = material.node_tree.nodes.new("ShaderNodeTexImage")
node.image = bpy.data.images.new("wood", 4, 4)
node.image.source = "FILE"
node.image.filepath = "//tex/wood.png"
material.node_tree.links.new(node.outputs["Color"], material.node_tree.nodes["Principled BSDF"].inputs["Base Color"])
save("texture.blend")

plain()
bpy.data.objects["Cube"].name = "Tree"
save("trees.blend")
plain()
with bpy.data.libraries.load(str(folder / "trees.blend"), link=True, relative=True) as (_, wanted):
    wanted.objects = ["Tree"]
bpy.context.collection.objects.link(wanted.objects[0])
save("library.blend")
(folder / "trees.blend").unlink()


# A library in a library, each in a folder below the other's.
def linking(name: str, library: Path) -> None:
    """Begin a scene that links a collection of a library in one of its own, and save it."""
    plain()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    save(name)
    own = bpy.data.collections.new(Path(name).stem)
    bpy.context.scene.collection.children.link(own)
    with bpy.data.libraries.load(str(library), link=True, relative=True) as (_, wanted):
        wanted.collections = [library.stem]
    own.children.link(wanted.collections[0])
    save(name)


plain()
(folder / "sets/deep").mkdir(parents=True)
leaf = bpy.data.collections.new("leaf")
bpy.context.scene.collection.children.link(leaf)
leaf.objects.link(bpy.data.objects.new("leaf", bpy.data.objects["Cube"].data))
save("sets/deep/leaf.blend")
linking("sets/branch.blend", folder / "sets/deep/leaf.blend")
linking("forest.blend", folder / "sets/branch.blend")
