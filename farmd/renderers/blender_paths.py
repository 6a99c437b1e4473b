r"""Runs inside Blender before `blender_frames`: lets the scene read the files of its checkout, and changes no file.

    blender -b … SCENE --python blender_paths.py --python blender_frames.py -- SETTINGS.json

A scene that was saved on Windows says `C:\tex\wood.png` or `Y:\show\lib.blend`; here the same file lies in the
checkout. Every path of the scene that is not found below the checkout is asked of the path rules (of the job, of the
farm, then the artist's folder as a whole), and replaced in memory only if the answer is there. Each is printed.

Libraries come first and are reloaded, round by round: each may bring further ones, and datablocks with further paths.
Like `blender_frames` it needs the standard library and bpy alone; the rules' module is loaded from its file.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

MAX_ROUNDS = 20
"""So deep may libraries be linked."""
Exists = Callable[[str], bool]


def note(text: str) -> None:
    """Print one line for people."""
    sys.stdout.write(f"[farmd] {text}\n")
    sys.stdout.flush()


def rules_of(settings: dict[str, Any]) -> Any:
    """Load the module of the path rules by its place, and read the map of this attempt."""
    spec = importlib.util.spec_from_file_location("farm_pathrules", settings["module"])
    if spec is None or spec.loader is None:
        raise ImportError(settings["module"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks its own module up
    spec.loader.exec_module(module)
    return module.PathMap.of_plain(settings)


# What is there ---------------------------------------------------------------------------------------------------


def is_file(path: str) -> bool:
    """Tell whether a file is there."""
    return Path(path).is_file()


def is_folder(path: str) -> bool:
    """Tell whether a folder is there."""
    return Path(path).is_dir()


def has_tile(path: str) -> bool:
    """Tell whether any tile of a UDIM set is there."""
    return has_any(re.escape(Path(path).name).replace("<UDIM>", r"1\d{3}").replace("<UVTILE>", r"u\d+_v\d+"), path)


def has_frame(path: str) -> bool:
    """Tell whether any numbered file of the sequence is there that `path` is a member of."""
    found = re.match(r"(.*?)\d+(\D*)$", Path(path).name)
    pattern = rf"{re.escape(found[1])}\d+{re.escape(found[2])}" if found else re.escape(Path(path).name)
    return has_any(pattern, path)


def has_any(pattern: str, path: str) -> bool:
    """Tell whether any file beside `path` has a name of the pattern."""
    try:
        return any(re.fullmatch(pattern, item.name) for item in Path(path).parent.iterdir())
    except OSError:
        return False


# Where paths stand -----------------------------------------------------------------------------------------------


def absolute(path: str, block: Any) -> str:
    """Resolve a path of the scene, or of the library that a block comes from.

    A library's own path is relative to the scene, whichever library brings it: so Blender keeps it in memory.
    """
    resolved: str = bpy.path.abspath(path, library=getattr(block, "library", None))
    return resolved


class Remapping:
    """Replaces paths, one after the other; `count` of them so far."""

    def __init__(self, paths: Any) -> None:
        self._paths = paths
        self.count = 0

    def change(self, block: Any, name: str, exists: Exists, what: str, owner: Any = None) -> bool:
        """Let an attribute that holds a path name the file that is here; True if it was changed."""
        written = getattr(block, name)
        better = self.better(written, absolute(written, owner or block), exists) if written else None
        if better is None:
            return False
        note(f"{what}: {written} -> {better}")
        self.count += 1
        setattr(block, name, better)
        return True

    def better(self, written: str, here: str, exists: Exists) -> str | None:
        """Find what is read instead: by the words of the scene, then by what they mean here; None = leave it."""
        if exists(here) and self.is_inside(here):
            return None
        found: str | None = self._paths.find(written, exists) or self._paths.find(here, exists)
        return None if found == here else found

    def is_inside(self, path: str) -> bool:
        """Tell whether a path lies in the checkout: what is only by chance on this machine does not count."""
        return bool(self._paths.checkout) and Path(self._paths.checkout) in Path(path).parents


def remap_libraries(remapping: Remapping) -> None:
    """Find lost libraries; a reload may bring further ones, which are looked at in the next round."""
    for _ in range(MAX_ROUNDS):
        changed = [
            lib for lib in bpy.data.libraries if remapping.change(lib, "filepath", is_file, f"library {lib.name}")
        ]
        if not changed:
            return
        for name in [lib.name for lib in changed]:  # names: a reload may replace the blocks
            library = bpy.data.libraries.get(name)
            if library is not None:
                library.reload()


def remap_images(remapping: Remapping) -> None:
    """Find images: single ones, tiles, sequences, films."""
    kinds = {"TILED": has_tile, "SEQUENCE": has_frame}
    for image in bpy.data.images:
        if image.source not in {"GENERATED", "VIEWER"} and not image.packed_file:
            remapping.change(image, "filepath", kinds.get(image.source, is_file), f'image "{image.name}"')


def remap_blocks(remapping: Remapping) -> None:
    """Find what lives in other files: volumes, caches, clips, fonts, sounds."""
    for word in ("volumes", "cache_files", "movieclips", "fonts", "sounds"):
        for block in getattr(bpy.data, word):
            many = getattr(block, "is_sequence", False) or getattr(block, "source", "") == "SEQUENCE"
            if not getattr(block, "packed_file", None):
                remapping.change(block, "filepath", has_frame if many else is_file, f'{word} "{block.name}"')


def remap_modifiers(remapping: Remapping) -> None:
    """Find caches that belong to modifiers, and the point caches that lie outside."""
    for item in bpy.data.objects:
        for modifier in item.modifiers:
            what = f'{modifier.type.lower()} of "{item.name}"'
            if modifier.type == "MESH_CACHE":
                remapping.change(modifier, "filepath", is_file, what, item)
            elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                remapping.change(modifier.domain_settings, "cache_directory", is_folder, what, item)
            cache = getattr(modifier, "point_cache", None)
            if cache is not None and cache.use_external:
                remapping.change(cache, "filepath", is_folder, what, item)


def remap_strips(remapping: Remapping) -> None:
    """Find films and images of the sequencer."""
    for scene in bpy.data.scenes:
        for strip in scene.sequence_editor.sequences_all if scene.sequence_editor else ():
            if strip.type == "MOVIE":
                remapping.change(strip, "filepath", is_file, f'strip "{strip.name}"', scene)
            elif strip.type == "IMAGE":
                remapping.change(strip, "directory", is_folder, f'strip "{strip.name}"', scene)


def main() -> None:
    """Read the settings and remap everything."""
    settings = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    remapping = Remapping(rules_of(settings["paths"]))
    for remap in (remap_libraries, remap_images, remap_blocks, remap_modifiers, remap_strips):
        remap(remapping)
    if remapping.count:
        note(f"{remapping.count} of the scene's paths changed in memory; the scene itself is as it was")


if __name__ == "__main__":
    main()
