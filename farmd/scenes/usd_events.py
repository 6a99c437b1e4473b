"""What a layer of USD says, piece by piece, and what becomes of it: facts and references.

A layer is read in two ways, as text by `usd_text` and as a crate by `in_usd` in a process of its own; both tell the same
three things. Paths stay as they are written: each layer is read by itself, and `analyse` follows to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.scenes.content import Camera, Content, Facts, Reference, Remark, Role
from farmd.scenes.suffixes import role_of, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = "/"
"""The path of the layer itself, whose settings and sublayers belong to no prim."""
SETTINGS: Final = frozenset(
    {"startTimeCode", "endTimeCode", "timeCodesPerSecond", "framesPerSecond", "upAxis", "defaultPrim"}
    | {"resolution", "productName", "camera", "templateAssetPath"}
)
"""Names whose values are told; all other values are passed over."""
_ARCS: Final = frozenset({"subLayers", "references", "payload", "payloads"})
_ELSEWHERE: Final = ("http:", "https:", "anon:", "memory:")
_OWN_NAME: Final = "identifier"
"""In `assetInfo`: how the layer itself is called elsewhere."""
_RENDERED: Final = ("RenderSettings", "RenderProduct")


class Opened(NamedTuple):
    """A prim begins: its type ("" = none is said) and its path."""

    kind: str
    path: str


class Asset(NamedTuple):
    """A path of an asset, and which attribute of which prim names it."""

    node: str
    attribute: str
    written: str


class Setting(NamedTuple):
    """A value of interest, without quotes."""

    node: str
    name: str
    value: str


Event = Opened | Asset | Setting


@dataclass(slots=True)
class _Layer:
    kinds: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    cameras: list[str] = field(default_factory=list)
    products: dict[str, str] = field(default_factory=dict)
    references: dict[Asset, Reference] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def take(self, event: Event) -> None:
        if isinstance(event, Opened):
            if event.kind == "Camera":
                self.cameras.append(event.path)
            elif event.kind in _RENDERED:
                self.kinds[event.path] = event.kind
        elif isinstance(event, Asset):
            self._refer(event)
        elif event.name == "templateAssetPath":
            self._refer(Asset(*event))
        elif event.node == ROOT or event.node in self.kinds:
            self.values.setdefault(event.name, event.value)

    def _refer(self, asset: Asset) -> None:
        written = written_path(asset.written)
        if asset.attribute == _OWN_NAME:
            return
        if written.startswith(_ELSEWHERE):
            self.remarks.append(Remark("usd_elsewhere", f"{asset.node} reads {written}: not a file"))
        elif written:
            arc = Role.SCENE if asset.attribute in _ARCS else Role.OTHER
            role = role_of(written) or arc
            self.references.setdefault(asset, Reference(asset.node, asset.attribute, written, role, spread_of(written)))


def content_of(events: Iterable[Event], *, remarks: tuple[Remark, ...] = ()) -> Content:
    """Make facts and references of what a layer says."""
    layer = _Layer()
    for event in events:
        layer.take(event)
    return Content(_facts(layer), tuple(layer.references.values()), (*remarks, *layer.remarks))


def written_path(asset: str) -> str:
    """Return the file of an asset path: arguments and the inside of a package are no part of it."""
    path = asset.partition(":SDF_FORMAT_ARGS:")[0]
    package, inside, _ = path.partition(".usdz[")
    return f"{package}.usdz" if inside else path


def _facts(layer: _Layer) -> Facts:
    values = layer.values
    start, end = (_number(values.get(name, ""), 1) for name in ("startTimeCode", "endTimeCode"))
    width, height = _size(values.get("resolution", ""))
    picture, camera = values.get("productName", ""), values.get("camera", "").strip("<>")
    said = {"up_axis": values.get("upAxis", ""), "default_prim": values.get("defaultPrim", "")}
    return Facts(
        application="usd",
        start=start,
        end=max(start, end),
        animation=end > start,
        fps=_number(values.get("framesPerSecond") or values.get("timeCodesPerSecond") or "", 0),
        width=width,
        height=height,
        image_format=picture.rpartition(".")[2] if "." in picture.rpartition("/")[2] else "",
        image_prefix=picture,
        cameras=tuple(Camera(path, path == camera) for path in dict.fromkeys(layer.cameras)),
        settings={name: value for name, value in said.items() if value},
    )


def _size(text: str) -> tuple[int, int]:
    numbers = [_number(part, 0) for part in text.strip("()").split(",")]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (0, 0)


def _number(text: str, otherwise: float) -> float:
    try:
        found = float(text)
    except ValueError:
        return otherwise
    return found if abs(found) < 1e12 else otherwise  # no nan, no infinity
