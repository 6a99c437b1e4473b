"""One order for many jobs: those that are named, or all that a filter finds; each has its own result.

One refusal stops nothing; where the daemon no longer answers, the rest is not asked and says so. An order without jobs
and without a filter is refused, and nothing is deleted in bulk.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from farmd.web.errors import Refusal, error_document
from farmd.web.joblist import all_jobs
from protocol.errors import Unreachable, UserError
from protocol.frames import parse_frames

if TYPE_CHECKING:
    from farmd.web.endpoints import Asked
    from farmd.web.farmschemas import JobsFilter

SCHEMA: Final = "farm.orders.v1"
MAX_JOBS: Final = 1000
_AT_ONCE: Final = 8


async def order_jobs(asked: Asked) -> dict[str, Any]:
    """Give one order to many jobs."""
    body = asked.body
    given = body.model_dump(exclude_none=True, include={"why", "now", "frames", "value"})
    if given.get("frames"):
        given["frames"] = str(parse_frames(given["frames"]))
    jobs = await _jobs_of(asked)
    if len(jobs) > MAX_JOBS:
        raise Refusal(
            409, f"{len(jobs)} jobs are meant", f"at most {MAX_JOBS} are changed at a time", "narrow the filter"
        )
    places, lost = asyncio.Semaphore(_AT_ONCE), asyncio.Event()

    async def order(job: str) -> dict[str, Any]:
        async with places:
            try:
                if lost.is_set():
                    raise Unreachable("it was not asked", "the daemon did not answer for another one", "try again")
                return {"job": job, "action": body.action} | await _change(asked, job, given)
            except UserError as error:
                if isinstance(error, Unreachable):
                    lost.set()
                return {"job": job, "action": body.action, "error": error_document(error)}

    return {"schema": SCHEMA, "results": await asyncio.gather(*map(order, jobs))}


async def _jobs_of(asked: Asked) -> list[str]:
    body = asked.body
    if (body.jobs is None) == (body.filter is None):
        raise Refusal(422, "which jobs are meant?", "the order names jobs, or a filter, and not both", "see /docs")
    if body.jobs is not None:
        return list(dict.fromkeys(body.jobs))
    which = "only" if body.action == "unarchive" else "without"  # as farmctl means it
    listed = (await all_jobs(asked.call, archived=which))["jobs"]
    return [str(job["id"]) for job in listed if matches(body.filter, job)]


def matches(wanted: JobsFilter, job: dict[str, Any]) -> bool:
    """Tell whether a filter finds a job."""
    return (
        wanted.state in (None, job["state"])
        and wanted.owner in (None, job["owner"])
        and (wanted.name is None or wanted.name.lower() in job["name"].lower())
        and (wanted.has_failed is None or wanted.has_failed == (job["failed"] > 0))
    )


async def _change(asked: Asked, job: str, given: dict[str, Any]) -> dict[str, Any]:
    if asked.body.dry_run:
        shown = await asked.call("job.show", job=job)
        return {"job": shown["id"], "state": shown["state"], "changed": False, "dry_run": True}
    return dict(await asked.call("job.control", job=job, action=asked.body.action, **given))
