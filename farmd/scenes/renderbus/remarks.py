"""What of a task cannot be had here: refused where the pictures would be others, told where somebody should know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.content import Remark
from farmd.scenes.renderbus.passes import passes_in, section_of
from farmd.scenes.renderbus.plain import Document, flag_at, list_at, object_at, text_at, whole_at
from farmd.scenes.renderbus.ranges import is_mask
from farmd.scenes.renderbus.software import numbered
from protocol.errors import UsageError
from protocol.human import counted
from protocol.jobspec import GateMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.scenes.renderbus.wish import Wish

MISSING_FILE: Final = "10012"
"""Code of tips.json for files that were not found when the scene was analysed."""
_SHORT_S: Final = 600
_SHOWN: Final = 3
_FRAMES: Final = ("frames", "start", "end", "by_frame")


def refuse_impossible(task: Document) -> None:
    """Refuse what no machine of a farm could render as it is meant.

    Raises:
        UsageError: It is split into tiles, or spread over machines.
    """
    info = object_at(task, "task_info")
    what, hint = "the task cannot be imported", "set {} in task.json, then submit again"
    tiles = whole_at(info, "tiles", least=0, most=10_000) or 1
    if tiles > 1:
        raise UsageError(what, f"each frame is split into {tiles} tiles", hint.format('"tiles": "1"'))
    for name in ("is_distribute_render", "multi_node"):
        if flag_at(info, name):
            why = "several machines would work on one frame, and here one does"
            raise UsageError(what, f"{name}: {why}", hint.format(f'"{name}": "0"'))


def remarks_of(task: Document, tips: Document, wish: Wish) -> tuple[Remark, ...]:
    """Say what a person should know before the task is rendered here."""
    return (
        *_of_software(task, wish),
        *_of_machines(task, wish),
        *_of_gate(task, wish),
        *_of_limits(task),
        *_of_scene(task),
        *_of_tips(tips),
    )


def _of_software(task: Document, wish: Wish) -> Iterator[Remark]:
    software, info = object_at(task, "software_config"), object_at(task, "task_info")
    cg_id = text_at(info, "cg_id")
    if cg_id is not None and text_at(software, "cg_name") and wish.renderer not in numbered(cg_id):
        yield Remark("cg_id", f"cg_id {cg_id} is of another program; cg_name counts: {wish.renderer}")
    plugins = software.get("plugins")
    if isinstance(plugins, dict) and plugins:
        named = ", ".join(f"{name} {version}".strip() for name, version in plugins.items())
        yield Remark("plugins", f"plug-ins are not checked, the machines must have them: {named}")


def _of_machines(task: Document, wish: Wish) -> Iterator[Remark]:
    info = object_at(task, "task_info")
    if text_at(info, "os_name") == "1":
        yield Remark("os_name", "it asks for Windows, and machines of this farm run Linux")
    if wish.gpus and flag_at(info, "gpu_render") is None:
        yield Remark("gpus", f"each task needs {counted(wish.gpus, 'GPU')}; if it renders without: --gpus 0")
    at_once = whole_at(info, "concurrent_tasks", most=10_000) or 1
    if at_once > 1:
        yield Remark("concurrent_tasks", f"{at_once} tasks at once on one machine: here memory and cores decide that")


def _of_gate(task: Document, wish: Wish) -> Iterator[Remark]:
    info = object_at(task, "task_info")
    further = text_at(info, "test_frames")
    if is_mask(further) and further != "000":
        yield Remark("test_frames", f"test_frames {further} is read as a list: frame {int(further or 0)}")
    extra = [frame for frame in wish.gate[1] if frame not in wish.frames]
    if extra:
        shown = ", ".join(map(str, extra[:_SHOWN])) + (", …" if len(extra) > _SHOWN else "")
        outside = "is outside the range and renders" if len(extra) == 1 else "are outside the range and render"
        yield Remark("extra_frames", f"{counted(len(extra), 'test frame')} {outside} too: {shown}")
    if wish.gate[0] is GateMode.AUTO:
        yield Remark("stop_after_test", "it does not pause after the test frames, but a test frame that fails stops it")


def _of_limits(task: Document) -> Iterator[Remark]:
    info = object_at(task, "task_info")
    frame_s = whole_at(info, "time_out", most=1 << 40)
    if frame_s and frame_s < _SHORT_S:
        yield Remark("time_out", f"a frame that takes longer than {frame_s} s is stopped, not only reported")
    job_s = whole_at(info, "job_stop_time", most=1 << 40)
    if job_s:
        yield Remark("job_stop_time", f"job_stop_time is a limit of the whole job here: {job_s} s")


def _of_scene(task: Document) -> Iterator[Remark]:
    """Tell of settings that were changed in the files: a render takes them from the scene."""
    section, analysed = section_of(task), task.get("scene_info")
    rendered = passes_in(section)
    before = {item.name: item.holder for item in passes_in(analysed or {})}
    for item in rendered:
        known = before.get(item.name, item.holder)
        changed = [name for name in item.holder if name not in _FRAMES and item.holder[name] != known.get(name)]
        if changed:
            yield Remark("settings", f"{item.name}: the scene decides, not the task, on {', '.join(changed)}")
    project = text_at(object_at(task, "task_info"), "input_project_path")
    if project is not None:
        yield Remark("project", f"relative paths follow the scene, not the project folder {project}")
    off = [item.name for item in rendered if not item.on]
    on = [item.name for item in rendered if item.on]
    if off and on:
        yield Remark("layers", f"which layers render is up to the scene; the task leaves out {_some(off)}")


def _of_tips(tips: Document) -> Iterator[Remark]:
    for code in tips:
        told: list[Any] = list_at(tips, code) if not isinstance(tips[code], str) else [tips[code]]
        if not any(told):
            continue
        shown = _some([str(item) for item in told])
        if str(code) == MISSING_FILE:
            yield Remark("missing", f"{counted(len(told), 'file')} missing when the scene was analysed: {shown}")
        else:
            yield Remark("tips", f"the analysis told {code}: {shown}")


def _some(items: list[str]) -> str:
    return ", ".join(item[:120] for item in items[:_SHOWN]) + (
        f" and {len(items) - _SHOWN} more" * (len(items) > _SHOWN)
    )
