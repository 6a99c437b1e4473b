"""What a round through the store leaves where it is: what may go later, who has to be asked, and why the rest stays.

`Words` takes back what this node has said to hold, for blobs that are about to leave. Called by `farmd.core.eviction`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.evictable import THUMBNAIL, Claims, Verdict
from farmd.core.pledges import AT_ONCE
from protocol.ids import TaskIndex
from protocol.messages import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.assets import Assets
    from farmd.core.events import HeldBlob
    from farmd.core.evictable import Evictable
    from farmd.core.jobs import Jobs
    from farmd.core.outputs import Outputs
    from farmd.core.turn import Instant, Turn
    from protocol.ids import BlobAddress, JobId, NodeId

MOST = 500
"""Blobs of each kind that a round remembers; the next round finds the others."""
FILES, RESULTS, IN_USE, CACHE = "files of jobs", "results", "in use", "left for the next round"


class Keeping:
    """Blobs that a round did not drop at once.

    Attributes:
        last: What may be the last copy of something delivered, oldest use first.
        evictable_bytes: What could have been dropped.
        soon_bytes: What was used a moment ago, and could be dropped but for that.
    """

    def __init__(self) -> None:
        self._wanted: dict[BlobAddress, tuple[HeldBlob, Claims]] = {}
        self._anchors: dict[BlobAddress, dict[NodeId, None]] = {}
        self.last: list[HeldBlob] = []
        self.evictable_bytes = self.soon_bytes = 0
        self._bytes: dict[str, int] = dict.fromkeys((FILES, RESULTS, IN_USE, CACHE), 0)

    def add(self, held: HeldBlob, claims: Claims, verdict: Verdict) -> None:
        """Remember a blob that stays for now."""
        self.evictable_bytes += held.blob.size if verdict is not Verdict.NEVER else 0
        if verdict is Verdict.PLEDGE and len(self._wanted) < MOST:
            self._wanted[held.blob] = (held, claims)
        elif verdict is Verdict.LAST and len(self.last) < MOST:
            self.last.append(held)
        elif verdict is Verdict.SOON:
            self.soon_bytes += held.blob.size
        self._bytes[_kind(claims, verdict)] += held.blob.size

    def reasons(self) -> dict[str, int]:
        """Return bytes that stay, by why they do."""
        return self._bytes

    def questions(
        self, evictable: Evictable, is_alive: Callable[[NodeId], bool], now: Instant
    ) -> dict[NodeId, list[Wanted]]:
        """Say what to ask of which anchor; a blob of which an anchor is away is not asked for at all."""
        wanted: dict[NodeId, list[Wanted]] = {}
        self._anchors = {}
        for blob, (held, claims) in self._wanted.items():
            pledgers = evictable.anchors(held, claims, now)
            asks = [(anchor, Wanted(blob, claim.job, claim.task)) for claim, anchor in pledgers]
            full = any(len(wanted.get(anchor, ())) >= AT_ONCE for anchor, _ in asks)
            if full or not asks or not all(is_alive(anchor) for anchor, _ in asks):
                continue
            self._anchors[blob] = {anchor: None for anchor, _ in asks}
            for anchor, item in asks:
                wanted.setdefault(anchor, []).append(item)
        return wanted

    def promise(self, blob: BlobAddress, anchor: NodeId) -> None:
        """An anchor keeps its copy of a blob."""
        self._anchors.get(blob, {}).pop(anchor, None)

    def pledged(self) -> list[HeldBlob]:
        """List the blobs that all their anchors keep, oldest use first."""
        return [self._wanted[blob][0] for blob, missing in self._anchors.items() if not missing]


def _kind(claims: Claims, verdict: Verdict) -> str:
    if verdict is Verdict.FREE:
        return CACHE
    if verdict is Verdict.SOON or not claims:
        return IN_USE
    return RESULTS if any(claim.task >= 0 for claim in claims) else FILES


class Words:
    """Takes back what this node has said to hold."""

    def __init__(self, jobs: Jobs, assets: Assets, outputs: Outputs) -> None:
        self._jobs = jobs
        self._assets = assets
        self._outputs = outputs

    def take_back(self, turn: Turn, claims: Claims) -> None:
        """A blob with these claims is about to leave."""
        for job_id, task in claims:
            job = self._jobs.get(job_id)
            if job is not None and task >= 0:
                self._outputs.release(turn, job, TaskIndex(task))
            elif job is not None and task != THUMBNAIL:
                self._assets.release(turn, job_id)

    def take_back_files(self, turn: Turn, job_id: JobId) -> None:
        """The list of a job's files is not here: nobody can say that they are."""
        job = self._jobs.get(job_id)
        if job is not None and not self._assets.is_wanted(job_id):
            self._assets.release(turn, job_id)

    def write(self, turn: Turn) -> None:
        """Write what was taken back, in this turn."""
        self._outputs.flush(turn)
