"""Where a job stands: its state is never stored, it is read off each time.

In this order: cancelled (absorbing); all tasks ended with the gate open; gate rejected or failed; given up; paused;
awaiting approval; nothing started (preparing while no eligible node holds the files, else queued); testing; rendering.

Called by `farmd.core.job`. What waiting for other jobs does to the state is decided by `farmd.core.jobs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.bitmap import Mark
from farmd.core.gate import GateState
from protocol.states import JobState

if TYPE_CHECKING:
    from farmd.core.job import Job


def state_of(job: Job) -> JobState:
    """Read off where a job stands."""
    if job.cancelled:
        return JobState.CANCELLED
    gate = job.gate
    return _state_by_gate(job, gate) or _unfinished_state(job, gate)


def _state_by_gate(job: Job, gate: GateState) -> JobState | None:
    match gate:
        case GateState.OPEN:
            failed = job.count(Mark.FAILED)
            if failed + job.done_count < job.plan.task_count:
                return None
            return JobState.FAILED if failed else JobState.COMPLETED
        case GateState.REJECTED:
            return JobState.REJECTED
        case GateState.FAILED:
            return JobState.FAILED
        case GateState.TESTING | GateState.AWAITING_APPROVAL:
            return None


def _unfinished_state(job: Job, gate: GateState) -> JobState:
    if job.given_up:
        return JobState.FAILED
    if job.paused:
        return JobState.PAUSED
    if gate is GateState.AWAITING_APPROVAL:
        return JobState.AWAITING_APPROVAL
    if not job.started:
        return JobState.QUEUED if job.files_ready else JobState.PREPARING
    return JobState.TESTING if gate is GateState.TESTING else JobState.RENDERING
