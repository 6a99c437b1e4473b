"""The specification of a job as it holds now: what was submitted, with the changes of people on top.

Each change is a register EDITED with the field's name as sub-key (`protocol.jobedits`): whoever asks a job for its
specification gets the changed one, so that grants, claims and deliveries follow changes without knowing of them. What
runs already goes on as it was started.

Called by `farmd.core.job` and by the views. Changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.clock import wall_ms_of
from protocol.errors import UsageError
from protocol.human import format_size
from protocol.jobedits import AS_SUBMITTED, PRIORITY, Edit, check_name, is_text, value_of, with_edits
from protocol.jobspec import spec_to_bytes
from protocol.records import JobField

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.core.job import Job
    from farmd.core.registers import Registers
    from protocol.bodies import ControlBody
    from protocol.jobspec import JobSpec
    from protocol.records import Rec


def edited_spec(submitted: JobSpec, registers: Registers) -> JobSpec:
    """Put the changes that stand in the registers of a job on top of what was submitted."""
    edits = edits_of(registers)
    return with_edits(submitted, edits) if edits else submitted


def edits_of(registers: Registers) -> list[tuple[str, Edit]]:
    """List the changes of a job, those that were taken back included."""
    return [(name, Edit(body.value, body.text)) for name, (_, body) in registers_of_edits(registers)]


def registers_of_edits(registers: Registers) -> Iterator[tuple[str, tuple[Rec, ControlBody]]]:
    """Yield the changes of a job by the name of their field; a name that cannot be read is left out."""
    for sub, found in registers.of_field(JobField.EDITED):
        try:
            name = sub.decode()
            check_name(name)
        except (UnicodeDecodeError, UsageError):
            continue
        yield name, found


def spec_bytes_of(job: Job) -> bytes:
    """Pack the specification of a job as it holds now.

    Raises:
        UsageError: It is too large, by changes that were made in two parts of a divided farm.
    """
    return job.rec.body if job.spec is job.submitted else spec_to_bytes(job.spec)


def spec_bytes_to_grant(job: Job) -> bytes:
    """Pack the specification of a job for a node that may not have its rows yet; without changes if they are too large.

    That node learns of the changes with their rows.
    """
    try:
        return spec_bytes_of(job)
    except UsageError:
        return job.rec.body


def edit_views(job: Job) -> list[dict[str, Any]]:
    """Say what was changed since the job was submitted, by whom, when and why, in the order of the fields' names."""
    views = [
        _view(name, value_of(job.submitted, name), value_of(job.spec, name), found)
        for name, found in registers_of_edits(job.registers)
        if found[1].value != AS_SUBMITTED
    ]
    for _, found in job.registers.of_field(JobField.PRIORITY):
        views.append(_view(PRIORITY, job.submitted.priority, job.priority, found))
    return sorted(views, key=lambda view: str(view["field"]))


def edit_text(sub: bytes, body: ControlBody) -> str:
    """Say in a line of the event log what was changed."""
    name = sub.decode(errors="replace")
    if body.value == AS_SUBMITTED:
        return f"{name} as submitted"
    if is_text(name):
        return f"{name} {body.text or 'none'}"
    value = format_size(body.value) if name.endswith("_bytes") else f"{body.value}{'s' * name.endswith('_s')}"
    return f"{name.removesuffix('_bytes').removesuffix('_s')} {value}"


def _view(name: str, before: int | str, now: int | str, found: tuple[Rec, ControlBody]) -> dict[str, Any]:
    rec, body = found
    who = {"actor": body.actor, "why": body.why, "at_ms": wall_ms_of(rec.hlc)}
    return {"field": name, "submitted": before, "value": now} | who
