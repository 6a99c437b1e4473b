"""The nodes of a Houdini scene, put together from the texts that the archive keeps of each.

Of a node `obj/geo1/file1` there are, in this order: `.init` (its type), `.def` (its flags), `.chn` (its channels), `.parm`
(its parameters). Called by `houdini`, which asks for one node after the other; nothing is kept of those that went by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from farmd.scenes.houdini_parms import expressions_in, parms_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.scenes.hip_archive import Member

WANTED: Final = (".init", ".def", ".chn", ".parm")
_TYPE: Final = re.compile(r"^type = (\S+)", re.MULTILINE)
_BYPASSED: Final = re.compile(r"^flags\s*=.*\bbypass on\b", re.MULTILINE)


@dataclass(slots=True)
class Node:
    """One node.

    Attributes:
        path: As Houdini writes it: "/obj/geo1/file1".
        kind: Its type, without name space and version: "filecache" for "filecache::2.0"; empty for "/obj" itself.
        bypassed: Switched off.
        parms: Name -> values as they are written.
        expressions: Name of a channel -> its expression.
    """

    path: str
    kind: str = ""
    bypassed: bool = False
    parms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expressions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of its path: what `$OS` means in its parameters."""
        return self.path.rpartition("/")[2]

    @property
    def renders(self) -> bool:
        """Whether it is a node of a render network, whose files are written by it."""
        return self.path.startswith("/out/")


class Nodes:
    """Puts nodes together while their texts go by."""

    def __init__(self) -> None:
        self._open = Node("")

    def take(self, member: Member) -> Node | None:
        """Take one text in; return the node that it completes."""
        place, _, what = member.name.rpartition(".")
        path, text = f"/{place}", member.body.decode(errors="replace")
        if path != self._open.path:
            self._open = Node(path)
        node = self._open
        match what:
            case "init":
                node.kind = kind_in(text)
            case "def":
                node.bypassed = _BYPASSED.search(text) is not None
            case "chn":
                node.expressions = expressions_in(text)
            case _:
                node.parms = parms_in(text)
                self._open = Node("")
                return node
        return None


def kind_in(text: str) -> str:
    """Read the type out of an `.init`: "kinefx::rigpose" and "reference::2.0" lose name space and version."""
    found = _TYPE.search(text)
    parts = found[1].split("::") if found else [""]
    plain = [part for part in parts if part and not part[0].isdigit()]
    return plain[-1] if plain else ""
