"""Who has which blob of the store: an index of claims, made for one look through the store and dropped after it.

Which blobs a job's files are stands in its manifest, and which a result's are in the row of its attempt; neither is
kept by blob, for a node at rest has no use for it. A survey walks through all jobs in steps of `STEP` blobs, so that no
turn is long, and asks the store for one manifest at a time. What is folded while it lasts is added at once, so that a
job that comes in the middle keeps its files.

Blobs are indexed by their xxHash64 alone: two that share one share their claims, and at worst both stay.
Called by `farmd.core.quota`. Decides nothing.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from farmd.core.effects import ReadManifest
from farmd.core.evictable import FILES, MANIFEST, THUMBNAIL, Claim, is_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmd.core.events import ManifestRead
    from farmd.core.evictable import Claims
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.outputs import Outputs
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, JobId, NodeId, TaskIndex

STEP = 2_000
"""Tasks of one step, or jobs whose files are not looked up; a manifest is a step of its own."""


class Survey:
    """Claims on blobs, by xxHash64.

    Attributes:
        unread: Jobs whose list of files is not here, and that are said to be held here.
    """

    def __init__(self, node: NodeId, jobs: Jobs, outputs: Outputs) -> None:
        self._node = node
        self._jobs = jobs
        self._outputs = outputs
        self._claims: dict[int, Claims] = {}
        self._lists: dict[JobId, None] = {}
        self._read: dict[JobId, None] = {}
        self._reading: tuple[JobId, BlobAddress] | None = None
        self._way: Iterator[None] = iter(())
        self.unread: list[JobId] = []
        self.active = False

    def begin(self) -> None:
        """Start anew, with all jobs."""
        self.drop()
        self.active = True
        self._lists = {job.id: None for job in self._jobs if job.spec.manifest is not None}
        self._way = self._walk([job.id for job in self._jobs if job.spec.leaves_outputs])

    def drop(self) -> None:
        """Forget everything."""
        self._claims, self._lists, self._read, self.unread = {}, {}, {}, []
        self._reading, self._way, self.active = None, iter(()), False

    def of(self, blob: BlobAddress) -> Claims:
        """Return the claims on a blob."""
        return self._claims.get(blob.xxh64, ())

    @property
    def is_reading(self) -> bool:
        """The store was asked for a list of files and has not answered."""
        return self._reading is not None

    def step(self, turn: Turn) -> bool:
        """Go one step; True when there is nothing left to look at, or to wait for."""
        if self._reading is not None:
            return False
        for job_id in list(islice(self._lists, STEP)):
            del self._lists[job_id]
            job = self._jobs.get(job_id)
            if job is not None and job.spec.manifest is not None and self._concerns(job):
                self._reading, self._read[job_id] = (job_id, job.spec.manifest), None
                turn.effects.append(ReadManifest(job.spec.manifest, quiet=True))
                return False
        return not self._lists and next(self._way, self) is self

    def on_manifest(self, event: ManifestRead) -> bool:
        """Take the files of a job; False if it was not asked here."""
        if self._reading is None or self._reading[1] != event.blob:
            return False
        job_id, self._reading = self._reading[0], None
        job = self._jobs.get(job_id)
        if event.files is not None:
            self._add((event.blob,), Claim(job_id, MANIFEST))
            self._add(event.files, Claim(job_id, FILES))
        elif job is not None and self._node in job.copies.asset_holders():
            self.unread.append(job_id)
        return True

    def add_job(self, job: Job) -> None:
        """A job has come, or goes on: its files are looked up before anything else is dropped."""
        if self.active and job.spec.manifest is not None and job.id not in self._read:
            self._lists[job.id] = None

    def add_result(self, job: Job, task: TaskIndex) -> None:
        """The result of a task is another one now."""
        result = job.result_of(task) if self.active else None
        if result is not None:
            outputs = result.body.outputs
            self._add([output.blob for output in outputs], Claim(job.id, task))
            thumbnails = [output.thumbnail for output in outputs if output.thumbnail is not None]
            self._add(thumbnails, Claim(job.id, THUMBNAIL))

    def _concerns(self, job: Job) -> bool:
        return not is_over(job) or self._node in job.copies.asset_holders()

    def _walk(self, jobs: list[JobId]) -> Iterator[None]:
        seen = 0
        for job_id in jobs:
            job = self._jobs.get(job_id)
            for task in job.done_tasks() if job is not None else ():
                if job is not None and (self._outputs.is_here(job_id, task) or not job.copies.is_delivered(task)):
                    self.add_result(job, task)
                seen += 1
                if seen % STEP == 0:
                    yield

    def _add(self, blobs: Iterable[BlobAddress], claim: Claim) -> None:
        claims, alone = self._claims, (claim,)
        for blob in blobs:
            others = claims.get(blob.xxh64)
            if others is None:
                claims[blob.xxh64] = alone
            elif claim not in others:
                claims[blob.xxh64] = (*others, claim)
