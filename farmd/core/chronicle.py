"""Which jobs have changed, for clients that wait and for the event log.

Each change of a job gets the next number of this life, and the jobs stand in the order of their last change, so that
"what is newer than 17?" costs what has changed since then. A client of a restarted or another node simply gets an
answer at once. Changes of a job's state go into the event log; counts and pace of the farm are brought up to date.

Called by `farmd.core.node`.
"""

from __future__ import annotations

from itertools import takewhile
from math import inf
from typing import TYPE_CHECKING

from farmd.core.pace import Pace
from farmd.core.tallies import Tallies, share_of
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from farmd.core.turn import Turn
    from protocol.ids import JobId
    from protocol.states import JobState

REMOVED_KEPT = 10_000
"""Deleted jobs whose numbers are remembered; who was last told before the oldest of them starts anew."""


class Chronicle:
    """Versions and states of all jobs, as they were last seen.

    Attributes:
        version: Number of the last change.
        tallies: Counts over all jobs.
        pace: Frames done in the last minutes.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.version = 0
        self.tallies = Tallies()
        self.pace = Pace()
        self._versions: dict[JobId, int] = {}
        self._removed: dict[JobId, int] = {}
        self._forgotten = 0
        self._states: dict[JobId, JobState] = {}
        self._moved: dict[JobId, float] = {}
        self._changed: dict[JobId, None] = {}

    def load(self) -> None:
        """Take the states that an earlier life left as seen."""
        for job in self._jobs:
            self._states[job.id] = self._jobs.state_of(job.id)
            self._number(job.id)
            self.tallies.put(job.id, share_of(self._jobs, job.id))

    def touch(self, job_id: JobId) -> None:
        """Something about a job is different now."""
        self._number(job_id)
        self._changed[job_id] = None

    def _number(self, job_id: JobId) -> None:
        self.version += 1
        self._versions.pop(job_id, None)
        self._versions[job_id] = self.version

    def version_of(self, job_id: JobId) -> int:
        """Number that changes whenever what is known of a job changes, within this life."""
        return self._versions.get(job_id, 0)

    def newer_than(self, version: int) -> list[tuple[JobId, int]]:
        """List the jobs that have changed since, and when, the oldest change first."""
        newest = takewhile(lambda known: known[1] > version, reversed(self._versions.items()))
        return list(newest)[::-1]

    def removed_since(self, version: int) -> list[JobId] | None:
        """List the jobs that were deleted since; None if that is no longer known."""
        if version < self._forgotten:
            return None
        newest = takewhile(lambda known: known[1] > version, reversed(self._removed.items()))
        return [job_id for job_id, _ in newest][::-1]

    def take_changed(self) -> dict[JobId, None]:
        """Return the jobs that were touched since the last call."""
        for job_id in self._jobs.take_refreshed():
            self.touch(job_id)
        changed, self._changed = self._changed, {}
        return changed

    def note_state(self, turn: Turn, job_id: JobId) -> bool:
        """Write a job's new state into the event log, if it has one; True if the job is over now."""
        frames = self.tallies.put(job_id, share_of(self._jobs, job_id))
        self.pace.add(frames, turn.now.mono)
        job = self._jobs.get(job_id)
        if job is None:
            self._states.pop(job_id, None)
            self._moved.pop(job_id, None)
            self._remove(job_id)
            return False
        state, before = self._jobs.state_of(job_id), self._states.get(job_id)
        if state is before:
            return False
        self._states[job_id] = state
        if before is not None:
            self._moved[job_id] = turn.now.mono
        turn.note("job", f"{job.spec.name}: {before.value if before else 'new'} -> {state.value}", job=job_id)
        return state in JOB_TERMINAL

    def moved_at(self, job_id: JobId) -> float:
        """Return when a job was seen here to come from another state to its present one; -inf: it was not."""
        return self._moved.get(job_id, -inf)

    def _remove(self, job_id: JobId) -> None:
        version = self._versions.pop(job_id, None)
        if version is None:
            return
        self._removed[job_id] = version
        if len(self._removed) > REMOVED_KEPT:
            oldest = next(iter(self._removed))
            self._forgotten = self._removed.pop(oldest)
