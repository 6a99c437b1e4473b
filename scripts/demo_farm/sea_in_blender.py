"""Runs inside Blender: builds the demo's scene and saves it.

    blender -b --factory-startup --python sea_in_blender.py -- FRAMES FILE.blend

Needs nothing but bpy. Cycles with few samples renders on any machine, with or without graphics, and without the
denoiser that some builds lack.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import bpy
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).parent))
import sea

SAMPLES = 3


def make_material(colour: tuple[float, float, float]) -> bpy.types.Material:
    """Make a slightly polished material."""
    material = bpy.data.materials.new("sea")
    material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value = 0.35
    return material


def make_sea(scene: bpy.types.Scene, frames: int) -> None:
    """Set the spheres out and let them move."""
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=3, radius=sea.RADIUS)
    first = bpy.context.object
    mesh = first.data
    for polygon in mesh.polygons:
        polygon.use_smooth = True
    bpy.data.objects.remove(first)
    mesh.materials.append(None)
    shades = [make_material(sea.colour_of(shade)) for shade in range(sea.SHADES + 1)]
    for ball in sea.balls():
        thing = bpy.data.objects.new("ball", mesh)
        scene.collection.objects.link(thing)
        thing.material_slots[0].link = "OBJECT"
        thing.material_slots[0].material = shades[ball.shade]
        for frame in range(1, frames + 1):
            thing.location = ball.place_at(frame)
            thing.keyframe_insert("location", frame=frame)


def make_surroundings(scene: bpy.types.Scene) -> None:
    """Add sun, sky and camera."""
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    sky = next(node for node in scene.world.node_tree.nodes if node.type == "BACKGROUND")
    sky.inputs["Color"].default_value = (*sea.SKY, 1.0)
    sky.inputs["Strength"].default_value = 1.0
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy = 3.4
    sun.data.angle = 0.03
    sun.rotation_euler = Vector(sea.SUN_COMES_FROM).to_track_quat("Z", "Y").to_euler()
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location = sea.CAMERA
    camera.rotation_euler = (Vector(sea.LOOKS_AT) - Vector(sea.CAMERA)).to_track_quat("-Z", "Y").to_euler()
    camera.data.angle = math.radians(sea.FIELD_OF_VIEW_DEG)
    for thing in (sun, camera):
        scene.collection.objects.link(thing)
    scene.camera = camera


def set_up_rendering(scene: bpy.types.Scene, frames: int) -> None:
    """Choose size, engine and samples."""
    scene.render.resolution_x, scene.render.resolution_y = sea.SIZE
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 0


def main() -> None:
    """Make the scene and save it."""
    frames, file = int(sys.argv[-2]), sys.argv[-1]
    scene = bpy.context.scene
    for thing in list(scene.objects):
        bpy.data.objects.remove(thing)
    make_sea(scene, frames)
    make_surroundings(scene)
    set_up_rendering(scene, frames)
    bpy.ops.wm.save_as_mainfile(filepath=file, compress=True)


main()
