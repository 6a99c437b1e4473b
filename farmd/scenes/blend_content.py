"""Turns what the scripts inside Blender wrote into the content of a scene.

Decides what is a reference and what only a remark: a file that a render needs is a reference; one that is packed into the
scene needs none; one that nothing renders, a simulation that was never baked, and an empty path are told.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.blend_process import BUILT_IN_OCIO
from farmd.scenes.content import Camera, Content, Facts, Layer, Reference, Remark, Role, Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from farmd.scenes.blend_header import Header
    from farmd.scenes.blend_process import Answer

FORMATS: Final = {
    "JPEG": "jpg",
    "JPEG2000": "jp2",
    "OPEN_EXR": "exr",
    "OPEN_EXR_MULTILAYER": "exr",
    "TARGA": "tga",
    "TARGA_RAW": "tga",
    "TIFF": "tif",
    "CINEON": "cin",
    "IRIS": "rgb",
    "AVI_JPEG": "avi",
    "AVI_RAW": "avi",
}
"""Blender's names of formats that are not their file endings in capitals."""
NAMED: Final = 5
"""How many files a remark names before it only counts."""


def content_of(answer: Answer, header: Header) -> Content:
    """Make the content of a scene of what Blender said."""
    references = [*_environment(), *references_of(answer.files["files"])]
    remarks = [*_scene_remarks(answer, header), *_file_remarks(answer.files)]
    return Content(_facts_of(answer, header), tuple(references), tuple(remarks))


def references_of(records: Iterable[Mapping[str, Any]]) -> list[Reference]:
    """Return what a render needs of the files that are named."""
    return [_reference(record) for record in records if _is_needed(record)]


def _reference(record: Mapping[str, Any]) -> Reference:
    frames = record.get("frames")
    return Reference(
        node=record["node"],
        attribute=record["attribute"],
        written=record["written"],
        role=Role(record["role"]),
        spread=Spread(record.get("spread", "one")),
        base=record.get("base", ""),
        frames=(frames[0], frames[1]) if frames else None,
        by=record.get("by", ""),
    )


def _is_needed(record: Mapping[str, Any]) -> bool:
    idle = record.get("packed") or record.get("unbaked") or not record.get("used", True)
    return bool(record.get("written")) and not idle


def _environment() -> list[Reference]:
    """Name the colour configuration that Blender takes from the environment; no .blend file names one."""
    ocio = os.environ.get("OCIO", "")
    is_file = ocio and not ocio.startswith(BUILT_IN_OCIO)
    return [Reference("environment", "OCIO", ocio, Role.COLOUR)] if is_file else []


# Facts -----------------------------------------------------------------------------------------------------------


def _facts_of(answer: Answer, header: Header) -> Facts:
    """Take over what Blender said; a part that it could not read keeps the defaults."""
    facts = answer.facts
    start, end = facts.get("start", 1), facts.get("end", 1)
    active = facts.get("active_camera")
    return Facts(
        application="blender",
        version=_version_of(facts, header),
        renderer=_renderer_of(answer),
        start=start,
        end=end,
        step=facts.get("step", 1),
        animation=end > start,
        fps=facts.get("fps", 0),
        width=facts.get("width", 0),
        height=facts.get("height", 0),
        image_format=_format_of(facts),
        image_prefix=facts.get("prefix", ""),
        cameras=tuple(Camera(name, renderable=name == active) for name in facts.get("cameras", ())),
        layers=tuple(Layer(name, renderable=used) for name, used in facts.get("layers", ())),
        sampling=facts.get("sampling", {}),
        settings=_settings_of(answer),
    )


def _version_of(facts: Mapping[str, Any], header: Header) -> str:
    if header.version is not None:
        return header.version_text
    major, minor = facts["saved_by"][:2]
    return f"{major}.{minor:02d}" if major < 3 else f"{major}.{minor}"


def _renderer_of(answer: Answer) -> str:
    engine: str = answer.facts.get("renderer", "")
    return answer.lost_engines.get(answer.facts.get("scene", ""), engine)


def _format_of(facts: Mapping[str, Any]) -> str:
    written: str = facts.get("format", "")
    return FORMATS.get(written, written.lower())


def _settings_of(answer: Answer) -> dict[str, str | int | float | bool]:
    facts = answer.facts
    settings = {**facts.get("settings", {}), **facts.get("colours", {}), "scene": facts.get("scene", "")}
    if len(facts.get("scenes", ())) > 1:
        settings["scenes"] = ", ".join(facts["scenes"])
    markers = facts.get("camera_markers")
    if markers:
        settings["camera_markers"] = ", ".join(f"{frame} {camera}" for frame, camera in markers)
    packed = sum(bool(record.get("packed")) for record in answer.files["files"])
    if packed:
        settings["packed_files"] = packed
    return settings


# Remarks ---------------------------------------------------------------------------------------------------------


def _scene_remarks(answer: Answer, header: Header) -> list[Remark]:
    facts = answer.facts
    remarks = _age_remarks(answer, header)
    if facts.get("active_camera", "") is None and not facts.get("camera_markers"):
        remarks.append(Remark("no_camera", "the scene has no active camera and cannot be rendered without naming one"))
    if facts.get("is_movie"):
        remarks.append(Remark("film", f"the scene writes a film ({_format_of(facts)}); a farm renders single images"))
    if facts.get("scripts"):
        names = ", ".join(facts["scripts"])
        remarks.append(Remark("scripts", f"the scene registers scripts, which the farm does not run: {names}"))
    for trouble in facts["troubles"]:
        remarks.append(Remark("unread", f"Blender {facts.get('read_by')} did not tell all facts: {trouble}"))
    return remarks


def _age_remarks(answer: Answer, header: Header) -> list[Remark]:
    """Tell what another version of Blender than the scene's may have seen wrong."""
    facts = answer.facts
    saved = header.version or tuple(facts["saved_by"][:2])
    read_by = str(facts.get("read_by", ""))
    remarks = []
    if _pair(read_by) < saved:
        text = f"saved by Blender {_version_of(facts, header)} and read by {read_by}: "
        remarks.append(Remark("newer", text + "settings and files that the older one does not know are not seen"))
    if saved < (2, 80) and facts.get("renderer") == "BLENDER_EEVEE":
        text = f"saved by Blender {_version_of(facts, header)}, whose own renderer is gone: it renders with EEVEE now"
        remarks.append(Remark("engine_gone", text))
    lost = answer.lost_engines.get(facts.get("scene", ""))
    if lost:
        remarks.append(
            Remark("engine_lost", f"Blender {read_by} here has no engine {lost}, and reads the scene without")
        )
    return remarks


def _pair(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _file_remarks(files: Mapping[str, Any]) -> list[Remark]:
    records = [record for record in files["files"] if not record.get("packed")]
    unbaked = [_place(record) for record in records if record.get("unbaked") and record.get("used", True)]
    idle = [str(record["written"]) for record in records if not record.get("used", True) and record.get("written")]
    empty = [_place(record) for record in records if record.get("used", True) and record.get("written") == ""]
    found = [
        ("unbaked", "simulations that are not baked look different on each machine that renders a part", unbaked),
        ("unused", "files that the scene names and a render does not need", idle),
        ("no_path", "places that need a file and name none", empty),
        ("unattributed", "paths that the scene holds in places unknown here, not checked", files["unknown"]),
        ("unread", "files of these kinds could not be listed", files["troubles"]),
    ]
    return [Remark(code, f"{text}: {listed(items)}") for code, text, items in found if items]


def _place(record: Mapping[str, Any]) -> str:
    return f"{record['node']}.{record['attribute']}"


def listed(items: Sequence[str]) -> str:
    """Name the first few and count the rest."""
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more} more" if more > 0 else "")
