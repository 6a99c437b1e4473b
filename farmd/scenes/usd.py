"""Reads layers of USD: texts by ourselves, crates by OpenUSD where it is installed, packages by their list of members.

A `.usd` is either form, so the first bytes decide, not the name. Each layer is read by itself; what it refers to is a
reference of role SCENE, which `analyse` follows. A package (`.usdz`) is a zip without compression whose first member is
the scene; what it names is looked for in the package first, and only what is not there is a reference.
"""

from __future__ import annotations

import posixpath
import sys
import zipfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Content, Reference, Remark
from farmd.scenes.reading import explained
from farmd.scenes.usd_events import content_of, written_path
from farmd.scenes.usd_process import ask_usd, has_usd
from farmd.scenes.usd_text import MAGIC, TextScan
from farmd.scenes.written import expand, pattern_of
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_CRATE: Final = b"PXR-USDC"
_PACKAGE: Final = b"PK\x03\x04"
_LAYERS: Final = (".usd", ".usda", ".usdc")
_MOST_MEMBERS: Final = 100_000


def read_usd(scene: Path, *, program: str = sys.executable) -> Content:
    """Read a layer or a package.

    Args:
        scene: The file.
        program: A Python that has OpenUSD.

    Raises:
        MissingFeature: It is a crate, and OpenUSD is not installed.
        UserError: It cannot be read, is damaged, or is no USD.
    """
    with explained(scene):
        with scene.open("rb") as file:
            head = file.read(len(_CRATE))
            if head.startswith(MAGIC):
                file.seek(0)
                return content_of(TextScan(scene.name, file))
        if head == _CRATE:
            return content_of(ask_usd(scene, program=program))
        if head.startswith(_PACKAGE):
            return _package(scene, program)
    raise UserError(f"{scene.name} is no USD", "it begins neither as a text, a crate nor a package", "check the file")


def _package(scene: Path, program: str) -> Content:
    try:
        with zipfile.ZipFile(scene) as archive:
            names = archive.namelist()
            if not names or not names[0].lower().endswith(_LAYERS) or len(names) > _MOST_MEMBERS:
                raise _damaged(scene, "its first member is no layer")
            if archive.infolist()[0].compress_type != zipfile.ZIP_STORED:
                raise _damaged(scene, "its first member is compressed, and a package is not")
            with archive.open(names[0]) as file:
                is_text = file.read(len(MAGIC)) == MAGIC
            if is_text:
                with archive.open(names[0]) as member:
                    content = content_of(TextScan(f"{scene.name}[{names[0]}]", member))
            elif has_usd(program):
                content = content_of(ask_usd(scene, program=program))
            else:
                text = f"{scene.name} holds a crate, and OpenUSD is not installed: only its members are known"
                content = content_of((), remarks=(Remark("usd_not_installed", text),))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _damaged(scene, str(error)) from error
    outside = tuple(one for one in content.references if not _is_inside(one, names))
    facts = replace(content.facts, settings={**content.facts.settings, "members": len(names)})
    return replace(content, facts=facts, references=outside)


def _is_inside(reference: Reference, names: Collection[str]) -> bool:
    """Tell whether a package has what its first layer names, relative to that layer."""
    first = next(iter(names))
    path = written_path(expand(reference.written, {})[0])
    if path.startswith("/") or path[1:2] == ":":
        return False
    there = posixpath.normpath(posixpath.join(posixpath.dirname(first), path))
    pattern = pattern_of(there)
    return any(pattern.names.fullmatch(name) if pattern else name == there for name in names)


def _damaged(scene: Path, why: str) -> UserError:
    return UserError(f"{scene.name} is damaged or no package of USD", why, "copy it again, or make it again")
