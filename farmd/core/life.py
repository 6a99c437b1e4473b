"""One life of a node: from its first word to the row that introduces it, under a number that no life had before.

Each start of the daemon is a life with its own epoch, one above what the disk remembers; should peers remember a later
one (a disk that was restored from a copy), the node lives on under a number above that. A node writes its first row
only when peers have confirmed its stream of changes, so that a number it has forgotten is not given out twice; where
nobody is there to confirm, `INTRODUCE_S` is long enough.

Invariant: the epoch that others hear is on this disk first (it is part of the first save). Called by `farmd.core.node`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farmd.core.signers import FOUNDER
from protocol.bodies import FarmBody, KeyBody, NodeBody, pack_body
from protocol.ids import pack_node
from protocol.records import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.node import Node
    from farmd.core.turn import Instant, Turn
    from protocol.records import Rec

INTRODUCE_S = 3.0
"""Longest wait for peers to confirm our change stream before the first row is written."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the store held at start.

    Attributes:
        rows: All replicated rows.
        vector: Version vector: origin -> sequence number.
        meta: Local facts.
        power_cut: The machine went down while the store was open: what the disk had confirmed may be missing.
    """

    rows: tuple[Rec, ...] = ()
    vector: Mapping[int, int] | None = None
    meta: Mapping[str, Any] | None = None
    power_cut: bool = False


@dataclass(frozen=True, slots=True)
class Self:
    """What a node is told about itself.

    Attributes:
        public_key: Raw CURVE public key; the node id is derived from it.
        body: Its NODE row without the epoch, which is decided at start.
        transfer_limit_bytes_s: Most bytes a second of blobs from other nodes, and as many to them; 0 = no limit.
        founds: Set on the node that founded the farm: written as the FARM row if there is none.
        store_quota_bytes: Most bytes of blobs in its content store; 0 = no limit.
        archive_after_s: Jobs that ended so long ago are archived by itself; 0 = never.
    """

    public_key: bytes
    body: NodeBody
    founds: FarmBody | None = None
    transfer_limit_bytes_s: int = 0
    store_quota_bytes: int = 0
    archive_after_s: int = 0


class Life:
    """The present life of a node, and the rows that it writes about itself."""

    def __init__(self, node: Node, me: Self, last_epoch: int, now: Instant) -> None:
        """Begin.

        Args:
            node: Whose life it is.
            me: What it is told about itself.
            last_epoch: Epoch of the life before, as its own disk remembers it; 0 if there was none.
            now: The instant of birth.
        """
        self._node = node
        self._me = me
        self.epoch = last_epoch + 1
        self.body = me.body._replace(epoch=self.epoch)
        self.introduced = False
        self._introduce_at = now.mono + INTRODUCE_S

    def start(self, turn: Turn) -> None:
        """Let every machine begin: found the farm, take up what an earlier life left, look for the others."""
        node = self._node
        node.worker.offer(self.body)
        node.follow_orders(turn)
        if self._me.founds is not None and node.registry.farm is None:
            self._found(turn, self._me.founds)
        node.outputs.load(turn)
        node.rounds.begin_life(turn)
        node.room.begin_life(turn)
        node.retention.begin_life(turn)
        self._want_assets(turn)
        for running in node.jobs.nodes_running():
            if running != node.id:
                node.losses.expect(turn, running)
        node.membership.start(turn)
        node.election.start(turn)
        for known, body in node.registry.bodies.items():
            if known != node.id and node.registry.is_admitted(known):
                node.membership.learn(turn, known, body.address)
        node.gossip.start(turn)
        turn.note("started", f"epoch {self.epoch}, {len(node.replica)} rows", node=node.id)

    def _found(self, turn: Turn, farm: FarmBody) -> None:
        """Write the first rows of a new farm: what it is called, and this node's admission."""
        node = self._node
        node.replica.write(turn, Kind.FARM, b"", pack_body(farm))
        key = KeyBody(self._me.public_key, "node", FOUNDER)
        node.replica.write(turn, Kind.KEY, pack_node(node.id), pack_body(key))

    def _want_assets(self, turn: Turn) -> None:
        """Look again for the files that this node has said to hold, of every job that is not over."""
        node = self._node
        for job_id, job in node.jobs.items():
            if job.spec.manifest is not None and node.id in job.copies.asset_holders() and node.is_open(job_id):
                node.assets.want(turn, job_id, job.spec, ())

    def introduce(self, turn: Turn) -> None:
        """Write our first rows once peers have confirmed our stream, or nobody is there to do so."""
        node = self._node
        if self.introduced or not node.registry.is_admitted(node.id):
            return
        waits = turn.now.mono < self._introduce_at
        if not node.replica.origin_confirmed and waits and node.links.expects_others():
            return
        self.introduced = True
        node.worker.reconcile(turn)
        self._describe(turn)

    def leap(self, turn: Turn) -> None:
        """Live on under a higher number if peers remember a later life of this node than its own disk does."""
        node = self._node
        if node.membership.epoch == self.epoch:
            return
        self.epoch = node.membership.epoch
        self.body = self.body._replace(epoch=self.epoch)
        node.worker.begin_life(turn, self.epoch)
        if self.introduced:
            self._describe(turn)

    def _describe(self, turn: Turn) -> None:
        node = self._node
        node.replica.write(turn, Kind.NODE, pack_node(node.id), pack_body(self.body))

    def deadline_after(self, mono: float) -> float | None:
        """When the wait for peers is over, unless it is already at `mono`."""
        return self._introduce_at if not self.introduced and mono < self._introduce_at else None
