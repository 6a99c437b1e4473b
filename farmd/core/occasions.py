"""Which time a job is in its state, and since when: both read off its rows, so that every node says the same.

A job may come to a state more than once: it is paused again, or completed again after a retry. The number that tells
these times apart is the stamp of the order that led there, so it is larger each time, and equal wherever the same rows
are known. Called by `farmd.core.notices`. Keeps nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.clock import wall_ms_of
from protocol.records import JobField
from protocol.states import JobState

if TYPE_CHECKING:
    from farmd.core.job import Job

LASTING = (
    JobState.AWAITING_APPROVAL,
    JobState.PAUSED,
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.REJECTED,
)
"""States in which a new number means that the job was out of them meanwhile, or that something else holds it now."""


def time_of(job: Job, state: JobState) -> int:
    """Return the number of this time that a job is in its state."""
    registers = job.registers
    match state:
        case JobState.QUEUED | JobState.PREPARING | JobState.CANCELLED:
            return 0
        case JobState.AWAITING_APPROVAL:
            return job.gate_facts.generation
        case JobState.PAUSED:
            return registers.hlc_of(JobField.PAUSED)
        case JobState.REJECTED:
            return registers.hlc_of(JobField.GATE)
        case JobState.RENDERING:
            return max(registers.hlc_of(JobField.PAUSED), registers.hlc_of(JobField.GATE), _again(job))
        case _:
            return _again(job)


def since_ms(job: Job, state: JobState) -> int:
    """Return by whose clock it may be when the job came to its state, in milliseconds since the Unix epoch."""
    registers = job.registers
    match state:
        case JobState.QUEUED | JobState.PREPARING:
            return job.spec.submitted_at_ms
        case JobState.CANCELLED:
            return wall_ms_of(registers.hlc_of(JobField.CANCELLED))
        case JobState.REJECTED:
            return wall_ms_of(registers.hlc_of(JobField.GATE))
        case JobState.PAUSED if job.paused_by_person:
            return wall_ms_of(registers.hlc_of(JobField.PAUSED))
        case JobState.TESTING | JobState.RENDERING:
            return max(job.started_ms, wall_ms_of(time_of(job, state)))
        case _:
            return max(job.ended_ms, wall_ms_of(registers.hlc_of(JobField.GIVEN_UP)))


def _again(job: Job) -> int:
    """Return when anything of the job was asked for again, or allowed more tries."""
    allowed = [rec.hlc for sub, (rec, _) in job.registers.of_field(JobField.EDITED) if sub == b"retries"]
    return max([job.retried_hlc, *allowed])
