"""Look at a scene before anything is sent: is it there, is it what it claims, what renders it.

A file that was truncated by a full disk, or a text that was named .blend, would otherwise be found out by a renderer on
another machine, minutes later. Only the first bytes are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from protocol.errors import NotFound, UsageError, UserError

if TYPE_CHECKING:
    from pathlib import Path

_ENDINGS: Final = (
    (re.compile(r"\.blend\d*"), "blender"),
    (re.compile(r"\.xml"), "mitsuba"),
    (re.compile(r"\.pov"), "povray"),
)
_BLEND_MAGIC: Final = (b"BLENDER", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""Plain, gzip (until 2.9x), Zstandard (since 3.0)."""
_HEAD_BYTES: Final = 4096


def renderer_of(scene: Path) -> str:
    """Name the renderer of a scene by its ending.

    Raises:
        UsageError: The ending says nothing.
    """
    for pattern, renderer in _ENDINGS:
        if pattern.fullmatch(scene.suffix.lower()):
            return renderer
    raise UsageError(
        f"cannot tell what renders {scene}",
        f"{scene.suffix or 'a name without an ending'} is none of .blend, .xml, .pov",
        "name it: --renderer blender, or give a command line: --command 'render {scene} -o {output}'",
    )


def check_scene(scene: Path, renderer: str) -> None:
    """Look whether the scene can be read and begins as such scenes do.

    Raises:
        UserError: It does not.
    """
    head = _head(scene)
    if not head:
        raise UserError(f"{scene} is empty", "it has 0 bytes: it was not saved completely", "save the scene again")
    if renderer == "blender" and not head.startswith(_BLEND_MAGIC):
        raise _not_a(scene, "a Blender file", f"it begins with {head[:7]!r}, not with BLENDER, gzip or Zstandard")
    if renderer == "mitsuba" and not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise _not_a(scene, "an XML file", f"it begins with {head[:7]!r}, not with <")
    if renderer == "povray" and b"\0" in head:
        raise _not_a(scene, "a POV-Ray scene", "it holds NUL bytes, and such scenes are text")


def check_input(path: Path) -> None:
    """Look whether a further file or folder is there.

    Raises:
        NotFound: It is not.
    """
    if not path.exists():
        raise NotFound(f"no file or folder {path}", "nothing has this name", "check the name given to --input")


def _head(scene: Path) -> bytes:
    if scene.is_dir():
        raise UserError(f"{scene} is a folder", "a scene is a file", "name the file to render; folders: --input")
    try:
        with scene.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"no scene {scene}", "there is no such file", "check the name and the folder") from error
    except OSError as error:
        raise UserError(f"cannot read {scene}", str(error.strerror), "check the permissions of the file") from error


def _not_a(scene: Path, kind: str, why: str) -> UserError:
    return UserError(f"{scene} is not {kind}", why, "check the file, or name what renders it: --renderer NAME")
