"""Sets of blobs that somebody waits for: what of each is left, and who probably has it.

A set is reported once, when nothing of it is left. Called by `farmd.core.swarm`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from protocol.ids import BlobAddress, NodeId

FIRST_LOOK = 250
"""Blobs of a set that the store is asked for first: those are on their way while it looks for the rest."""
MOST_LOOKED_FOR = 2000
"""The most at a time: each takes the event loop some microseconds, and others wait that long."""


@dataclass(slots=True)
class Fetch:
    """One set.

    Attributes:
        left: What of it is not known to be here.
        unseen: What of that the store was not asked for yet.
        looks: How often the store was asked.
        turn: How far a round of looks after what is left has come.
        hints: Nodes that probably have something of it.
        holders: Nodes that have said that they hold all of it.
    """

    left: dict[BlobAddress, None]
    hints: tuple[NodeId, ...]
    holders: tuple[NodeId, ...] = ()
    unseen: list[BlobAddress] = field(default_factory=list)
    looks: int = 0
    turn: int = 0

    def next_look(self) -> tuple[BlobAddress, ...]:
        """Return the blobs that the store is asked for next, none after the last; each time twice as many."""
        most = min(FIRST_LOOK << self.looks, MOST_LOOKED_FOR)
        self.looks += 1
        chosen, self.unseen = tuple(self.unseen[:most]), self.unseen[most:]
        return chosen

    def next_lot(self, most: int) -> Iterator[BlobAddress]:
        """Return what is left, or so much of it, each time what follows."""
        start, self.turn = self.turn, self.turn + most
        if self.turn >= len(self.left):
            self.turn = 0
        return islice(self.left, start, start + most)


class Fetches:
    """All sets, by the keys of those who wait for them."""

    def __init__(self) -> None:
        self._sets: dict[Hashable, Fetch] = {}
        self._finished: list[Hashable] = []

    def __len__(self) -> int:
        return len(self._sets)

    def __contains__(self, key: object) -> bool:
        return key in self._sets

    def begin(
        self,
        key: Hashable,
        blobs: Iterable[BlobAddress],
        hints: tuple[NodeId, ...],
        holders: tuple[NodeId, ...] = (),
    ) -> Fetch:
        """Wait for a set."""
        fetch = self._sets[key] = Fetch(dict.fromkeys(blobs), hints, holders)
        return fetch

    def get(self, key: Hashable) -> Fetch | None:
        """Return a set that is waited for."""
        return self._sets.get(key)

    def end(self, key: Hashable) -> Iterable[BlobAddress]:
        """Wait no longer; returns what was left."""
        fetch = self._sets.pop(key, None)
        return fetch.left if fetch is not None else ()

    def left(self, key: Hashable) -> Iterable[BlobAddress]:
        """What of a set is not known to be here."""
        fetch = self._sets.get(key)
        return fetch.left if fetch is not None else ()

    def here(self, key: Hashable, blob: BlobAddress) -> None:
        """A blob is here; a set of which it was the last is finished."""
        fetch = self._sets.get(key)
        if fetch is not None:
            fetch.left.pop(blob, None)
            if not fetch.left:
                self.finish_if_complete(key)

    def finish_if_complete(self, key: Hashable) -> None:
        """Report a set of which nothing is left."""
        fetch = self._sets.get(key)
        if fetch is not None and not fetch.left:
            del self._sets[key]
            self._finished.append(key)

    def lots(self, most: int) -> dict[BlobAddress, None]:
        """Of each set so many of what is left, each time what follows."""
        return dict.fromkeys([blob for fetch in self._sets.values() for blob in fetch.next_lot(most)])

    def hints(self) -> tuple[NodeId, ...]:
        """All nodes that probably have something that is waited for."""
        return tuple(dict.fromkeys([node for fetch in self._sets.values() for node in fetch.hints]))

    def take_finished(self) -> list[Hashable]:
        """Return the keys of sets that are complete here since the last call."""
        finished, self._finished = self._finished, []
        return finished
