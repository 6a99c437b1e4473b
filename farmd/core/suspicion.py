"""How long a silent member is only suspected, and how far this node trusts its own judgement.

Theory: Lifeguard (Dadgar, Phillips and Currey, "Lifeguard: Local Health Awareness for More Accurate Failure
Detection", 2017) on top of SWIM (Das, Gupta and Motivala, 2002, section 4.2).
- *Local health* (section IV.A): a node that fails often at what should work is probably slow itself, so it probes
  more rarely and waits longer before it accuses anybody.
- *Suspicion* (section IV.B): starts long and shrinks with the logarithm of the number of independent accusers, so
  that one slow accuser alone does not kill a member, and many do it quickly.

What differs from the paper: the gossip of a suspicion does not name its accuser. Accusations go to the *jurors* of
the accused instead, the next few live members after it in the order of ids: they alone hear enough accusers to decide
early, and their verdict spreads as gossip. The first accuser starts the clock and is not counted.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocol.ids import NodeId

MIN_SUSPICION_S = 4.0
"""Shortest suspicion; multiplied by log10 of the number of members from eleven members on."""
MAX_FACTOR = 6.0
"""A suspicion that nobody confirms lasts this many times the shortest one (beta of the paper)."""
ENOUGH_ACCUSERS = 3
"""Accusers beside the first that shorten a suspicion to its minimum (K of the paper)."""
JURORS = 4
"""Enough for K + 1 accusers to meet, few enough that an accusation costs four messages."""
ASK_AFTER_S = 2.0
"""Whoever suspects a member this long, and each time twice as long, asks it itself: gossip of the refutation may have
gone astray."""
REMEMBER_ACCUSER_S = 3.0
"""An accusation may overtake the gossip of the suspicion that it belongs to by this much."""
WORST_HEALTH = 8
"""Cap of the local health score (S of the paper): time-outs stretch to nine times."""
LAG_S = 0.25
"""A loop that is later than this is a reason to doubt oneself."""


@dataclass(slots=True)
class LocalHealth:
    """Score 0 (well) to 8 (trust yourself least); `multiplier` stretches probe period and time-out."""

    score: int = 0

    @property
    def multiplier(self) -> int:
        """Return what periods and time-outs are multiplied with."""
        return self.score + 1

    def worse(self, by: int = 1) -> None:
        """Trust the own judgement less: a probe failed, a nack is missing, somebody suspected us."""
        self.score = min(WORST_HEALTH, self.score + by)

    def better(self) -> None:
        """Trust the own judgement more: a probe was answered, or there is nobody to probe."""
        self.score = max(0, self.score - 1)

    def note_lag(self, seconds: float) -> None:
        """Take an own loop lag into account: one step, and one more for each whole second."""
        if seconds > LAG_S:
            self.worse(1 + int(seconds))


def shortest_s(members: int) -> float:
    """Return the shortest suspicion in a farm of that many live members."""
    return MIN_SUSPICION_S * max(1.0, math.log10(max(1, members)))


def timeout_s(members: int, confirmations: int, possible: int) -> float:
    """Return how long a suspicion lasts.

    Args:
        members: Members that are alive or suspected, this node included.
        confirmations: Accusers beside the first.
        possible: Members that could confirm at all; none on a farm of two, which decides at the minimum.
    """
    shortest = shortest_s(members)
    enough = min(ENOUGH_ACCUSERS, possible)
    if enough <= 0:
        return shortest
    longest = MAX_FACTOR * shortest
    shrunk = longest - (longest - shortest) * math.log(confirmations + 1) / math.log(enough + 1)
    return max(shortest, shrunk)


def jurors_of(accused: NodeId, alive: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """Return the next live members after the accused in the sorted ring of ids; the same on every node."""
    after = bisect_right(alive, accused)
    ring = (*alive[after : after + JURORS + 1], *alive[: JURORS + 1])
    return tuple(dict.fromkeys(node for node in ring if node != accused))[:JURORS]


@dataclass(slots=True)
class _Case:
    started_at: float
    deadline: float = math.inf
    ask_after_s: float = ASK_AFTER_S


@dataclass(slots=True)
class Suspicions:
    """The open suspicions of this node, with their accusers and deadlines (monotonic seconds)."""

    _cases: dict[NodeId, _Case] = field(default_factory=dict)
    _accusers: dict[NodeId, dict[NodeId, float]] = field(default_factory=dict)
    _next: float = math.inf

    def open(self, accused: NodeId, now: float) -> None:
        """Start the clock for a member, unless it runs; deadlines are set by the next `retime`."""
        self._cases.setdefault(accused, _Case(now))

    def close(self, accused: NodeId) -> None:
        """Forget a suspicion and its accusers: refuted, or the member is dead."""
        self._cases.pop(accused, None)
        self._accusers.pop(accused, None)

    def accuse(self, accused: NodeId, accuser: NodeId, now: float) -> bool:
        """Remember that `accuser` itself got no answer from `accused`.

        Returns:
            Whether it is new since the last few seconds.
        """
        accusers = self._accusers.setdefault(accused, {})
        is_new = accusers.get(accuser, -math.inf) < now - REMEMBER_ACCUSER_S
        accusers[accuser] = now
        return is_new

    def has_accused(self, accused: NodeId, accuser: NodeId) -> bool:
        """Tell whether somebody accused a member in its present suspicion or just before."""
        case = self._cases.get(accused)
        since = case.started_at - REMEMBER_ACCUSER_S if case else math.inf
        return self._accusers.get(accused, {}).get(accuser, -math.inf) >= since

    def retime(self, alive: int) -> None:
        """Compute all deadlines anew, because an accuser was added or the number of live members changed.

        Args:
            alive: Members that are alive and not suspected, this node included.
        """
        for accused, case in self._cases.items():
            confirmations = max(0, self._accusers_since(accused, case.started_at - REMEMBER_ACCUSER_S) - 1)
            case.deadline = case.started_at + timeout_s(alive + len(self._cases), confirmations, alive - 1)
        self._find_next()

    def due_to_ask(self, now: float) -> tuple[NodeId, ...]:
        """Return the members that have been suspected long enough to be asked directly, for the first time or again."""
        if now < self._next:
            return ()
        due = [item for item in self._cases.items() if now >= item[1].started_at + item[1].ask_after_s]
        for _, case in due:
            case.ask_after_s *= 2.0
        self._find_next()
        return tuple(accused for accused, _ in due)

    def _find_next(self) -> None:
        dues = (min(case.deadline, case.started_at + case.ask_after_s) for case in self._cases.values())
        self._next = min(dues, default=math.inf)

    def _accusers_since(self, accused: NodeId, since: float) -> int:
        return sum(at >= since for at in self._accusers.get(accused, {}).values())

    def age(self, accused: NodeId, now: float) -> float:
        """Return for how many seconds a member has been suspected, 0 if it is not."""
        case = self._cases.get(accused)
        return now - case.started_at if case else 0.0

    def expired(self, now: float) -> tuple[NodeId, ...]:
        """Return the members whose suspicion has lasted long enough, in the order of their suspicion."""
        return tuple(accused for accused, case in self._cases.items() if case.deadline <= now)

    def next_deadline(self) -> float:
        """Return when a suspect is to be asked or given up, infinity if there is none."""
        return self._next

    def shift(self, seconds: float) -> None:
        """Do not count a time during which this node itself was deaf."""
        for case in self._cases.values():
            case.started_at += seconds
            case.deadline += seconds
        self._next += seconds

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._cases)

    def __len__(self) -> int:
        return len(self._cases)
