"""Which jobs' files are all here: fetches manifests and the files that they name, and says so in HOLDING rows.

A node may be granted a task of a job with files only once *its own* copy is verified; nobody waits for the others.
The leader asks nodes to fetch (`Prefetch`); a node that loses files again takes its HOLDING row back.

Called by `farmd.core.node`. Knows no file; the store answers through events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from farmd.core.effects import ReadManifest
from protocol.bodies import HoldingBody, pack_body, unpack_body
from protocol.errors import PeerError
from protocol.records import HoldingWhat, Kind, holding_pk

if TYPE_CHECKING:
    from collections.abc import Hashable

    from farmd.core.events import ManifestRead
    from farmd.core.replica import Replica
    from farmd.core.swarm import Swarm
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, JobId, NodeId
    from protocol.jobspec import JobSpec


class Assets:
    """Keeps the files of jobs that may run here."""

    def __init__(self, node: NodeId, replica: Replica, swarm: Swarm) -> None:
        self._node = node
        self._replica = replica
        self._swarm = swarm
        self._held: dict[JobId, BlobAddress] = {}
        self._wanted: dict[JobId, BlobAddress] = {}
        self._reading: dict[BlobAddress, dict[JobId, None]] = {}
        self._hints: dict[JobId, tuple[NodeId, ...]] = {}
        self._newly_held: list[JobId] = []

    def holds(self, job: JobId, spec: JobSpec) -> bool:
        """True if every file of the job is here, verified in this life."""
        return spec.manifest is None or self._held.get(job) == spec.manifest

    def want(self, turn: Turn, job: JobId, spec: JobSpec, hints: tuple[NodeId, ...]) -> None:
        """Fetch what the job needs; `hints` are nodes that hold it. Repeating it renews the hints."""
        if spec.manifest is None or self.holds(job, spec):
            return
        self._hints[job] = hints
        if job not in self._wanted:
            self._wanted[job] = spec.manifest
            self._swarm.fetch(turn, ("manifest", job), (spec.manifest,), hints)
        else:
            self._swarm.renew(("manifest", job), hints)
            self._swarm.renew(("files", job), hints)

    def missed(self, turn: Turn, job: JobId, spec: JobSpec, hints: tuple[NodeId, ...]) -> None:
        """A grant came for a job whose files are not (all) here: fetch them, and take our word back if we gave it."""
        if self._swarm.is_fetching(("manifest", job)) or self._swarm.is_fetching(("files", job)):
            self._say(turn, job, complete=False)
        self.want(turn, job, spec, hints)

    def missing_bytes(self, job: JobId) -> int:
        """Bytes of the job's files that are still on their way."""
        return self._swarm.missing_bytes(("manifest", job)) + self._swarm.missing_bytes(("files", job))

    def forget(self, job: JobId) -> None:
        """The job is no more."""
        self._held.pop(job, None)
        self.stop(job)

    def stop(self, job: JobId) -> None:
        """The job is over: stop fetching for it; asked again, it begins anew."""
        self._wanted.pop(job, None)
        self._hints.pop(job, None)
        self._swarm.cancel(("manifest", job))
        self._swarm.cancel(("files", job))

    def on_fetched(self, turn: Turn, key: Hashable) -> None:
        """A stage is complete here: after the manifest come its files, after the files the HOLDING row."""
        stage, job = cast("tuple[str, JobId]", key)
        manifest = self._wanted.get(job)
        if manifest is None:
            return
        if stage == "manifest":
            self._reading.setdefault(manifest, {})[job] = None
            turn.effects.append(ReadManifest(manifest))
            return
        del self._wanted[job]
        self._held[job] = manifest
        self._newly_held.append(job)
        self._say(turn, job, complete=True)

    def on_manifest(self, turn: Turn, event: ManifestRead) -> None:
        """The manifest was read: fetch the files that it names."""
        for job in self._reading.pop(event.blob, {}):
            if self._wanted.get(job) != event.blob:
                continue
            if event.lost:
                self._swarm.fetch(turn, ("manifest", job), (event.blob,), self._hints.get(job, ()))
                continue
            if event.files is None:
                turn.note("manifest-unreadable", "the list of the job's files cannot be read", job=job)
                del self._wanted[job]
                continue
            hints = self._hints.get(job, ())
            holders = tuple([node for node in dict.fromkeys(hints) if self._says(node, job)])
            self._swarm.fetch(turn, ("files", job), event.files, hints, holders)

    def is_wanted(self, job: JobId) -> bool:
        """True while the job's files are on their way, or being looked for."""
        return job in self._wanted

    def lost(self, turn: Turn, job: JobId, spec: JobSpec, *, again: bool, is_certain: bool = True) -> None:
        """Files of the job are gone or damaged here: take the word back, and fetch them `again` if they are needed.

        Args:
            turn: The turn.
            job: Whose files.
            spec: Of the job.
            again: Look for them, and fetch what is not here.
            is_certain: They are gone. Else only a renderer missed a file, which may never have belonged to the job.
        """
        self._held.pop(job, None)
        if self._say(turn, job, complete=False) and is_certain:
            turn.note("files-lost", "files of the job are gone from this node's store, or damaged", job=job)
        if again:
            self.want(turn, job, spec, self._hints.get(job, ()))

    def release(self, turn: Turn, job: JobId) -> None:
        """Files of the job are about to leave the store: take the word back; nothing is fetched for it."""
        self._held.pop(job, None)
        self._say(turn, job, complete=False)

    def take_newly_held(self) -> list[JobId]:
        """Jobs whose files have become complete here since the last call."""
        jobs, self._newly_held = self._newly_held, []
        return jobs

    def _say(self, turn: Turn, job: JobId, *, complete: bool) -> bool:
        """Write the HOLDING row; False if it says so already."""
        if self._says(self._node, job) == complete:
            return False
        pk = holding_pk(self._node, HoldingWhat.ASSETS, job)
        self._replica.write(turn, Kind.HOLDING, pk, pack_body(HoldingBody(complete=complete)))
        return True

    def _says(self, node: NodeId, job: JobId) -> bool:
        """Whether a node has said, and not taken back, that it holds all files of the job."""
        rec = self._replica.get(Kind.HOLDING, holding_pk(node, HoldingWhat.ASSETS, job))
        try:
            return rec is not None and unpack_body(HoldingBody, rec.body).complete
        except PeerError:
            return False
