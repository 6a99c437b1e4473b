"""Changes jobs after they were submitted: each changed field is a register, valid from any node.

All changes of a request are checked before the first is written, against the specification as it then would be; what is
so already is not written. A change counts from the next attempt on: what runs goes on as it was started. Of a job that
was cancelled only what people read can be changed.

Into which folder results go may be changed by everybody where `farmctl` fetches them; where a daemon writes them, only
by the user that it runs as, asking that daemon, as with the submission: it would write there for anybody else.

Called by `farmd.core.door`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import job_of, why_of
from farmd.core.edits import edit_views, edits_of
from farmd.core.effects import Reply
from farmd.core.submitting import refuse_on_full_disk
from protocol.bodies import ControlBody, pack_body
from protocol.errors import NotAllowed, UsageError, UserError
from protocol.jobedits import (
    AS_SUBMITTED,
    PRIORITY,
    Edit,
    check_name,
    edited,
    is_for_people,
    is_text,
    value_of,
    with_edits,
)
from protocol.jobspec import DeliverBy, spec_to_bytes
from protocol.records import JobField, Kind, job_control_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.jobspec import JobSpec
    from protocol.records import Rec

MAX_CHANGES = 64


class Revising:
    """Answers `job.edit`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"job.edit": self._edit}

    def _edit(self, turn: Turn, event: ClientAsked) -> None:
        """Let other values stand in for some fields; None takes a change back."""
        job, changes = job_of(self._node, event), _changes_of(event)
        self._refuse_forbidden(event, job, changes)
        now, after = replace(job.spec, priority=job.priority), _changed(job, changes)
        news = [name for name in sorted(changes) if value_of(now, name) != value_of(after, name)]
        changed = [{"field": name, "from": value_of(now, name), "to": value_of(after, name)} for name in news]
        data = {"schema": "farm.edit.v1", "job": job.id, "changed": changed}
        if event.args.get("dry_run"):
            turn.effects.append(Reply(event.client, data | {"edits": edit_views(job), "dry_run": True}))
            return
        refuse_on_full_disk(self._node)
        written = [self._write(turn, event, job, name, changes[name]) for name in news]
        self._node.fold(turn)
        answer_order(self._node, turn, event, data | {"edits": edit_views(job)}, written)

    def _refuse_forbidden(self, event: ClientAsked, job: Job, changes: Mapping[str, Edit]) -> None:
        """Refuse what the state of the job, or who asks, does not allow.

        Raises:
            UserError: It is refused.
        """
        if job.cancelled and not all(map(is_for_people, changes)):
            raise UserError(
                f"job {job.id} was cancelled",
                "a cancelled job stays so",
                f"farmctl job resubmit {job.id} makes a new one",
            )
        home = self._node.outputs.home_of(job)
        is_writer = event.same_user and home == self._node.id
        if "output_dir" in changes and job.spec.deliver is DeliverBy.NODE and not is_writer:
            raise NotAllowed(
                "the output folder cannot be changed",
                f"the daemon of {self._node.registry.name_of(home)} writes there, and only the user that it runs as may "
                "say where, on that machine",
                f"fetch the results yourself: farmctl job download {job.id} --output DIR",
            )

    def _write(self, turn: Turn, event: ClientAsked, job: Job, name: str, edit: Edit) -> Rec:
        if name == PRIORITY:
            value = job.submitted.priority if edit.value == AS_SUBMITTED else edit.value
            pk, body = job_control_pk(job.id, JobField.PRIORITY), ControlBody(value, event.actor, why_of(event))
        else:
            pk = job_control_pk(job.id, JobField.EDITED, name.encode())
            body = ControlBody(edit.value, event.actor, why_of(event), text=edit.text)
        return self._node.replica.write(turn, Kind.JOB_CONTROL, pk, pack_body(body))


def _changed(job: Job, changes: Mapping[str, Edit]) -> JobSpec:
    """Return the specification as it would be.

    Raises:
        UsageError: A field cannot be changed to what is asked for, or all together are too large.
    """
    kept = [(name, edit) for name, edit in edits_of(job.registers) if name not in changes]
    spec = with_edits(replace(job.submitted, priority=job.priority), kept)
    if changes.get(PRIORITY) == Edit(AS_SUBMITTED):
        spec = replace(spec, priority=job.submitted.priority)
    for name in sorted(changes):
        spec = edited(spec, name, changes[name])
    spec_to_bytes(spec)  # else it could neither be granted to a node without its rows, nor be submitted again
    return spec


def _changes_of(event: ClientAsked) -> dict[str, Edit]:
    """Read the changes of a request.

    Raises:
        UsageError: They are no map of fields to numbers, texts, or None.
    """
    given = event.args.get("changes")
    if not isinstance(given, dict) or not 0 < len(given) <= MAX_CHANGES:
        raise UsageError("there is nothing to change", f"a request carries 1 to {MAX_CHANGES} changes", "name a field")
    return {str(name): _edit_of(str(name), value) for name, value in given.items()}


def _edit_of(name: str, value: object) -> Edit:
    check_name(name)
    if value is None:
        return Edit(AS_SUBMITTED)
    if is_text(name) and isinstance(value, str):
        return Edit(0, value)
    if not is_text(name) and type(value) is int and 0 <= value < 1 << 62:
        return Edit(value)
    kind = "a text" if is_text(name) else "a whole number"
    raise UsageError(f"the job's field {name!r} cannot be changed to {str(value)[:80]!r}", f"it is {kind}", "")
