"""Marks: which rows an order will concern, kept as ids, so that nothing that moves on the screen changes them.

A range goes from the row that was marked last to the cursor, in the order that is shown; that order is frozen while
anything is marked, so a range means what the eye saw. Called by `tui.model`; must not import textual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

K = TypeVar("K", str, int)


class Marks(Generic[K]):
    """The marked ids of one table, in the order in which they were marked."""

    def __init__(self) -> None:
        self._marked: dict[K, None] = {}
        self._anchor: K | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._marked

    def __len__(self) -> int:
        return len(self._marked)

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._marked))

    def toggle(self, key: K) -> None:
        """Mark a row, or take its mark away; the next range begins here."""
        if key in self._marked:
            del self._marked[key]
        else:
            self._marked[key] = None
        self._anchor = key

    def extend(self, key: K, order: Sequence[K]) -> None:
        """Mark everything from the row that was touched last to this one.

        Args:
            key: The row that the range ends with.
            order: Ids as they are shown.
        """
        if self._anchor is None or self._anchor not in order or key not in order:
            self._marked[key] = None
        else:
            one, other = sorted((order.index(self._anchor), order.index(key)))
            self._marked.update(dict.fromkeys(order[one : other + 1]))
        self._anchor = key

    def all_of(self, order: Iterable[K]) -> None:
        """Mark all that is shown; if all of it is marked already, none."""
        shown = list(order)
        if all(key in self._marked for key in shown):
            self.clear()
        else:
            self._marked.update(dict.fromkeys(shown))

    def drop(self, keys: Iterable[K]) -> None:
        """Rows are gone, or their order was carried out."""
        for key in keys:
            self._marked.pop(key, None)
            if self._anchor == key:
                self._anchor = None

    def clear(self) -> None:
        """Take all marks away."""
        self._marked.clear()
        self._anchor = None
