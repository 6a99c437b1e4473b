"""The event log: who did what, when and why, on every node the same.

Most of what people want to know stands in rows that every node gets: orders, submissions, ends of attempts. Each node
turns a row into a line when it learns of it, so all logs tell the same, however late a node learns; a line says when it
happened and, beside that, when it was noted. Lines of one row have one `key` on all nodes, by which the store keeps one
of them, and by which whoever reads the logs of several nodes tells that two lines are one event. What only one node
knows (its disk, its view of the others) it notes itself, without a key.

A retry of many runs of tasks is a row for each run, and one line: its key is that of the moment in which all were
written. Ends of attempts that lie far back are not told to a node that has just joined.

Called by `farmd.core.folding` for each changed row, before it is folded. Never changes anything but the log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from farmd.core.effects import Note
from farmd.core.orders import Orders
from farmd.core.turn import MAX_TEXT
from protocol.bodies import AttemptBody, ControlBody, PathRuleBody, unpack_body
from protocol.clock import wall_ms_of
from protocol.errors import PeerError, UserError
from protocol.ids import unpack_job
from protocol.jobspec import spec_from_bytes
from protocol.records import JobField, Kind, Rank, attempt_ref_of
from protocol.states import AttemptState, FailureClass, word_of

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from farmd.core.registry import Registry
    from farmd.core.turn import Turn
    from protocol.jobspec import JobSpec
    from protocol.records import Rec

TOLD_MS = 14 * 86_400_000
"""Ends of attempts and submissions that lie further back are no news."""
FARM = "farmd"
"""Actor of what nobody ordered."""
_JOB_BYTES = 10
_CONTROLS = (Kind.JOB_CONTROL, Kind.NODE_CONTROL)
_CAUSES = {int(cause): word_of(cause).replace("_", " ") for cause in FailureClass}


class EventLog:
    """Turns changed rows into lines."""

    def __init__(self, jobs: Jobs, registry: Registry) -> None:
        self._jobs = jobs
        self._registry = registry
        self._orders = Orders(jobs, registry)

    def note(self, turn: Turn, rec: Rec) -> None:
        """Write a changed row into the event log, if it tells people something."""
        begun = len(turn.effects)
        try:
            if rec.kind == Kind.ATTEMPT:
                if rec.rank == Rank.ENDED:
                    self._note_ending(turn, rec)
            elif rec.kind == Kind.JOB:
                self._note_submitted(turn, rec)
            else:
                self._orders.note(turn, rec)
        except (PeerError, UserError):
            return  # whoever folds it counts it
        for index in range(begun, len(turn.effects)):
            note = turn.effects[index]
            if isinstance(note, Note):
                turn.effects[index] = _completed(note, rec, turn.now.wall_ms)

    def _note_ending(self, turn: Turn, rec: Rec) -> None:
        """Tell why an attempt ended without a result, and who wanted that."""
        body, ref = unpack_body(AttemptBody, rec.body), attempt_ref_of(rec.pk)
        if turn.now.wall_ms - body.ended_ms > TOLD_MS:
            return
        what = "attempt-failed" if body.state == AttemptState.FAILED else "attempt-stopped"
        turn.note(
            what,
            f"task {ref.task}: {body.text or _CAUSES.get(body.cause, '')}",
            node=body.node,
            job=ref.job,
            actor=body.actor,
            task=ref.task,
            why=_CAUSES.get(body.cause, f"cause {body.cause}"),
        )

    def _note_submitted(self, turn: Turn, rec: Rec) -> None:
        job_id = unpack_job(rec.pk)
        if job_id in self._jobs or turn.now.wall_ms - wall_ms_of(rec.hlc) > TOLD_MS:
            return
        spec = spec_from_bytes(rec.body)
        turn.note("submitted", f"{spec.name}: {spec.frames or '1'}", job=job_id, actor=submitter_of(spec))


def submitter_of(spec: JobSpec) -> str:
    """Name who submitted a job: its owner, unless it was submitted for somebody else."""
    return spec.submitted_by or spec.owner


def key_of(rec: Rec) -> str:
    """Name the event that a row is, the same on every node."""
    if rec.kind == Kind.JOB_CONTROL and rec.pk[_JOB_BYTES] == JobField.REQUEUE:
        return f"{rec.origin:x}.{wall_ms_of(rec.hlc):x}.{unpack_job(rec.pk[:_JOB_BYTES])}"
    return f"{rec.origin:x}.{rec.seq:x}"


def _completed(note: Note, rec: Rec, noted_ms: int) -> Note:
    """Add what stands in the row beside what is told: when it was written, why, and the key."""
    why = note.why
    if not why and rec.kind in _CONTROLS:
        why = unpack_body(ControlBody, rec.body).why[:MAX_TEXT]
    elif not why and rec.kind == Kind.PATH_RULE:
        why = unpack_body(PathRuleBody, rec.body).note[:MAX_TEXT]
    at_ms = min(wall_ms_of(rec.hlc), noted_ms)  # a clock that is ahead makes nothing happen later than it was known
    return replace(note, at_ms=at_ms, noted_ms=noted_ms, why=why, key=note.key or key_of(rec))
