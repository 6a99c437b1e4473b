"""Runs in the Python of an installed blender-asset-tracer, as a process of its own; nothing of ours imports it.

    PYTHON -I with_tracer.py SCENE.blend ANSWER.json

Writes the files that the scene and its libraries name, in the shape of `in_blender_files`, and the few facts that stand
in a fixed place of the file. Standard library and the tracer only.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from blender_asset_tracer import blendfile, trace  # type: ignore[import-not-found]  # noqa: TID251 - see above

ROLES = {"CF": "cache", "IM": "texture", "LI": "scene", "MC": "clip", "SO": "sound", "VF": "font", "VO": "cache"}
COLLECTIONS = {
    "CF": "cache_files",
    "IM": "images",
    "LI": "libraries",
    "MC": "movieclips",
    "SO": "sounds",
    "VF": "fonts",
    "VO": "volumes",
}
ROLES_OF_STRUCTS = {"NodeShaderTexIES": "texture", "Sequence": "clip", "Strip": "clip", "StripData": "clip"}
TILED = 6
"""Image.source of UDIM tiles."""


def record_of(usage: Any, scene: Path) -> dict[str, Any]:
    """Write down one place that names a file."""
    name = os.fsdecode(bytes(usage.block_name))
    code = os.fsdecode(bytes(usage.block.code))
    field = usage.path_full_field or usage.path_dir_field
    record: dict[str, Any] = {
        "node": f'{COLLECTIONS[code]}["{name[2:]}"]' if code in COLLECTIONS else name,
        "attribute": os.fsdecode(field.name.name_only),
        "written": os.fsdecode(bytes(usage.asset_path)),
        "role": role_of(usage, code, name),
        "spread": spread_of(usage, code),
    }
    if record["attribute"] == "cache_directory":
        record["unbaked"] = not usage.abspath.is_dir()  # written by Blender itself, also where nothing was simulated
    by = Path(usage.block.bfile.filepath).resolve()
    return record if by == scene else {**record, "by": str(by), "base": str(by.parent)}


def role_of(usage: Any, code: str, name: str) -> str:
    """Say what the file is to the scene; what modifiers of objects read are caches."""
    struct = str(usage.block.dna_type_name)
    return ROLES.get(code) or ROLES_OF_STRUCTS.get(struct) or ("cache" if name.startswith("OB") else "other")


def spread_of(usage: Any, code: str) -> str:
    """Say how the path stands for several files."""
    if not usage.is_sequence:
        return "one"
    if code == "IM" and usage.block.get(b"source", default=0) == TILED:
        return "udim"
    return "frames" if usage.abspath.suffix else "folder"


def facts_of(scene: Path) -> dict[str, Any]:
    """Read what lies in fixed places of the scene that is shown."""
    with blendfile.BlendFile(scene) as file:
        blocks = file.find_blocks_from_code(b"SC")
        world = file.find_blocks_from_code(b"GLOB")
        shown = world[0].get_pointer(b"curscene") if world else None
        block = shown or blocks[0]
        start, end = block.get((b"r", b"sfra")), block.get((b"r", b"efra"))
        percent = block.get((b"r", b"size"))
        return {
            "start": start,
            "end": end,
            "step": block.get((b"r", b"frame_step"), default=1) or 1,
            "animation": end > start,
            "fps": block.get((b"r", b"frs_sec")) / (block.get((b"r", b"frs_sec_base"), default=1) or 1),
            "width": block.get((b"r", b"xsch")) * percent // 100,
            "height": block.get((b"r", b"ysch")) * percent // 100,
            "renderer": os.fsdecode(block.get((b"r", b"engine"), default=b"")),
        }


def main() -> None:
    """Write the answer."""
    scene = Path(sys.argv[1]).resolve()
    files = [record_of(usage, scene) for usage in trace.deps(scene)]
    try:
        facts = facts_of(scene)
    except (KeyError, IndexError, TypeError, ValueError):
        facts = {}
    Path(sys.argv[2]).write_text(json.dumps({"facts": facts, "files": files}), encoding="utf-8")


if __name__ == "__main__":
    main()
