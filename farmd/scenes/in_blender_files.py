"""Runs inside Blender after `in_blender`: writes which files the open scene names, as `files.json`.

Every place is written down with its name in Blender's own notation, so that `bpy.data.` + node + `.` + attribute is
what to type into Blender's console. Nothing is looked for on the disk here. Paths stay as Blender has them: `//` is
the folder of the .blend, or of the library (`base`) that the datablock comes from. Two things Blender changes itself when
it opens a file: backslashes become slashes where it does not run on Windows, and the first tile of old UDIM images
becomes `<UDIM>`.

What a render does not need (an image that only a fake user keeps, a muted strip) is marked and not dropped: whoever
reads the list decides. Output paths, proxies and previews are no dependencies and are left out.

The same limits as for `in_blender` hold: any Blender from 2.80 on, standard library and bpy only.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.scenes.in_blender_caches import modifiers, rigid_bodies
    from farmd.scenes.in_blender_names import Record, escaped, name_of, origin_of, path_of
else:  # Blender knows this folder, and no farmd
    from in_blender_caches import modifiers, rigid_bodies
    from in_blender_names import escaped, name_of, origin_of, path_of

ODDITIES = (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError, ReferenceError)
NUMBER = re.compile(r"(.*?)(\d+)([^\d/\\]*)$", re.DOTALL)
TILE = re.compile(r"1001(?=[^\d/\\][^/\\]*$)")
TREE_OWNERS = ("materials", "worlds", "lights", "textures", "linestyles", "scenes")


def is_used(block: Any) -> bool:
    """Tell whether anything but the fake user needs the block."""
    return int(block.users) > (1 if block.use_fake_user else 0)


def frames_of(offset: int, duration: int) -> tuple[int, int] | None:
    """Return the numbers of the files that a sequence may ask for."""
    return (offset + 1, offset + duration) if duration > 0 else None


# Images ----------------------------------------------------------------------------------------------------------


def image_users() -> dict[str, tuple[int, int]]:
    """Return for each image the range of numbers that its users ask for; only they know it."""
    found: dict[str, tuple[int, int]] = {}
    pairs = [
        (node.image, getattr(node, "image_user", node)) for _, _, node in all_nodes() if getattr(node, "image", None)
    ]
    pairs += [(item.image, item.image_user) for item in bpy.data.textures if getattr(item, "image", None)]
    pairs += [(item.data, item.image_user) for item in bpy.data.objects if item.type == "EMPTY" and item.data]
    for camera in bpy.data.cameras:
        pairs += [(back.image, back.image_user) for back in camera.background_images if back.image]
    for image, user in pairs:
        numbers = frames_of(getattr(user, "frame_offset", 0), getattr(user, "frame_duration", 0))
        if numbers is not None:
            known = found.get(image.name_full, numbers)
            found[image.name_full] = (min(known[0], numbers[0]), max(known[1], numbers[1]))
    return found


def images() -> Iterator[Record]:
    """List images that come from files."""
    asked = image_users()
    for image in bpy.data.images:
        if image.source in {"GENERATED", "VIEWER"}:
            continue
        record: Record = {"node": name_of(image, "images"), "attribute": "filepath", "role": "texture"}
        record |= {"packed": len(image.packed_files) > 0, "used": is_used(image), **origin_of(image)}
        for written in views_of(image):
            yield {**record, "written": written, **spread_of(image, asked.get(image.name_full))}


def spread_of(image: Any, asked: tuple[int, int] | None) -> Record:
    """Say how the path of an image stands for several files."""
    if image.source == "TILED":
        return {"spread": "udim"}
    return {"spread": "frames", "frames": asked} if image.source == "SEQUENCE" else {}


def views_of(image: Any) -> list[str]:
    """List the paths of an image: one, or with single files for each eye one for each of them."""
    path = str(image.filepath)
    if image.source == "TILED" and "<UDIM>" not in path and "<UVTILE>" not in path:
        return [TILE.sub("<UDIM>", path)]  # before 3.1 the path was that of the first tile
    render = bpy.context.scene.render
    if not (image.use_multiview and image.views_format == "INDIVIDUAL" and render.use_multiview):
        return [path]
    suffixes = [view.file_suffix for view in render.views if view.use and view.file_suffix]
    stem, dot, ending = path.rpartition(".")
    own = next((suffix for suffix in suffixes if stem.endswith(suffix)), None)
    return [path] if own is None else [stem[: -len(own)] + suffix + dot + ending for suffix in suffixes]


# Datablocks with one path ----------------------------------------------------------------------------------------


def libraries() -> Iterator[Record]:
    """List linked .blend files, also those that only another library links."""
    for library in bpy.data.libraries:
        packed = bool(library.packed_file or getattr(library, "is_archive", False))
        record = {"node": name_of(library, "libraries"), "attribute": "filepath", "role": "scene", "packed": packed}
        yield {**record, **as_its_parent_wrote(library)}


def as_its_parent_wrote(library: Any) -> Record:
    """Give the path of a library as the file that links it has it."""
    if library.parent is None:
        return {"written": library.filepath}
    by = path_of(library.parent)
    base = os.path.dirname(by)  # noqa: PTH120 - Blender's paths are text
    is_relative = library.filepath.startswith("//")
    written = "//" + os.path.relpath(path_of(library), base) if is_relative else library.filepath
    return {"written": written, "by": by, "base": base}


def movie_clips() -> Iterator[Record]:
    """List movie clips."""
    for clip in bpy.data.movieclips:
        yield {**block_record(clip, "movieclips", "clip"), **sequence_of(clip.source == "SEQUENCE")}


def sounds() -> Iterator[Record]:
    """List sounds, those of the sequencer among them."""
    for sound in bpy.data.sounds:
        yield block_record(sound, "sounds", "sound")


def fonts() -> Iterator[Record]:
    """List fonts but Blender's own."""
    for font in bpy.data.fonts:
        if font.filepath != "<builtin>":
            yield block_record(font, "fonts", "font")


def volumes() -> Iterator[Record]:
    """List OpenVDB files."""
    for volume in getattr(bpy.data, "volumes", ()):
        numbers = frames_of(volume.frame_offset, volume.frame_duration)
        yield {**block_record(volume, "volumes", "cache"), **sequence_of(volume.is_sequence, numbers)}


def cache_files() -> Iterator[Record]:
    """List Alembic and USD files with the layers over them."""
    for cache in bpy.data.cache_files:
        record = {**block_record(cache, "cache_files", "cache"), **sequence_of(cache.is_sequence)}
        yield record
        for index, layer in enumerate(getattr(cache, "layers", ())):
            yield {**record, "attribute": f"layers[{index}].filepath", "written": layer.filepath}


def texts() -> Iterator[Record]:
    """List texts that live in files of their own: needed where a node or a camera runs one as a shader."""
    shaders = [node.script for _, _, node in all_nodes() if getattr(node, "script", None)]
    shaders += [camera.custom_shader for camera in bpy.data.cameras if getattr(camera, "custom_shader", None)]
    for text in bpy.data.texts:
        if text.filepath:
            yield {**block_record(text, "texts", "other"), "used": text in shaders and not text.is_in_memory}


def cameras() -> Iterator[Record]:
    """List shaders of cameras with a lens of their own (since 5.0)."""
    for camera in bpy.data.cameras:
        if getattr(camera, "custom_mode", "") == "EXTERNAL" and camera.type == "CUSTOM":
            record = {"node": name_of(camera, "cameras"), "attribute": "custom_filepath", "role": "other"}
            yield {**record, "written": camera.custom_filepath, **origin_of(camera)}


def block_record(block: Any, collection: str, role: str) -> Record:
    """Write down a datablock that has one path."""
    record: Record = {"node": name_of(block, collection), "attribute": "filepath", "written": block.filepath}
    packed = bool(getattr(block, "packed_file", None))
    return {**record, "role": role, "packed": packed, "used": is_used(block), **origin_of(block)}


def sequence_of(is_sequence: bool, numbers: tuple[int, int] | None = None) -> Record:
    """Say that a path stands for numbered files."""
    return {"spread": "frames", "frames": numbers} if is_sequence else {}


# Nodes -----------------------------------------------------------------------------------------------------------


def all_nodes() -> Iterator[tuple[Record, str, Any]]:
    """Go through the nodes of all trees: the record of the datablock, the way from there to the node, the node."""
    for collection in TREE_OWNERS:
        for block in getattr(bpy.data, collection):
            tree = getattr(block, "node_tree", None)
            yield from nodes_in(tree, "node_tree.", {"node": name_of(block, collection), **origin_of(block)})
    for group in bpy.data.node_groups:
        yield from nodes_in(group, "", {"node": name_of(group, "node_groups"), **origin_of(group)})


def nodes_in(tree: Any, prefix: str, record: Record) -> Iterator[tuple[Record, str, Any]]:
    """Go through the nodes of one tree."""
    for node in tree.nodes if tree else ():
        yield record, f'{prefix}nodes["{escaped(node)}"]', node


def node_files() -> Iterator[Record]:
    """List what nodes read by themselves: photometric lights, shaders, files to import."""
    for record, way, node in all_nodes():
        if getattr(node, "mode", "") == "EXTERNAL" and getattr(node, "filepath", ""):
            role = "texture" if node.bl_idname == "ShaderNodeTexIES" else "other"
            yield {**record, "attribute": f"{way}.filepath", "written": node.filepath, "role": role}
        for index, socket in enumerate(node.inputs):
            if is_path_socket(socket) and socket.default_value:
                attribute = f"{way}.inputs[{index}].default_value"
                yield {**record, "attribute": attribute, "written": socket.default_value, "role": "cache"}


def is_path_socket(socket: Any) -> bool:
    """Tell whether a socket takes a file to read and has it written in itself."""
    return socket.bl_idname == "NodeSocketStringFilePath" and not socket.is_linked


# Sequencer -------------------------------------------------------------------------------------------------------


def strips() -> Iterator[Record]:
    """List images and films that the sequencer shows; sounds are datablocks of their own."""
    for scene in bpy.data.scenes:
        editor = scene.sequence_editor
        name = "strips_all" if hasattr(editor, "strips_all") else "sequences_all"
        for strip in getattr(editor, name, ()):
            record = {"node": name_of(scene, "scenes"), "role": "clip", **origin_of(scene)}
            record["used"] = scene.render.use_sequencer and not strip.mute
            prefix = f'sequence_editor.{name}["{escaped(strip)}"]'
            if strip.type == "MOVIE":
                yield {**record, "attribute": f"{prefix}.filepath", "written": strip.filepath}
            elif strip.type == "IMAGE":
                for found in image_strip(strip):
                    yield {**record, **found, "attribute": f"{prefix}.directory"}


def image_strip(strip: Any) -> Iterator[Record]:
    """Write the pictures of a strip as one sequence if they are numbered alike, else one by one."""
    names = list(dict.fromkeys(element.filename for element in strip.elements))
    parts = [NUMBER.match(name) for name in names]
    alike = {(part.group(1), part.group(3)) if part else None for part in parts}
    if len(names) > 1 and len(alike) == 1 and None not in alike:
        numbers = [int(part.group(2)) for part in parts if part]
        frames = (min(numbers), max(numbers))
        yield {"written": joined(strip.directory, names[0]), "spread": "frames", "frames": frames}
        return
    for name in names:
        yield {"written": joined(strip.directory, name)}


def joined(folder: str, name: str) -> str:
    """Join as Blender does: the folder mostly ends in a slash, of either kind."""
    return folder + name if not folder or folder.endswith(("/", "\\")) else f"{folder}/{name}"


# All of them -----------------------------------------------------------------------------------------------------


def unknown_paths(records: list[Record]) -> list[str]:
    """Return paths that Blender knows of and that no record has: what this script does not know yet."""
    known = {masked(record.get("written", "")) for record in records}
    known |= {masked(library.filepath) for library in bpy.data.libraries}
    known |= {masked(path) for path in weak_paths()}
    folders = tuple(path for path in known if path.startswith("//"))
    found = dict.fromkeys(bpy.utils.blend_paths(absolute=False, packed=False, local=False))
    found = {path: None for path in found if not is_blenders_own({"written": path})}
    return [path for path in found if masked(path) not in known and not (folders and path.startswith(folders))]


def masked(path: str) -> str:
    """Take the number out of a path, and the slash from its end: one member of a sequence is like another."""
    return NUMBER.sub(r"\1#\3", path).rstrip("/\\")


def weak_paths() -> set[str]:
    """Return libraries that something was copied from: remembered for the asset browser, never opened again."""
    kinds = [item.identifier for item in bpy.data.bl_rna.properties if item.type == "COLLECTION"]
    marks = (getattr(block, "library_weak_reference", None) for kind in kinds for block in getattr(bpy.data, kind))
    return {mark.filepath for mark in marks if mark}


READERS: tuple[Callable[[], Iterator[Record]], ...] = (
    libraries,
    images,
    movie_clips,
    sounds,
    fonts,
    volumes,
    cache_files,
    texts,
    cameras,
    node_files,
    modifiers,
    rigid_bodies,
    strips,
)


def is_blenders_own(record: Record) -> bool:
    """Tell whether a record is about what every Blender brings along: since 4.3 it links its own brushes."""
    home = bpy.utils.system_resource("DATAFILES")
    return bool(home) and any(str(record.get(key, "")).startswith(home) for key in ("written", "by"))


def main() -> None:
    """Collect kind by kind, so that one that fails takes no other with it."""
    records: list[Record] = []
    troubles = []
    for reader in READERS:
        try:
            records.extend(record for record in reader() if not is_blenders_own(record))
        except ODDITIES as error:
            troubles.append(f"{reader.__name__}: {type(error).__name__}: {error}")
    result = {"files": records, "unknown": unknown_paths(records), "troubles": troubles}
    Path(sys.argv[-1], "files.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
