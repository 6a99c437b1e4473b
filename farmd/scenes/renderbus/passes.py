"""What a task renders: layers (Maya), nodes (Houdini, Katana) or the one scene, each with frames of its own.

The service keeps them in `scene_info_render`, or as they were analysed in `scene_info`, in a shape for each program. They
have in common that an object with `frames` (or `start` and `end`) is one pass, and that `renderable` or `render` of it,
or of what holds it, switches it off. So they are found by that and not by a table of programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.scenes.renderbus.plain import Document, flag_at, text_at, whole_at
from farmd.scenes.renderbus.ranges import print_frames, read_frames
from protocol.errors import UsageError
from protocol.frames import MAX_FRAME, FrameSet

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEP: Final = 6
_SWITCHES: Final = ("renderable", "render")
_SIMULATED: Final = ("0", "1")
"""`option` of a node of Houdini that computes instead of rendering: alone, or spread over machines."""


class Pass(NamedTuple):
    """One thing that is rendered.

    Attributes:
        name: Where it stands: "defaultRenderLayer", "rop_node /out/mantra1".
        on: It is rendered.
        holder: The object with its frames; writing into it changes the document.
    """

    name: str
    on: bool
    holder: Document


def section_of(task: Document) -> Any:
    """Return the part of a task that says what is rendered."""
    return task.get("scene_info_render") or task.get("scene_info") or {}


def passes_in(section: object) -> tuple[Pass, ...]:
    """Return all passes, those that are switched off too.

    Raises:
        UsageError: A switch is neither on nor off.
    """
    return tuple(_passes(section, "", on=True, deep=0))


def _passes(found: object, name: str, *, on: bool, deep: int) -> Iterator[Pass]:
    if deep > _DEEP:
        return
    if isinstance(found, list):
        for item in found:
            yield from _passes(item, name, on=on, deep=deep + 1)
    if not isinstance(found, dict):
        return
    node = found.get("node") or found.get("name")
    name = f"{name} {node}".strip() if isinstance(node, str) else name
    own = on and all(flag_at(found, switch) is not False for switch in _SWITCHES if switch in found)
    is_pass = isinstance(found.get("frames"), str | int) or {"start", "end"} <= found.keys()
    if is_pass:
        yield Pass(name or "scene", own, found)
    for key, inner in found.items():
        inner_name = name if key == "common" else f"{name} {key}".strip()
        # Layers of an image (Clarisse) render although the image that they make up is off.
        yield from _passes(inner, inner_name, on=on if is_pass else own, deep=deep + 1)


def frames_of(task: Document) -> FrameSet | None:
    """Return the frames of a task; None if it does not say them.

    Raises:
        UsageError: Its passes have different ones, or one is no rendering.
    """
    rendered = [item for item in passes_in(section_of(task)) if item.on]
    for item in rendered:
        if "node" in item.holder and text_at(item.holder, "option") in _SIMULATED:
            why = f"{item.name} is a simulation: it must be computed before, in order and on one machine"
            raise UsageError(
                "the task cannot be imported", why, "submit the rendering alone, with the caches as inputs"
            )
    found = {item.name: _frames(item.holder) for item in rendered}
    if not found:
        return None
    first, frames = next(iter(found.items()))
    for name, others in found.items():
        if others != frames:
            why = f"a job has one range, and {first} has {frames}, {name} has {others}"
            raise UsageError("the task cannot be imported", why[:200], "say which frames: --frames 1-100")
    return frames


def _frames(holder: Document) -> FrameSet:
    text = text_at(holder, "frames")
    if text is not None:
        return read_frames(text)
    start, end = (whole_at(holder, name, least=-MAX_FRAME, most=MAX_FRAME) for name in ("start", "end"))
    step = whole_at(holder, "by_frame", least=1)
    return read_frames(f"{start}-{end}[{step or 1}]")


def put_frames(task: Document, frames: FrameSet, renderer: str) -> None:
    """Write frames into every pass that is rendered; makes one where there is none."""
    rendered = [item.holder for item in passes_in(section_of(task)) if item.on]
    if not rendered:
        rendered = [{}]
        common = {"common": rendered[0]}
        task["scene_info_render"] = (
            {"defaultRenderLayer": {"renderable": "1"} | common} if renderer == "maya" else common
        )
    for holder in rendered:
        holder["frames"] = print_frames(frames)
        step = frames.runs[0].step if len(frames.runs) == 1 else 1
        for name, value in (("start", frames.first), ("end", frames.last), ("by_frame", step)):
            if name in holder:
                holder[name] = str(value)
