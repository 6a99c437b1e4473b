"""What an election asks of its surroundings, and what it tells them.

Vocabulary of `farmd.core.election`: the election knows no membership, only these callables, so each can be tested and
simulated without the other. Nothing here decides anything but how long a rank lets its node wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.ids import NodeId
    from protocol.messages import Advert


class Role(IntEnum):
    """What a node is in elections."""

    FOLLOWER = 1
    CANDIDATE = 2
    LEADER = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """How well this node would lead: the better, the shorter it waits before it campaigns.

    Attributes:
        priority: Set by an administrator; above 0 is preferred, below 0 avoided.
        load: Load average per processor.
        uptime_s: Since the daemon started.
    """

    priority: int = 0
    load: float = 0.0
    uptime_s: float = 0.0

    def wait_s(self, place: int) -> float:
        """Return the wait before a campaign, 0.1 to 1.7 s; `place` is this node's among the live ids."""
        priority = 0.0 if self.priority > 0 else 0.4 if self.priority == 0 else 0.8
        youth = 1.0 - min(1.0, max(0.0, self.uptime_s) / 600.0)
        return 0.1 + priority + 0.3 * min(1.0, max(0.0, self.load)) + 0.2 * youth + 0.02 * min(15, place)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the election asks of its surroundings; ids are sorted.

    Attributes:
        alive: Members that are alive and not suspected, this node included: the view that majorities count in.
        suspects: Members that are suspected; they still get heartbeats.
        dead: Members that are dead; they get a fifth of the heartbeats.
        advert: This node's advert, for its leader.
        standing: How well this node would lead.
        calm: Nothing runs and nothing waits, as far as this node knows.
    """

    alive: Callable[[], tuple[NodeId, ...]]
    suspects: Callable[[], tuple[NodeId, ...]] = tuple
    dead: Callable[[], tuple[NodeId, ...]] = tuple
    advert: Callable[[], Advert | None] = lambda: None
    standing: Callable[[], Standing] = Standing
    calm: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class LeaderChange:
    """The leader or its term changed; `new` is None while no leader is known."""

    old: NodeId | None
    new: NodeId | None
    term: int
