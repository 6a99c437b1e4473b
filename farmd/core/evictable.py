"""What may leave the content store of this node: one verdict for each blob, from the fold as it stands now.

Theory. Each job has one *anchor*: the node where it was submitted, which has all its files from the first moment and
delivers its results. The anchor never drops a file of a job that it does not know to be over, nor a result that is not
delivered; nothing that others do can therefore take the last copy, however the farm is divided, and no two nodes ever
decide by each other's copy. Every other node drops such a blob only when the anchor has just hashed its own and said
that it stays (`farmd.core.pledges`); while the anchor is away nothing of its jobs is dropped. A job is over when it was
cancelled or deleted, or is completed and, where a node delivers, delivered: its files are cache. One that failed or was
rejected waits for a person, who may retry it.

Not dropped whatever the jobs say: what was used a moment ago, what a client was told to be here and has not submitted
yet, and what is older than this database, whose jobs may have been lost with the database before it.

Called by `farmd.core.quota` and `farmd.core.pledges`. Changes nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from protocol.ids import TaskIndex
from protocol.jobspec import DeliverBy
from protocol.states import JobState

if TYPE_CHECKING:
    from farmd.core.assets import Assets
    from farmd.core.events import HeldBlob
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.outputs import Outputs
    from farmd.core.turn import Instant
    from farmd.core.worker import Worker
    from protocol.ids import BlobAddress, JobId, NodeId

FRESH_MS = 10_000
"""What was used since then is in use."""
IDLE_MS = 60_000
"""Files of a job that goes on stay so long after they were used, on nodes that may drop them at all."""
RESERVED_MS = 24 * 3_600_000
"""So long a blob of which a client was told that it is here waits for the job; its last use lies in the future."""
FILES, MANIFEST, THUMBNAIL = -1, -2, -3
"""In place of a task: the files of a job, the list of them, and small views of its frames."""


class Verdict(IntEnum):
    """What may be done with a blob; of several claims the highest holds."""

    FREE = 0
    """Nobody needs it."""
    PLEDGE = 1
    """It may go once every anchor of its claims has said that it keeps its own copy."""
    LAST = 2
    """It is delivered, and this may be the farm's last copy: it goes when nothing else may."""
    SOON = 3
    """Nobody needs it, but it was used a moment ago."""
    NEVER = 4
    """It stays."""


class Claim(NamedTuple):
    """Who has a blob: a job as an output of this task, or as FILES, MANIFEST or THUMBNAIL."""

    job: JobId
    task: int


Claims = tuple[Claim, ...]


def is_over(job: Job) -> bool:
    """Tell whether the files of a job are needed no more, as far as is known here."""
    if job.cancelled:
        return True
    return job.state is JobState.COMPLETED and is_delivered(job)


def is_delivered(job: Job) -> bool:
    """Tell whether all results of a job stand where a node has to bring them; those of others wait for nobody."""
    spec = job.spec
    if spec.deliver is not DeliverBy.NODE or spec.output_dir is None or not spec.leaves_outputs:
        return True
    return job.copies.delivered_count() >= job.done_count


class Evictable:
    """Judges blobs by what this node knows.

    Attributes:
        began_ms: Since when this database knows the jobs of this store, by the wall clock.
    """

    def __init__(self, node: NodeId, *, jobs: Jobs, assets: Assets, outputs: Outputs, worker: Worker) -> None:
        self._node = node
        self._jobs = jobs
        self._assets = assets
        self._outputs = outputs
        self._worker = worker
        self.began_ms = 0

    def verdict(self, held: HeldBlob, claims: Claims, now: Instant) -> Verdict:
        """Judge one blob of the store by its claims."""
        worst = self._by_use(held.used_ms, claims, now)
        for claim in claims:
            worst = max(worst, self.of_claim(held, claim, now))
        return worst

    def _by_use(self, used_ms: int, claims: Claims, now: Instant) -> Verdict:
        if used_ms > now.wall_ms:
            has_come = any(self._has_come(claim, used_ms) for claim in claims)
            return Verdict.FREE if has_come else Verdict.NEVER
        if now.wall_ms - used_ms < FRESH_MS:
            return Verdict.SOON
        return Verdict.NEVER if not claims and used_ms < self.began_ms else Verdict.FREE

    def _has_come(self, claim: Claim, used_ms: int) -> bool:
        """Tell whether the job for which a blob was reserved was submitted."""
        job = self._jobs.get(claim.job)
        asked_ms = used_ms - RESERVED_MS
        return job is not None and job.spec.submit_node == self._node and job.spec.submitted_at_ms >= asked_ms

    def of_claim(self, held: HeldBlob, claim: Claim, now: Instant) -> Verdict:
        """Judge one claim on a blob."""
        job = self._jobs.get(claim.job)
        if job is None:
            return Verdict.FREE
        is_idle = now.wall_ms - held.used_ms >= IDLE_MS
        if claim.task >= 0:
            return self._of_result(held.blob, job, TaskIndex(claim.task), is_idle=is_idle)
        return self._of_file(job, claim.task, is_idle=is_idle)

    def _of_file(self, job: Job, kind: int, *, is_idle: bool) -> Verdict:
        """Judge a file of a job; the list of files stays, so that a node always knows what it may not drop.

        A thumbnail stays too: it is tiny, and nobody makes it again.
        """
        if is_over(job):
            return Verdict.FREE
        if kind != FILES or self._outputs.home_of(job) == self._node or not is_idle:
            return Verdict.NEVER
        renders = any(ref.job == job.id for ref in self._worker.live)
        return Verdict.NEVER if renders or self._assets.is_wanted(job.id) else Verdict.PLEDGE

    def _of_result(self, blob: BlobAddress, job: Job, task: TaskIndex, *, is_idle: bool) -> Verdict:
        """Judge an output; the second copy of a result of the anchor's own stays until it is delivered."""
        result = job.result_of(task)
        if result is None or all(output.blob != blob for output in result.body.outputs):
            return Verdict.FREE
        anchor = self._outputs.home_of(job)
        needs_both = anchor in (self._node, result.node)
        if job.copies.is_delivered(task):
            return Verdict.LAST if needs_both else Verdict.FREE
        if needs_both or not is_idle or self._outputs.is_fetching(job.id, task):
            return Verdict.NEVER
        return Verdict.PLEDGE

    def anchors(self, held: HeldBlob, claims: Claims, now: Instant) -> list[tuple[Claim, NodeId]]:
        """List the claims that need the word of an anchor, and whose."""
        needed = [claim for claim in claims if self.of_claim(held, claim, now) is Verdict.PLEDGE]
        jobs = [(claim, self._jobs.get(claim.job)) for claim in needed]
        return [(claim, self._outputs.home_of(job)) for claim, job in jobs if job is not None]

    def stays_here(self, job_id: JobId, task: int, blob: BlobAddress) -> bool:
        """Tell whether this node is the anchor of a claim and keeps the blob, as far as jobs are concerned."""
        job = self._jobs.get(job_id)
        if job is None or self._outputs.home_of(job) != self._node:
            return False
        if task == FILES:
            return not is_over(job)
        if task < 0 or not job.has_task(TaskIndex(task)) or not self._outputs.is_here(job_id, TaskIndex(task)):
            return False
        return self._of_result(blob, job, TaskIndex(task), is_idle=True) is Verdict.NEVER
