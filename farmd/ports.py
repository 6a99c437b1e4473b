"""What the driver and the core's host need of the outside, each declared by its consumer with only what it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmd.core.effects import Effect, Note, Save
    from farmd.core.turn import Instant


class Clock(Protocol):
    """Time of this machine."""

    def now(self) -> Instant:
        """Read both clocks: CLOCK_BOOTTIME for leases, wall time for stamps."""
        ...


class Store(Protocol):
    """Durable storage of one replica."""

    async def commit(self, saves: Sequence[Save], notes: Sequence[Note]) -> None:
        """Write everything in one transaction, later saves over earlier ones; return when it is durable.

        Raises:
            FarmError: Nothing was written (disk full, I/O error); may be tried again.
        """
        ...


class Hands(Protocol):
    """Carries out effects other than `Save` and `Note`."""

    def perform(self, effect: Effect) -> None:
        """Begin carrying out the effect; never blocks, never raises for what the outside does wrong."""
        ...
