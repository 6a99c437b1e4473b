"""Which gossip rides on the next message: a bounded number of rumours, the freshest first.

Theory: infection-style dissemination (SWIM, section 4.1): every rumour is sent on λ·log N times and then dropped;
those sent least often go first, and of these the newest, so that what just happened overtakes what most know.
A newer rumour of the same member replaces the older one and starts again.

Adverts (load, running attempts) are rumours too, kept in memory only: the larger (epoch, counter) replaces. They are
sent on a few times only: the next advert comes soon, and the leader gets them by heartbeat anyway.

Used by `farmd.core.membership`; decides nothing about members.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from protocol.ids import NodeId
    from protocol.messages import Advert

LAMBDA = 4
UPDATES_PER_MESSAGE = 12
"""Claims on one message in quiet times: about 500 bytes."""
MOST_PER_MESSAGE = 40
"""And while very much changes at once (a split, a power cut): about two kilobytes, so that the queue drains."""
ADVERTS_PER_MESSAGE = 8
ADVERT_COPIES = 3


def room_for(waiting: int) -> int:
    """Return how many claims ride on one message while that many rumours wait: a quarter, within the bounds."""
    return min(MOST_PER_MESSAGE, max(UPDATES_PER_MESSAGE, waiting // 4))


_V = TypeVar("_V")


def copies_for(members: int) -> int:
    """Return how often one node passes a rumour on: λ·log10 of the farm's size, rounded up."""
    return LAMBDA * math.ceil(math.log10(max(1, members) + 1))


@dataclass(slots=True)
class _Rumour(Generic[_V]):
    value: _V
    age: int
    """Negative serial number: the smaller, the newer."""
    sent: int = 0


class Rumours(Generic[_V]):
    """The rumours that this node still passes on, at most one about each node."""

    __slots__ = ("_rumours", "_serial")

    def __init__(self) -> None:
        self._rumours: dict[NodeId, _Rumour[_V]] = {}
        self._serial = 0

    def put(self, about: NodeId, value: _V) -> None:
        """Start to spread a rumour; it replaces an older one about the same node."""
        self._serial += 1
        self._rumours[about] = _Rumour(value, -self._serial)

    def drop(self, about: NodeId) -> None:
        """Stop to spread what is said about a node."""
        self._rumours.pop(about, None)

    def take(self, limit: int, copies: int) -> tuple[_V, ...]:
        """Choose what rides on one message and count it as sent.

        Args:
            limit: How many fit.
            copies: A rumour sent this often is dropped.
        """
        if limit <= 0 or not self._rumours:
            return ()
        chosen = heapq.nsmallest(limit, self._rumours.items(), key=lambda item: (item[1].sent, item[1].age))
        for about, rumour in chosen:
            rumour.sent += 1
            if rumour.sent >= copies:
                del self._rumours[about]
        return tuple(rumour.value for _, rumour in chosen)

    def __len__(self) -> int:
        return len(self._rumours)


class Adverts:
    """The latest advert of every node."""

    __slots__ = ("_latest", "_rumours")

    def __init__(self) -> None:
        self._latest: dict[NodeId, Advert] = {}
        self._rumours: Rumours[Advert] = Rumours()

    def hear(self, advert: Advert) -> bool:
        """Keep an advert and pass it on, if it is newer than the one that is known."""
        known = self._latest.get(advert.node)
        if known is not None and (advert.epoch, advert.counter) <= (known.epoch, known.counter):
            return False
        self._latest[advert.node] = advert
        self._rumours.put(advert.node, advert)
        return True

    def of(self, node: NodeId) -> Advert | None:
        """Return the latest advert of a node, None if there is none."""
        return self._latest.get(node)

    def forget(self, node: NodeId, before_epoch: int) -> None:
        """Drop the advert of a life of the node that is over."""
        known = self._latest.get(node)
        if known is not None and known.epoch < before_epoch:
            del self._latest[node]
            self._rumours.drop(node)

    def take(self) -> tuple[Advert, ...]:
        """Choose the adverts that ride on one message."""
        return self._rumours.take(ADVERTS_PER_MESSAGE, ADVERT_COPIES)
