"""Frames of a task, and the files that they left: streamed out of the node's store, verified on the way.

A file that lies on another machine is brought here first. While it is sent its hashes are computed, and its last piece
is held back until they agree: a damaged file arrives short, never whole. Its MD5 is the entity tag.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import xxhash
from starlette.responses import Response, StreamingResponse

from farmd.web.errors import Refusal
from protocol.api import MAX_CHUNK_BYTES
from protocol.errors import Unreachable, UserError
from protocol.frames import parse_frames
from protocol.human import nearest_word
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from farmd.web.endpoints import Asked

_FETCH_TRIES: Final = 2
_FETCH_S: Final = 45.0
"""Longer than the daemon's own patience for a file of another machine."""
_RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{0,15})", re.ASCII)
_NUMBER: Final = re.compile(r"\d+")
_MOST_ROWS: Final = 100_000
_MOST_OF_TASK: Final = 10_000
"""A task of more frames has one row for all of them."""
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._ -]")


async def list_frames(asked: Asked) -> dict[str, Any]:
    """List the frames of a task, a page at a time."""
    job = await asked.call("job.show", job=asked.path["id"])
    query = asked.query
    page = await asked.call("task.list", job=job["id"], offset=query.offset, limit=query.limit, state=query.state or "")
    frames: list[dict[str, Any]] = []
    taken = 0
    for task in page["tasks"]:
        if len(frames) >= _MOST_ROWS:
            break
        frames += _frames_in(job["id"], task)
        taken += 1
    following = query.offset + taken
    return {
        "task_id": job["task_id"],
        "job": job["id"],
        "frames": frames,
        "total_tasks": page["total"],
        "next_offset": following if following < page["total"] else None,
    }


def _frames_in(job: str, task: dict[str, Any]) -> list[dict[str, Any]]:
    outputs = [
        {"name": output["name"], "size": output["size"], **_hashes(output["blob"])}
        for output in task.get("outputs", [])
    ]
    span = parse_frames(task["frames"])
    numbers = list(span) if len(span) <= _MOST_OF_TASK else [span.first]
    return [
        {
            "frame": number,
            "frames": task["frames"],
            "status": task["state"],
            "test": task["test"],
            "task": task["index"],
            "attempts": task["attempts"],
            "node": task.get("node_name"),
            "seconds": task.get("seconds"),
            "progress": task.get("progress"),
            "error": str(task.get("text") or "") if task["state"] == "failed" else "",
            "outputs": outputs,
            "download": f"/api/files/download?task_id={quote(job)}&frame={number}" if outputs else None,
        }
        for number in numbers
    ]


def _hashes(blob: str) -> dict[str, str]:
    address = parse_blob_address(blob)
    return {"hash": address.md5.hex(), "xxhash": str(address.xxh64)}


async def list_results(asked: Asked) -> dict[str, Any]:
    """List all files that a job has left."""
    which = {"job": asked.path["job"]} | ({"frames": asked.query.frames} if asked.query.frames else {})
    document = dict(await asked.call("result.list", **which, offset=0))
    outputs, following = list(document["outputs"]), document.pop("next", None)
    while following is not None:  # the daemon tells as many as fit into a message
        page = await asked.call("result.list", **which, offset=following)
        outputs += page["outputs"]
        following = page.get("next")
    return document | {"outputs": outputs}


async def download(asked: Asked) -> Response:
    """Send a file that a frame has left."""
    job, frame = asked.query.task_id, asked.query.frame
    listed = await asked.call("result.list", job=job, frames=str(frame))
    output = _chosen(listed["outputs"], frame, asked.query.name)
    await _bring(asked, str(listed["job"]), output)
    blob = parse_blob_address(output["blob"])
    start = _start_of(asked.request, blob)
    headers = {
        "Content-Length": str(blob.size - start),
        "Content-Disposition": _disposition(output["name"].rpartition("/")[2]),
        "ETag": f'"{blob.md5.hex()}"',
        "Accept-Ranges": "bytes",
        "X-Hash": blob.md5.hex(),
        "X-XXHash": str(blob.xxh64),
    }
    if start:
        headers["Content-Range"] = f"bytes {start}-{blob.size - 1}/{blob.size}"
    status = 206 if start else 200
    if asked.request.method == "HEAD":
        return Response(None, status, headers)
    first = await _piece(asked, blob, start)
    return StreamingResponse(
        _content(asked, blob, start, first), status, headers, media_type="application/octet-stream"
    )


def _disposition(name: str) -> str:
    """Say what the file is called (RFC 6266): for all who read that, and plainly for those that do not, curl among them."""
    plain = _UNUSUAL.sub("_", name).lstrip(".") or "result"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _chosen(outputs: list[dict[str, Any]], frame: int, name: str | None) -> dict[str, Any]:
    """Find the file that is meant.

    Raises:
        Refusal: The frame is not finished, or has no such file, or several.
    """
    if not outputs:
        raise Refusal(404, f"frame {frame} has no file", "it is not finished, or leaves none", "see its status")
    names = [output["name"] for output in outputs]
    if name is not None:
        found = [output for output in outputs if output["name"] == name]
        if not found:
            meant = nearest_word(name, names)
            hint = f"did you mean {meant!r}?" if meant else f"it has {', '.join(names)[:200]}"
            raise Refusal(404, f"frame {frame} has no file {name[:120]!r}", "the name is another", hint)
        return found[0]
    fitting = outputs if len(outputs) == 1 else [output for output in outputs if _number_in(output["name"]) == frame]
    if len(fitting) != 1:
        raise Refusal(409, f"frame {frame} has {len(outputs)} files", ", ".join(names)[:300], "say which: name=…")
    return fitting[0]


def _number_in(name: str) -> int | None:
    numbers = _NUMBER.findall(name)
    return int(numbers[-1][-15:]) if numbers else None


async def _bring(asked: Asked, job: str, output: dict[str, Any]) -> None:
    """See to it that this node has a file.

    Raises:
        Unreachable: No machine that answers has it.
    """
    if output["here"]:
        return
    holders = [str(node["name"]) for node in output["nodes"]]
    if any(node["alive"] for node in output["nodes"]):
        for _ in range(_FETCH_TRIES):
            if (await asked.call("result.fetch", job=job, task=output["task"], limit_s=_FETCH_S))["here"]:
                return
    where = " and ".join(holders) or "no machine"
    raise Unreachable(f"{output['name']} is not here", f"it is on {where}, which did not send it", "try again later")


def _start_of(request: Request, blob: BlobAddress) -> int:
    """Read where a client wants to go on; anything else than "from here to the end" is answered with the whole.

    Raises:
        Refusal: It is behind the end.
    """
    other = request.headers.get("if-range", f'"{blob.md5.hex()}"') != f'"{blob.md5.hex()}"'
    found = None if other else _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or (found[2] and int(found[2]) < blob.size - 1):
        return 0
    if int(found[1]) >= blob.size:
        raise Refusal(
            416,
            "nothing is there",
            f"the file has {blob.size} bytes",
            headers={"Content-Range": f"bytes */{blob.size}"},
        )
    return int(found[1])


async def _piece(asked: Asked, blob: BlobAddress, offset: int) -> bytes:
    if offset >= blob.size:
        return b""
    answer = await asked.call("blob.get", blob=str(blob), offset=offset, limit=MAX_CHUNK_BYTES)
    return bytes(answer["data"])


async def _content(asked: Asked, blob: BlobAddress, start: int, first: bytes) -> AsyncIterator[bytes]:
    """Yield a file from an offset on; the last piece only if the whole, where it was read, is what it should be."""
    md5, xxh64, offset, piece = hashlib.md5(usedforsecurity=False), xxhash.xxh64(), start, first
    while piece:
        md5.update(piece)
        xxh64.update(piece)
        offset += len(piece)
        if offset < blob.size:
            yield piece
            piece = await _piece_or_end(asked, blob, offset)
        else:
            whole = start > 0 or (md5.digest(), xxh64.intdigest()) == (blob.md5, blob.xxh64)
            if not whole:
                raise DamagedResult(f"{blob} is not what its address says")
            yield piece
            return


async def _piece_or_end(asked: Asked, blob: BlobAddress, offset: int) -> bytes:
    try:
        return await _piece(asked, blob, offset)
    except UserError as error:
        raise DamagedResult(f"{blob} cannot be read on: {error}") from error


class DamagedResult(Exception):
    """A file cannot be sent to its end: the connection is cut, since the status was sent already."""
