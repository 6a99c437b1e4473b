"""Exit codes of `farmctl`: one number per way in which a command can end.

A number keeps its meaning for ever, and no option changes it; scripts rely on both. `protocol.errors` carries the
same numbers for errors, and the reference page is drawn from `MEANINGS`. Called by farmctl and by the docs generator.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.states import JobState


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    JOB_FAILED = 3
    JOB_STOPPED = 4
    NOT_FOUND = 5
    NOT_ALLOWED = 6
    UNREACHABLE = 7
    TIMEOUT = 8
    WAITS_FOR_PERSON = 9
    PARTIAL = 10
    INTERRUPTED = 130


MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.DONE: "done; a job that was waited for is completed",
    ExitCode.FAILED: "failed or refused",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.JOB_FAILED: "the job failed",
    ExitCode.JOB_STOPPED: "the job was cancelled or rejected",
    ExitCode.NOT_FOUND: "no such job, task, node or file; or the name could mean several",
    ExitCode.NOT_ALLOWED: "the caller may not do this",
    ExitCode.UNREACHABLE: "no node of the farm answered",
    ExitCode.TIMEOUT: "the time given with --timeout is over",
    ExitCode.WAITS_FOR_PERSON: "the job waits for a person, at its gate or after pausing itself (with --stop-at-gate)",
    ExitCode.PARTIAL: "done in part: some results are there, others could not be had or written",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
}

JOB_END_CODES: Final[dict[JobState, ExitCode]] = {
    JobState.COMPLETED: ExitCode.DONE,
    JobState.FAILED: ExitCode.JOB_FAILED,
    JobState.CANCELLED: ExitCode.JOB_STOPPED,
    JobState.REJECTED: ExitCode.JOB_STOPPED,
}
"""What waiting for a job exits with; holds every terminal state and no other."""


def exit_code_table() -> str:
    """Render the codes as a Markdown table for the reference page."""
    rows = (f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items())
    return "\n".join(("| code | meaning |", "| ---: | :--- |", *rows, ""))
