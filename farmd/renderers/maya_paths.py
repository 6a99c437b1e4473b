"""The directory map of Maya: the text of a script that runs before a scene is opened there.

Maya itself replaces prefixes of all paths that it reads (`dirmap`), references and textures alike, so nothing in the
scene is touched. It takes no notice of what is there: unlike inside Blender, a rule counts wherever its prefix does.
Longer prefixes come first. Pure; for a renderer that starts Maya.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.pathrules import PathMap


def dirmap_script(paths: PathMap, drives: Iterable[str] = ()) -> str:
    """Write the commands.

    Args:
        paths: What is read instead of what.
        drives: Letters that have a folder in the checkout.
    """
    rules = paths.prefixes(drives)
    if not rules:
        return ""
    lines = [f"dirmap -m {_text(rule.written)} {_text(rule.becomes)};" for rule in rules]
    return "\n".join(["dirmap -en true;", *lines, ""])


def _text(folder: str) -> str:
    """Write a folder as MEL does: slashes, one at the end, so that no half of a name is taken for a prefix."""
    plain = folder.replace("\\", "/").rstrip("/") + "/"
    return '"' + plain.replace('"', '\\"') + '"'
