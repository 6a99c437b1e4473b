"""What a Maya scene says, without its geometry: the nodes that matter for a render, and the statements around them.

Filled by `maya_ascii`, turned into facts by `maya_facts` and into references by `maya_files`. Nodes that nobody asks
about are not kept, so this stays small whatever the size of the scene.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from farmd.scenes.maya_nodes import DEFAULT_NODES, WANTED


class FileReference(NamedTuple):
    """A `file -r` or `file -rdi` statement.

    Attributes:
        node: The reference node, or the namespace if none is named.
        written: The path.
        kind: "mayaAscii", "mayaBinary", "Alembic", …; "" = not said.
    """

    node: str
    written: str
    kind: str


class Edit(NamedTuple):
    """A string attribute of a node of a referenced scene, set by this one."""

    node: str
    attribute: str
    value: str


@dataclass(slots=True)
class Node:
    """A node.

    Attributes:
        kind: Its type.
        name: With its namespace.
        parent: Above it in the tree; "" = none is said.
        values: Attribute, as written without the leading dot -> its values, as texts.
        computed: Attributes whose value is not in the file, but in a variable of a script.
    """

    kind: str
    name: str
    parent: str = ""
    values: dict[str, list[str]] = field(default_factory=dict)
    computed: list[str] = field(default_factory=list)

    def value(self, *names: str) -> str | None:
        """Return the first value of an attribute, by any of its names; None if it is not written."""
        for name in names:
            if found := self.values.get(name):
                return found[0]
        return None

    def number(self, default: float, *names: str) -> float:
        """Return an attribute as a number; the default if it is not written or no number."""
        try:
            return float(self.value(*names) or default)
        except ValueError:
            return default

    def switch(self, *names: str, default: bool) -> bool:
        """Return an attribute as a truth value."""
        value = self.value(*names)
        return default if value is None else value.lower() in ("yes", "on", "true", "1")


@dataclass(slots=True)
class MayaScene:
    """Everything kept of one scene, in the order of the file."""

    nodes: dict[str, Node] = field(default_factory=dict)
    files: list[FileReference] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    requires: dict[str, str] = field(default_factory=dict)
    info: dict[str, str] = field(default_factory=dict)
    time_unit: str = ""

    def create(self, kind: str, name: str, parent: str = "") -> Node | None:
        """Add a node; None if its type is of no interest.

        Nodes of one name below different parents are told apart by their parents.
        """
        if kind not in WANTED:
            return None
        name = name.removeprefix(":")
        if name in self.nodes and parent:
            name = f"{parent}|{name}"
        self.nodes[name] = node = Node(kind, name, parent)
        return node

    def node(self, name: str) -> Node | None:
        """Return a node by its name, or one that every scene has; None if it is of no interest."""
        name = name.removeprefix(":")
        if name not in self.nodes and name in DEFAULT_NODES:
            self.nodes[name] = Node(DEFAULT_NODES[name], name)
        return self.nodes.get(name)

    def of_kind(self, *kinds: str) -> list[Node]:
        """List the nodes of some types."""
        return [node for node in self.nodes.values() if node.kind in kinds]
