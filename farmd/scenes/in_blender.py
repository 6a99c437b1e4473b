"""Runs inside Blender: writes what the scene that is open says about its render, as `facts.json`.

Called by `in_blender_start` when the scene is open and not yet evaluated; the last word of the command line is the folder.

Reads only; runs nothing of the scene. One file opens in any Blender from 2.80 to 5.x, whose properties differ: what a
version does not have is left out, and what cannot be read is named in `troubles` instead of ending the analysis.

It must run in the Python that a Blender brings, without farmd or any package: only the standard library and bpy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from collections.abc import Callable

Values = dict[str, Any]
ODDITIES = (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError, ReferenceError)
"""What reading a property raises that this version lacks or whose data is damaged; UnicodeDecodeError is a ValueError."""
BRANCHED = {
    "camera": "aa_samples",
    "diffuse": "diffuse_samples",
    "specular": "glossy_samples",
    "transmission": "transmission_samples",
    "sss": "subsurface_samples",
    "volume": "volume_samples",
}
"""Samples of the branched path tracer, which Cycles had until 2.93."""
RENDER_SETTINGS = (
    "film_transparent",
    "filter_size",
    "resolution_percentage",
    "threads_mode",
    "use_border",
    "use_crop_to_border",
    "use_compositing",
    "use_freestyle",
    "use_multiview",
    "use_persistent_data",
    "use_sequencer",
    "use_simplify",
    "use_single_layer",
)
CYCLES_SETTINGS = ("device", "use_denoising", "denoiser", "use_adaptive_sampling", "adaptive_threshold", "seed")


def settings_of(owner: Any, names: tuple[str, ...]) -> Values:
    """Read plain properties, as far as this Blender has them."""
    return {
        name: getattr(owner, name) for name in names if isinstance(getattr(owner, name, None), (bool, int, float, str))
    }


def frames_of(scene: Any) -> Values:
    """Read the frame range, its step, and the speed."""
    render = scene.render
    return {
        "start": scene.frame_start,
        "end": scene.frame_end,
        "step": scene.frame_step,
        "fps": render.fps / (render.fps_base or 1),
    }


def picture_of(scene: Any) -> Values:
    """Read size, format and path of the images."""
    render = scene.render
    return {
        "width": render.resolution_x * render.resolution_percentage // 100,
        "height": render.resolution_y * render.resolution_percentage // 100,
        "format": render.image_settings.file_format,
        "is_movie": render.is_movie_format,
        "prefix": render.filepath,
    }


def cameras_of(scene: Any) -> Values:
    """List the cameras of the scene, which one is active, and at which frames markers switch to another."""
    names = [item.name for item in scene.objects if item.type == "CAMERA"]
    marked = [(marker.frame, marker.camera.name) for marker in scene.timeline_markers if marker.camera]
    active = scene.camera.name if scene.camera else None
    return {"cameras": names, "active_camera": active, "camera_markers": sorted(marked)}


def layers_of(scene: Any) -> Values:
    """List the view layers."""
    return {"layers": [(layer.name, bool(layer.use)) for layer in scene.view_layers]}


def sampling_of(scene: Any) -> Values:
    """Read the samples of the scene's engine."""
    engine, cycles = scene.render.engine, getattr(scene, "cycles", None)
    if engine == "CYCLES" and cycles is not None:
        if getattr(cycles, "progressive", "PATH") == "BRANCHED_PATH":
            return {"sampling": {use: getattr(cycles, name) for use, name in BRANCHED.items()}}
        return {"sampling": {"camera": cycles.samples}}
    if engine.startswith("BLENDER_EEVEE"):
        return {"sampling": {"camera": scene.eevee.taa_render_samples}}
    return {}


def engine_of(scene: Any) -> Values:
    """Read the engine and what a wrangler may ask about the render."""
    render = scene.render
    settings = settings_of(render, RENDER_SETTINGS)
    if render.engine == "CYCLES":
        settings |= settings_of(getattr(scene, "cycles", None), CYCLES_SETTINGS)
    if render.threads_mode == "FIXED":
        settings["threads"] = render.threads
    old = getattr(scene.eevee, "use_motion_blur", False) if render.engine == "BLENDER_EEVEE" else False
    settings["motion_blur"] = bool(render.use_motion_blur or old)
    settings |= settings_of(render.image_settings, ("color_mode", "color_depth", "exr_codec"))
    return {"renderer": render.engine, "settings": settings}


def colours_of(scene: Any) -> Values:
    """Read the colour management."""
    settings = settings_of(scene.view_settings, ("view_transform", "look", "exposure", "gamma"))
    settings["display_device"] = scene.display_settings.display_device
    working = getattr(getattr(bpy.data, "colorspace", None), "working_space", "")
    if working:
        settings["working_space"] = working
    return {"colours": settings}


def file_of(scene: Any) -> Values:
    """Say which file Blender has open, what wrote it, and which scripts it would like to run."""
    return {
        "file": bpy.data.filepath,
        "saved_by": list(bpy.data.version),
        "read_by": bpy.app.version_string,
        "scene": scene.name,
        "scenes": [item.name for item in bpy.data.scenes],
        "scripts": [text.name for text in bpy.data.texts if text.use_module],
    }


PARTS: tuple[Callable[[Any], Values], ...] = (
    file_of,
    frames_of,
    picture_of,
    cameras_of,
    layers_of,
    sampling_of,
    engine_of,
    colours_of,
)


def main() -> None:
    """Read part by part, so that one that fails takes no other with it."""
    facts: Values = {}
    troubles = []
    for part in PARTS:
        try:
            facts |= part(bpy.context.scene)
        except ODDITIES as error:
            troubles.append(f"{part.__name__}: {type(error).__name__}: {error}")
    Path(sys.argv[-1], "facts.json").write_text(json.dumps({**facts, "troubles": troubles}), encoding="utf-8")


if __name__ == "__main__":
    main()
