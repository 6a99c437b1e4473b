"""`POST /api/task/create` and what is asked of a task afterwards, in the words of the render service.

A task is the service's `task.json`, whole or with the fields of its parts written flat. Whatever means nothing to a farm
is kept with the job and given back as it was. One thing is read otherwise than in files of that service: at this door
`stop_after_test` 1 means that bad test frames stop the job, and anything else that there is no gate.
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from farmd.ingest.manifest import encode_manifest
from farmd.scenes.renderbus.fields import own_part, read_wish
from farmd.scenes.renderbus.kept import pack_kept, unpack_kept
from farmd.scenes.renderbus.lists import File, write_upload
from farmd.scenes.renderbus.plain import Document, object_at, text_at
from farmd.scenes.renderbus.remarks import refuse_impossible, remarks_of
from farmd.scenes.renderbus.spec import name_of, spec_with, values_of
from farmd.web.errors import Refusal
from farmd.web.here import files_here
from farmd.web.layout import Laid, lay_out
from farmd.web.scenes import lacking, lacking_refusal
from farmd.web.sending import send_bytes
from farmd.web.submitting import submit
from protocol.frames import FrameSet, parse_frames, test_frame_choice
from protocol.ids import JobId, NodeId, task_id_of
from protocol.jobspec import GateMode, GateSpec, JobSpec, spec_from_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.scenes.renderbus.wish import Wish
    from farmd.web.endpoints import Asked
    from farmd.web.spool import Declared

_SECTIONS: Final = ("task_info", "software_config", "scene_info", "scene_info_render", "additional_info")
_SOFTWARE: Final = ("cg_name", "cg_version", "plugins")
_FRAMES: Final = ("frames", "start", "end", "by_frame")
_STOP: Final = "1"
_GO_ON: Final = "2"
_NOT_SAID_HERE: Final = frozenset(
    {
        "owner",
        "submitted_at_ms",
        "submit_node",
        "scene",
        "scene_path",
        "manifest",
        "deliver",
        "foreign",
        "path_rules",
        "submitted_by",
    }
)
"""Fields of a specification that this door decides, whatever a task carries among ours."""
MAX_LISTED: Final = 100_000
NODE_FILLS_IN: Final = NodeId("0" * 16)


async def create_task(asked: Asked) -> dict[str, Any]:
    """Make a job of a task."""
    given: dict[str, Any] = asked.body.model_dump(exclude_unset=True)
    scene_hash, allow_missing = given.pop("scene_hash", None), bool(given.pop("allow_missing", False))
    task = task_of(given)
    wish = read_wish(_with_native_stop(task))
    refuse_impossible(task)
    scene_md5, files = await asyncio.to_thread(_files_of, asked, scene_hash, wish.scene)
    laid = await lay_out_files(asked, scene_md5, files) if files else None
    if laid is None and wish.scene:
        laid = lay_out(wish.scene, await files_here(asked, wish.scene, allow_missing=allow_missing))
    spec = replace(_spec_of(task, wish, laid, _kept(task, scene_of(files, scene_md5), files)), owner=asked.user)
    if laid is not None:
        manifest = await send_bytes(asked, encode_manifest(laid.manifest))
        spec = spec_with(spec, {"manifest": [manifest.xxh64, manifest.size, manifest.md5], "scene": laid.scene})
    answer = await submit(asked, spec)
    remarks = remarks_of(task, {}, wish)
    return {
        "task_id": task_id_of(JobId(answer["job"])),
        "status": "queued",
        "job": answer["job"],
        "remarks": [{"code": one.code, "text": one.text} for one in remarks if one.code != "stop_after_test"],
    }


def task_of(given: Mapping[str, Any]) -> Document:
    """Put fields that are written flat into the part of task.json where they belong; parts that are there stay."""
    parts: Document = {name: copy.deepcopy(given[name]) for name in _SECTIONS if name in given}
    flat = {name: copy.deepcopy(value) for name, value in given.items() if name not in _SECTIONS}
    software = {name: flat.pop(name) for name in _SOFTWARE if name in flat}
    frames = {name: flat.pop(name) for name in _FRAMES if name in flat}
    task: Document = {"task_info": flat | object_at(parts, "task_info")}
    if software or "software_config" in parts:
        task["software_config"] = software | object_at(parts, "software_config")
    if frames and not parts.get("scene_info_render"):
        parts["scene_info_render"] = {"common": frames}
    return task | {name: parts[name] for name in _SECTIONS[2:] if name in parts}


def _with_native_stop(task: Document) -> Document:
    """Return the task with a `stop_after_test` that its reader takes; what it means here is decided in `_gate_of`."""
    info = object_at(task, "task_info")
    return task | {"task_info": info | {"stop_after_test": _STOP if _stops(task) else _GO_ON}}


def _stops(task: Document) -> bool:
    return text_at(object_at(task, "task_info"), "stop_after_test") == _STOP


def _gate_of(task: Document, wish: Wish) -> GateSpec:
    if not _stops(task):
        return GateSpec(GateMode.OFF)
    return GateSpec(GateMode.AUTO, wish.gate[1] or test_frame_choice("", wish.frames))


def _files_of(asked: Asked, scene_hash: str | None, scene: str) -> tuple[str, list[Declared]]:
    """Return the MD5 of the scene and the list of files that a task means: named, or the newest of that scene, or none.

    Raises:
        Refusal: It names a scene of which nothing was declared.
    """
    mine = asked.parts.spool.user(asked.user)
    if scene_hash is not None:
        files = mine.get_set(scene_hash.lower())
        if files is None:
            why, hint = "no list of files was sent for this scene", "POST /api/scene/upload first"
            raise Refusal(409, f"scene_hash {scene_hash} is not known", why, hint)
        return scene_hash.lower(), files
    for scene_md5, files in mine.sets() if scene else ():
        if any(file.md5 == scene_md5 and file.local == scene for file in files):
            return scene_md5, files
    return "", []


def scene_of(files: list[Declared], scene_md5: str) -> str:
    """Return the path of the scene in a list; "" where there is none."""
    return next((file.local for file in files if file.md5 == scene_md5), "")


async def lay_out_files(asked: Asked, scene_md5: str, files: list[Declared]) -> Laid:
    """Make the manifest of files that have all been sent.

    Raises:
        Refusal: Some have not.
    """
    rows = await lacking(asked, files)
    if rows:
        raise lacking_refusal(rows)
    mine = asked.parts.spool.user(asked.user)
    arrived = await asyncio.to_thread(lambda: {file.local: mine.arrived(file.md5) for file in files})
    blobs = {local: blob for local, blob in arrived.items() if blob is not None}
    return lay_out(scene_of(files, scene_md5), blobs)


def _spec_of(task: Document, wish: Wish, laid: Laid | None, foreign: bytes) -> JobSpec:
    """Write a job as a specification that lacks its owner and its files."""
    more = _more_of(task)
    command = more.get("command") is not None
    values = values_of(wish) | more
    for name in [name for name in values if name.startswith("gate.")]:
        del values[name]
    base = JobSpec(
        name=name_of(wish.scene),
        owner="-",
        submitted_at_ms=0,
        submit_node=NODE_FILLS_IN,
        renderer="command" if command else wish.renderer,
        command=str(more["command"]) if command else None,
        scene_path=wish.scene,
        gate=_gate_of(task, wish),
        path_rules=laid.rules if laid is not None else (),
        foreign=foreign,
    )
    if command:
        values |= {"renderer": "command", "requirements.renderer_version": ""}
    return spec_with(base, values)


def _more_of(task: Document) -> Document:
    """Return the further fields of a specification that a task carries, by dotted names; those of this door left out."""
    more = object_at(own_part(task), "more")
    return {
        name: value
        for name, value in more.items()
        if name not in _NOT_SAID_HERE and name.rpartition(".")[0] in ("", "requirements", "limits")
    }


def _kept(task: Document, scene: str, files: list[Declared]) -> bytes:
    rows = [File(file.local, 0, 0, file.md5, file.xxh64) for file in files]
    documents: Document = {"task": task}
    if rows:
        documents["upload"] = write_upload({}, scene, rows)
    return pack_kept(documents)[0]


# -- what is asked of a task ------------------------------------------------------------------------------------------


async def show_task(asked: Asked) -> dict[str, Any]:
    """Give back the task as it was sent."""
    spec = await spec_of(asked, asked.path["id"])
    task = unpack_kept(spec.foreign).get("task")
    if task is None:
        why = "it was submitted in another way, or its fields were too large to be kept"
        raise Refusal(404, "the job has no task", why, "GET /api/v1/jobs/{job} shows it")
    return dict(task)


async def spec_of(asked: Asked, job: str) -> JobSpec:
    """Return the specification of a job.

    Raises:
        UserError: There is no such job.
    """
    return spec_from_bytes((await asked.call("job.spec", job=job))["spec"])


async def show_status(asked: Asked) -> dict[str, Any]:
    """Say how far a task is."""
    job = await asked.call("job.show", job=asked.path["id"])
    return {
        "task_id": job.get("task_id") or task_id_of(JobId(job["id"])),
        "job": job["id"],
        "status": job["state"],
        "progress": job["progress"],
        "total_frames": job["total"],
        "completed_frames": numbers_in(job["completed_frames"]),
        "failed_frames": numbers_in(job["failed_frames"]),
        "completed_ranges": job["completed_frames"],
        "failed_ranges": job["failed_frames"],
        "reason": job.get("reason"),
    }


def numbers_in(frames: str) -> list[int] | None:
    """Read a list of frames that may be empty into numbers; None if they are too many to be listed one by one."""
    found = parse_frames(frames) if frames.strip() else FrameSet()
    return list(found) if len(found) <= MAX_LISTED else None
