"""From a job back to the files of a task: what was kept of them, with what the job says now.

Invariant: a document that still says what the job says is given back as it was, byte for byte of its values; a job that
was never a task gets documents with every field that the service demands.
"""

from __future__ import annotations

import copy
import posixpath
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.renderbus.fields import own_part, put_own, write_wish
from farmd.scenes.renderbus.kept import unpack_kept
from farmd.scenes.renderbus.lists import File, read_upload, write_assets, write_upload
from farmd.scenes.renderbus.paths import Rules, inverse, mapped, slashed
from farmd.scenes.renderbus.plain import Document, object_at, text_at
from farmd.scenes.renderbus.spec import more_of, wish_of
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from farmd.scenes.renderbus.wish import Wish
    from protocol.jobspec import JobSpec

_FRESH: Final = {
    "cg_id": "",
    "input_cg_file": "",
    "input_project_path": "",
    "project_id": "0",
    "project_name": "",
    "user_id": "",
    "platform": "2",
    "channel": "4",
    "os_name": "0",
    "ram": "0",
    "is_picture": "0",
    "frames_per_task": "1",
    "pre_frames": "000",
    "stop_after_test": "2",
    "time_out": "43200",
    "task_stop_time": "0",
    "job_stop_time": "86400",
    "tiles": "1",
    "tiles_type": "block",
    "enable_layered": "0",
    "is_layer_rendering": "1",
    "render_layer_type": "0",
    "is_distribute_render": "0",
    "distribute_render_node": "3",
}
"""What the manual of the service demands of task_info; the farm's own defaults where it has an equal."""


def fresh_task(task_id: str) -> Document:
    """Make a task that says nothing yet."""
    return {
        "task_info": {"task_id": task_id} | _FRESH,
        "software_config": {"cg_name": None, "cg_version": "", "plugins": {}},
        "scene_info": {},
        "scene_info_render": {},
    }


def is_ours(task: Document, wish: Wish, more: Mapping[str, Any]) -> bool:
    """Tell whether a task is just what this module would write for it: then nothing of it needs to be kept."""
    try:
        return own_part(task).get("native") is True and task == _native(_task_id(task), wish, more)
    except UsageError:
        return False


def _task_id(task: Document) -> str:
    return text_at(object_at(task, "task_info"), "task_id") or ""


def _native(task_id: str, wish: Wish, more: Mapping[str, Any]) -> Document:
    task = fresh_task(task_id)
    write_wish(task, wish)
    put_own(task, "more", dict(more))
    put_own(task, "native", value=True)
    return task


def scene_written(spec: JobSpec) -> str:
    """Return the path of the job's scene as its task writes it.

    Raises:
        UsageError: The job has no scene.
        PeerError: What it kept is damaged.
    """
    if not spec.scene_path:
        raise UsageError("the job cannot be exported", "it has no scene", "only jobs with a scene can be written so")
    here = posixpath.normpath(spec.scene_path)  # as the list of files has it
    return mapped(slashed(here), inverse(places_of(unpack_kept(spec.foreign))))


def places_of(kept: Mapping[str, Any]) -> Rules:
    """Return the rules by which files were found when a job was imported."""
    return tuple((str(written), str(becomes)) for written, becomes in kept.get("places") or ())


def documents_of(spec: JobSpec, task_id: str, files: Sequence[File]) -> dict[str, Document]:
    """Write a job as the four documents of a task.

    Args:
        spec: Of the job.
        task_id: Its nine digits.
        files: Of the job, with their paths on the machine where it was submitted; the scene among them.

    Raises:
        UserError: The service has no words for it.
        PeerError: What the job kept is damaged.
    """
    kept = copy.deepcopy(unpack_kept(spec.foreign))
    places, scene = places_of(kept), scene_written(spec)
    back = inverse(places)
    named = [file._replace(local=mapped(slashed(file.local), back)) for file in files]
    upload, asset = kept.get("upload") or {}, kept.get("asset") or {}
    return {
        "task": _task(spec, task_id, scene, kept),
        "upload": write_upload(upload, scene, named),
        "asset": write_assets(asset, scene, named, _known(upload) if asset else ()),
        "tips": kept.get("tips") or {},
    }


def _task(spec: JobSpec, task_id: str, scene: str, kept: Mapping[str, Any]) -> Document:
    wish, more = wish_of(spec, scene), more_of(spec, scene)
    own_rules = [list(rule) for rule in spec.path_rules if rule not in places_of(kept)]
    if own_rules:
        more["path_rules"] = own_rules
    task: Document | None = kept.get("task")
    if task is None:
        return _native(task_id, wish, more)
    write_wish(task, wish)
    put_own(task, "more", more)
    return task


def _known(upload: Document) -> tuple[str, ...]:
    return read_upload(upload).files
