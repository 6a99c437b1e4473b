"""Asking whether members answer: direct pings, pings through others, and pings to the dead.

Theory: SWIM, section 3.1 and 4.3. Each period one member is pinged, in a shuffled round-robin order, so that a dead
one is found within a bounded time. Without an answer three others are asked to ping it; without an answer through
them either, the probe has failed at the end of the period. Helpers answer with a nack when *they* hear nothing
(Lifeguard, section IV.A): a missing nack means that our own link or loop is bad, not the target.

A probe is a pair of deadlines in a table; `on_timer` moves it on. Dead members get a bare ping every two seconds for
a day, nothing waits for the answer: if one comes, its gossip revives the member, so partitions heal without help.

Called by `farmd.core.membership`, which alone decides what a failed probe means. All sends are volatile.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from protocol.messages import MemberUpdate, Ping, PingAck, PingNack, PingReq

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from farmd.core.roster import Roster
    from farmd.core.suspicion import LocalHealth
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.messages import Advert

    Riders = Callable[[NodeId], tuple[tuple[MemberUpdate, ...], tuple[Advert, ...]]]

PROBE_PERIOD_S = 1.0
PING_TIMEOUT_S = 0.5
HELPERS = 3
NACK_AFTER_S = 0.8 * PING_TIMEOUT_S
"""A helper gives up before the asker does."""
RELAY_KEPT_S = 2.0
DEAD_PERIOD_S = 2.0
DEAD_KEPT_S = 86_400.0


@dataclass(slots=True)
class _Probe:
    target: NodeId
    life: tuple[int, int]
    """Epoch and incarnation when it was opened: who has refuted since has spoken since."""
    indirect_at: float
    fail_at: float
    asked: int = 0
    nacks: int = 0
    is_asked: bool = False

    def due_at(self) -> float:
        return self.fail_at if self.is_asked else min(self.indirect_at, self.fail_at)


@dataclass(slots=True)
class _Relay:
    asker: NodeId
    asker_seq: int
    target: NodeId
    nack_at: float
    drop_at: float
    is_nacked: bool = False

    def due_at(self) -> float:
        return self.drop_at if self.is_nacked else self.nack_at


@dataclass(slots=True)
class Prober:
    """The open probes and relays of this node.

    Attributes:
        roster: The members; only read.
        health: Stretches period and time-out; told what succeeded.
        riders: Chooses the gossip that rides on a message to a node.
        rng: The injected random generator.
    """

    roster: Roster
    health: LocalHealth
    riders: Riders
    rng: Random
    _probes: dict[int, _Probe] = field(default_factory=dict)
    _relays: dict[int, _Relay] = field(default_factory=dict)
    _order: list[NodeId] = field(default_factory=list)
    _seq: int = 0
    _tick_at: float = math.inf
    _dead_at: float = math.inf
    _last_dead: str = ""

    def start(self, now: float) -> None:
        """Begin to probe, at a random phase so that the farm does not ping in step."""
        self._tick_at = now + self.rng.random() * PROBE_PERIOD_S
        self._dead_at = now + self.rng.random() * DEAD_PERIOD_S
        self._last_dead = f"{self.rng.getrandbits(64):016x}"

    def enlist(self, node: NodeId) -> None:
        """Put a member that just came into the rest of this round, at a random place."""
        if node not in self._order:
            self._order.insert(self.rng.randint(0, len(self._order)), node)

    def ping(self, turn: Turn, node: NodeId) -> int:
        """Send a ping; returns its number."""
        self._seq += 1
        updates, adverts = self.riders(node)
        turn.send(node, Ping(self._seq, updates, adverts), volatile=True)
        return self._seq

    def probe(self, turn: Turn, node: NodeId, *, at_once: bool = False) -> None:
        """Open a probe, unless one of this node is open.

        Args:
            turn: Collects the pings.
            node: Whom to probe.
            at_once: Ask the helpers now, there is already a reason for doubt.
        """
        stretch = self.health.multiplier
        probe = next((probe for probe in self._probes.values() if probe.target == node), None)
        seq = next((seq for seq, open_probe in self._probes.items() if open_probe is probe), 0)
        if probe is None:
            seq = self.ping(turn, node)
            now = turn.now.mono
            probe = _Probe(node, self._life(node), now + PING_TIMEOUT_S * stretch, now + PROBE_PERIOD_S * stretch)
            self._probes[seq] = probe
        if at_once and not probe.is_asked:
            self._ask_helpers(turn, seq, probe)

    def on_ack(self, turn: Turn, sender: NodeId, ack: PingAck) -> None:
        """Close the probe that is answered, or pass the answer to the node that asked for it."""
        relay = self._relays.get(ack.seq)
        if relay is not None and relay.target == sender:
            del self._relays[ack.seq]
            answer = PingAck(relay.asker_seq, sender, tuple(u for u in ack.updates if u.node == sender))
            turn.send(relay.asker, answer, volatile=True)
        probe = self._probes.get(ack.seq)
        if probe is not None and probe.target in (sender, ack.target):
            del self._probes[ack.seq]
            self.health.better()

    def on_request(self, turn: Turn, asker: NodeId, request: PingReq) -> None:
        """Ping a third node for somebody."""
        now = turn.now.mono
        seq = self.ping(turn, request.target)
        relay = _Relay(asker, request.seq, request.target, now + NACK_AFTER_S, now + RELAY_KEPT_S)
        self._relays[seq] = relay

    def on_nack(self, nack: PingNack) -> None:
        """Count a helper that answered and heard nothing."""
        probe = self._probes.get(nack.seq)
        if probe is not None and probe.target == nack.target:
            probe.nacks += 1

    def revived(self, now: float) -> None:
        """Hurry to the next dead member: one came back by itself, so a partition may have healed."""
        self._dead_at = min(self._dead_at, now)

    def on_timer(self, turn: Turn) -> list[NodeId]:
        """Move everything on that is due.

        Returns:
            Members that did not answer in time.
        """
        self._run_relays(turn)
        failed = self._run_probes(turn)
        now = turn.now.mono
        if now >= self._tick_at:
            target = self._next_target()
            if target is None:
                self.health.better()
            else:
                self.probe(turn, target)
            self._tick_at = next_beat(now, PROBE_PERIOD_S * self.health.multiplier)
        if now >= self._dead_at:
            self._dead_at = next_beat(now, DEAD_PERIOD_S)
            self._ping_dead(turn)
        return failed

    def next_deadline(self) -> float:
        """Return when `on_timer` has something to do."""
        deadline = min(self._tick_at, self._dead_at)
        for probe in self._probes.values():
            deadline = min(deadline, probe.due_at())
        for relay in self._relays.values():
            deadline = min(deadline, relay.due_at())
        return deadline

    def shift(self, seconds: float) -> None:
        """Do not count a time during which this node itself was deaf."""
        for probe in self._probes.values():
            probe.indirect_at += seconds
            probe.fail_at += seconds

    def _next_target(self) -> NodeId | None:
        for _ in range(2):
            while self._order:
                node = self._order.pop()
                member = self.roster.get(node)
                if member is not None and member.is_here:
                    return node
            self._order = [n for n in (*self.roster.alive, *self.roster.suspects) if n != self.roster.self_id]
            self.rng.shuffle(self._order)
        return None

    def _life(self, node: NodeId) -> tuple[int, int]:
        member = self.roster.get(node)
        return (member.epoch, member.incarnation) if member else (0, 0)

    def _ask_helpers(self, turn: Turn, seq: int, probe: _Probe) -> None:
        probe.is_asked = True
        willing = [n for n in self.roster.alive if n not in (self.roster.self_id, probe.target)]
        helpers = self.rng.sample(willing, min(HELPERS, len(willing)))
        probe.asked = len(helpers)
        target = self.roster.get(probe.target)
        about = (target.claim(),) if target is not None else ()
        for helper in helpers:
            turn.send(helper, PingReq(seq, probe.target, about), volatile=True)

    def _run_probes(self, turn: Turn) -> list[NodeId]:
        now, failed = turn.now.mono, []
        for seq, probe in list(self._probes.items()):
            if now >= probe.fail_at:
                del self._probes[seq]
                if probe.life == self._life(probe.target):
                    failed.append(probe.target)
                # The paper counts each missing nack. Here one nack proves that our own link and loop work: in a
                # split or a power cut many helpers are silent too, and then the dead must be found quickly.
                if probe.asked > 0 and probe.nacks == 0:
                    self.health.worse()
            elif now >= probe.indirect_at and not probe.is_asked:
                self._ask_helpers(turn, seq, probe)
        return failed

    def _run_relays(self, turn: Turn) -> None:
        now = turn.now.mono
        for seq, relay in list(self._relays.items()):
            if now >= relay.drop_at:
                del self._relays[seq]
            elif now >= relay.nack_at and not relay.is_nacked:
                relay.is_nacked = True
                turn.send(relay.asker, PingNack(relay.asker_seq, relay.target), volatile=True)

    def _ping_dead(self, turn: Turn) -> None:
        dead = self.roster.dead
        for offset in range(len(dead)):
            node = dead[(bisect_right(dead, self._last_dead) + offset) % len(dead)]
            member = self.roster.get(node)
            if member is not None and turn.now.mono - member.since < DEAD_KEPT_S:
                self._last_dead = node
                self.ping(turn, node)
                return
