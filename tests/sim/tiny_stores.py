"""Histories in which every store is too small, again and again, and what is idle is idle soon."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from farmd.core import evictable, eviction, quota
from tests.sim.history import TROUBLE_BEGINS_S, TROUBLE_ENDS_S, History, run_history

if TYPE_CHECKING:
    from tests.sim.history import Report

QUOTAS = 14
HASTE: tuple[tuple[Any, str, float], ...] = (
    (evictable, "FRESH_MS", 500),
    (evictable, "IDLE_MS", 2_000),
    (eviction, "RETRY_S", 4.0),
    (eviction, "SOON_S", 1.0),
    (quota, "CRAMPED_S", 5.0),
)
"""Pauses that would leave time in five minutes for two or three rounds of a node."""


class TinyStores(History):
    """A history with many small quotas beside its other faults."""

    def __init__(self, seed: int | str, **options: Any) -> None:
        super().__init__(seed, **options)
        own = Random(f"{seed}/tiny")
        for _ in range(QUOTAS):
            at = TROUBLE_BEGINS_S + own.random() * (TROUBLE_ENDS_S - TROUBLE_BEGINS_S)
            self.loop.call_at(at, self._shrink, own)

    def _shrink(self, own: Random) -> None:
        if self.loop.now < TROUBLE_ENDS_S:
            self.nemesis.allow_less(own)


def run_tiny(seed: int) -> Report:
    """Run one such history."""
    with ExitStack() as stack:
        for module, name, value in HASTE:
            stack.enter_context(patch.object(module, name, value))
        return run_history(seed, make=TinyStores)
