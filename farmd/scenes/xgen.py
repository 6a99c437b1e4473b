"""Reads XGen collections (`.xgen`): the groom of a Maya scene, and the maps, caches and folders that it needs.

A collection is a text of modules. A name in the first column opens one, lines behind a tab are its attributes (name,
tabs, value), and `endAttrs` closes it:

    Palette                                         one for each file: where its data lies
        xgProjectPath   D:/show/
        xgDataPath      ${PROJECT}xgen/collections/hair
        endAttrs
    Description                                     the modules up to the next one belong to it
        name            brows
        endAttrs

`${PROJECT}` is xgProjectPath, `${DESC}` the description's folder below xgDataPath, `${FXMODULE}` the name of the module.
Paths stay as they are written, and the references say what these mean. Painted maps stand in expressions:
`$a=map('${DESC}/paintmaps/length');#3dpaint,5.0`. What a module names but does not use (a cache that is switched off, a
mask of 0) is no dependency. Called by `analyse` for each `xgmPalette` of a scene.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.scenes.content import Content, Facts, Reference, Remark, Role, Spread
from farmd.scenes.maya_files import spread_of
from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_LONGEST_BYTES = 1 << 28
_MAP = re.compile(r"""\bv?map\(\s*(['"])(.*?)\1""")
_ARCHIVE = re.compile(r'"([^"]*\.(?:xarc|abc|ass|ass\.gz|mi|rib|gto|ma|mb))"', re.IGNORECASE)
_OFF = frozenset({"", "0", "0.0", "false"})
_WITHOUT = frozenset({"Patches", "Patch"})
"""Sections of faces: read over, though they may hold a lot."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An attribute of a module that names a file or folder.

    Attributes:
        spread: FOLDER if it names one.
        switch: Another attribute of the module that must be on; "" = always used.
        off: Values of that one which mean: not used.
    """

    spread: Spread = Spread.ONE
    switch: str = ""
    off: frozenset[str] = _OFF


_POINTS = {"pointDir": _Input(Spread.FOLDER, "usePoints")}
_INPUTS: Mapping[str, Mapping[str, _Input]] = {
    "SplinePrimitive": {
        "cacheFileName": _Input(switch="useCache"),
        "regionMap": _Input(Spread.FOLDER, "regionMask"),
    },
    "RandomGenerator": _POINTS,
    "UniformGenerator": _POINTS,
    "PointGenerator": {"pointDir": _Input(Spread.FOLDER)},
    "FileGenerator": {"inputDir": _Input(Spread.FOLDER)},
    "ClumpingFXModule": {
        "mapDir": _Input(Spread.FOLDER),
        "pointDir": _Input(Spread.FOLDER),
        "controlMapDir": _Input(Spread.FOLDER, "useControlMaps"),
    },
    "NoiseFXModule": {"bakeDir": _Input(Spread.FOLDER, "mode")},
    "AnimWiresFXModule": {"wiresFile": _Input(switch="liveMode", off=frozenset({"1", "true"}))},
    "ParticleFXModule": {"particleFile": _Input()},
    "SnapshotFXModule": {"snapshotDir": _Input(Spread.FOLDER)},
}


@dataclass(slots=True)
class _Module:
    kind: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.values.get("name", self.kind)

    @property
    def is_active(self) -> bool:
        return self.values.get("active", "true").lower() not in ("false", "0")


def read_xgen(collection: Path) -> Content:
    """Read an XGen collection.

    Raises:
        NotFound: There is no such file.
        UserError: It cannot be read, is cut off, or is no collection.
    """
    try:
        data = collection.read_bytes() if collection.stat().st_size <= _LONGEST_BYTES else b"\0"
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {collection}", "", "check the path") from error
    except OSError as error:
        raise UserError(f"cannot read {collection}", error.strerror or str(error), "check its permissions") from error
    modules = list(_modules(_text(data).splitlines(), collection.name))
    if b"\0" in data or not any(module.kind == "Palette" for module in modules):
        raise UserError(f"{collection.name} is no XGen collection", "it has no Palette", "export it again from XGen")
    return _content(modules)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _modules(lines: Iterable[str], name: str) -> Iterator[_Module]:
    """Yield each module when it ends; those that have no attributes are none.

    Raises:
        UserError: The last one has no end.
    """
    module: _Module | None = None
    for line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if not line[0].isspace():
            words = stripped.split()
            module = _Module(words[0]) if len(words) == 1 or words[0] in _WITHOUT else None
        elif module is not None and stripped == "endAttrs":
            yield module
            module = None
        elif module is not None and module.kind not in _WITHOUT:
            key, *value = stripped.split(None, 1)
            module.values[key] = value[0] if value else ""
    if module is not None and module.values:
        raise UserError(f"{name} ends in the middle of {module.kind}", "it is cut off", "export it again from XGen")


def _content(modules: list[_Module]) -> Content:
    palette = next(module for module in modules if module.kind == "Palette")
    places = [place for place in palette.values.get("xgDataPath", "").split(";") if place]
    base = {"PROJECT": _folder(palette.values.get("xgProjectPath", ""))} if "xgProjectPath" in palette.values else {}
    found = [Reference(palette.name, "xgDataPath", place, Role.GROOM, Spread.FOLDER, base) for place in places]
    description = ""
    for module in modules:
        if module.kind == "Description":
            description = module.name
        elif module.kind != "Palette" and module.is_active:
            meaning = _meaning(base, places[0] if places else "", description, module)
            found += _references(module, f"{palette.name}|{description}|{module.name}", meaning)
    facts = Facts("maya", plugins={"xgenToolkit": ""}, project=palette.values.get("xgProjectPath", ""))
    return Content(facts, _once(found), _remarks(palette, places))


def _once(found: list[Reference]) -> tuple[Reference, ...]:
    return tuple({(one.node, one.attribute, one.written): one for one in found}.values())


def _remarks(palette: _Module, places: list[str]) -> tuple[Remark, ...]:
    if len(places) < 2:
        return ()
    text = f"{palette.name} looks for its data in {len(places)} folders; ${{DESC}} is taken for the first of them"
    return (Remark("xgen_data_paths", text),)


def _meaning(base: Mapping[str, str], place: str, description: str, module: _Module) -> dict[str, str]:
    values = {**base, "FXMODULE": module.name}
    if place:
        data = place.replace("${PROJECT}", base.get("PROJECT", "${PROJECT}"))
        values["DESC"] = f"{data.rstrip('/')}/{description}"
    return values


def _folder(path: str) -> str:
    """End a path as XGen does where it puts one in front of another."""
    return path if not path or path.endswith(("/", "\\")) else f"{path}/"


def _references(module: _Module, node: str, meaning: Mapping[str, str]) -> Iterator[Reference]:
    inputs = _INPUTS.get(module.kind, {})
    for attribute, value in module.values.items():
        if named := inputs.get(attribute):
            used = not named.switch or module.values.get(named.switch, "").lower() not in named.off
            if used and value and not _MAP.search(value):
                yield Reference(node, attribute, value, Role.GROOM, named.spread, meaning)
        for _, written in _MAP.findall(value):
            yield Reference(node, attribute, written, Role.GROOM, _spread(written), meaning)
        if module.kind == "ArchivePrimitive" and attribute == "files":
            for written in _ARCHIVE.findall(value):
                yield Reference(node, attribute, written, Role.GROOM, spread_of(written), meaning)


def _spread(written: str) -> Spread:
    """A painted map is a folder with one `.ptx` for each patch; one that was assigned is a file."""
    by_token = spread_of(written)
    if by_token is not Spread.ONE:
        return by_token
    last = written.rstrip("/").rpartition("/")[2]
    return Spread.ONE if "." in last and not written.endswith("/") else Spread.FOLDER
