"""Which job a row speaks of, and the rows of jobs whose own row has not arrived yet.

Rows come in any order, so an attempt may be here before its job. It waits, newest version first; but only one that can
be read, lest an unreadable version take the place of one that stands.

Called by `farmd.core.jobs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.attempts import read_attempt
from protocol.bodies import AttemptBody, ControlBody, HoldingBody, unpack_body
from protocol.errors import PeerError
from protocol.ids import AttemptRef, JobId, NodeId, unpack_job
from protocol.records import Kind, Rec, attempt_ref_of, stamp
from protocol.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB_BYTES = 10
"""Packed job id, with which the keys of a job's registers and attempts begin."""
_HOLDING_BYTES = 19


class EarlyRows:
    """Rows that wait for the row of their job."""

    def __init__(self) -> None:
        self._rows: dict[JobId, dict[tuple[int, bytes], Rec]] = {}

    def put(self, job_id: JobId, new: Rec) -> None:
        """Keep a row unless a newer version of it waits.

        Raises:
            PeerError: It cannot be read.
        """
        _check(new)
        rows = self._rows.setdefault(job_id, {})
        old = rows.get((new.kind, new.pk))
        if old is None or stamp(old) < stamp(new):
            rows[new.kind, new.pk] = new

    def take(self, job_id: JobId) -> list[Rec]:
        """Return what waits for a job, and keep it no longer."""
        return list(self._rows.pop(job_id, {}).values())

    def running_on(self, node: NodeId) -> Iterator[tuple[AttemptRef, AttemptBody]]:
        """Yield the attempts of a node whose rows say running."""
        for rows in self._rows.values():
            for rec in rows.values():
                body = _running_body(rec)
                if body is not None and body.node == node:
                    yield attempt_ref_of(rec.pk), body


class JobNames:
    """The job ids in the keys of rows, each unpacked once."""

    def __init__(self) -> None:
        self._ids: dict[bytes, JobId] = {}

    def of(self, rec: Rec) -> JobId | None:
        """Return the job that a row speaks of, or None if it is of a kind that is not folded into jobs."""
        packed = _packed_job(rec)
        if not packed:
            return None
        job_id = self._ids.get(packed)
        if job_id is None:
            job_id = self._ids[packed] = unpack_job(packed)
        return job_id


def _packed_job(rec: Rec) -> bytes:
    """Return the packed job that a row speaks of, or nothing if it is of a kind that is not folded here."""
    if rec.kind == Kind.HOLDING:
        return rec.pk[-JOB_BYTES:] if len(rec.pk) == _HOLDING_BYTES else b""
    if rec.kind == Kind.JOB:
        return rec.pk if len(rec.pk) == JOB_BYTES else b""
    if rec.kind in (Kind.JOB_CONTROL, Kind.ATTEMPT):
        return rec.pk[:JOB_BYTES] if len(rec.pk) > JOB_BYTES else b""
    return b""


def _check(rec: Rec) -> None:
    """Read a row that has to wait, so that one which cannot be read never takes the place of one which can."""
    if rec.kind == Kind.ATTEMPT:
        read_attempt(rec)
    else:
        unpack_body(ControlBody if rec.kind == Kind.JOB_CONTROL else HoldingBody, rec.body)


def _running_body(rec: Rec) -> AttemptBody | None:
    if rec.kind != Kind.ATTEMPT:
        return None
    try:
        attempt = read_attempt(rec)
    except PeerError:
        return None
    return attempt.body if attempt.state == AttemptState.RUNNING else None
