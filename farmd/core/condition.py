"""How this node is: memory, disk, load, what it runs; and what it tells others of it.

Measured about once a second, and told to no store: adverts live in memory, travel with probes and heartbeats, and the
newest replaces the last. A node whose disk is full, or whose store cannot commit, takes nothing new and says why.

Called by `farmd.core.node`, and by whoever shows or weighs machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.capacity import MIN_FREE_BYTES
from farmd.core.events import Measured
from farmd.core.outlook import Standing
from protocol.messages import Advert

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.membership import Membership
    from farmd.core.turn import Instant
    from farmd.core.worker import Worker
    from protocol.bodies import NodeBody
    from protocol.ids import NodeId


class Condition:
    """State of the machine that this node runs on.

    Attributes:
        door_fault: Why HTTP or the board are not served; empty while they are, None where nobody asked for them. Set by
            whoever starts them.
    """

    def __init__(self, node: NodeId, membership: Membership, body: NodeBody, now: Instant) -> None:
        self._node = node
        self._membership = membership
        self._cores = max(1, body.cores)
        self._started_mono = now.mono
        self._measured = Measured(body.ram_bytes, 1 << 40, 0.0)
        self._store_fault = ""
        self._counter = 0
        self.door_fault: str | None = None
        self.worker: Worker
        """Set by the node once it has one."""
        self.store: Callable[[], tuple[int, int, int]] = lambda: (0, 0, -1)
        """How full the content store is; set by the node."""

    def measured(self, event: Measured) -> None:
        """Take the machine's state."""
        self._measured = event
        self.worker.disk_full = bool(self.disk_fault())

    def set_store_fault(self, fault: str) -> None:
        """The store cannot commit (or can again, with an empty text): take nothing new meanwhile."""
        self._store_fault = fault
        self.worker.disk_full = bool(self.disk_fault())

    def disk_fault(self) -> str:
        """Why nothing new can be accepted here, or empty."""
        if self._store_fault:
            return self._store_fault
        if self._measured.free_disk_bytes < MIN_FREE_BYTES:
            return f"its disk is full: {self._measured.free_disk_bytes >> 10} KiB are free under the data dir"
        return ""

    def free_disk_of(self, node: NodeId) -> int:
        """Free bytes under a node's data dir as it last said; plenty if it has not said yet."""
        if node == self._node:
            return self._measured.free_disk_bytes
        advert = self._membership.advert_of(node)
        return advert.free_disk_bytes if advert is not None else 1 << 62

    def advert(self, now: Instant) -> Advert:
        """Say what this node is doing now."""
        self._counter += 1
        return Advert(
            self._node,
            self._membership.epoch,
            self._counter,
            self._measured.free_ram_bytes,
            self._measured.free_disk_bytes,
            self._measured.load,
            self.worker.running(now.mono),
            self.store(),
        )

    def standing(self, now: Instant) -> Standing:
        """How well this node would lead."""
        return Standing(0, self._measured.load / self._cores, now.mono - self._started_mono)
