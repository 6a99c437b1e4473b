"""All jobs of the farm, asked for in pages: one answer holds 4 MiB, which some thousands of jobs fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from farmctl.context import Session
    from farmctl.output import View

PAGE: Final = 500


def all_jobs(session: Session, **which: Any) -> View:
    """Return what `job.list` tells of all jobs; one that comes or goes meanwhile may be missed, none is told twice."""
    document: View = session.call("job.list", offset=0, limit=PAGE, **which)
    found: dict[object, View] = {row.get("id"): row for row in document["jobs"]}
    offset = len(document["jobs"])
    while offset < int(document.get("total") or 0):
        page: list[View] = session.call("job.list", offset=offset, limit=PAGE, **which)["jobs"]
        if not page:
            break
        found.update((row.get("id"), row) for row in page)
        offset += len(page)
    return document | {"jobs": list(found.values())}
