"""The simulated disk under one node: commits take time, crashes lose what was not committed, faults make it lie."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protocol.errors import FarmError
from protocol.records import Kind, Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from farmd.core.effects import Note, Save
    from protocol.records import Rec


class DiskFull(FarmError):
    """The simulated disk takes nothing more."""


@dataclass(slots=True)
class Image:
    """What a reopened database holds."""

    rows: dict[tuple[int, bytes], Rec] = field(default_factory=dict)
    vector: dict[int, int] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Image:
        return Image(dict(self.rows), dict(self.vector), dict(self.meta))

    def apply(self, save: Save) -> None:
        for rec in save.rows:
            self.rows[rec.kind, rec.pk] = rec
        for key in save.dropped:
            self.rows.pop(key, None)
        self.vector.update(save.vector)
        self.meta.update(save.meta)


class SimDisk:
    """`Store` port of one node.

    Attributes:
        latency_s: Of one commit.
        full: Commits fail while True.
        commits: Counted.
        kept_commits: The last ones, which a lying disk may lose.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.image = Image()
        self._before: list[list[Save]] = []
        self._base = Image()
        self.kept_commits = 4
        self.latency_s = 0.001
        self.full = False
        self.commits = 0
        self.notes: list[Note] = []
        self._noted: set[str] = set()
        self._flight: Sequence[Save] | None = None

    async def commit(self, saves: Sequence[Save], notes: Sequence[Note]) -> None:
        """Apply after the latency; a crash in between may or may not have applied it."""
        self._flight = saves
        await asyncio.sleep(self.latency_s * (0.5 + self._rng.random()))
        self._flight = None
        if self.full:
            raise DiskFull("database or disk is full")
        self._apply(saves)
        for note in notes:
            if note.key not in self._noted:
                self.notes.append(note)
            if note.key:
                self._noted.add(note.key)
        self.commits += 1

    def _apply(self, saves: Sequence[Save]) -> None:
        self._before.append(list(saves))
        if len(self._before) > self.kept_commits:
            for save in self._before.pop(0):
                self._base.apply(save)
        for save in saves:
            self.image.apply(save)

    def crash(self) -> None:
        """The machine stops: the commit in flight is on disk or not, never half."""
        if self._flight is not None and self._rng.random() < 0.5 and not self.full:
            self._apply(self._flight)
        self._flight = None

    def settle(self) -> None:
        """All that was confirmed until now is truly there."""
        self._before, self._base = [], self.image.copy()

    def forget_ends(self) -> None:
        """The disk lied: all that it confirmed since the first end of an attempt is gone."""
        self._forget(lambda rec: rec.kind == Kind.ATTEMPT and rec.rank > Rank.NORMAL)

    def forget_starts(self) -> None:
        """The disk lied: all that it confirmed since the first attempt is gone."""
        self._forget(lambda rec: rec.kind == Kind.ATTEMPT)

    def forget_orders(self) -> None:
        """The disk lied: all that it confirmed since the first order is gone."""
        self._forget(lambda rec: rec.kind == Kind.JOB_CONTROL)

    def _forget(self, which: Callable[[Rec], bool]) -> None:
        flat = [save for saves in self._before for save in saves]
        self._before, self.image = [], self._base.copy()
        for save in flat:
            if any(map(which, save.rows)):
                return
            self.image.apply(save)

    def lose_tail(self) -> int:
        """The disk lied about syncing: some of the last commits are gone. Returns how many."""
        lost = self._rng.randint(1, len(self._before)) if self._before else 0
        kept = self._before[: len(self._before) - lost]
        self.image = self._base.copy()
        for saves in kept:
            for save in saves:
                self.image.apply(save)
        self._before = kept
        return lost
