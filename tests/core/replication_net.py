"""A handful of replicas with their gossip, their disks, and a network that the test holds in its hands.

`Host` does what the node does around replica and gossip (Save first, then the sends); `Net` keeps messages until
they are delivered one by one (`deliver`) or by simulated time (`run`). No sockets, no clock: seeds decide.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from farmd.core.effects import Note, Save, Send
from farmd.core.gossip import Gossip
from farmd.core.replica import Replica
from farmd.core.turn import Instant, Turn
from protocol.clock import HybridClock
from protocol.codec import decode, encode
from protocol.errors import PeerError
from protocol.ids import NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.messages import Message
    from protocol.records import Rec

WALL_0_MS = 1_800_000_000_000


@dataclass
class Disk:
    """What was committed."""

    rows: dict[tuple[int, bytes], Rec] = field(default_factory=dict)
    vector: dict[int, int] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def commit(self, save: Save) -> None:
        for rec in save.rows:
            self.rows[rec.kind, rec.pk] = rec
        for key in save.dropped:
            self.rows.pop(key, None)
        self.vector.update(save.vector)
        self.meta.update(save.meta)

    def copy(self) -> Disk:
        return Disk(dict(self.rows), dict(self.vector), dict(self.meta))


class Host:
    """One node's replica, gossip and disk; `start` begins a life from what the disk holds."""

    def __init__(self, node: NodeId, net: Net) -> None:
        self.node = node
        self.net = net
        self.disk = Disk()
        self.notes: list[Note] = []
        self.errors: list[PeerError] = []
        self.lives = 0
        self.start()

    def start(self) -> None:
        self.lives += 1
        rng = Random(f"{self.net.seed}/{self.node}/{self.lives}")
        self.replica = self.net.replica_class(rng, HybridClock())
        disk = self.disk
        self.replica.load(disk.rows.values(), disk.vector, disk.meta.get("origin"), wall_ms=self.net.now().wall_ms)
        self.gossip = self.net.gossip_class(self.node, self.replica, rng, self.net.alive)
        self.act(self.gossip.start)

    def act(self, action: Callable[[Turn], object]) -> None:
        """One turn: Save is committed first, then the messages leave."""
        turn = Turn(self.net.now())
        try:
            action(turn)
        except PeerError as error:
            self.errors.append(error)
        self.gossip.flush(turn)
        save = self.replica.take_save()
        if save is not None:
            self.disk.commit(save)
        self.replica.take_changes()
        for effect in turn.effects:
            if isinstance(effect, Send):
                self.net.post(self.node, effect.to, effect.message)
            elif isinstance(effect, Note):
                self.notes.append(effect)

    def write(self, kind: int, pk: bytes, body: bytes, rank: int = 0) -> Rec:
        written: list[Rec] = []
        self.act(lambda turn: written.append(self.replica.write(turn, kind, pk, body, rank=rank)))
        return written[0]

    def pull_from(self, peer: Host) -> None:
        self.act(lambda turn: self.gossip.pull_from(turn, peer.node))

    def noted(self, what: str) -> int:
        return sum(note.what == what for note in self.notes)


class Net:
    """Hosts and the messages between them."""

    def __init__(
        self,
        hosts: int,
        *,
        seed: int = 0,
        replica_class: type[Replica] = Replica,
        gossip_class: type[Gossip] = Gossip,
        loss: float = 0.0,
    ) -> None:
        self.seed = seed
        self.loss = loss
        self.replica_class = replica_class
        self.gossip_class = gossip_class
        self.rng = Random(seed)
        self.at_s = 100.0
        self.posted = 0
        self.bytes_posted = 0
        self.flight: list[tuple[float, int, NodeId, NodeId, Message]] = []
        self.names = [NodeId(f"{number:016x}") for number in range(hosts)]
        self.hosts: dict[NodeId, Host] = {}
        for name in self.names:
            self.hosts[name] = Host(name, self)

    def __getitem__(self, number: int) -> Host:
        return self.hosts[self.names[number]]

    def now(self) -> Instant:
        return Instant(self.at_s, WALL_0_MS + int(self.at_s * 1000))

    def alive(self) -> list[NodeId]:
        return self.names

    def post(self, sender: NodeId, to: NodeId, message: Message) -> None:
        self.posted += 1
        if self.rng.random() >= self.loss:
            delay = self.rng.uniform(0.001, 0.02)
            heapq.heappush(self.flight, (self.at_s + delay, self.posted, sender, to, message))

    # -- by hand ---------------------------------------------------------------------------------------------------

    def hand_over(self, letter: tuple[float, int, NodeId, NodeId, Message]) -> None:
        _, _, sender, to, message = letter
        host = self.hosts[to]
        host.act(lambda turn: host.gossip.on_message(turn, sender, decode(encode(message))))

    def take(self, of: type | None = None, to: Host | None = None, sender: Host | None = None) -> list[Any]:
        """Take matching messages out of the network, in the order in which they were sent."""

        def fits(letter: tuple[float, int, NodeId, NodeId, Message]) -> bool:
            return (
                (of is None or isinstance(letter[4], of))
                and (to is None or letter[3] == to.node)
                and (sender is None or letter[2] == sender.node)
            )

        taken = sorted((letter for letter in self.flight if fits(letter)), key=lambda letter: letter[1])
        self.flight = [letter for letter in self.flight if not fits(letter)]
        heapq.heapify(self.flight)
        return taken

    def deliver(self, of: type | None = None, to: Host | None = None, sender: Host | None = None) -> int:
        """Deliver matching messages that are under way now; returns how many there were."""
        letters = self.take(of, to, sender)
        for letter in letters:
            self.hand_over(letter)
        return len(letters)

    def quiesce(self) -> None:
        """Deliver until nothing is under way."""
        while self.flight:
            self.deliver()

    def exchange_all(self) -> None:
        """Everybody pulls from everybody, twice, without loss."""
        self.loss = 0.0
        self.quiesce()
        for _ in range(2):
            for one in self.hosts.values():
                for other in self.hosts.values():
                    if one is not other:
                        self.at_s += 20.0
                        one.pull_from(other)
                        self.quiesce()

    # -- by time -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let simulated time pass; returns True as soon as `until` holds."""
        end_at = self.at_s + seconds
        timers = [(host.gossip.next_deadline(), host.node) for host in self.hosts.values()]
        queue = [(at, node) for at, node in timers if at is not None]
        heapq.heapify(queue)
        while until is None or not until():
            message_at = self.flight[0][0] if self.flight else float("inf")
            timer_at = queue[0][0] if queue else float("inf")
            next_at = min(message_at, timer_at)
            if next_at > end_at:
                self.at_s = end_at
                return False
            self.at_s = max(self.at_s, next_at)
            if message_at <= timer_at:
                letter = heapq.heappop(self.flight)
                self.hand_over(letter)
                touched = self.hosts[letter[3]]
            else:
                touched = self.hosts[heapq.heappop(queue)[1]]
                due_at = touched.gossip.next_deadline()
                if due_at is not None and due_at <= self.at_s:
                    touched.act(touched.gossip.on_timer)
            again_at = touched.gossip.next_deadline()
            if again_at is not None:
                heapq.heappush(queue, (again_at, touched.node))
        return True


# -- the checker -------------------------------------------------------------------------------------------------------


def state_of(replica: Replica) -> dict[tuple[int, bytes], Rec]:
    """Return all rows by key."""
    return {(rec.kind, rec.pk): rec for rec in replica.rows()}


def divergences(net: Net) -> list[str]:
    """Say where invariants 1 and 3 do not hold: equal vectors with different rows, one number with two contents."""
    found = []
    hosts = list(net.hosts.values())
    for index, one in enumerate(hosts):
        for other in hosts[index + 1 :]:
            left, right = one.replica, other.replica
            equal = dict(left.vector) == dict(right.vector)
            if equal != (left.vector_hash == right.vector_hash):
                found.append(f"{one.node} and {other.node}: the hash of the vector says otherwise than the vector")
            if equal and (state_of(left) != state_of(right) or left.digest != right.digest):
                found.append(f"{one.node} and {other.node}: equal vectors, different rows")
    named: dict[tuple[int, int], Rec] = {}
    everything = (rec for host in hosts for rec in host.replica.rows())
    doubles = [rec for rec in everything if named.setdefault((rec.origin, rec.seq), rec) != rec]
    return found + [f"({rec.origin}, {rec.seq}) names two contents" for rec in doubles]
