"""Between a task and a job's specification: which attribute of a `Wish` is which field, and what else a job has.

What the service has no words for (a command line, names of results, retries) is written into our part of the task's
additional fields as it stands in a packed specification, so that fields which are added later travel too.
"""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

import msgpack

from farmd.scenes.renderbus.wish import Wish
from protocol.errors import PeerError, UsageError
from protocol.jobspec import JobSpec, spec_from_bytes, spec_to_bytes
from protocol.plaindata import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD_OF: Final = {
    "renderer": "renderer",
    "version": "requirements.renderer_version",
    "project": "project",
    "frames": "frames",
    "chunk": "chunk",
    "priority": "priority",
    "ram_bytes": "requirements.ram_bytes",
    "gpus": "requirements.gpus",
    "frame_timeout_s": "limits.frame_timeout_s",
    "job_timeout_s": "limits.job_timeout_s",
}
_GATE: Final = ("gate.mode", "gate.test_frames")
_ELSEWHERE: Final = frozenset({"scene_path", "path_rules", *_GATE, *_FIELD_OF.values()})
_OF_ONE_FARM: Final = frozenset(
    {"owner", "submitted_at_ms", "submit_node", "scene", "manifest", "after", "deliver", "foreign", "submitted_by"}
)
"""Who, when and which blobs: said anew by whoever submits."""


def wish_of(spec: JobSpec, scene: str) -> Wish:
    """Say in a task's words what a job asks for.

    Args:
        spec: Of the job.
        scene: Its path where the task was made.
    """
    needs, limits, gate = spec.requirements, spec.limits, spec.gate
    return Wish(
        renderer=spec.renderer,
        version=needs.renderer_version,
        scene=scene,
        project=spec.project,
        frames=spec.frame_set(),
        gate=(gate.mode, gate.test_frames),
        chunk=spec.chunk,
        priority=spec.priority,
        ram_bytes=needs.ram_bytes,
        gpus=needs.gpus,
        frame_timeout_s=limits.frame_timeout_s,
        job_timeout_s=limits.job_timeout_s,
    )


def values_of(wish: Wish) -> dict[str, Any]:
    """Return the fields of a specification that a wish fills, by dotted names; the scene is not among them."""
    values = {field: getattr(wish, name) for name, field in _FIELD_OF.items()}
    mode, tests = wish.gate
    return values | {"frames": str(wish.frames), "gate.mode": mode.value, "gate.test_frames": list(tests)}


def name_of(scene: str) -> str:
    """Return the name that a job has by default."""
    return PureWindowsPath(scene).stem[:200] or "task"


def more_of(spec: JobSpec, scene: str) -> dict[str, Any]:
    """Return what a job says beyond a wish, by dotted names, without what is the default."""
    flat = _flat(unpack(spec_to_bytes(spec)))
    more = {name: value for name, value in flat.items() if name not in _ELSEWHERE | _OF_ONE_FARM}
    if more.get("name") == name_of(scene):
        del more["name"]
    return more


def spec_with(spec: JobSpec, values: Mapping[str, Any]) -> JobSpec:
    """Return a specification with some fields changed.

    Args:
        spec: What it is based on.
        values: By dotted names; those that no specification has are left out.

    Raises:
        UsageError: A value is not allowed.
    """
    plain = unpack(spec_to_bytes(spec))
    for name, value in values.items():
        part, dot, inner = name.partition(".")
        if dot:
            plain[part] = plain.get(part, {}) | {inner: value}
        else:
            plain[part] = value
    try:
        return spec_from_bytes(msgpack.packb(plain))
    except (PeerError, TypeError, ValueError, OverflowError) as error:
        raise UsageError("the task cannot be imported", str(error)[:200], "correct task.json") from error


def _flat(plain: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if name in ("requirements", "limits", "gate"):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            flat[name] = value
    return flat
