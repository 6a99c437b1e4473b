"""Reads POV-Ray scenes: `#include`, and every picture, height field, density, font and file that a statement names.

The language computes, so a name may be put together while it is rendered (`concat("frame", str(clock, 0, 0))`): such a
name is a remark, never a guess. Comments and strings are taken apart first, since either may look like the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Content, Facts, Reference, Remark, Role
from farmd.scenes.reading import explained
from protocol.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES: Final = 256 << 20
_OUTSIDE: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*')
_IN_COMMENT: Final = re.compile(r"/\*|\*/|\n")
_TYPES: Final = "gif|tga|iff|pot|ppm|pgm|png|jpeg|tiff|sys|exr|hdr"
_PICTURE: Final = re.compile(
    rf"\b(image_map|bump_map|material_map|image_pattern|height_field|image_map_layer)\s*\{{\s*(?:function\s[^{{}}]*)?"
    rf'(?:(?:{_TYPES})\s+)?("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*\s*\()',
)
_FILES: Final = (
    (re.compile(r'(#\s*include)\s+("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*)'), Role.SCENE),
    (re.compile(r'\b(density_file)\s+df3\s+("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*)'), Role.CACHE),
    (re.compile(r'\b(ttf)\s+("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*)'), Role.FONT),
    (re.compile(r'#\s*(fopen)\s+\w+\s+("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*\s*\(?)[^\n]*?\bread\b'), Role.OTHER),
    (_PICTURE, Role.TEXTURE),
)
_VERSION: Final = re.compile(r"#\s*version\s+(\d+(?:\.\d+)*)")
_SHIPPED: Final = frozenset(
    re.split(
        r" ",
        "arrays chars colors consts debug finish functions glass glass_old golds ior logo makegrass math "
        "meshmaker metals rad_def rand screen shapes shapes2 shapes_old shapesq skies spline stage1 "
        "stars stdcam stdinc stoneold stones stones1 stones2 strings subsurface sunpos textures "
        "transforms woodmaps woods",
    )
)
_SHIPPED_FONTS: Final = frozenset({"timrom", "cyrvetic", "crystal", "povlogo"})


def read_povray(scene: Path) -> Content:
    """Read a scene of POV-Ray.

    Raises:
        UserError: It cannot be read, or is no text.
    """
    with explained(scene), scene.open("rb") as file:
        data = file.read(_MOST_BYTES)
    if b"\0" in data:
        raise UserError(
            f"{scene} is no POV-Ray scene", "it holds NUL bytes, and such scenes are text", "check the file"
        )
    text = _without_comments(data.decode("utf-8", errors="surrogateescape"))
    version = _VERSION.search(text)
    found = sorted((match.start(), match[1], match[2], role) for form, role in _FILES for match in form.finditer(text))
    references = tuple(_reference(text, *item) for item in found if item[2].startswith('"'))
    remarks = tuple(_computed(text, at, keyword) for at, keyword, name, _ in found if not name.startswith('"'))
    facts = Facts("povray", version=version[1] if version else "", renderer="povray")
    return Content(facts, references, remarks)


def _without_comments(text: str) -> str:
    """Blank comments out, nested ones too; lines keep their numbers."""
    parts, at, depth = [], 0, 0
    while (found := (_IN_COMMENT if depth else _OUTSIDE).search(text, at)) is not None:
        piece = found[0]
        parts.append("" if depth else text[at : found.start()])
        parts.append(piece if piece == "\n" or piece.startswith('"') else "")
        depth += {"/*": 1, "*/": -1 if depth else 0}.get(piece, 0)
        at = found.end()
    return "".join(parts) + ("" if depth else text[at:])


def _reference(text: str, at: int, keyword: str, quoted: str, role: Role) -> Reference:
    written = re.sub(r'\\(["\\])', r"\1", quoted[1:-1])
    return Reference(f"line {_line(text, at)}", keyword.replace(" ", ""), written, role, shipped=_is_shipped(written))


def _is_shipped(written: str) -> bool:
    stem, _, ending = written.lower().rpartition(".")
    return stem in {"inc": _SHIPPED, "ttf": _SHIPPED_FONTS}.get(ending, frozenset())


def _computed(text: str, at: int, keyword: str) -> Remark:
    where = f"line {_line(text, at)}"
    return Remark(
        "computed_name", f"{where}: the file of {keyword} is only known while it renders; send it with --input"
    )


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
