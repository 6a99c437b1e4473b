"""Loaded inside Blender by the scripts that list files: how a datablock is called, and which library brings it.

Standard library and bpy only, as for all of them.
"""

from __future__ import annotations

import os
from typing import Any

import bpy

Record = dict[str, Any]


def name_of(block: Any, collection: str) -> str:
    """Name a datablock as Blender's console does."""
    return f'{collection}["{escaped(block)}"]'


def escaped(item: Any) -> str:
    """Return the name of an item as it stands between quotes."""
    return str(item.name).replace("\\", "\\\\").replace('"', '\\"')


def origin_of(block: Any) -> Record:
    """Say which library brings a datablock, and from where its relative paths start."""
    library = getattr(block, "library", None)
    if library is None:
        return {}
    path = path_of(library)
    return {"by": path, "base": os.path.dirname(path)}  # noqa: PTH120 - Blender's paths are text


def path_of(library: Any) -> str:
    """Return where a library lies; once a scene is open, Blender has the paths of all of them relative to the scene."""
    return os.path.normpath(str(bpy.path.abspath(library.filepath)))
