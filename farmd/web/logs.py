"""Logs of frames: read, followed and searched at the machine that has them, through whatever node is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, Response

from farmd.web.farm import REACH_S

if TYPE_CHECKING:
    from farmd.web.endpoints import Asked

_SEARCH_S = 15.0


async def list_logs(asked: Asked) -> dict[str, Any]:
    """List the logs of a job."""
    return dict(
        await asked.call(
            "log.list", limit_s=REACH_S, job=asked.path["job"], **asked.query.model_dump(exclude_none=True)
        )
    )


async def show_log(asked: Asked) -> dict[str, Any]:
    """Show lines: the last ones, those from an offset on, or those that come."""
    query: dict[str, Any] = asked.query.model_dump(exclude_none=True)
    offset, before, size, wait_s = (query.pop(name, None) for name in ("offset", "before", "size", "wait_s"))
    if offset is None:
        args = query if before is None else query | {"before": before}
        return dict(await asked.call("log.tail", limit_s=REACH_S, job=asked.path["job"], **args))
    if wait_s is None:
        return dict(await asked.call("log.read", limit_s=REACH_S, job=asked.path["job"], offset=offset, **query))
    query.pop("numbers")
    seen = offset if size is None else size
    follow = {"offset": offset, "size": seen}
    answer = await asked.call(
        "log.follow", job=asked.path["job"], limit_s=wait_s + 10, waits=wait_s > 0, patience_s=wait_s, **follow, **query
    )
    return dict(answer)


async def find_in_log(asked: Asked) -> dict[str, Any]:
    """Search a log."""
    query: dict[str, Any] = asked.query.model_dump(exclude_none=True)
    query["from"] = query.pop("start")
    return dict(await asked.call("log.find", job=asked.path["job"], limit_s=_SEARCH_S, **query))


async def show_raw_log(asked: Asked) -> Response:
    """Send bytes as they were written, control characters and all."""
    found = await asked.call(
        "logs", limit_s=REACH_S, job=asked.path["job"], **asked.query.model_dump(exclude_none=True)
    )
    headers = {
        "X-Log-Offset": str(found["offset"]),
        "X-Log-Size": str(found["size"]),
        "X-Log-Ended": str(bool(found["ended"])).lower(),
        "X-Log-Attempt": str(found["attempt"]),
    }
    return PlainTextResponse(bytes(found["data"]), headers=headers)
