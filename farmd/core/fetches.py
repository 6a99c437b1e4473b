"""Sets of blobs that somebody waits for: what of each is left, and who probably has it.

A set is reported once, when nothing of it is left. Called by `farmd.core.swarm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from protocol.ids import BlobAddress, NodeId


@dataclass(slots=True)
class Fetch:
    """One set."""

    left: dict[BlobAddress, None]
    hints: tuple[NodeId, ...]


class Fetches:
    """All sets, by the keys of those who wait for them."""

    def __init__(self) -> None:
        self._sets: dict[Hashable, Fetch] = {}
        self._finished: list[Hashable] = []

    def __len__(self) -> int:
        return len(self._sets)

    def __contains__(self, key: object) -> bool:
        return key in self._sets

    def begin(self, key: Hashable, blobs: Iterable[BlobAddress], hints: tuple[NodeId, ...]) -> tuple[BlobAddress, ...]:
        """Wait for a set; returns its blobs, each once."""
        fetch = self._sets[key] = Fetch(dict.fromkeys(blobs), hints)
        return tuple(fetch.left)

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

    def hints(self) -> tuple[NodeId, ...]:
        """All nodes that probably have something that is waited for."""
        return tuple(dict.fromkeys([node for fetch in self._sets.values() for node in fetch.hints]))

    def take_finished(self) -> list[Hashable]:
        """Return the keys of sets that are complete here since the last call."""
        finished, self._finished = self._finished, []
        return finished
