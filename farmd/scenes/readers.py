"""Which reader reads which scene: by the ending of its name, and by its first bytes where these say more.

Readers are loaded when the first scene of their kind is read. A `.ma` that holds Maya's binary form is read as what it
is; an `.xml` that is none of Mitsuba's has no reader.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.content import Content, Reader


class Format(NamedTuple):
    """A kind of scene.

    Attributes:
        ending: Of its files, as people know it.
        names: Endings that belong to it, a regular expression.
        heads: How such files begin; empty = anyhow.
        reader: `module:function`.
    """

    ending: str
    names: str
    heads: tuple[bytes, ...]
    reader: str


_AT: Final = "farmd.scenes."
_SNIFFED: Final = 4096
FORMATS: Final = (
    Format(".ma", r"\.ma", (b"//Maya ASCII",), _AT + "maya_ascii:read_maya_ascii"),
    Format(".mb", r"\.m[ab]", (b"FOR4", b"FOR8"), _AT + "maya_binary:read_maya_binary"),
    Format(".ma", r"\.ma", (), _AT + "maya_ascii:read_maya_ascii"),
    Format(".mb", r"\.mb", (), _AT + "maya_binary:read_maya_binary"),
    Format(".xgen", r"\.xgen", (), _AT + "xgen:read_xgen"),
    Format(".blend", r"\.blend\d*", (), _AT + "blend:read_blend"),
    Format(".xml (Mitsuba)", r"\.xml", (b"<scene",), _AT + "mitsuba_xml:read_mitsuba_xml"),
    Format(".hip", r"\.hip(lc|nc)?", (), _AT + "houdini:read_houdini"),
    Format(".pov", r"\.(pov|inc)", (), _AT + "povray:read_povray"),
    Format(".usd", r"\.usd[acz]?", (), _AT + "usd:read_usd"),
)
READABLE: Final = ", ".join(dict.fromkeys(kind.ending for kind in FORMATS))


def reader_of(scene: Path) -> Reader | None:
    """Find the reader of a scene; None if there is none."""
    kind = format_of(scene)
    if kind is None or find_spec(kind.reader.partition(":")[0]) is None:
        return None
    module, _, name = kind.reader.partition(":")
    reader: Reader = getattr(import_module(module), name)
    return reader


def format_of(scene: Path) -> Format | None:
    """Tell what kind of scene a file is; None if it is none that is read."""
    fitting = [kind for kind in FORMATS if re.fullmatch(kind.names, scene.suffix.lower())]
    head = _head(scene) if any(kind.heads for kind in fitting) else b""
    return next((kind for kind in fitting if not kind.heads or _begins(head, kind)), None)


def read_scene(scene: Path) -> Content:
    """Read a scene by the reader of its kind.

    Raises:
        UserError: There is no reader for it, or it cannot be read.
    """
    if not scene.exists():
        raise NotFound(f"no scene {scene}", "there is no such file", "check the name and the folder")
    reader = reader_of(scene)
    if reader is None:
        raise UserError(f"{scene} cannot be analysed", "nothing here reads such a file", f"what is read: {READABLE}")
    return reader(scene)


def _begins(head: bytes, kind: Format) -> bool:
    if kind.names == r"\.xml":
        return _first_element(head) in kind.heads
    return head.startswith(kind.heads)


def _first_element(head: bytes) -> bytes:
    """Return the first tag of an XML text, after its declaration and comments."""
    bare = re.sub(rb"<!--.*?-->|<\?.*?\?>", b"", head, flags=re.DOTALL)
    found = re.search(rb"<[A-Za-z][\w:.-]*", bare)
    return found[0] if found else b""


def _head(scene: Path) -> bytes:
    try:
        with scene.open("rb") as file:
            return file.read(_SNIFFED)
    except OSError:
        return b""
