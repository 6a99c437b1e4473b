"""Gossip: new rows are pushed at once, differences are pulled about once a second.

Theory. Push: an epidemic. A node relays what is news to it to `FANOUT` random peers in each of `ROUNDS` rounds, at
most one round in `PUSH_EVERY_S`, so the cost of a node is bounded whatever the farm does. All but e^-6 of the nodes
hear of a change in about log(N) steps; anti-entropy (`farmd.core.antientropy`) reaches the rest, and repairs all
loss. What a push carries is a *span*: everything written to one stream in an interval of its numbers. It is relayed
as it was received, never rebuilt from the replica: a row of it that some other write has superseded here must still
reach a node that has not seen that other write. And it is taken in only where it joins what is known; a gap is left
to pull, since rows beyond a gap are the state of no vector.

Own rows do not wait for a round: in the turn of the write they go to the leader and to one other peer, so that the
acknowledgement comes within one round trip. A push of one stream alone is acknowledged, a mixed one is not: writers
send theirs apart, and a relay needs no answer.

Attempt rows are most of what a farm writes, two a frame, and no client waits for them. One that has ended goes to the
leader at once, since it frees a slot; one that runs waits `GATHER_S` for company, and mostly travels with its end.
Acknowledgements of pushes that hold nothing else gather for `ACK_S`. So a busy node pays one push a frame, not two
pushes and two acknowledgements.

Source: Demers et al. (1987), rumour mongering with counters and a blind stop. Called by the node: `flush` at the end
of a turn, `on_message`, `on_timer`. Nothing here is volatile: every message speaks of committed rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from farmd.core.acks import Acks
from farmd.core.antientropy import Antientropy, row_bytes
from farmd.core.beat import next_beat
from protocol.errors import PeerError
from protocol.messages import (
    DeltaAsk,
    DeltaPart,
    OriginAsk,
    OriginIs,
    PullAsk,
    PullSame,
    Push,
    PushAck,
    Span,
    VectorIs,
)
from protocol.records import Kind, Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from random import Random

    from farmd.core.acks import Ack
    from farmd.core.replica import Replica
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.messages import Message
    from protocol.records import Rec

PUSH_EVERY_S = 0.1
GATHER_S = 0.01
"""News wait this long for company before the first round."""
ACK_S = 0.03
"""An acknowledgement that nobody waits for is gathered with others for this long."""
ON_ITS_WAY_S = 0.08
"""A first hearer is not sent a span again before this: its acknowledgement may be on its way."""
FANOUT = 3
ROUNDS = 2
PULL_EVERY_S = 1.0
PUSH_BYTES = (1 << 20) - (1 << 12)
"""Most bytes in one push; a larger span is left to pull."""
QUEUE_BYTES = 8 << 20
"""Most bytes waiting to be relayed; beyond it the oldest are left to pull."""
CONFIRMATIONS = 3
"""Peers that must have told what they know of our stream (all alive ones, if fewer); after a power cut, all members."""


@dataclass(slots=True)
class PushCounts:
    """Since start; see docs/reference/metrics."""

    pushes_sent: int = 0
    pushes_received: int = 0
    spans_applied: int = 0
    spans_known: int = 0
    spans_gap: int = 0
    spans_left_to_pull: int = 0


@dataclass(slots=True)
class _Fresh:
    """A span on its way: `source` = who sent it, None = written here."""

    span: Span
    size: int
    source: NodeId | None
    told: tuple[NodeId, ...] = ()
    told_at: float = 0.0
    rounds: int = ROUNDS

    def is_on_its_way_to(self, peer: NodeId, now: float) -> bool:
        return peer in self.told and now - self.told_at < ON_ITS_WAY_S


class Gossip:
    """Spreads the replica's news and takes in those of others.

    Args:
        self_id: This node.
        replica: Where rows come from and go to.
        rng: Chooses peers and jitter.
        alive: Returns the members that are alive, in a stable order; this node among them or not.
        first_ask: After which questions are counted (`farmd.core.questions`).
    """

    def __init__(
        self,
        self_id: NodeId,
        replica: Replica,
        rng: Random,
        alive: Callable[[], Sequence[NodeId]],
        *,
        first_ask: int = 0,
    ) -> None:
        self.counts = PushCounts()
        self._self_id = self_id
        self._replica = replica
        self._rng = rng
        self._alive = alive
        self._acks = Acks(replica)
        self._antientropy = Antientropy(replica, self._acks, first_ask)
        self._leader: NodeId | None = None
        self._fresh: list[_Fresh] = []
        self._fresh_bytes = 0
        self._push_at: float | None = None
        self._pushed_at = float("-inf")
        self._pull_at: float | None = None
        self._origin_known: dict[NodeId, int] = {}
        self._members: Callable[[], Iterable[NodeId]] | None = None
        self._own_at: float | None = None
        self._owed: dict[NodeId, dict[int, None]] = {}
        self._owed_at: float | None = None

    # -- the node's side -------------------------------------------------------------------------------------------

    def doubt(self, members: Callable[[], Iterable[NodeId]]) -> None:
        """Believe that our stream is whole only if every member says so: one of them may have heard of a lost tail.

        For a start after a power cut or a crash of the system: a disk that had not kept what it confirmed may have
        lost what any one peer was told at once, and the peers that are asked first need not be among those.
        """
        self._members = members

    def start(self, turn: Turn) -> None:
        """Begin to pull, and ask peers how much they know of our stream."""
        self._pull_at = turn.now.mono + PULL_EVERY_S * self._rng.random()
        for peer in self._some(CONFIRMATIONS) if self._members is None else self._others():
            self._ask_origin(turn, peer)

    def set_leader(self, leader: NodeId | None) -> None:
        """Name the node that must hear of own rows first."""
        self._leader = None if leader == self._self_id else leader

    def flush(self, turn: Turn) -> None:
        """Push what was written in this turn; the node puts the Save before these sends."""
        rows = self._replica.own_unpushed()
        if not rows:
            return
        if all(map(_is_attempt, rows)):
            if self._leader is not None and any(rec.rank >= Rank.ENDED for rec in rows):
                self._push_own(turn, (self._leader,))
            elif self._own_at is None:
                self._own_at = turn.now.mono + GATHER_S
        else:
            self._push_own(turn, self._first_hearers())

    def _push_own(self, turn: Turn, hearers: Sequence[NodeId]) -> None:
        self._own_at = None
        for span in self._replica.take_own_spans():
            if self._enqueue(turn, span, None):
                self._fresh[-1].told, self._fresh[-1].told_at = tuple(hearers), turn.now.mono
                for peer in hearers:
                    self._send_push(turn, peer, (span,))

    def next_deadline(self) -> float | None:
        """Return when `on_timer` is due, in seconds of the monotonic clock."""
        times = (self._push_at, self._pull_at, self._own_at, self._owed_at)
        return min([at for at in times if at is not None], default=None)

    def on_timer(self, turn: Turn) -> None:
        """Carry out what is due."""
        now = turn.now.mono
        if self._owed_at is not None and now >= self._owed_at:
            self._owed_at = None
            for peer in list(self._owed):
                self._acknowledge(turn, peer)
        if self._own_at is not None and now >= self._own_at:
            self._push_own(turn, self._first_hearers()[:1])
        if self._push_at is not None and now >= self._push_at:
            self._push_round(turn)
        if self._pull_at is not None and now >= self._pull_at:
            self._pull_at = next_beat(now, PULL_EVERY_S)
            for peer in self._some(1):
                self.pull_from(turn, peer)

    def pull_from(self, turn: Turn, peer: NodeId) -> None:
        """Compare with one node now, alive or believed dead (that is how a partition heals)."""
        self._ask_origin(turn, peer)
        self._antientropy.pull_from(turn, peer)

    def forget(self, peer: NodeId) -> None:
        """Drop what is kept about a node that left the farm or began a new life."""
        self._acks.forget(peer)
        self._antientropy.forget(peer)
        self._owed.pop(peer, None)
        self._origin_known.pop(peer, None)

    def acked_by(self, origin: int, seq: int) -> list[NodeId]:
        """Return the peers known to hold our stream up to `seq` durably, sorted."""
        return self._acks.acked_by(origin, seq)

    def take_acks(self) -> list[Ack]:
        """Return what peers acknowledged since the last call: whoever waits looks at `acked_by` again."""
        return self._acks.take()

    def metrics(self) -> dict[str, int]:
        """Return all counters."""
        own: dict[str, int] = {**asdict(self.counts), **asdict(self._antientropy.counts)}
        return own | {
            "fresh_spans": len(self._fresh),
            "conflicts": self._replica.conflicts,
            "clocks_ahead": self._replica.clocks_ahead,
            "rotations": self._replica.rotations,
        }

    def on_message(self, turn: Turn, sender: NodeId, message: Message) -> bool:
        """Handle a message of replication; returns False for all others.

        Raises:
            PeerError: The sender erred; the replica was not touched by what was wrong.
        """
        match message:
            case Push():
                self._on_push(turn, sender, message)
            case PushAck():
                self._acks.learn(turn, sender, message.known)
            case PullAsk():
                self._antientropy.on_pull(turn, sender, message)
            case PullSame():
                self._antientropy.on_same(turn, sender, message)
            case VectorIs():
                self._antientropy.on_vector(turn, sender, message)
            case DeltaAsk():
                self._antientropy.on_ask(turn, sender, message)
            case DeltaPart():
                self._antientropy.on_part(turn, sender, message)
            case OriginAsk():
                turn.send(sender, OriginIs(message.origin, self._replica.vector.known(message.origin)))
            case OriginIs():
                self._on_origin(turn, sender, message)
            case _:
                return False
        return True

    # -- push --------------------------------------------------------------------------------------------------------

    def _on_push(self, turn: Turn, sender: NodeId, push: Push) -> None:
        self.counts.pushes_received += 1
        for span in push.spans:
            if not _is_whole(span):
                raise PeerError(f"span of {span.origin} with rows outside ({span.after}, {span.upto}]")
        for span in push.spans:
            self._take_in(turn, sender, span)
        origins = dict.fromkeys([span.origin for span in push.spans])
        if len(origins) > 1:
            return
        self._owed.setdefault(sender, {}).update(origins)
        if not all(_is_attempt(rec) for span in push.spans for rec in span.rows):
            self._acknowledge(turn, sender)
        elif self._owed_at is None:
            self._owed_at = turn.now.mono + ACK_S

    def _acknowledge(self, turn: Turn, peer: NodeId) -> None:
        known = self._replica.vector.known
        turn.send(peer, PushAck(tuple([(origin, known(origin)) for origin in self._owed.pop(peer)])))
        if not self._owed:
            self._owed_at = None

    def _take_in(self, turn: Turn, sender: NodeId, span: Span) -> None:
        self._replica.note_foreign_knowledge(turn, span.origin, span.upto)
        if self._replica.vector.known(span.origin) >= span.upto:
            self.counts.spans_known += 1
        elif self._joins(span):
            self._replica.apply(turn, span.rows, ((span.origin, span.upto),))
            self.counts.spans_applied += 1
            self._enqueue(turn, span, sender)
        else:
            self.counts.spans_gap += 1

    def _joins(self, span: Span) -> bool:
        """Tell whether a span begins where our knowledge of its stream ends, or before."""
        return self._replica.vector.known(span.origin) >= span.after

    def _enqueue(self, turn: Turn, span: Span, source: NodeId | None) -> bool:
        """Queue a span for the coming rounds; returns False if it is left to pull."""
        size = sum(map(row_bytes, span.rows), 64)
        if size > PUSH_BYTES:
            self.counts.spans_left_to_pull += 1
            return False
        self._fresh.append(_Fresh(span, size, source))
        self._fresh_bytes += size
        while self._fresh_bytes > QUEUE_BYTES:
            self._fresh_bytes -= self._fresh.pop(0).size
            self.counts.spans_left_to_pull += 1
        if self._push_at is None:
            self._push_at = max(turn.now.mono + GATHER_S, self._pushed_at + PUSH_EVERY_S)
        return True

    def _push_round(self, turn: Turn) -> None:
        batch = self._next_batch()
        self._pushed_at = turn.now.mono
        self._push_at = turn.now.mono + PUSH_EVERY_S if self._fresh else None
        drawn = self._some(FANOUT)
        for peer in drawn:
            self._send_push(turn, peer, tuple([fresh.span for fresh in batch if fresh.source not in (None, peer)]))
        own = [fresh for fresh in batch if fresh.source is None]
        hearers = drawn if self._leader is None or self._leader in drawn else [*drawn, self._leader]
        for peer in hearers:
            self._send_push(turn, peer, tuple([fresh.span for fresh in own if self._needs(turn, peer, fresh)]))

    def _next_batch(self) -> list[_Fresh]:
        """Take the oldest spans that fit one message; those with rounds left stay in front, in order."""
        size = count = 0
        while count < len(self._fresh) and size + self._fresh[count].size <= PUSH_BYTES:
            size += self._fresh[count].size
            count += 1
        batch, rest = self._fresh[:count], self._fresh[count:]
        for fresh in batch:
            fresh.rounds -= 1
        self._fresh = [fresh for fresh in batch if fresh.rounds > 0] + rest
        self._fresh_bytes -= sum(fresh.size for fresh in batch if fresh.rounds == 0)
        return batch

    def _send_push(self, turn: Turn, peer: NodeId, spans: tuple[Span, ...]) -> None:
        if spans:
            self.counts.pushes_sent += 1
            turn.send(peer, Push(spans))

    def _needs(self, turn: Turn, peer: NodeId, fresh: _Fresh) -> bool:
        if self._acks.has(peer, fresh.span.origin, fresh.span.upto):
            return False
        return not fresh.is_on_its_way_to(peer, turn.now.mono)

    # -- our stream ------------------------------------------------------------------------------------------------

    def _ask_origin(self, turn: Turn, peer: NodeId) -> None:
        if not self._replica.origin_confirmed:
            turn.send(peer, OriginAsk(self._replica.origin))

    def _on_origin(self, turn: Turn, sender: NodeId, message: OriginIs) -> None:
        replica = self._replica
        if message.origin != replica.origin:
            return
        self._acks.learn(turn, sender, ((message.origin, message.seq),))
        if replica.origin_confirmed:
            return
        self._origin_known[sender] = message.seq
        if self._is_confirmed():
            replica.confirm_origin(turn, max(self._origin_known.values()))

    def _is_confirmed(self) -> bool:
        if self._members is None:
            return len(self._origin_known) >= max(1, min(CONFIRMATIONS, len(self._others())))
        return all(node in self._origin_known for node in self._members() if node != self._self_id)

    # -- choosing ----------------------------------------------------------------------------------------------------

    def _others(self) -> list[NodeId]:
        return [peer for peer in self._alive() if peer != self._self_id]

    def _some(self, count: int) -> list[NodeId]:
        others = self._others()
        return self._rng.sample(others, min(count, len(others)))

    def _first_hearers(self) -> list[NodeId]:
        """The leader and one other; two others while there is no leader."""
        if self._leader is None:
            return self._some(2)
        return [self._leader, *[peer for peer in self._some(2) if peer != self._leader][:1]]


def _is_attempt(rec: Rec) -> bool:
    return rec.kind == Kind.ATTEMPT


def _is_whole(span: Span) -> bool:
    rows = span.rows
    return 0 <= span.after < span.upto and all(
        row.origin == span.origin and span.after < row.seq <= span.upto for row in rows
    )
