"""Reads Maya binary scenes (`.mb`): the same facts and references as of `.ma`, from a tree of chunks.

`iff` walks the tree and reads nothing; here each chunk that matters is read, up to a limit, and fills the same
`MayaScene` that `maya_ascii` fills. A group is a node: its type is four letters for Maya's own nodes, and a number for
those of plug-ins, whose names stand in the head of the file. Nodes of other types are passed over whole, connections too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Content
from farmd.scenes.iff import Walk
from farmd.scenes.maya_chunks import (
    TICKS_PER_SECOND,
    attribute_in,
    created_in,
    edits_in,
    numbers_in,
    plugin_in,
    reference_in,
    strings_in,
    text_of,
    texts_in,
)
from farmd.scenes.maya_facts import facts_of, layer_remarks
from farmd.scenes.maya_files import EDITED, references_of, remarks_of
from farmd.scenes.maya_nodes import WANTED
from farmd.scenes.maya_scene import Edit, MayaScene
from farmd.scenes.reading import explained

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.iff import Chunk
    from farmd.scenes.maya_scene import Node

_KINDS: Final = {
    b"AUDI": "audio",
    b"CCHF": "cacheFile",
    b"DCAM": "camera",
    b"DIPL": "imagePlane",
    b"PSDT": "psdFileTex",
    b"REFN": "reference",
    b"RNDL": "renderLayer",
    b"RTFT": "file",
    b"RTMV": "movie",
    b"SRCA": "stereoRigCamera",
    bytes.fromhex("58000372"): "renderSetupLayer",
    bytes.fromhex("58000378"): "absOverride",
    bytes.fromhex("580003a0"): "absUniqueOverride",
    bytes.fromhex("5800037a"): "relOverride",
    bytes.fromhex("580003a1"): "relUniqueOverride",
}
"""Maya's own node types that matter, by `MTypeId`; those of plug-ins are told by the file."""
_NAMED: Final = {"defaultArnoldRenderOptions": "aiOptions", "defaultArnoldDriver": "aiAOVDriver"}
"""Nodes that are known by name where a file does not tell the types of its plug-ins."""
_NO_NODES: Final = frozenset({b"HEAD", b"FREF", b"FRDI", b"SLCT"})
"""Groups below the outermost that are wanted and make no node."""
_MOST_TEXT: Final = 1 << 18
"""No path is longer, nor anything else that is asked for."""
_MOST_NUMBERS: Final = 1 << 12
_MOST_EDITS: Final = 16 << 20
_FIRST_PLUGIN: Final = b"\x01"
"""Numbers of plug-ins begin with 0; four letters do not, nor do Maya's own numbers (0x58…)."""


def read_maya_binary(scene: Path) -> Content:
    """Read a Maya binary scene.

    Raises:
        NotFound: There is no such file.
        UserError: It cannot be read, is damaged or cut off, or is no Maya binary scene.
    """
    with explained(scene), scene.open("rb") as file:
        reading = _Reading(Walk(scene, file))
        reading.run()
    return reading.content()


class _Reading:
    """One pass over one file."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._scene = MayaScene()
        self._kinds = dict(_KINDS)
        self._ticks_per_second = TICKS_PER_SECOND
        self._frames_per_second: float = 24
        self._node: Node | None = None
        self._unknown = ""

    def run(self) -> None:
        for chunk in self._walk:
            if chunk.kind:
                self._enter(chunk)
            elif chunk.parents[-1] == b"HEAD":
                self._take_head(chunk)
            elif chunk.parents[-1] in (b"FREF", b"FRDI"):
                self._take_reference(chunk)
            else:
                self._take(chunk)

    def content(self) -> Content:
        references = references_of(self._scene)
        remarks = (*remarks_of(self._scene), *layer_remarks(self._scene))
        return Content(facts_of(self._scene, references), references, remarks)

    def _enter(self, group: Chunk) -> None:
        if not group.parents and group.kind != b"Maya":
            raise self._walk.damaged(0, f"it holds {text_of(group.kind)!r}, and a scene holds 'Maya'")
        self._node, self._unknown = None, ""
        is_node = group.kind not in _NO_NODES and bool(group.parents)
        if is_node and self._kinds.get(group.kind) not in WANTED and not self._is_untold(group.kind):
            self._walk.skip()

    def _is_untold(self, number: bytes) -> bool:
        """Tell whether this is a node type of a plug-in that the head does not name."""
        return number < _FIRST_PLUGIN and number not in self._kinds

    def _take_head(self, chunk: Chunk) -> None:
        raw = self._walk.data(chunk, _MOST_TEXT)
        match chunk.tag:
            case b"VERS":
                self._scene.requires["maya"] = text_of(raw).rstrip("\0")
            case b"TUNI":
                self._scene.time_unit = text_of(raw).rstrip("\0")
                self._frames_per_second = facts_of(self._scene, ()).fps or self._frames_per_second
            case b"TDUR" if raw.isdigit() and len(raw) < 20:
                self._ticks_per_second = int(raw) or TICKS_PER_SECOND
            case b"FINF":
                name, value = (*texts_in(raw, 2), "")[:2]
                self._scene.info[name] = value
            case b"PLUG":
                plugin = plugin_in(raw)
                self._scene.requires[plugin.name] = plugin.version
                self._kinds |= plugin.kinds

    def _take_reference(self, chunk: Chunk) -> None:
        if chunk.tag in (b"FREF", b"FRDI") and (found := reference_in(self._walk.data(chunk, _MOST_TEXT))):
            self._scene.files.append(found)

    def _take(self, chunk: Chunk) -> None:
        """Take a chunk of a node in."""
        match chunk.tag:
            case b"CREA":
                self._create(chunk)
            case b"SLCT":
                self._node = self._scene.node(text_of(self._walk.data(chunk, _MOST_TEXT)).rstrip("\0"))
            case b"STR " | b"STR#" if chunk.size <= _MOST_TEXT and (self._node or self._unknown):
                self._set_text(chunk)
            case b"DBLE" if chunk.size <= _MOST_NUMBERS and self._node:
                name, flags, value = attribute_in(self._walk.data(chunk, _MOST_NUMBERS))
                self._node.values[name] = numbers_in(flags, value, self._frames_per_second / self._ticks_per_second)
            case b"REFE" if self._node and self._node.kind == "reference":
                self._scene.edits += edits_in(self._walk.data(chunk, _MOST_EDITS))

    def _create(self, chunk: Chunk) -> None:
        number = chunk.parents[-1]
        created = created_in(self._walk.data(chunk, _MOST_TEXT))
        kind = self._kinds.get(number) or _NAMED.get(created.name.removeprefix(":"), "")
        self._node = self._scene.create(kind, created.name, created.parent)
        self._unknown = "" if kind else created.name

    def _set_text(self, chunk: Chunk) -> None:
        name, _, value = attribute_in(self._walk.data(chunk, _MOST_TEXT))
        values = strings_in(chunk.tag, value)
        if self._node:
            self._node.values[name] = values
        elif (leaf := name.rpartition(".")[2].partition("[")[0]) in EDITED:
            # The file does not tell what this node is: as in changes to other scenes, the attribute decides.
            paths = (one for one in values if "/" in one or "\\" in one)
            self._scene.edits += [Edit(self._unknown, leaf, path) for path in paths]
