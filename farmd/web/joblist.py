"""All jobs of the farm, asked for in pages: one answer of the daemon holds 4 MiB, which some thousands of jobs fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAGE: Final = 500


async def all_jobs(call: Callable[..., Awaitable[Any]], **which: Any) -> dict[str, Any]:
    """Return what `job.list` tells of all jobs, the oldest first; none is told twice.

    Args:
        call: Asks the daemon; takes the operation and its arguments.
        which: Arguments of every page.

    Raises:
        UserError: The daemon says no.
    """
    document: dict[str, Any] = await call("job.list", offset=0, limit=PAGE, **which)
    jobs, offset = list(document["jobs"]), len(document["jobs"])
    while offset < int(document.get("total") or 0):
        page = (await call("job.list", offset=offset, limit=PAGE, **which))["jobs"]
        if not page:
            break
        jobs += page
        offset += len(page)
    known = {job.get("id", at): job for at, job in enumerate(jobs)}  # a job that went meanwhile moves the next pages
    return document | {"jobs": list(known.values())}
