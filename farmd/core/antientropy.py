"""Pull: two nodes compare what they have seen, and the one that has seen less asks for the difference.

    asker                        peer
      PullAsk(hash, digest)  ──>           equal hashes: the same rows, or an alarm
                             <──  PullSame(digest)   or   VectorIs(vector)
      DeltaAsk(vector)       ──>           only if the peer has more; if the asker has more, the peer asks too
                             <──  DeltaPart 1 … n    taken in together with the vector, or not at all

Pull alone makes all replicas equal; push only makes it quick. Whatever is lost is asked for again by a later pull,
so there are no retransmissions: a delta with a missing part is forgotten. The parts of one delta are made in one
turn, hence from one state, and take effect in one turn: the parts of a delta are never the state of any vector
(see `farmd.core.replica`).

Source: Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (1987), section 1.3, with version
vectors in place of checksums of recent updates. Called by `farmd.core.gossip`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.errors import PeerError
from protocol.messages import DeltaAsk, DeltaPart, PullAsk, PullSame, VectorIs

if TYPE_CHECKING:
    from farmd.core.acks import Acks
    from farmd.core.replica import Replica
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.records import Rec

PART_BYTES = 1 << 20
"""A part is closed before it grows beyond this; one larger row is a part of its own."""
MAX_PARTS = 1 << 16
ROW_OVERHEAD_BYTES = 64
"""Upper bound of what a row takes in a message besides key and body."""
ANSWER_WITHIN_S = 1.5
"""A delta of which nothing has come after this time is asked for again."""
PART_WITHIN_S = 10.0
"""A delta that has begun is forgotten this long after its last part."""
ALARM_EVERY_S = 60.0
COMPARISONS_KEPT = 8
"""Unanswered comparisons with one peer that are remembered; answers may come late, twice or in another order."""


@dataclass(slots=True)
class PullCounts:
    """Since start; see docs/reference/metrics."""

    pulls: int = 0
    pulls_same: int = 0
    deltas_sent: int = 0
    delta_rows_sent: int = 0
    deltas_applied: int = 0
    deltas_lost: int = 0
    parts_late: int = 0
    divergences: int = 0


@dataclass(slots=True)
class _Ask:
    """A delta that we wait for."""

    peer: NodeId
    heard_at: float
    total: int = 0
    parts: dict[int, DeltaPart] = field(default_factory=dict)

    def expires_at(self) -> float:
        return self.heard_at + (PART_WITHIN_S if self.parts else ANSWER_WITHIN_S)


class Antientropy:
    """Asks for and answers differences between replicas.

    Args:
        replica: Where rows come from and go to.
        acks: What others are known to have.
        first_ask: After which questions are counted: parts of an answer to a former life must not be taken for others.
    """

    def __init__(self, replica: Replica, acks: Acks, first_ask: int = 0) -> None:
        self.counts = PullCounts()
        self._replica = replica
        self._acks = acks
        self._asks: dict[int, _Ask] = {}
        self._last_ask = first_ask
        self._compared: dict[NodeId, dict[int, tuple[int, tuple[int, int]]]] = {}
        self._alarmed_at: dict[NodeId, float] = {}

    def pull_from(self, turn: Turn, peer: NodeId) -> None:
        """Start a comparison with one node."""
        replica = self._replica
        self._forget_lost(turn)
        self.counts.pulls += 1
        compared = self._compared.setdefault(peer, {})
        compared[replica.vector_hash] = (replica.digest, (replica.origin, replica.seq))
        if len(compared) > COMPARISONS_KEPT:
            del compared[next(iter(compared))]
        turn.send(peer, PullAsk(replica.vector_hash, replica.digest))

    def forget(self, peer: NodeId) -> None:
        """Drop what is kept about a node that left."""
        self._compared.pop(peer, None)
        self._alarmed_at.pop(peer, None)
        for ask in [ask for ask, waiting in self._asks.items() if waiting.peer == peer]:
            del self._asks[ask]

    # -- comparing ---------------------------------------------------------------------------------------------------

    def on_pull(self, turn: Turn, sender: NodeId, message: PullAsk) -> None:
        """Answer a comparison."""
        replica = self._replica
        if message.vector_hash != replica.vector_hash:
            turn.send(sender, VectorIs(replica.vector.pairs()))
            return
        self._acks.learn(turn, sender, ((replica.origin, replica.seq),))
        self._compare_digests(turn, sender, message.digest, replica.digest)
        turn.send(sender, PullSame(replica.digest, replica.vector_hash))

    def on_same(self, turn: Turn, sender: NodeId, message: PullSame) -> None:
        """The vectors were equal when the peer answered; its rows are compared with ours when we asked *that*."""
        compared = self._compared.get(sender, {}).pop(message.vector_hash, None)
        if compared is None:
            return
        self.counts.pulls_same += 1
        digest, own = compared
        self._acks.learn(turn, sender, (own,))
        self._compare_digests(turn, sender, message.digest, digest)

    def _compare_digests(self, turn: Turn, peer: NodeId, theirs: int, ours: int) -> None:
        if theirs == ours:
            return
        self.counts.divergences += 1
        if turn.now.mono >= self._alarmed_at.get(peer, -ALARM_EVERY_S) + ALARM_EVERY_S:
            self._alarmed_at[peer] = turn.now.mono
            text = f"equal vectors, different rows: digest {ours:016x} here, {theirs:016x} there"
            turn.note("replica-diverged", text, node=peer)

    def on_vector(self, turn: Turn, sender: NodeId, message: VectorIs) -> None:
        """The vectors differ: ask for what the peer has more, or let it know that it is the one to ask."""
        self._acks.learn(turn, sender, message.vector)
        theirs = dict(message.vector)
        if self._replica.vector.lags(theirs):
            self._ask_delta(turn, sender)
        elif self._replica.vector.beyond(theirs):
            turn.send(sender, VectorIs(self._replica.vector.pairs()))

    # -- deltas ------------------------------------------------------------------------------------------------------

    def _ask_delta(self, turn: Turn, peer: NodeId) -> None:
        """Ask, unless an answer of that peer is due, or a delta of several parts is under way from anyone."""
        self._forget_lost(turn)
        if any(ask.peer == peer or ask.parts for ask in self._asks.values()):
            return
        self._last_ask += 1
        self._asks[self._last_ask] = _Ask(peer, turn.now.mono)
        turn.send(peer, DeltaAsk(self._last_ask, self._replica.vector.pairs()))

    def _forget_lost(self, turn: Turn) -> None:
        for number in [number for number, ask in self._asks.items() if turn.now.mono >= ask.expires_at()]:
            del self._asks[number]
            self.counts.deltas_lost += 1

    def on_ask(self, turn: Turn, sender: NodeId, message: DeltaAsk) -> None:
        """Send everything above the asker's vector; ask in turn if it has seen what we have not."""
        self._acks.learn(turn, sender, message.vector)
        theirs = dict(message.vector)
        rows = self._replica.delta(theirs)
        chunks = _chunks(rows)
        self.counts.deltas_sent += 1
        self.counts.delta_rows_sent += len(rows)
        for part, chunk in enumerate(chunks):
            vector = self._replica.vector.beyond(theirs) if part == len(chunks) - 1 else ()
            turn.send(sender, DeltaPart(message.ask, part, len(chunks), tuple(chunk), vector))
        if self._replica.vector.lags(theirs):
            self._ask_delta(turn, sender)

    def on_part(self, turn: Turn, sender: NodeId, message: DeltaPart) -> None:
        """Collect; take everything in when the last one is here.

        Raises:
            PeerError: The parts do not fit together.
        """
        ask = self._asks.get(message.ask)
        if ask is None or ask.peer != sender:
            self.counts.parts_late += 1
            return
        ask.total = ask.total or message.parts
        if not 0 <= message.part < message.parts <= MAX_PARTS or message.parts != ask.total:
            del self._asks[message.ask]
            raise PeerError(f"part {message.part} of {message.parts} of a delta of {ask.total} parts")
        ask.heard_at = turn.now.mono
        ask.parts[message.part] = message
        if len(ask.parts) == ask.total:
            del self._asks[message.ask]
            self._take_in(turn, sender, [ask.parts[part] for part in range(ask.total)])

    def _take_in(self, turn: Turn, sender: NodeId, parts: list[DeltaPart]) -> None:
        vector = tuple(pair for part in parts for pair in part.vector)
        self._acks.learn(turn, sender, vector)
        self._replica.apply(turn, [row for part in parts for row in part.rows], vector)
        self.counts.deltas_applied += 1


def row_bytes(rec: Rec) -> int:
    """Return at least what a row takes in a message."""
    return ROW_OVERHEAD_BYTES + len(rec.pk) + len(rec.body)


def _chunks(rows: list[Rec]) -> list[list[Rec]]:
    """Cut rows into messages; an empty delta is one empty part."""
    chunks: list[list[Rec]] = [[]]
    room = PART_BYTES
    for rec in rows:
        size = row_bytes(rec)
        if size > room and chunks[-1]:
            chunks.append([])
            room = PART_BYTES
        chunks[-1].append(rec)
        room -= size
    return chunks
