"""Runs by itself, with nothing of ours: opens one layer with OpenUSD and prints what it says, a JSON list per line.

    ["layer"]  ["opened", kind, path]  ["asset", path of prim, attribute, path]  ["setting", path of prim, name, value]

Started by `usd_process`. A crate that is damaged may take its reader down, and it is this process that falls.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from pxr import Sdf, Tf

_SETTINGS = ("resolution", "productName", "camera")
_OF_LAYER = ("startTimeCode", "endTimeCode", "timeCodesPerSecond", "framesPerSecond", "upAxis", "defaultPrim")
_ARCS = {"references": "references", "payload": "payload"}
_MEMORY_BYTES = 32 << 30
"""Of addresses, most of them never used: a crate is mapped, not read."""
_ELSEWHERE = (
    "subLayers",
    "subLayerOffsets",
    "timeSamples",
    "default",
    "properties",
    "primChildren",
    "specifier",
    "typeName",
    "custom",
    "variability",
)


def say(*words: str) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(words) + "\n")


def assets(node: str, attribute: str, value: Any) -> None:
    """Say every path in a value, however deep it lies."""
    if isinstance(value, dict):
        clips(node, value)
        return
    if isinstance(value, (Sdf.ReferenceListOp, Sdf.PayloadListOp)):
        value = [arc.assetPath for arc in value.GetAddedOrExplicitItems()]
        found = [path for path in value if path]
    else:
        several = value if isinstance(value, (Sdf.AssetPathArray, list, tuple)) else [value]
        found = [one.path for one in several if isinstance(one, Sdf.AssetPath) and one.path]
    for path in found:
        say("asset", node, attribute, path)


def clips(node: str, value: dict[str, Any]) -> None:
    """Say the paths in a dictionary: value clips, custom data."""
    for name, inner in value.items():
        if name == "templateAssetPath":
            say("setting", node, name, str(inner))
        else:
            assets(node, name, inner)


def visit(layer: Any, path: Any) -> None:
    """Say what stands at one path of a layer."""
    is_variant = path.IsPrimVariantSelectionPath()
    spec = layer.GetPrimAtPath(path) if is_variant else layer.GetObjectAtPath(path)
    if isinstance(spec, Sdf.PrimSpec) and path.IsPrimPath():
        say("opened", spec.typeName, str(path.StripAllVariantSelections()))
    if not isinstance(spec, (Sdf.PrimSpec, Sdf.AttributeSpec, Sdf.RelationshipSpec)):
        return
    node = str(path.GetPrimPath().StripAllVariantSelections())
    for key in spec.ListInfoKeys():
        if key not in _ELSEWHERE:
            assets(node, _ARCS.get(key, spec.name if path.IsPropertyPath() else key), spec.GetInfo(key))
    if isinstance(spec, Sdf.AttributeSpec):
        values(layer, spec, node)
    elif isinstance(spec, Sdf.RelationshipSpec) and spec.name == "camera":
        for target in spec.targetPathList.GetAddedOrExplicitItems():
            say("setting", node, "camera", f"<{target}>")


def values(layer: Any, spec: Any, node: str) -> None:
    """Say the values of an attribute, if they are paths or settings."""
    if spec.typeName in (Sdf.ValueTypeNames.Asset, Sdf.ValueTypeNames.AssetArray):
        assets(node, spec.name, spec.default)
        for time in layer.ListTimeSamplesForPath(spec.path):
            assets(node, spec.name, layer.QueryTimeSample(spec.path, time))
    elif spec.name in _SETTINGS and spec.default is not None:
        say("setting", node, spec.name, str(spec.default))


def main(scene: str) -> int:
    """Say everything; 3: the layer cannot be opened."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        layer = Sdf.Layer.FindOrOpen(scene)
    except Tf.ErrorException:
        layer = None
    if layer is None:
        return 3
    say("layer")
    for name in _OF_LAYER:
        if layer.pseudoRoot.HasInfo(name):
            say("setting", "/", name, str(layer.pseudoRoot.GetInfo(name)))
    for path in layer.subLayerPaths:
        say("asset", "/", "subLayers", path)
    layer.Traverse(Sdf.Path.absoluteRootPath, lambda path: visit(layer, path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
