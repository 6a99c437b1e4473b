"""One leader's time in office: whom it sends heartbeats, who follows, and whether a majority still does.

Theory: check-quorum and leader leases as in Ongaro's dissertation on Raft (2014, sections 6.2 and 6.4.1), but over the
members that are alive *now*. An acknowledgement counts from the instant at which its heartbeat was *sent*, while a
follower's lease runs from when it received it: so the leader's own lease always ends first, whatever the delays.

Called by `farmd.core.election`; never decides who leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from protocol.messages import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from farmd.core.turn import Turn
    from protocol.ids import NodeId

LEASE_S = 3.0
HEARTBEAT_S = 0.5
CALM_HEARTBEAT_S = 1.0
"""While nothing runs and nothing waits: a third of a lease, so two may be lost."""
DEAD_ROUNDS = 5
"""Dead members get every fifth heartbeat: two halves of a split find each other by it."""
SILENT_S = 1.5
"""No word from the other side for half a lease is a reason to probe it."""


def is_majority(count: int, view: Sequence[NodeId]) -> bool:
    """Tell whether `count` of the members in view are more than half of them."""
    return 2 * count > len(view)


class Reign:
    """The followers of a leader.

    Attributes:
        term: In which it leads; leaps when another leader is met.
        round_at: Monotonic second of the next heartbeat.
    """

    __slots__ = ("_acked", "_first_sent", "_hinted_at", "_me", "_rounds", "_sent", "_seq", "round_at", "term")

    def __init__(self, me: NodeId, term: int, votes: dict[NodeId, float], now: float) -> None:
        """Begin to lead.

        Args:
            me: The leader.
            term: In which it leads.
            votes: Voters, with the instant at which their vote was asked: they count as acknowledgements.
            now: Monotonic second.
        """
        self.term = term
        self.round_at = now
        self._me = me
        self._acked = dict(votes)
        self._sent: dict[int, float] = {}
        self._first_sent: dict[NodeId, float] = {}
        self._hinted_at: dict[NodeId, float] = {}
        self._seq = 0
        self._rounds = DEAD_ROUNDS

    def heartbeat(
        self,
        turn: Turn,
        here: Iterable[NodeId],
        dead: Iterable[NodeId],
        *,
        to_all: bool = False,
        calm: bool = False,
    ) -> None:
        """Send one round, durable: it waits for the save of the term, as no follower may know a term that we forget.

        Args:
            turn: Collects the sends.
            here: Members that are alive or suspected.
            dead: Members that are dead; they get every fifth round.
            to_all: Send this round to the dead too.
            calm: There is no work, and the next round may come later.
        """
        now = turn.now.mono
        self.round_at = next_beat(now, CALM_HEARTBEAT_S if calm else HEARTBEAT_S)
        message = self._next_message(now)
        reached = [*here, *(dead if to_all or self._rounds >= DEAD_ROUNDS else ())]
        self._rounds = self._rounds % DEAD_ROUNDS + (2 if calm else 1)
        for node in reached:
            if node != self._me:
                self._first_sent.setdefault(node, now)
                turn.send(node, message)

    def heartbeat_one(self, turn: Turn, node: NodeId) -> None:
        """Send one heartbeat out of turn."""
        turn.send(node, self._next_message(turn.now.mono))

    def ack(self, follower: NodeId, seq: int) -> None:
        """Take an acknowledgement into account."""
        sent_at = self._sent.get(seq)
        if sent_at is not None:
            self._acked[follower] = max(sent_at, self._acked.get(follower, sent_at))

    def followers(self, now: float) -> tuple[NodeId, ...]:
        """Return, sorted, who acknowledged within the lease, the leader included."""
        fresh = {node: None for node, at in self._acked.items() if now - at < LEASE_S} | {self._me: None}
        return tuple(sorted(fresh))

    def has_quorum(self, now: float, view: Sequence[NodeId]) -> bool:
        """Tell whether a majority of the members in view acknowledged within the lease."""
        acked = self._acked
        fresh = sum(node == self._me or now - acked.get(node, now - LEASE_S) < LEASE_S for node in view)
        return is_majority(fresh, view)

    def silent(self, now: float, alive: Iterable[NodeId]) -> list[NodeId]:
        """Return the members that are said to be alive and have not answered for a while, each now and then."""
        silent = []
        for node in alive:
            since = max(self._acked.get(node, 0.0), self._first_sent.get(node, now), self._hinted_at.get(node, 0.0))
            if node != self._me and now - since >= SILENT_S:
                self._hinted_at[node] = now
                silent.append(node)
        return silent

    def _next_message(self, now: float) -> Heartbeat:
        self._seq += 1
        self._sent[self._seq] = now
        for seq in [seq for seq, at in self._sent.items() if now - at >= LEASE_S]:
            del self._sent[seq]
        return Heartbeat(self.term, self._seq, len(self.followers(now)))
