"""Reads Mitsuba's XML: plug-ins with file names, includes, `<default>` values and `<path>`.

Every string whose name ends in "filename" names a file; `$name` in it is the value of `<default name=…>` or a parameter
of the job, and `$frame` is the number that the farm renders, so it stands for all of them. Entities are refused: a scene
needs none, and a few lines of them fill any memory. Width, height and samples come from the film and the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from farmd.scenes.content import Camera, Content, Facts, Reference, Role, Spread
from farmd.scenes.reading import explained
from farmd.scenes.written import expand
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_IMAGES: Final = frozenset({"bitmap", "envmap", "mesh_attribute", "texture"})
_FORMATS: Final = {"openexr": "exr", "rgbe": "hdr", "pfm": "pfm"}
_FRAME: Final = ("$frame", "${frame}")


@dataclass(slots=True)
class _Scene:
    """What was read so far; `plugins` holds (element, type, id) of the elements that are open."""

    defaults: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    plugins: list[tuple[str, str, str]] = field(default_factory=list)
    version: str = ""
    folder: str = ""

    def open(self, element: str, attributes: dict[str, str]) -> None:
        """Take the start of an element."""
        if not self.plugins and element != "scene" and "type" not in attributes:  # a plug-in may stand in an include
            raise ValueError(f"it begins with <{element}>, a scene begins with <scene>")
        self.plugins.append((element, attributes.get("type", ""), attributes.get("id", "")))
        if element == "scene":
            self.version = attributes.get("version", self.version)
        elif element == "default":
            self.defaults.setdefault(attributes.get("name", ""), attributes.get("value", ""))
        elif element == "path":
            self.folder = attributes.get("value", "")
        elif element == "include":
            self._refer("include", "filename", attributes.get("filename", ""), Role.SCENE)
        elif element == "sensor":
            self.cameras.append(Camera(attributes.get("id", "") or attributes.get("type", ""), renderable=True))
        else:
            self._value(element, attributes)

    def close(self, _element: str) -> None:
        """Take the end of an element."""
        self.plugins.pop()

    def _value(self, element: str, attributes: dict[str, str]) -> None:
        _, kind, name = self.plugins[-2] if len(self.plugins) > 1 else ("", "", "")
        key, value = attributes.get("name", ""), attributes.get("value", "")
        if element == "string" and key.lower().endswith("filename"):
            self._refer(name or kind, key, value, Role.TEXTURE if kind in _IMAGES else Role.CACHE)
        elif "filename" in attributes:
            self._refer(name or kind, key or element, attributes["filename"], Role.OTHER)
        elif element == "integrator":
            self.settings.setdefault(element, attributes.get("type", ""))
        elif key in ("width", "height", "sample_count", "file_format"):
            self.settings.setdefault(key, value)

    def _refer(self, node: str, attribute: str, written: str, role: Role) -> None:
        spread = Spread.FRAMES if any(token in written for token in _FRAME) else Spread.ONE
        self.references.append(Reference(node, attribute, written, role, spread, base=self.folder))

    def finished(self) -> tuple[Reference, ...]:
        """Return the references, with all defaults; `$frame` is a number of many where it is in a name."""
        moving = {name: value for name, value in self.defaults.items() if name != "frame"}
        return tuple(
            replace(one, variables=moving if one.spread is Spread.FRAMES else self.defaults) for one in self.references
        )


def read_mitsuba_xml(scene: Path) -> Content:
    """Read a scene of Mitsuba.

    Raises:
        UserError: It cannot be read, or is no such scene.
    """
    found = _Scene()
    parser = expat.ParserCreate()
    parser.StartElementHandler = found.open
    parser.EndElementHandler = found.close
    parser.EntityDeclHandler = _refuse_entities
    try:
        with explained(scene), scene.open("rb") as file:
            parser.ParseFile(file)
    except (expat.ExpatError, ValueError) as error:
        raise UserError(f"{scene} is no Mitsuba scene", str(error), "check the file, or export it anew") from error
    return Content(_facts(found), found.finished())


def _refuse_entities(name: str, *_rest: object) -> None:
    raise ValueError(f"it declares the entity {name!r}, and a scene needs none")


def _facts(found: _Scene) -> Facts:
    values = {name: expand(text, found.defaults)[0] for name, text in found.settings.items()}
    return Facts(
        "mitsuba",
        version=found.version,
        renderer=values.get("integrator", ""),
        width=_number(values, "width", 768),
        height=_number(values, "height", 576),
        image_format=_FORMATS.get(values.get("file_format", "openexr"), ""),
        cameras=tuple(found.cameras),
        sampling={"camera": _number(values, "sample_count", 4)},
    )


def _number(values: Mapping[str, str], name: str, usual: int) -> int:
    """Read a number; Mitsuba's own default where the scene says none."""
    text = values.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else usual
