"""Runs in the Python that has Mitsuba: renders the frames of one task and says in the farm's own lines what happens.

    python -P mitsuba_frame.py SETTINGS.json

Needs nothing of farmd. A parameter that the scene does not use is an error of Mitsuba's and stays one.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

PROBLEM_EXIT = 3
MISSING = re.compile(r"does not exist|not found|no such file|could not open|unable to open", re.IGNORECASE)
PLUGIN = re.compile(r"plugin .{1,80} (?:not found|could not be (?:found|loaded))", re.IGNORECASE)
MEMORY = re.compile(r"out of memory|bad_alloc|cannot allocate", re.IGNORECASE)


def say(kind: str, rest: str) -> None:
    """Print one line for the farm, at once."""
    sys.stdout.write(f"@farmd {kind} {rest}\n")
    sys.stdout.flush()


def cause_of(text: str) -> str:
    """Name the failure class of Mitsuba's error."""
    if MEMORY.search(text):
        return "oom"
    if PLUGIN.search(text):
        return "missing_feature"
    return "missing_asset" if MISSING.search(text) else "error"


def give_up(cause: str, text: str) -> None:
    """Name the problem and end."""
    say("problem", f"{cause} {' '.join(text.split())[:1000]}")
    raise SystemExit(PROBLEM_EXIT)


def choose_variant(mi: Any, variant: str) -> None:
    """Set the variant, or end with the list of those that this build has."""
    if variant not in mi.variants():
        text = f"Mitsuba {mi.__version__} has no variant {variant!r}; it has: {', '.join(mi.variants())}"
        give_up("missing_feature", text)
    try:
        mi.set_variant(variant)
    except (ImportError, RuntimeError) as error:
        give_up("missing_feature", f"Mitsuba {mi.__version__} cannot start its variant {variant} here: {error}")


def load(mi: Any, scene_file: str, params: dict[str, str], frame: int) -> Any:
    """Load the scene; one that does not use `$frame` is a still, and Mitsuba would call the parameter unused."""
    try:
        return mi.load_file(scene_file, frame=str(frame), **params)
    except RuntimeError as error:
        if f"$frame={frame}" not in str(error):
            raise
    return mi.load_file(scene_file, **params)


def file_resolver(mi: Any) -> Any:
    """Return what finds the files that a scene names; it moved in Mitsuba 3.6."""
    return mi.file_resolver() if hasattr(mi, "file_resolver") else mi.Thread.thread().file_resolver()


def render_frame(mi: Any, settings: dict[str, Any], frame: int, path: str) -> None:
    """Load the scene for one frame, render it, write it."""
    scene = load(mi, settings["scene_file"], settings["params"], frame)
    image = mi.render(scene, spp=settings["samples"] or 0)
    mi.util.write_bitmap(path, image, write_async=False)
    height, width = int(image.shape[0]), int(image.shape[1])
    say("saved", json.dumps({"frame": frame, "path": path, "width": width, "height": height}))


def main() -> None:
    """Read the settings, render, end with a code that says how it went."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import drjit
    import mitsuba as mi

    choose_variant(mi, settings["variant"])
    drjit.set_thread_count(settings["threads"])
    os.chdir(Path(settings["scene_file"]).parent)
    file_resolver(mi).append(settings["checkout"])  # what is not beside the scene is looked for below the root
    for frame, path in zip(settings["frames"], settings["outputs"], strict=True):
        try:
            render_frame(mi, settings, frame, path)
        except (RuntimeError, OSError, ValueError) as error:
            give_up(cause_of(str(error)), f"frame {frame}: {error}")


if __name__ == "__main__":
    main()
