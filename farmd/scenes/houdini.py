"""Reads Houdini scenes (`.hip`, `.hiplc`, `.hipnc`): frame range, render nodes, cameras, and the files that nodes read.

The files are archives of small texts (`hip_archive`); nodes are put together from them (`houdini_nodes`), and each is
looked at once: for files (`houdini_files`), and for what it says about the render. Expressions are never run; where one
stands in place of a path there is a remark.

`$HIP` is the folder where the scene lies now, as it is for Houdini itself; `$JOB` and the rest are what was saved with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Camera, Content, Facts, Layer, Reference, Remark, Role
from farmd.scenes.hip_archive import members
from farmd.scenes.houdini_files import files_of
from farmd.scenes.houdini_nodes import WANTED, Node, Nodes
from farmd.scenes.houdini_parms import number, settings_in, word
from farmd.scenes.reading import explained

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.hip_archive import Member

_RENDERERS: Final = {
    "ifd": "mantra",
    "arnold": "arnold",
    "Redshift_ROP": "redshift",
    "karma": "karma",
    "usdrender": "karma",
    "usdrender_rop": "karma",
    "ris": "renderman",
    "vray_renderer": "vray",
    "Octane_ROP": "octane",
    "opengl": "opengl",
}
"""Type of a render node -> its renderer."""
_PICTURES: Final = ("vm_picture", "ar_picture", "RS_outputFileNamePrefix", "picture", "outputimage", "HO_img_fileName")
_LIBRARY_LIST: Final = ".OPlibraries"
_FPS: Final = re.compile(r"^fps ([\d.]+)", re.MULTILINE)
_RANGE: Final = re.compile(r"^frange (\S+) (\S+)", re.MULTILINE)


@dataclass(slots=True)
class _Scene:
    """What was read so far."""

    start: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    renders: list[Node] = field(default_factory=list)
    cameras: dict[str, Node] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def read_houdini(scene: Path) -> Content:
    """Read a Houdini scene.

    Raises:
        UserError: It cannot be read, is damaged, or is no Houdini scene.
    """
    found, nodes = _Scene(), Nodes()
    with explained(scene), scene.open("rb") as file:
        for member in members(scene, file, _is_wanted):
            if member.name.startswith("."):
                _take_setting(found, member)
            elif (node := nodes.take(member)) is not None:
                _take_node(found, node)
    means = {**found.settings, "HIP": str(scene.parent), "HIPNAME": scene.stem, "HIPFILE": str(scene)}
    files = [replace(one, variables={**means, **one.variables}) for one in (*_libraries(found), *found.references)]
    return Content(_facts(found), tuple(files), tuple(found.remarks))


def _is_wanted(name: str) -> bool:
    return name in (".start", ".variables", _LIBRARY_LIST) or (not name.startswith(".") and name.endswith(WANTED))


def _take_setting(found: _Scene, member: Member) -> None:
    text = member.body.decode(errors="replace")
    if member.name == ".start":
        found.start = text
    elif member.name == ".variables":
        found.settings = settings_in(text)
    else:
        found.libraries = tuple(line.strip() for line in text.splitlines() if line.strip())


def _take_node(found: _Scene, node: Node) -> None:
    for one in files_of(node):
        if isinstance(one, Reference):
            found.references.append(one)
        else:
            found.remarks.append(one)
    if node.kind in _RENDERERS:
        found.renders.append(node)
    elif node.kind == "cam":
        found.cameras[node.path] = Node(node.path, parms={"res": node.parms.get("res", ())})


def _libraries(found: _Scene) -> list[Reference]:
    """Digital assets that the scene loads from files beside Houdini's own."""
    named = (line for line in found.libraries if line != "Embedded" and not line.startswith(("oplib:", "$HFS", "$HH")))
    return [Reference(_LIBRARY_LIST, "library", line, Role.OTHER) for line in named]


# -- facts ------------------------------------------------------------------------------------------------------------


def _facts(found: _Scene) -> Facts:
    """Say what the first render node that is switched on would render; of the scene, where there is none."""
    fps, span = _FPS.search(found.start), _RANGE.search(found.start)
    first, last = (_float(span[1], 1), _float(span[2], 1)) if span else (1.0, 1.0)
    node = next((one for one in found.renders if not one.bypassed), Node(""))
    camera = word(node.parms, "camera") or word(node.parms, "RS_renderCamera")
    width, height = _size(node, found.cameras.get(camera))
    picture = next((_picture(node, name) for name in _PICTURES if word(node.parms, name)), "")
    facts = Facts(
        application="houdini",
        version=found.settings.get("_HIP_SAVEVERSION", ""),
        renderer=_RENDERERS.get(node.kind, ""),
        start=first,
        end=last,
        fps=_float(fps[1], 0) if fps else 0,
        width=width,
        height=height,
        image_format=picture.rpartition(".")[2] if "." in picture.rpartition("/")[2] else "",
        image_prefix=picture,
        cameras=tuple(Camera(path, path == camera) for path in found.cameras),
        layers=tuple(Layer(one.path, not one.bypassed) for one in found.renders),
        project=found.settings.get("JOB", ""),
    )
    return _in_range(facts, node)


def _in_range(facts: Facts, node: Node) -> Facts:
    """Put in the frames of a render node: `trange` off renders one frame, else `f` is first, last, every."""
    if word(node.parms, "trange") in ("", "off"):
        return facts
    said = [number(node.parms, "f", at) for at in range(3)]
    of_scene = {"$FSTART": facts.start, "$RFSTART": facts.start, "$FEND": facts.end, "$RFEND": facts.end}
    for at, channel in enumerate(("f1", "f2")):
        said[at] = of_scene.get(node.expressions.get(channel, ""), said[at])
    first, last, step = said
    return replace(
        facts,
        animation=True,
        start=facts.start if first is None else first,
        end=facts.end if last is None else last,
        step=step or 1,
    )


def _size(node: Node, camera: Node | None) -> tuple[int, int]:
    if word(node.parms, "override_camerares") == "on":
        values = [number(node.parms, "res_override", at) for at in (0, 1)]
    else:
        values = [number(camera.parms, "res", at) for at in (0, 1)] if camera else [0, 0]
    return int(values[0] or 0), int(values[1] or 0)


def _picture(node: Node, name: str) -> str:
    """Return where a node writes its images: as its channel says it, if that is a plain text and no call."""
    expression = node.expressions.get(name, "")
    return expression if expression.startswith("$") else word(node.parms, name)


def _float(text: str, otherwise: float) -> float:
    try:
        return float(text)
    except ValueError:
        return otherwise
