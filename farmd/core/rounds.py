"""Rounds through the store: is everything that this node says it holds still there?

What a node holds is said in rows (HOLDING, and each result of its own), and believed by the others. A store can lose
files without anybody asking for them: a folder deleted by hand, a file cut short. So the node walks through all that it
has said, job by job, in slices of `SLICE` blobs: soon after its start, when the store has noticed anything (`hurry`), and
now and then. A slice is one question to the store, which looks at names and sizes and reads nothing. Contents are
checked by whoever uses them.

Invariant: one slice is in question at a time; a round that was asked for begins after the asking. Called by
`farmd.core.node`; what is missing is told to `farmd.core.assets` and `farmd.core.outputs`, which take their words back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from farmd.core.effects import FindBlobs, ReadManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.core.assets import Assets
    from farmd.core.events import BlobsFound, ManifestRead
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.outputs import Outputs
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, JobId, NodeId, TaskIndex

SLICE = 500
"""Blobs in one question."""
FIRST_S = 5.0
"""From the start of the daemon to its first round."""
PERIOD_S = 600.0
BETWEEN_S = 2.0
"""Between two slices of a round that nobody asked for, and between two rounds that somebody did."""
ASKS_BELOW = 0
"""Questions of rounds have negative numbers; those of the swarm are positive."""

_Slice = tuple["JobId", tuple["TaskIndex", ...] | None]
"""A job's files (None), or the results of some of its tasks."""


class Rounds:
    """Walks; `hurry` begins a round at once."""

    def __init__(
        self, node: NodeId, *, jobs: Jobs, assets: Assets, outputs: Outputs, is_open: Callable[[JobId], bool]
    ) -> None:
        """Prepare; `is_open(job)` says whether the files of a job are still needed."""
        self._node = node
        self._jobs = jobs
        self._assets = assets
        self._outputs = outputs
        self._is_open = is_open
        self._way: Iterator[_Slice] = iter(())
        self._asked: _Slice | None = None
        self._reading: BlobAddress | None = None
        self._ask = ASKS_BELOW
        self._again = self._hurries = False
        self._rested_at = 0.0
        self._at: float | None = None

    def begin_life(self, turn: Turn) -> None:
        """Plan the first round."""
        self._way = self._slices()
        self._at = turn.now.mono + FIRST_S

    def hurry(self, turn: Turn) -> None:
        """Something is gone: find out what, in a round that begins from now on."""
        self._again = True
        if self._asked is None and not self._hurries:
            self._at = max(turn.now.mono, self._rested_at)

    def next_deadline(self) -> float | None:
        """When the next slice is asked for."""
        return self._at

    def on_timer(self, turn: Turn) -> None:
        """Ask for the next slice; begin a round if none is under way."""
        if self._at is None or turn.now.mono < self._at or self._asked is not None:
            return
        self._at = None
        if not self._hurries and self._again:
            self._again, self._hurries = False, True
            self._way = self._slices()
        found = next(self._way, None)
        if found is None:
            self._end(turn)
            return
        self._asked = found
        self._put(turn, found)

    def _end(self, turn: Turn) -> None:
        """A round is over: the next one is due soon if it was asked for meanwhile."""
        self._hurries = False
        self._way = self._slices()
        self._rested_at = turn.now.mono + BETWEEN_S
        self._at = self._rested_at if self._again else next_beat(turn.now.mono, PERIOD_S)

    def _put(self, turn: Turn, slice_: _Slice) -> None:
        job = self._jobs.get(slice_[0])
        if job is None:
            self._go_on(turn)
        elif slice_[1] is None and job.spec.manifest is not None:
            self._reading = job.spec.manifest
            turn.effects.append(ReadManifest(self._reading))
        else:
            self._find(turn, tuple([blob for task in slice_[1] or () for blob in _blobs_of(job, task)]))

    def _find(self, turn: Turn, blobs: tuple[BlobAddress, ...]) -> None:
        self._ask -= 1
        turn.effects.append(FindBlobs(self._ask, blobs))

    def on_manifest(self, turn: Turn, event: ManifestRead) -> None:
        """The list of a job's files was read: look at them, or it is gone itself."""
        if event.blob != self._reading or self._asked is None:
            return
        self._reading = None
        if event.files is not None:
            self._find(turn, (event.blob, *event.files))
            return
        self._lose_files(turn, self._asked[0])
        self._go_on(turn)

    def on_found(self, turn: Turn, event: BlobsFound) -> bool:
        """Take what the store says, if it was asked here; False if not."""
        if event.ask >= ASKS_BELOW:
            return False
        if event.ask == self._ask and self._asked is not None:
            missing = {blob for blob, _ in event.missing}
            if missing:
                self._lose(turn, self._asked, missing)
            self._go_on(turn)
        return True

    def _go_on(self, turn: Turn) -> None:
        self._asked = None
        self._at = turn.now.mono + (0.0 if self._hurries else BETWEEN_S)

    def _lose(self, turn: Turn, slice_: _Slice, missing: set[BlobAddress]) -> None:
        job_id, tasks = slice_
        if tasks is None:
            self._lose_files(turn, job_id)
            return
        job = self._jobs.get(job_id)
        for task in tasks if job is not None else ():
            if job is not None and not missing.isdisjoint(_blobs_of(job, task)):
                self._outputs.lost(turn, job, task)

    def _lose_files(self, turn: Turn, job_id: JobId) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            self._assets.lost(turn, job_id, job.spec, again=self._is_open(job_id))

    def _slices(self) -> Iterator[_Slice]:
        """Yield what is to be looked at; jobs that came since the round began wait for the next."""
        for job_id in [job.id for job in self._jobs]:
            job = self._jobs.get(job_id)
            if job is not None and self._node in job.copies.asset_holders() and not self._assets.is_wanted(job_id):
                yield job_id, None
            tasks: list[TaskIndex] = []
            blobs = 0
            for task in job.done_tasks() if job is not None and job.spec.leaves_outputs else ():
                if self._outputs.is_here(job_id, task):
                    tasks.append(task)
                    blobs += len(_blobs_of(job, task)) if job is not None else 0
                if blobs >= SLICE:
                    yield job_id, tuple(tasks)
                    tasks, blobs = [], 0
            if blobs:
                yield job_id, tuple(tasks)


def _blobs_of(job: Job, task: TaskIndex) -> tuple[BlobAddress, ...]:
    result = job.result_of(task)
    return tuple([output.blob for output in result.body.outputs]) if result is not None else ()
