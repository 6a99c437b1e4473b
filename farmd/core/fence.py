"""Which attempt ids a node has already seen: an attempt id runs at most once.

A duplicated grant message once erased a finished frame in simulation; this is the rule that was missing. Within one
life of a node every (term, leader) has a window of numbers; what lies below the window's floor counts as seen. Across
lives the epoch in the grant does the work, so nothing here is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.ids import AttemptId, NodeId

WINDOW = 4096
"""Numbers kept one by one below the highest seen of a leader's term."""


class Fence:
    """Remembers attempt ids in bounded memory; errs only towards refusing."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[tuple[int, NodeId], tuple[list[int], dict[int, None]]] = {}

    def has_seen(self, attempt: AttemptId) -> bool:
        """Say whether an attempt id was, or may have been, taken in before."""
        seen = self._seen.get((attempt.term, attempt.leader))
        return seen is not None and (attempt.n <= seen[0][0] or attempt.n in seen[1])

    def admit(self, attempt: AttemptId) -> bool:
        """Take an attempt id in; False if it was, or may have been, taken before."""
        if self.has_seen(attempt):
            return False
        key = (attempt.term, attempt.leader)
        if key not in self._seen:
            self._forget_old_terms()
        floor, numbers = self._seen.setdefault(key, ([-1], {}))
        numbers[attempt.n] = None
        if len(numbers) > 2 * WINDOW:
            for n in sorted(numbers)[:WINDOW]:
                floor[0] = n
                del numbers[n]
        return True

    def _forget_old_terms(self) -> None:
        """Keep the sixteen highest (term, leader) pairs: lower terms are refused by the election anyway."""
        while len(self._seen) >= 16:
            del self._seen[min(self._seen)]
