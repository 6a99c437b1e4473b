"""Runs inside Blender: renders the frames of one task and says in the farm's own lines what happens.

    blender -b --factory-startup … SCENE --python blender_frames.py -- SETTINGS.json

Decides what Blender itself passes over in silence: a missing texture or library, a denoiser that this build lacks, an
engine that is not there, a frame that left no file. It refuses with `@farmd problem`, and changes nothing of the
artist's picture unless a parameter says so; what it changes, it prints.

It must run in the Python that a Blender brings (3.10 with Blender 3.1), without farmd or any package: only the standard
library and bpy.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import bpy

PROBLEM_EXIT = 3
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".exr": "OPEN_EXR",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".tga": "TARGA",
    ".webp": "WEBP",
    ".hdr": "HDR",
}
VARYING_STAMPS = ("use_stamp_date", "use_stamp_render_time", "use_stamp_memory", "use_stamp_hostname")
GPU_BACKENDS = ("OPTIX", "CUDA", "HIP", "ONEAPI")
NO_ENGINE = re.compile(r"^Error: Engine '([^']+)' not available for scene '(.*)' \(", re.MULTILINE)
LOG_TAIL_BYTES = 1 << 18
Settings = dict[str, Any]


class Refused(Exception):
    """The frames cannot be rendered as they should; `cause` is a failure class in small letters."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause
        self.text = text


def say(kind: str, rest: str) -> None:
    """Print one line for the farm, at once."""
    sys.stdout.write(f"@farmd {kind} {rest}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print one line for people."""
    sys.stdout.write(f"[farmd] {text}\n")
    sys.stdout.flush()


# What is missing -------------------------------------------------------------------------------------------------


def absolute(path: str, block: Any) -> str:
    """Resolve a path of the scene, or of the library that a block comes from.

    A library's own path is relative to the scene, whichever library brings it: so Blender keeps it in memory.
    """
    resolved: str = bpy.path.abspath(path, library=getattr(block, "library", None))
    return resolved


def is_rendered(block: Any) -> bool:
    """Tell whether anything but the fake user needs the block."""
    return int(block.users) > (1 if block.use_fake_user else 0)


def missing_files() -> list[str]:
    """List files that the scene names and that are not there, each with what needs it."""
    data = bpy.data
    lost = [f"library {lib.filepath}" for lib in data.libraries if not is_file(lib.filepath, lib)]
    images = [image for image in data.images if is_rendered(image) and image_is_missing(image)]
    lost += [f'image "{image.name}": {image.filepath}' for image in images]
    volumes = [volume for volume in data.volumes if not volume.is_sequence]
    kinds = (("font", data.fonts), ("cache", data.cache_files), ("clip", data.movieclips), ("volume", volumes))
    for word, blocks in kinds:
        lost += [f'{word} "{item.name}": {item.filepath}' for item in blocks if block_is_missing(item)]
    return lost


def is_file(path: str, block: Any) -> bool:
    """Tell whether the path names a file."""
    return Path(absolute(path, block)).is_file()


def block_is_missing(block: Any) -> bool:
    """Tell whether a block that lives in an outside file has lost it."""
    path = block.filepath
    packed = getattr(block, "packed_file", None)
    return bool(path) and path != "<builtin>" and not packed and is_rendered(block) and not is_file(path, block)


def image_is_missing(image: Any) -> bool:
    """Tell whether an image has lost its file, any tile of it, or its whole sequence."""
    if image.source in {"GENERATED", "VIEWER"} or image.packed_file or not image.filepath:
        return False
    path = absolute(image.filepath, image)
    if image.source == "TILED":
        numbers = [str(tile.number) for tile in image.tiles]
        return not all(Path(re.sub("<UDIM>|1001", number, path)).is_file() for number in numbers)
    if image.source == "SEQUENCE":
        return not sequence_exists(path)
    return not Path(path).is_file()


def sequence_exists(path: str) -> bool:
    """Tell whether any numbered file of the sequence that `path` is a member of is there."""
    member = Path(path)
    found = re.match(r"(.*?)(\d+)(\D*)$", member.name)
    if found is None or not member.parent.is_dir():
        return member.is_file()
    pattern = re.compile(re.escape(found.group(1)) + r"\d+" + re.escape(found.group(3)) + "$")
    return any(pattern.match(item.name) for item in member.parent.iterdir())


def check_files(settings: Settings) -> None:
    """Refuse a scene that lacks files, unless the job allows it."""
    lost = missing_files()
    if not lost:
        return
    verb = "file is" if len(lost) == 1 else "files are"
    text = f"{len(lost)} {verb} missing: {'; '.join(lost[:20])}"
    if not settings.get("allow_missing"):
        raise Refused("missing_asset", text)
    note("allow_missing=1: rendering although " + text)


# Settings --------------------------------------------------------------------------------------------------------


def choose_scene(settings: Settings) -> Any:
    """Make the scene that the job names the one that renders."""
    if not bpy.data.filepath or not Path(bpy.data.filepath).samefile(settings["scene_file"]):
        raise Refused("start_failed", "Blender did not open {}".format(settings["scene_file"]))
    wanted = settings.get("scene_name")
    if wanted:
        if wanted not in bpy.data.scenes:
            have = ", ".join(scene.name for scene in bpy.data.scenes)
            raise Refused("start_failed", f"the file has no scene {wanted!r}; it has: {have}")
        bpy.context.window.scene = bpy.data.scenes[wanted]
    return bpy.context.scene


def choose_engine(scene: Any, wanted: Any) -> None:
    """Set the engine that the job asks for; without one, refuse a scene whose own engine is not there.

    Blender renders such a scene with EEVEE and calls that a success; only a line of its log tells.
    """
    if not wanted:
        lost = lost_engines().get(scene.name)
        if lost:
            raise Refused("missing_feature", f"Blender {bpy.app.version_string} has no engine {lost!r}")
        return
    names = [wanted.upper(), "BLENDER_" + wanted.upper(), f"BLENDER_{wanted.upper()}_NEXT"]
    for name in names:
        try:
            scene.render.engine = name
        except TypeError:
            continue
        note(f"engine {name}, as the job asks")
        return
    raise Refused("missing_feature", f"Blender {bpy.app.version_string} has no engine {wanted!r}")


def lost_engines() -> dict[str, str]:
    """Return the engine that each scene was saved with and that Blender has replaced by another when it read the file.

    It has said so on the standard output, which is the log of the farm; if that is no file, nothing is known.
    """
    log = Path("/proc/self/fd/1")
    if not log.is_file():
        return {}
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - LOG_TAIL_BYTES))
        said = file.read().decode("utf-8", "replace")
    return {scene: engine for engine, scene in NO_ENGINE.findall(said.rpartition("\nRead blend: ")[2])}


def choose_layers(scene: Any, wanted: Any) -> None:
    """Render only the view layers that the job names."""
    if not wanted:
        return
    names = [name.strip() for name in wanted.split(",")]
    have = [layer.name for layer in scene.view_layers]
    for name in names:
        if name not in have:
            raise Refused("start_failed", "no view layer {!r}; the scene has: {}".format(name, ", ".join(have)))
    for layer in scene.view_layers:
        layer.use = layer.name in names


def choose_camera(scene: Any, wanted: Any) -> None:
    """Set the camera that the job names; camera markers of the timeline would switch it back, so they go."""
    if not wanted:
        return
    camera = bpy.data.objects.get(wanted)
    if camera is None or camera.type != "CAMERA":
        have = ", ".join(item.name for item in bpy.data.objects if item.type == "CAMERA") or "none"
        raise Refused("start_failed", f"the scene has no camera {wanted!r}; it has: {have}")
    for marker in scene.timeline_markers:
        marker.camera = None
    scene.camera = camera


def choose_quality(scene: Any, settings: Settings) -> None:
    """Set resolution percentage and samples where the job gives them."""
    if settings.get("resolution"):
        scene.render.resolution_percentage = settings["resolution"]
    samples = settings.get("samples")
    if samples and scene.render.engine == "CYCLES":
        scene.cycles.samples = samples
    elif samples and hasattr(scene.eevee, "taa_render_samples"):
        scene.eevee.taa_render_samples = samples


def choose_device(scene: Any, gpus: Any) -> None:
    """Render Cycles on exactly what was granted: the GPUs that CUDA_VISIBLE_DEVICES leaves, or the processors."""
    if scene.render.engine != "CYCLES":
        return
    if not gpus:
        scene.cycles.device = "CPU"
        return
    preferences = bpy.context.preferences.addons["cycles"].preferences
    built = []
    for backend in GPU_BACKENDS:
        try:
            preferences.compute_device_type = backend
        except TypeError:
            continue
        built.append(backend)
        preferences.get_devices()
        found = [device for device in preferences.devices if device.type == backend]
        if found:
            for device in preferences.devices:
                device.use = device in found
            scene.cycles.device = "GPU"
            note(f"{len(found)} GPU(s) by {backend}")
            return
    if not built:
        raise Refused("missing_feature", f"Blender {bpy.app.version_string} was built without GPU rendering")
    raise Refused("start_failed", f"{len(gpus)} GPU(s) were granted and Blender sees none by {', '.join(built)}")


def has_denoiser() -> bool:
    """Tell whether this build has OpenImageDenoise."""
    try:
        import _cycles  # type: ignore[import-not-found]  # exists inside Blender alone
    except ImportError:
        return False
    return bool(_cycles.with_openimagedenoise)


def check_denoising(scene: Any, settings: Settings) -> None:
    """Switch denoising off only where the job says so; refuse what this build cannot do."""
    cycles = scene.render.engine == "CYCLES" and scene.cycles.use_denoising
    nodes = [node for node in compositor_nodes(scene) if node.bl_idname == "CompositorNodeDenoise" and not node.mute]
    if settings.get("denoise") == "off":
        if cycles or nodes:
            note("denoise=off: denoising is switched off, as the job asks")
        if scene.render.engine == "CYCLES":
            scene.cycles.use_denoising = False
        for node in nodes:
            node.mute = True
        return
    if settings.get("denoise") == "on" and scene.render.engine == "CYCLES":
        scene.cycles.use_denoising = cycles = True
    optix = cycles and scene.cycles.device == "GPU" and str(scene.cycles.denoiser) == "OPTIX"
    if (nodes or (cycles and not optix)) and not has_denoiser():
        raise Refused(
            "missing_feature",
            f"Blender {bpy.app.version_string} was built without OpenImageDenoise, and the scene denoises: "
            "render on a node with the feature 'oidn', or submit with --param denoise=off",
        )


def compositor_nodes(scene: Any) -> list[Any]:
    """List the nodes of the compositor, if it runs."""
    return list(scene.node_tree.nodes) if scene.use_nodes and scene.node_tree and scene.render.use_compositing else []


def choose_output(scene: Any, settings: Settings) -> None:
    """Set the image format, and leave out of the files what differs between equal renders (Cycles keeps its times)."""
    render = scene.render
    wanted = settings.get("format") or FORMATS.get(Path(settings["outputs"][0]).suffix.lower(), "PNG")
    if wanted.lower() != "scene" and render.image_settings.file_format != wanted.upper():
        try:
            render.image_settings.file_format = wanted.upper()
        except TypeError:
            text = f"Blender {bpy.app.version_string} cannot write the format {wanted!r}"
            raise Refused("missing_feature", text) from None
    if render.is_movie_format:
        raise Refused("start_failed", "the scene writes a film; a farm renders single images: submit with format=PNG")
    render.use_file_extension = False
    render.use_overwrite = True
    render.use_placeholder = False
    for stamp in VARYING_STAMPS:
        setattr(render, stamp, False)
    render.use_stamp_filename = render.use_stamp and render.use_stamp_filename  # else it is this node's path, unseen
    for node in compositor_nodes(scene):
        if node.bl_idname == "CompositorNodeOutputFile":
            node.base_path = str(Path(settings["output_dir"], "nodes", bpy.path.clean_name(node.name)))


# Rendering -------------------------------------------------------------------------------------------------------


def image_size(render: Any) -> tuple[int, int]:
    """Return the size in pixels of what is written."""
    width = render.resolution_x * render.resolution_percentage // 100
    height = render.resolution_y * render.resolution_percentage // 100
    if render.use_multiview or (render.use_border and render.use_crop_to_border):
        return 0, 0
    return width, height


def render_frame(scene: Any, frame: int, path: str) -> None:
    """Render one frame into exactly this file."""
    scene.frame_set(frame)
    scene.render.filepath = path
    try:
        bpy.ops.render.render(write_still=True)
    except RuntimeError as error:
        text = " ".join(str(error).replace("Error: ", "").split())
        raise Refused(cause_of(text), f"frame {frame}: {text}") from None
    written = Path(path)
    if not written.is_file() or written.stat().st_size == 0:
        raise Refused("bad_output", f"frame {frame}: Blender says it is done and left no {written.name}")
    width, height = image_size(scene.render)
    say("saved", json.dumps({"frame": frame, "path": path, "width": width, "height": height}))


def cause_of(text: str) -> str:
    """Name the failure class of an error of the render operator."""
    lower = text.lower()
    if "out of" in lower and "memory" in lower:
        return "oom"
    return "disk_full" if "no space left" in lower else "error"


def render_all(settings: Settings) -> None:
    """Check, set, render."""
    scene = choose_scene(settings)
    check_files(settings)
    choose_engine(scene, settings.get("engine"))
    choose_layers(scene, settings.get("view_layers"))
    choose_camera(scene, settings.get("camera"))
    choose_quality(scene, settings)
    choose_device(scene, settings["gpus"])
    check_denoising(scene, settings)
    choose_output(scene, settings)
    for frame, path in zip(settings["frames"], settings["outputs"], strict=True):
        render_frame(scene, frame, path)


def main() -> None:
    """Read the settings, render, end with a code that says how it went."""
    settings = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    try:
        render_all(settings)
    except Refused as refused:
        say("problem", "{} {}".format(refused.cause, " ".join(refused.text.split())))
        sys.stdout.flush()
        sys.exit(PROBLEM_EXIT)


if __name__ == "__main__":
    main()
