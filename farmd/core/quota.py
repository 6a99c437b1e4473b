"""How full the content store may be, how full it is, and what is said when it is too full.

Two limits. The *quota* is a person's: so many bytes of blobs. A store above it is brought down to `LOW` of it, so that
not every file that comes begins a new round. The *floor* is nobody's: a little of the disk stays free, five per cent or
10 GiB, whichever is less; below it, only what no job needs is dropped, quota or not. Neither limit refuses work: results
and files are taken as long as the disk has room, for losing work is worse than a full disk. What stops above the quota
is fetching files ahead of grants, where nothing could be dropped to make room for them.

Called by `farmd.core.eviction`, `condition` and `views`. Only counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.human import format_size

if TYPE_CHECKING:
    from farmd.core.events import Measured

LOW = 0.9
"""A store above its quota is brought down to so much of it."""
FLOOR_SHARE, FLOOR_BYTES = 0.05, 10 << 30
CRAMPED_S = 600.0
"""After files of a job that goes on had to leave, none are fetched ahead for so long: they would push out others."""


class Quota:
    """Limits and numbers of the store of this node.

    Attributes:
        limit_bytes: The quota; 0 = none.
        used_bytes: Complete blobs, as measured last.
        evictable_bytes: What could be dropped, as found in the last round; None before the first.
        fault: Why the store stays too full, or empty.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.evictable_bytes: int | None = None
        self.fault = ""
        self._free_bytes, self._floor_bytes = 1, 0
        self._cramped_until = 0.0

    def measured(self, event: Measured) -> None:
        """Take what the store and its disk hold."""
        self.used_bytes = event.store_bytes
        self._free_bytes = event.free_disk_bytes
        self._floor_bytes = min(int(event.disk_bytes * FLOOR_SHARE), FLOOR_BYTES)

    def freed(self, size_bytes: int) -> None:
        """So much has left the store since it was measured."""
        self.used_bytes -= size_bytes
        self._free_bytes += size_bytes

    @property
    def is_over(self) -> bool:
        """The store is above its quota."""
        return 0 < self.limit_bytes < self.used_bytes

    @property
    def is_low(self) -> bool:
        """The disk is almost full."""
        return self._free_bytes < self._floor_bytes

    def cache_excess_bytes(self) -> int:
        """Bytes that should go, of what no job needs."""
        of_quota = self.used_bytes - int(LOW * self.limit_bytes) if self.is_over else 0
        of_disk = self._floor_bytes + self._floor_bytes // 10 - self._free_bytes if self.is_low else 0
        return max(0, of_quota, of_disk)

    def needed_excess_bytes(self) -> int:
        """Bytes that should go even if they have to be fetched again."""
        return self.used_bytes - self.limit_bytes if self.is_over else 0

    def cramp(self, now: float) -> None:
        """Files of a job that goes on have left."""
        self._cramped_until = now + CRAMPED_S

    def may_prefetch(self, now: float) -> bool:
        """Tell whether files may be fetched ahead of grants."""
        return not self.limit_bytes or (not (self.is_over and self.fault) and now >= self._cramped_until)

    def complaint(self, kept: dict[str, int]) -> str:
        """Say why a store is too full although everything was looked at.

        Args:
            kept: What stays and why, in bytes, by a few words for people.
        """
        why = ", ".join(f"{format_size(size)} are {what}" for what, size in kept.items() if size)
        tail = f"nothing may be dropped: {why or 'it is empty'}"
        if self.is_over:
            return f"the store holds {format_size(self.used_bytes)} of {format_size(self.limit_bytes)} and {tail}"
        return f"only {format_size(max(0, self._free_bytes))} of its disk are free and {tail}"
