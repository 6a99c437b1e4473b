"""References of a Maya scene: which of its nodes and statements name files.

Paths stay as they are written. Maya does not store the pattern that it computes from a texture's path: a tile or frame
is written, and the switches of its node say that it stands for all of them; here that becomes the `Spread`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from farmd.scenes.content import Reference, Remark, Role, Spread
from farmd.scenes.maya_nodes import FRAMES_BY, INSTALLED, MOVIES, NAMING, PRESETS, TILED_BY
from farmd.scenes.written import components, pattern_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.scenes.maya_nodes import Named
    from farmd.scenes.maya_scene import Edit, FileReference, MayaScene, Node

_COPY_NUMBER = re.compile(r"\{\d+\}$")
_FRAME_TOKEN = re.compile(r"#|%0?\d*d|<f\d?>|<frame\d?>|\$F\d?$", re.IGNORECASE)
_TILED_FOR_RENDERMAN = "_MAPID_"
_SCENES = (".ma", ".mb", ".usd", ".usda", ".usdc", ".usdz")

EDITED = {
    name: (named.long, named.role)
    for kind, attributes in NAMING.items()
    if kind not in ("audio", "imagePlane", "colorManagementGlobals")
    for named in attributes
    for name in (named.long, named.short)
}
"""Attributes that name files wherever they are -> long name and role; for nodes whose type is in another file."""


def references_of(scene: MayaScene) -> tuple[Reference, ...]:
    """List all places that name a file, each once."""
    found = [*map(_of_file, scene.files)]
    for node in scene.nodes.values():
        found += _of_node(node)
    found += [_of_edit(edit) for edit in scene.edits]
    seen: dict[tuple[str, str], Reference] = {}
    for one in found:
        seen.setdefault((one.node, one.written), one)
    return tuple(seen.values())


def remarks_of(scene: MayaScene) -> tuple[Remark, ...]:
    """Tell which paths cannot be known without running the scene's scripts."""
    return tuple(
        Remark("computed_path", f"the path in {node.name}.{attribute} is computed by a script in the scene")
        for node in scene.nodes.values()
        for attribute in node.computed
        if _named(node.kind, attribute)
    )


def _of_file(statement: FileReference) -> Reference:
    written = _COPY_NUMBER.sub("", statement.written)
    is_scene = statement.kind.startswith("maya") or written.lower().endswith(_SCENES) or not statement.kind
    return Reference(statement.node, "reference", written, Role.SCENE if is_scene else Role.CACHE)


def _of_node(node: Node) -> Iterator[Reference]:
    for attribute, values in node.values.items():
        named = _named(node.kind, attribute)
        if named is None or not _in_use(node, named):
            continue
        for written in values:
            if written and not written.startswith(INSTALLED):
                spread = _spread(node, written) if named.spread is Spread.ONE else named.spread
                shipped = PRESETS in written.replace("\\", "/")
                yield Reference(node.name, named.long, written, named.role, spread, shipped=shipped)


def _named(kind: str, attribute: str) -> Named | None:
    leaf = attribute.rpartition(".")[2].partition("[")[0]
    return next((one for one in NAMING.get(kind, ()) if leaf in (one.short, one.long)), None)


def _in_use(node: Node, named: Named) -> bool:
    if node.kind == "colorManagementGlobals":
        return node.switch("cfe", "configFileEnabled", default=False) and node.switch("cme", "cmEnabled", default=True)
    if node.kind == "file":
        listed = node.value(TILED_BY[1], TILED_BY[0]) == "4"
        return listed or named.long == "fileTextureName"
    return True


def _spread(node: Node, written: str) -> Spread:
    if (by_token := spread_of(written)) is not Spread.ONE:
        return by_token
    has_number = re.search(r"\d", components(written)[-1]) if components(written) else None
    if node.kind == "file" and has_number and node.value(TILED_BY[1], TILED_BY[0]) in ("1", "2", "3"):
        return Spread.UDIM
    switch = FRAMES_BY.get(node.kind)
    is_movie = written.rpartition(".")[2].lower() in MOVIES
    if switch and has_number and not is_movie and node.switch(*switch, default=False):
        return Spread.FRAMES
    return Spread.ONE


def spread_of(written: str) -> Spread:
    """Tell from the tokens in a path how it stands for several files."""
    tokens = [
        token for part in components(written) for pattern in [pattern_of(part)] if pattern for token in pattern.tokens
    ]
    if any(not _FRAME_TOKEN.match(token) for token in tokens) or _TILED_FOR_RENDERMAN in written:
        return Spread.UDIM
    return Spread.FRAMES if tokens else Spread.ONE


def _of_edit(edit: Edit) -> Reference:
    long, role = EDITED[edit.attribute]
    return Reference(edit.node, long, edit.value, role, spread_of(edit.value))
