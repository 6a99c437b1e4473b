"""When a simulated machine used each of its blobs last, and what leaves its store: the same effects as on a real one.

Last uses survive a crash, as the times of files do. Here stands also what a drop must never do, checked at the moment
at which it is done (16): a file or a result that a job needs leaves a machine only if that is not the job's anchor, and
the anchor has its copy; so no drop takes the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from farmd.core.effects import EvictBlobs, ListBlobs, RemoveCheckouts, Tidy
from farmd.core.events import BlobsEvicted, BlobsListed, CheckoutsFound, HeldBlob
from farmd.core.evictable import is_over
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from farmd.core.events import Event
    from farmd.core.job import Job
    from protocol.ids import JobId, NodeId
    from tests.sim.machine import Machine

Needs = dict[BlobAddress, list[tuple["JobId", "NodeId"]]]
"""Of each blob that jobs need: which jobs, and their anchors."""


class Ageing:
    """Last uses and the quota of one machine.

    Attributes:
        quota: Bytes; 0 = none.
        disk_bytes: Of the whole disk, as far as it is told; 0 = not known.
        used: When each blob was used last, by the machine's clock.
        let_go: Blobs dropped here that no job needed any more, as far as this machine knew.
        dropped: How many have left in all.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._listed: list[HeldBlob] = []
        self.quota = self.disk_bytes = 0
        self.used: dict[BlobAddress, int] = {}
        self.let_go: dict[BlobAddress, None] = {}
        self.dropped = 0

    def _now_ms(self) -> int:
        return self._machine.clock.now().wall_ms

    def set_quota(self, limit_bytes: int) -> None:
        """Somebody sets another quota; a running daemon has it at once."""
        self.quota = limit_bytes
        if self._machine.driver is not None:
            self._machine.node.room.quota.limit_bytes = limit_bytes
        self.notice()

    def measured(self) -> int:
        """Bytes of the store; what is new in it is taken for used now."""
        if not self.quota:
            return 0
        self.notice()
        return sum([blob.size for blob in self._machine.blobs.held])

    def notice(self) -> None:
        """Take what is new for used now."""
        now = self._now_ms()
        for blob in self._machine.blobs.held:
            self.used.setdefault(blob, now)

    def touch(self, blobs: Iterable[BlobAddress]) -> None:
        """These are used now."""
        self.used |= dict.fromkeys(blobs, self._now_ms())

    def perform(self, effect: ListBlobs | EvictBlobs | Tidy | RemoveCheckouts, answer: Callable[[Event], None]) -> None:
        """Carry out one effect."""
        match effect:
            case ListBlobs():
                answer(self._list(effect))
            case EvictBlobs():
                answer(BlobsEvicted(effect.ask, tuple(self._evict(effect.blobs))))
            case Tidy():
                answer(CheckoutsFound(()))
            case RemoveCheckouts():
                pass

    def _list(self, effect: ListBlobs) -> Event:
        if effect.start == 0:
            self.notice()
            held = [HeldBlob(blob, self.used[blob]) for blob in self._machine.blobs.held]
            self._listed = sorted(held, key=lambda found: (found.used_ms, found.blob))
        page = self._listed[effect.start : effect.start + effect.count]
        return BlobsListed(effect.ask, tuple(page), effect.start + len(page) < len(self._listed))

    def _evict(self, blobs: Iterable[HeldBlob]) -> Iterator[BlobAddress]:
        machine = self._machine
        needs = needs_of(machine)
        for blob, used_ms in blobs:
            if blob not in machine.blobs.held:
                yield blob
            elif self.used.get(blob) == used_ms:
                self._check(blob, needs)
                self.used.pop(blob)
                machine.blobs.set_aside(blob)
                machine.blobs.unsettled.pop(blob, None)
                self.dropped += 1
                machine.world.counts.fault(
                    "blob dropped" if blob not in needs else "blob dropped that its anchor keeps"
                )
                yield blob

    def _check(self, blob: BlobAddress, needs: Needs) -> None:
        """Nothing is dropped but what nobody needs, or what the anchors of all that need it have (16)."""
        machine, world = self._machine, self._machine.world
        if blob not in needs:
            self.let_go[blob] = None
        for job, anchor in needs.get(blob, ()):
            keeper = world.by_id[anchor]
            if keeper is machine:
                world.watch.fail(16, f"{machine.name} drops {blob}, which its own job {job} needs")
            if blob not in keeper.blobs.held and blob not in keeper.ageing.let_go:
                world.watch.fail(16, f"{machine.name} drops {blob}, which {job} needs and {keeper.name} has not")


def needs_of(machine: Machine) -> Needs:
    """Name what the jobs need, as far as a machine knows: files of those that go on, results not delivered."""
    needs: Needs = {}
    for job in machine.node.jobs:
        for blob in [*_files_of(machine, job), *_results_of(job)]:
            needs.setdefault(blob, []).append((job.id, job.spec.submit_node))
    return needs


def files_of(machine: Machine, manifest: BlobAddress) -> list[BlobAddress]:
    """Name the files of a manifest, as any machine of the world has it."""
    for other in machine.world.machines:
        packed = other.blobs.held.get(manifest)
        if packed is not None and manifest not in other.blobs.rotten:
            return [BlobAddress(*entry) for entry in msgpack.unpackb(packed)]
    return []


def _files_of(machine: Machine, job: Job) -> list[BlobAddress]:
    if job.spec.manifest is None or is_over(job):
        return []
    return [job.spec.manifest, *files_of(machine, job.spec.manifest)]


def _results_of(job: Job) -> Iterator[BlobAddress]:
    for task in job.done_tasks() if job.spec.leaves_outputs else ():
        result = job.result_of(task)
        if result is not None and not job.copies.is_delivered(task):
            yield from [output.blob for output in result.body.outputs]
