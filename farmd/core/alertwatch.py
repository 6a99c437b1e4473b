"""Which alerts have come and gone lately, so that hooks are told of both, once, whoever leads.

Theory. Every node looks at the alerts now and then and remembers the *episodes* that it saw: since when an alert stands,
and when it went. Whoever tells a hook tells what it saw begin or end, and a new leader also what began or ended up to
`BEFORE_S` before it came to office, since the leader who should have told it may be the one that was lost. What is gone
again within `STANDS_S` was no news. A node that has just started looks later: to it everybody seems away at first.

Disk and store are alerts that only their own machine knows; it tells them itself. Called by `farmd.core.notices`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from farmd.core.resultviews import away_tasks
from protocol.records import JobField

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmd.core.alerts import Alert
    from farmd.core.node import Node
    from farmd.core.turn import Instant, Turn
    from protocol.ids import NodeId

LOOK_S = 2.0
STANDS_S = 4.0
BEFORE_S = 30.0
FIRST_S = 15.0
"""Age of a life at its first look."""
KEPT_S = 60.0
"""How long an episode that is over is remembered."""
OWN = ("disk", "store")


@dataclass(slots=True)
class Episode:
    """An alert, which time it is, since when it stands, when it went, and which hooks were told of its begin and end."""

    alert: Alert
    mark: str
    since: float
    gone: float | None = None
    begun: dict[bytes, None] = field(default_factory=dict)
    ended: dict[bytes, None] = field(default_factory=dict)

    def stood(self, now: float) -> bool:
        """Tell whether it is, or was, more than a moment."""
        return (now if self.gone is None else self.gone) - self.since >= STANDS_S


class AlertWatch:
    """The episodes that this node saw.

    Attributes:
        due: When to look next.
    """

    def __init__(self, node: Node, born: float) -> None:
        self._node = node
        self._episodes: dict[object, Episode] = {}
        self.due = born + FIRST_S

    def look(self, turn: Turn) -> None:
        """Compare what there is with what there was."""
        now = turn.now.mono
        self.due = next_beat(now, LOOK_S)
        present = {alert.name: alert for alert in self._node.alerts.all(turn)}
        for name, alert in present.items():
            known = self._episodes.get(name)
            if known is None or known.gone is not None:
                self._episodes[name] = Episode(alert, mark_of(self._node, alert, turn.now), now)
            else:
                known.alert = alert
        for seen, episode in list(self._episodes.items()):
            if episode.gone is None and seen not in present:
                episode.gone = now
            elif episode.gone is not None and now - episode.gone > KEPT_S:
                del self._episodes[seen]

    def news(self, hook: bytes, now: float, *, known_at: float, office_at: float) -> Iterator[tuple[Episode, bool]]:
        """Yield what a hook is to be told, and whether that is an end.

        Args:
            hook: Which.
            now: Monotonic second.
            known_at: When the hook came; -inf if it was there before this life.
            office_at: When this node came to tell it; inf: only what it knows of itself.
        """
        for episode in list(self._episodes.values()):
            own = episode.alert.node == self._node.id and episode.alert.code in OWN
            from_s = -inf if own else office_at - BEFORE_S
            if not episode.stood(now) or episode.since <= known_at:
                continue
            if episode.gone is None and episode.since >= from_s and hook not in episode.begun:
                yield episode, False
            elif episode.gone is not None and episode.gone >= from_s and hook not in episode.ended:
                yield episode, True


def mark_of(node: Node, alert: Alert, now: Instant) -> str:
    """Tell this time of an alert from others, by facts that all nodes know alike; by its own clock what only it tells."""
    job = node.jobs.get(alert.job) if alert.job is not None else None
    if job is None:
        lives = _lives_of(node, [alert.node] if alert.node is not None else [])
        if alert.code == "node_sick" and alert.node is not None:
            return f"{lives}.{node.jobs.health.done_hlc(alert.node):x}"
        return f"{lives}.{now.wall_ms:x}" if alert.code in OWN else lives
    facts = [str(job.retried_hlc), str(job.registers.hlc_of(JobField.PAUSED)), str(job.gate_facts.generation)]
    if alert.code == "only_copy":
        holders = {which: None for task in away_tasks(node, job) for which in job.copies_of(task)}
        facts.append(_lives_of(node, sorted(holders)))
    import hashlib  # loads OpenSSL, which an idle daemon does without

    return hashlib.sha256("/".join(facts).encode()).hexdigest()[:12]


def _lives_of(node: Node, nodes: Iterable[NodeId]) -> str:
    members = node.membership.members()
    found = [members[which] for which in nodes if which in members]
    return "+".join(f"{member.epoch}.{member.incarnation}" for member in found) or "0"
