"""What stands in the chunks of a Maya binary scene: bytes in, names and values out.

Nothing of this is published; it is what scenes of Maya 2016 to 2023 show beside the same scenes as `.ma`, and what
published readers found. Attributes are written as name, NUL, one byte of flags, value:

    DBLE  every kind of number, as doubles: also truth values, integers, and times as an integer count of ticks
    STR   a text and a NUL
    STR#  a count of four bytes, and so many texts, each with a NUL

Called by `maya_binary`; what does not fit comes out empty and raises nothing.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.scenes.maya_files import EDITED
from farmd.scenes.maya_scene import Edit, FileReference

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS_PER_SECOND: Final = 6000
"""Of scenes that do not say it (TDUR): all before Maya 2017."""
_HAS_SIZE: Final = 0x08
_NO_PARENT: Final = 0x80
_CONTROL: Final = bytes(range(32))
_TRANSLATOR: Final = re.compile(
    r"mayaAscii|mayaBinary|Alembic|FBX|OBJ|atomImport|image|USD (?:Import|Export)|[A-Z]\w+ export"
)
_QUOTED: Final = re.compile(r'-type "string" "([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class Created(NamedTuple):
    """A CREA chunk: the name of a node, and of the node above it."""

    name: str
    parent: str


class Plugin(NamedTuple):
    """A PLUG chunk. `kinds`: number of each of its node types, as groups show it -> name."""

    name: str
    version: str
    kinds: dict[bytes, str]


def text_of(raw: bytes) -> str:
    """Decode a text: UTF-8, or the letters of western Windows; other code pages are not told."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def texts_in(raw: bytes, most: int) -> list[str]:
    """Split at NUL, into so many texts at most; what is behind them is dropped."""
    return [text_of(part) for part in raw.split(b"\0", most)[:most]]


def plugin_in(raw: bytes) -> Plugin:
    """Read PLUG: name, version, options, then name and number of each node type that the scene uses."""
    name, version = (*texts_in(raw, 2), "", "")[:2]
    rest, kinds = raw.split(b"\0", 3)[3:], {}
    while rest and rest[0]:
        kind, _, behind = rest[0].partition(b"\0")
        if len(behind) < 4:
            break
        kinds[behind[:4]] = text_of(kind)
        rest = [behind[4:]]
    return Plugin(name, version, kinds)


def created_in(raw: bytes) -> Created:
    """Read CREA: flags, name, the parent unless a flag says that there is none, and (since 2016) a UUID."""
    name, _, rest = raw[1:].partition(b"\0")
    parent, ended, _ = rest.partition(b"\0")
    has_parent = bool(ended) and not raw[:1] >= bytes([_NO_PARENT])
    return Created(text_of(name), text_of(parent) if has_parent else "")


def attribute_in(raw: bytes) -> tuple[str, int, bytes]:
    """Split an attribute into name, flags and value."""
    name, _, rest = raw.partition(b"\0")
    return text_of(name), rest[0] if rest else 0, rest[1:]


def strings_in(tag: bytes, value: bytes) -> list[str]:
    """Read the value of `STR ` or `STR#`."""
    if tag == b"STR#":
        return texts_in(value[4:], max(0, min(int.from_bytes(value[:4], "big"), len(value))))
    return texts_in(value, 1)


def numbers_in(flags: int, value: bytes, frames_per_tick: float) -> list[str]:
    """Read the value of DBLE as texts; times become frames."""
    if flags & _HAS_SIZE and len(value) % 8 == 4:
        value = value[4:]
    if len(value) == 4:
        return [_shown(struct.unpack(">f", value)[0])]
    whole = value[: len(value) // 8 * 8]
    return [_shown(_number(bits, frames_per_tick)) for (bits,) in struct.iter_unpack(">Q", whole)]


def _number(bits: int, frames_per_tick: float) -> float:
    """Read eight bytes: a double, or ticks.

    A count of ticks below 2**52 has the bits of a double that is smaller than any that an artist writes, and a negative
    one those of no number.
    """
    exponent = bits >> 52 & 0x7FF
    if bits and exponent in (0, 0x7FF):
        ticks = bits - (1 << 64) if bits >> 63 else bits
        return round(ticks * frames_per_tick, 6)
    found: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    return found


def _shown(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def reference_in(raw: bytes) -> FileReference | None:
    """Read FREF or FRDI: path, namespace, flags, reference node, and somewhere behind them what kind of file it is.

    FRDI has four bytes before the path.
    """
    raw = raw.lstrip(_CONTROL)
    path, _, rest = raw.partition(b"\0")
    namespace, _, rest = rest.partition(b"\0")
    node, _, rest = rest.lstrip(_CONTROL).partition(b"\0")
    if not path:
        return None
    kind = next((word for word in texts_in(rest, 16) if _TRANSLATOR.fullmatch(word)), "")
    return FileReference(text_of(node or namespace), text_of(path), kind)


def edits_in(raw: bytes) -> Iterator[Edit]:
    """Find paths in REFE, the changes that a scene makes to what it refers to.

    Only its texts are known, not its layout: a path is one that stands in `-type "string"` behind an attribute that names
    files.
    """
    before = ["", ""]
    for part in raw.split(b"\0"):
        text = text_of(part.lstrip(_CONTROL))
        if not text:
            continue
        attribute = before[1].rpartition(".")[2].partition("[")[0]
        if attribute in EDITED and (found := _QUOTED.search(text)):
            path = _ESCAPED.sub(r"\1", found[1])
            if "/" in path or "\\" in path:
                yield Edit(before[0].rpartition("|")[2], attribute, path)
        before = [before[1], text]
