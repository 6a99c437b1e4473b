"""Which jobs have changed, for clients that wait and for the event log.

Each change of a job gets the next number of this life, so that a client can ask "what is newer than 17?" and a client
of a restarted or another node simply gets an answer at once. Changes of a job's state go into the event log.

Called by `farmd.core.node`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from farmd.core.turn import Turn
    from protocol.ids import JobId
    from protocol.states import JobState


class Chronicle:
    """Versions and states of all jobs, as they were last seen."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._version = 0
        self._versions: dict[JobId, int] = {}
        self._states: dict[JobId, JobState] = {}
        self._changed: dict[JobId, None] = {}

    def load(self) -> None:
        """Take the states that an earlier life left as seen."""
        for job in self._jobs:
            self._states[job.id] = self._jobs.state_of(job.id)

    def touch(self, job_id: JobId) -> None:
        """Something about a job is different now."""
        self._version += 1
        self._versions[job_id] = self._version
        self._changed[job_id] = None

    def version_of(self, job_id: JobId) -> int:
        """Number that changes whenever what is known of a job changes, within this life."""
        return self._versions.get(job_id, 0)

    def take_changed(self) -> dict[JobId, None]:
        """Return the jobs that were touched since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def note_state(self, turn: Turn, job_id: JobId) -> bool:
        """Write a job's new state into the event log, if it has one; True if the job is over now."""
        job = self._jobs.get(job_id)
        if job is None:
            self._states.pop(job_id, None)
            self._versions.pop(job_id, None)
            return False
        state, before = self._jobs.state_of(job_id), self._states.get(job_id)
        if state is before:
            return False
        self._states[job_id] = state
        turn.note("job", f"{job.spec.name}: {before.value if before else 'new'} -> {state.value}", job=job_id)
        return state in JOB_TERMINAL
