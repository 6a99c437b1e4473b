"""A job as one JSON document, to keep, to read and to submit again: `job export --format json`.

It carries the whole specification as it holds now, how the job stands, and what came out of it: names, sizes and
addresses of the files, not the files. Read back by `farmctl submit FILE.json`: the same job anew, from files that the
farm still holds. The schema only grows; what a newer version adds is refused by name where it is read, not dropped.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from farmctl.resultlist import all_results
from protocol.errors import UsageError
from protocol.jobspec import JobSpec, spec_from_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from farmctl.context import Session
    from farmctl.output import View

SCHEMA: Final = "farm.job-file.v1"
MAX_FILE_BYTES: Final = 64 << 20
_NOT_OF_A_PERSON: Final = ("submitted_at_ms", "submit_node", "owner", "deliver", "after", "submitted_by")
"""Fields of a specification that are decided anew when it is submitted."""


def read_job_document(session: Session, job: str) -> View:
    """Return a job as a document.

    Raises:
        UserError: The node does not know it.
    """
    spec = spec_from_bytes(session.call("job.spec", job=job)["spec"])
    status: View = session.call("job.show", job=job)
    results = all_results(session.call, job)
    plain = plain_spec(spec) | {"priority": status.get("priority", spec.priority)}
    return {
        "schema": SCHEMA,
        "job": job,
        "exported_ms": session.now_ms(),
        "spec": plain,
        "status": status,
        "results": results.get("outputs", []),
    }


def plain_spec(spec: JobSpec) -> dict[str, Any]:
    """Write a specification as JSON knows it, in the words of a job file."""
    plain = asdict(spec)
    plain["manifest"] = None if spec.manifest is None else str(spec.manifest)
    plain["foreign"] = base64.b64encode(spec.foreign).decode()
    return plain


def is_job_file(path: Path) -> bool:
    """Tell whether a file is a job file."""
    if path.suffix.lower() != ".json":
        return False
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return False
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    schema = document.get("schema") if isinstance(document, dict) else None
    return isinstance(schema, str) and schema.startswith("farm.job-file.")


def read_job_file(path: Path) -> JobSpec:
    """Read the specification out of a job file.

    Raises:
        UsageError: It is of a newer version, or something in it is wrong.
    """
    from protocol.jobform import spec_from_user

    document = json.loads(path.read_bytes())
    if document["schema"] != SCHEMA:
        raise UsageError(
            f"cannot read {path.name}", f"it is {document['schema']}, and {SCHEMA} is known", "update farmctl"
        )
    given = document.get("spec")
    if not isinstance(given, dict):
        raise UsageError(f"cannot read {path.name}", "it has no specification", "export the job again")
    given = {name: value for name, value in given.items() if name not in _NOT_OF_A_PERSON}
    try:
        given["foreign"] = base64.b64decode(str(given.get("foreign") or ""), validate=True)
    except ValueError as error:
        raise UsageError(
            f"cannot read {path.name}", "its field 'foreign' is not Base64", "export the job again"
        ) from error
    given |= {"owner": "?", "submitted_at_ms": 0, "submit_node": "0" * 16}
    return spec_from_user(given)
