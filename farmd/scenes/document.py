"""A report as asset.json: the fields of the render service in the source, and beside them everything that is known.

The first fields are that service's own, with its names and its way to write ranges and files; they hold what its tools
expect and no more. `analysis` is ours, complete and typed, and changes only with the version in `schema`;
`asset.schema.json` beside this module describes both, and a test compares. Called by `farmctl` and the HTTP door.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmd.scenes.content import Facts
    from farmd.scenes.report import Found, Missing, Report
    from farmd.scenes.rules import Rule

SCHEMA: Final = "farm.scene.v1"
SAMPLING: Final = ("camera", "diffuse", "specular", "sss", "transmission", "volume")
"""In the order of the source."""
_SETTINGS: Final = {
    "renumber_frames": "renumber_frames",
    "motion_blur_enable": "motion_blur",
    "auto_tx": "auto_tx",
    "tiled": "tiled",
    "threads_autodetect": "threads_autodetect",
    "textureMaxMemoryMB": "texture_memory_mb",
}
"""Field of the source -> setting of `Facts`; null where a scene does not say it."""
_OWN_CAMERAS: Final = frozenset({"persp", "top", "front", "side"})
"""Cameras that every scene of Maya has."""


def asset_document(report: Report, rules: Sequence[Rule] = ()) -> dict[str, Any]:
    """Write a report as plain data.

    Args:
        report: Of one scene.
        rules: Path rules that were accepted to make it.
    """
    return {
        "schema": SCHEMA,
        "scene_file": str(report.scene),
        "scene_file_size": report.size_bytes,
        "asset_num": len(report.found),
        "asset_size": report.asset_bytes,
        **_range_of(report.facts),
        **_looks_of(report.facts),
        "asset": [_line(one) for one in report.found],
        "missing": _missing(report.missing),
        "analysis": _analysis(report, rules),
    }


def frames_text(facts: Facts) -> str:
    """Write what is rendered by default: "1-3[1]", or one frame."""
    start = number_text(facts.start)
    return f"{start}-{number_text(facts.end)}[{number_text(facts.step)}]" if facts.animation else start


def number_text(number: float) -> str:
    """Write a frame; a whole one without a point."""
    return str(_plain(number))


def _range_of(facts: Facts) -> dict[str, Any]:
    return {
        "animation": facts.animation,
        "start": _plain(facts.start),
        "end": _plain(facts.end),
        "by_frame": _plain(facts.step),
        "frames": frames_text(facts),
    }


def _looks_of(facts: Facts) -> dict[str, Any]:
    rendered = [camera.name for camera in facts.cameras if camera.renderable]
    return {
        "all_camera": [camera.name for camera in facts.cameras],
        "render_camera": rendered,
        "is_default_camera": set(rendered) <= _OWN_CAMERAS,
        "width": facts.width,
        "height": facts.height,
        "image_format": facts.image_format,
        "image_file_prefix": facts.image_prefix,
        "renderer": facts.renderer,
        "sampling": {name: facts.sampling[name] for name in SAMPLING if name in facts.sampling},
        **{name: facts.settings.get(setting) for name, setting in _SETTINGS.items()},
    }


def _line(found: Found) -> str:
    changed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.mtime_ns // 1_000_000_000))
    return f"{found.path} (mtime {changed}) size {found.size_bytes}"


def _missing(missing: Sequence[Missing]) -> dict[str, str]:
    """Map node and attribute to the path; a place that names several gets a number."""
    named: dict[str, str] = {}
    for one in missing:
        place = again = f"{one.node}.{one.attribute}"
        count = 1
        while again in named and named[again] != one.written:
            count += 1
            again = f"{place}[{count}]"
        named[again] = one.written
    return named


def _analysis(report: Report, rules: Sequence[Rule]) -> dict[str, Any]:
    return {
        "mtime_ns": report.mtime_ns,
        "facts": asdict(report.facts),
        "found": [_texts(asdict(one)) for one in report.found],
        "missing": [_texts(asdict(one)) | {"stops": one.stops, "repair": _repair(one)} for one in report.missing],
        "remarks": [asdict(remark) for remark in report.remarks],
        "path_rules": [list(rule) for rule in rules],
    }


def _repair(missing: Missing) -> dict[str, Any] | None:
    return None if missing.repair is None else _texts(asdict(missing.repair))


def _texts(plain: dict[str, Any]) -> dict[str, Any]:
    """Write paths and words as texts, and leave numbers as they are."""
    return {name: value if isinstance(value, int | dict | None) else str(value) for name, value in plain.items()}


def _plain(number: float) -> float:
    return int(number) if float(number).is_integer() else number
