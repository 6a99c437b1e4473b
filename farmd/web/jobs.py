"""Jobs and their tasks as the farm itself calls them, under /api/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from farmd.ingest.manifest import encode_manifest
from farmd.web.errors import Refusal
from farmd.web.farm import REACH_S
from farmd.web.joblist import all_jobs
from farmd.web.sending import send_bytes
from farmd.web.submitting import submit
from farmd.web.tasks import NODE_FILLS_IN, lay_out_files, scene_of
from protocol.frames import parse_frames
from protocol.jobform import spec_from_user

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from farmd.web.endpoints import Asked

_NOT_SAID_HERE = (
    "owner",
    "submitted_at_ms",
    "submit_node",
    "manifest",
    "scene_path",
    "foreign",
    "deliver",
    "submitted_by",
)


async def list_jobs(asked: Asked) -> dict[str, Any]:
    """List jobs, the newest first."""
    query = asked.query
    answer = await all_jobs(asked.call, archived=query.archived)
    jobs = [
        job
        for job in reversed(answer["jobs"])
        if query.state in (None, job["state"])
        and query.owner in (None, job["owner"])
        and (query.name is None or query.name.lower() in job["name"].lower())
    ]
    page = jobs[query.offset : query.offset + query.limit]
    return {"schema": answer["schema"], "jobs": page, "total": len(jobs)}


async def show_job(asked: Asked) -> dict[str, Any]:
    """Show one job; at once, or when it has changed since a version."""
    since, wait_s = asked.query.since, asked.query.wait_s
    if since is None:
        return dict(await asked.call("job.show", job=asked.path["job"]))
    watched = await asked.call(
        "job.watch", limit_s=wait_s + 10, waits=wait_s > 0, job=asked.path["job"], since=since, timeout_s=wait_s
    )
    return dict(watched["job"])


async def create_job(asked: Asked) -> dict[str, Any]:
    """Submit a job in the farm's own words."""
    given = asked.body.model_dump(exclude_unset=True)
    scene_hash = given.pop("scene_hash", None)
    for name in _NOT_SAID_HERE:
        if name in given:
            raise Refusal(422, f"{name!r} is not said here", "the farm fills it in", f"leave {name!r} out")
    given |= {"owner": asked.user, "submitted_at_ms": 0, "submit_node": NODE_FILLS_IN}
    if scene_hash is not None:
        given |= await _with_files(asked, scene_hash.lower())
    answer = await submit(asked, spec_from_user(given))
    return {"schema": "farm.submitted.v1", **answer}


async def _with_files(asked: Asked, scene_md5: str) -> dict[str, Any]:
    files = asked.parts.spool.user(asked.user).get_set(scene_md5)
    if files is None:
        hint = "POST /api/scene/upload first"
        raise Refusal(409, f"scene_hash {scene_md5} is not known", "no list of files was sent for it", hint)
    laid = await lay_out_files(asked, scene_md5, files)
    manifest = await send_bytes(asked, encode_manifest(laid.manifest))
    return {
        "manifest": str(manifest),
        "scene": laid.scene,
        "scene_path": scene_of(files, scene_md5),
        "path_rules": [list(rule) for rule in laid.rules],
    }


async def list_tasks(asked: Asked) -> dict[str, Any]:
    """List the tasks of a job, a page at a time."""
    query = asked.query
    state = query.state.value if query.state is not None else ""
    return dict(
        await asked.call("task.list", job=asked.path["job"], offset=query.offset, limit=query.limit, state=state)
    )


async def explain(asked: Asked) -> dict[str, Any]:
    """Say why a job, or a frame of it, does not run."""
    frame = {} if asked.query.frame is None else {"frame": asked.query.frame}
    return dict(await asked.call("why", job=asked.path["job"], **frame))


async def show_thumbnail(asked: Asked) -> Response:
    """Show a finished frame, small."""
    job, frame = asked.path["job"], int(asked.path["frame"])
    answer = await asked.call("task.thumbnail", limit_s=REACH_S, job=job, frame=frame)
    return Response(answer["data"], media_type="image/jpeg")


def controlling(action: str) -> Callable[[Asked], Awaitable[dict[str, Any]]]:
    """Return the handler that asks for one action on a job."""

    async def control(asked: Asked) -> dict[str, Any]:
        given = asked.body.model_dump(exclude_none=True) if asked.body is not None else {}
        if given.get("frames"):
            given["frames"] = str(parse_frames(given["frames"]))
        return dict(await asked.call("job.control", job=asked.path["job"], action=action, **given))

    return control


async def edit_job(asked: Asked) -> dict[str, Any]:
    """Change a job."""
    given = asked.body.model_dump(exclude_none=True, include={"why", "dry_run"})
    return dict(await asked.call("job.edit", job=asked.path["job"], changes=asked.body.changes, **given))
