"""Which program a task is for: names and numbers of the service, and what the farm calls the same.

Two numberings are about: that of the service itself, and one in documents about it, which swaps some. So the name counts
before the number, and a number that means two things is settled by the ending of the scene, or refused.
"""

from __future__ import annotations

import re
from pathlib import PureWindowsPath
from typing import Final, NamedTuple

from protocol.errors import UsageError


class Software(NamedTuple):
    """One program.

    Attributes:
        renderer: What the farm calls it.
        cg_name: What the service calls it.
        cg_id: Its number at the service.
        endings: Of its scenes.
        other_names: That are written for it.
    """

    renderer: str
    cg_name: str
    cg_id: str
    endings: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()


SOFTWARE: Final = (
    Software("maya", "Maya", "2000", (".ma", ".mb")),
    Software("max", "3ds Max", "2001", (".max",)),
    Software("lightwave", "LightWave", "2002", (".lws",)),
    Software("arnold", "Arnold Standalone", "2003", (".ass",)),
    Software("houdini", "Houdini", "2004", (".hip", ".hiplc", ".hipnc")),
    Software("cinema4d", "CINEMA 4D", "2005", (".c4d",), ("C4D",)),
    Software("softimage", "Softimage", "2006", (".scn",)),
    Software("blender", "Blender", "2007", (".blend",)),
    Software("vray", "VR Standalone", "2008", (".vrscene",), ("V-Ray Standalone", "V-Ray")),
    Software("mentalray", "MR Standalone", "2009", (".mi",), ("mental ray",)),
    Software("sketchup", "SketchUp", "2010", (".skp",)),
    Software("vue", "Vue", "2011", (".vue",)),
    Software("keyshot", "KeyShot", "2012", (".bip",)),
    Software("clarisse", "Clarisse", "2013", (".project", ".render")),
    Software("octane", "Octane Render", "2014", (".orbx", ".ocs")),
    Software("nuke", "Nuke", "2015", (".nk",)),
    Software("katana", "Katana", "2016", (".katana",)),
    Software("unreal", "Unreal Engine", "2020", (".uproject",)),
)
_OTHER_NUMBERS: Final = {"2007": "cinema4d", "2013": "blender"}
"""What the second numbering means by numbers that the first gives to other programs."""
_BY_RENDERER: Final = {item.renderer: item for item in SOFTWARE}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_NAME: Final = {
    _bare(name): item.renderer for item in SOFTWARE for name in (item.cg_name, item.renderer, *item.other_names)
}


def renderer_named(cg_name: str | None, cg_id: str | None, scene: str) -> str:
    """Return what the farm calls the program of a task.

    Args:
        cg_name: As written; counts first.
        cg_id: As written; settled by the scene's ending where it means two programs.
        scene: Path or name of the scene.

    Raises:
        UsageError: Neither says it.
    """
    hint = "say what renders it: --renderer NAME"
    if cg_name is not None:
        found = _BY_NAME.get(_bare(cg_name))
        if found is None:
            raise UsageError("the task cannot be imported", f"nothing is known of the program {cg_name[:60]!r}", hint)
        return found
    meant = numbered(cg_id)
    ending = PureWindowsPath(scene).suffix.lower()
    fitting = [name for name in meant if ending in _BY_RENDERER[name].endings]
    if len(meant) == 1 or len(fitting) == 1:
        return (fitting or meant)[0]
    if not meant:
        why = "it names no program" if cg_id is None else f"no program has the number {cg_id[:20]!r}"
        raise UsageError("the task cannot be imported", why, hint)
    why = f"cg_id {cg_id} is {' in one numbering and '.join(meant)} in the other"
    raise UsageError("the task cannot be imported", why, "write cg_name into software_config, or " + hint)


def numbered(cg_id: str | None) -> tuple[str, ...]:
    """Return all programs that a number means."""
    first = tuple(item.renderer for item in SOFTWARE if item.cg_id == cg_id)
    other = _OTHER_NUMBERS.get(cg_id or "")
    return first if other is None else (*first, other)


def software_of(renderer: str) -> Software | None:
    """Return the program that the farm calls so; None if the service has none."""
    return _BY_RENDERER.get(renderer)
