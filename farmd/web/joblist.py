"""All jobs of the farm, asked for in pages: one answer of the daemon holds 4 MiB, which some thousands of jobs fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAGE: Final = 500
_OVERLAP: Final = 20
"""Of two pages: a job that was deleted between them moves those behind it to places that were read already."""


async def all_jobs(call: Callable[..., Awaitable[Any]], **which: Any) -> dict[str, Any]:
    """Return what `job.list` tells of all jobs, the oldest first; none is told twice.

    Args:
        call: Asks the daemon; takes the operation and its arguments.
        which: Arguments of every page.

    Raises:
        UserError: The daemon says no.
    """
    document: dict[str, Any] = await call("job.list", offset=0, limit=PAGE, **which)
    jobs, read, total = list(document["jobs"]), len(document["jobs"]), int(document.get("total") or 0)
    while read < total:
        offset = max(0, read - _OVERLAP)
        page = await call("job.list", offset=offset, limit=PAGE, **which)
        gone, total = total - int(page.get("total") or 0), int(page.get("total") or 0)
        if gone > _OVERLAP:
            read = max(0, read - gone)
            continue
        jobs += page["jobs"]
        if offset + len(page["jobs"]) <= read:
            break
        read = offset + len(page["jobs"])
    known = {job.get("id", at): job for at, job in enumerate(jobs)}
    return document | {"jobs": list(known.values())}
