"""Reads Maya ASCII scenes (`.ma`): facts and references, without running anything that is in them.

`maya_statements` cuts the file into statements; here those that matter fill a `MayaScene`. An attribute belongs to the
node that was created or selected last, unless it names its node. Everything that is no `createNode`, `setAttr`, `select`,
`file`, `requires`, `currentUnit` or `fileInfo` is passed over: geometry is, and so are scripts. Called by `analyse`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from farmd.scenes.content import Content, Remark
from farmd.scenes.maya_facts import facts_of, layer_remarks
from farmd.scenes.maya_files import EDITED, references_of, remarks_of
from farmd.scenes.maya_scene import Edit, FileReference, MayaScene
from farmd.scenes.maya_statements import Statements, Text, flags, words
from farmd.scenes.reading import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from farmd.scenes.maya_scene import Node

_LONGEST_VALUE_BYTES = 1 << 18
"""No path is longer: what is, is data."""
_CREATE = frozenset({"n", "name", "p", "parent"})
_FILE = frozenset(
    {
        "rdi",
        "referenceDepthInfo",
        "ns",
        "namespace",
        "rpr",
        "renamingPrefix",
        "dr",
        "deferReference",
        "shd",
        "sharedNodes",
    }
    | {"rfn", "referenceNode", "op", "options", "typ", "type", "lrd", "loadReferenceDepth", "uns", "usingNamespaces"}
)
_SET = frozenset(
    {"k", "keyable", "l", "lock", "cb", "channelBox", "ca", "caching", "s", "size", "typ", "type", "ch", "capacityHint"}
)
_REQUIRES = frozenset({"nodeType", "nt", "dataType", "dt"})
_UNIT = frozenset({"l", "linear", "a", "angle", "t", "time"})
_EDIT = re.compile(rb'\b2 "([^"]*+)"\s++"([\w.\[\]]++)"\s++" ?-type \\"string\\" ((?:[^"\\]|\\.)*+)"', re.DOTALL)


def read_maya_ascii(scene: Path) -> Content:
    """Read a Maya ASCII scene.

    Raises:
        NotFound: There is no such file.
        UserError: It cannot be read, is cut off, or is no Maya ASCII scene.
    """
    with explained(scene), scene.open("rb", buffering=0) as file:
        reading = _Reading(Statements(file, scene.name))
        reading.run()
    return reading.content()


class _Reading:
    """One pass over one file."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._scene = MayaScene()
        self._node: Node | None = None
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "createNode": self._create,
            "select": self._select,
            "file": self._file,
            "requires": self._requires,
            "currentUnit": self._unit,
            "fileInfo": self._info,
        }

    def run(self) -> None:
        statements, commands = self._statements, self._commands
        for command, statement in statements:
            if command == "setAttr":
                self._set(statement)
            elif act := commands.get(command):
                act(words(statements.text(statement))[1:])
                statements.deaf = self._node is None

    def content(self) -> Content:
        scene = self._scene
        references = references_of(scene)
        remarks = (*remarks_of(scene), *layer_remarks(scene))
        if not self._statements.ended:
            remarks += (Remark("no_end_mark", "the scene lacks the mark that Maya writes at its end: is it complete?"),)
        return Content(facts_of(scene, references), references, remarks)

    def _create(self, given: list[str]) -> None:
        named, rest = flags(given, _CREATE)
        kind = rest[0] if rest else ""
        name = named.get("n") or named.get("name") or kind
        self._node = self._scene.create(kind, name, named.get("p") or named.get("parent") or "")

    def _select(self, given: list[str]) -> None:
        _, rest = flags(given, frozenset())
        self._node = self._scene.node(rest[-1]) if rest else None

    def _file(self, given: list[str]) -> None:
        named, rest = flags(given, _FILE)
        if not rest or not named.keys() & {"r", "reference", "rdi", "referenceDepthInfo"}:
            return
        node = _first(named, "rfn", "referenceNode", "ns", "namespace")
        self._scene.files.append(FileReference(node, rest[-1], _first(named, "typ", "type")))

    def _requires(self, given: list[str]) -> None:
        _, rest = flags(given, _REQUIRES)
        if rest:
            self._scene.requires[rest[0]] = rest[1] if len(rest) > 1 else ""

    def _unit(self, given: list[str]) -> None:
        named, _ = flags(given, _UNIT)
        self._scene.time_unit = _first(named, "t", "time") or self._scene.time_unit

    def _info(self, given: list[str]) -> None:
        _, rest = flags(given, frozenset())
        if len(rest) > 1:
            self._scene.info[rest[0]] = rest[1]

    def _set(self, statement: bytes) -> None:
        if self._node is not None and self._node.kind == "reference":
            self._edits(statement)
            return
        if len(statement) > _LONGEST_VALUE_BYTES:
            return
        named, rest = flags(words(self._statements.text(statement))[1:], _SET)
        if not rest:
            return
        owner, _, attribute = rest[0].partition(".")
        node = self._scene.node(owner) if owner else self._node
        if node is not None and len(rest) > 1:
            _keep(node, attribute, rest[1:], _first(named, "typ", "type"))

    def _edits(self, statement: bytes) -> None:
        for found in _EDIT.finditer(statement):
            name, attribute, value = (self._statements.text(group) for group in found.groups())
            attribute = attribute.rpartition(".")[2].partition("[")[0]
            if attribute not in EDITED:
                continue
            path = "".join(words(words(f'"{value}"')[0]))  # a string inside of a string
            if "/" in path or "\\" in path:
                self._scene.edits.append(Edit(name.rpartition("|")[2], attribute, path))


def _first(named: dict[str, str], *names: str) -> str:
    return next((str(named[name]) for name in names if named.get(name)), "")


def _keep(node: Node, attribute: str, values: Sequence[str], kind: str) -> None:
    if kind == "stringArray":
        values = values[1:]
    if any(value.startswith(("$", "`")) and not isinstance(value, Text) for value in values):
        node.computed.append(attribute)
    else:
        node.values[attribute] = [str(value) for value in values]
