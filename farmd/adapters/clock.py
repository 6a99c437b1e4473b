"""This machine's clocks."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from farmd.core.turn import Instant


class BootClock:
    """CLOCK_BOOTTIME goes on while a machine sleeps, so a woken leader cannot believe its old lease."""

    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), time.time_ns() // 1_000_000)


def boot_id() -> str:
    """Name this boot of the machine; empty where the kernel does not say (random(4))."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
