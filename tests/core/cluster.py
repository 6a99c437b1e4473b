"""A small farm in one process: membership and election of many nodes, a heap of events, no clock but the heap's.

One seed gives one history. The network has delay, loss, one-way cuts; nodes can be paused (messages pile up, the
monotonic clock goes on), killed (with or without peers noticing the broken connection) and restarted with what they
had saved. After every turn the invariants of elections are checked over all lives:
one vote per node and term, one life that leads in (term, node), an accepted (term, leader) that never falls.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from farmd.core.effects import Note, Send
from farmd.core.election import Election, ElectionMessage
from farmd.core.membership import Membership, SwimMessage
from farmd.core.outlook import Outlook, Role, Standing
from farmd.core.turn import Instant, Turn
from protocol.ids import NodeId
from protocol.messages import Advert, Ping, PingAck, PingNack, PingReq
from protocol.states import MemberState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protocol.messages import Message

SWIM = (Ping, PingAck, PingReq, PingNack)
HINT_AFTER_S = 0.05


def node_id(index: int) -> NodeId:
    return NodeId(f"{index:016x}")


@dataclass(slots=True)
class Machine:
    """One node: what survives a crash (`disk`, `epoch`), and the running machines, None while it is down."""

    index: int
    mono_offset: float
    epoch: int = 0
    disk: dict[str, Any] = field(default_factory=dict)
    membership: Membership | None = None
    election: Election | None = None
    paused_until: float = 0.0
    inbox: list[tuple[NodeId, Message]] = field(default_factory=list)
    timer: float | None = None
    standing: Standing = field(default_factory=lambda: Standing(uptime_s=3600.0))
    sent: int = 0

    @property
    def id(self) -> NodeId:
        return node_id(self.index)

    @property
    def up(self) -> bool:
        return self.membership is not None

    @property
    def members(self) -> Membership:
        assert self.membership is not None
        return self.membership

    @property
    def votes(self) -> Election:
        assert self.election is not None
        return self.election


class Cluster:
    """Drives the machines from one heap of (time, serial, what to do)."""

    def __init__(
        self,
        size: int,
        seed: int = 1,
        *,
        delay_s: tuple[float, float] = (0.0005, 0.01),
        loss: float = 0.0,
        with_elections: bool = True,
    ) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.delay_s = delay_s
        self.loss = loss
        self.with_elections = with_elections
        self.story: list[str] = []
        self.deaths: list[tuple[float, NodeId, NodeId]] = []
        self.machines = [Machine(i, 1000.0 * self.rng.random()) for i in range(size)]
        self._by_id = {machine.id: machine for machine in self.machines}
        self._cuts: dict[tuple[NodeId, NodeId], None] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._votes: dict[tuple[NodeId, int], NodeId] = {}
        self._reigns: dict[tuple[int, NodeId], int] = {}
        self._accepted: dict[NodeId, tuple[int, str]] = {}

    # -- what a test does to the farm ----------------------------------------------------------------------------

    def boot(self, *indexes: int, seeds: Iterable[int] | None = None) -> None:
        """Start nodes; each learns the addresses of `seeds`, by default of all."""
        for index in indexes or range(len(self.machines)):
            self._boot_one(self.machines[index], seeds)

    def kill(self, index: int, *, hint: bool = True) -> None:
        """End a node at once; with `hint` the others notice that the connection broke."""
        machine = self.machines[index]
        machine.membership = machine.election = machine.timer = None
        machine.inbox.clear()
        self._tell(f"{index} killed")
        for other in self.machines if hint else ():
            if other.up:
                self._at(self.now + HINT_AFTER_S, lambda other=other: self._hint(other, machine.id))  # type: ignore[misc]  # bound now

    def leave(self, index: int) -> None:
        """Shut a node down in good order."""
        machine = self.machines[index]
        self._do(machine, machine.votes.resign)
        self._do(machine, machine.members.leave)
        self.kill(index, hint=False)

    def pause(self, index: int, seconds: float) -> None:
        """Let a node do nothing for a while, as if its machine slept."""
        machine = self.machines[index]
        machine.paused_until = self.now + seconds
        self._at(machine.paused_until, lambda: self._wake(machine))

    def cut(self, sources: Iterable[int], targets: Iterable[int]) -> None:
        """Let nothing pass from these to those."""
        far = list(targets)
        self._cuts |= {(node_id(a), node_id(b)): None for a in sources for b in far if a != b}

    def split(self, one: Iterable[int], other: Iterable[int]) -> None:
        here, there = list(one), list(other)
        self.cut(here, there)
        self.cut(there, here)

    def heal(self) -> None:
        self._cuts.clear()
        self._tell("healed")

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = end

    def run_until(self, holds: Callable[[], bool], limit_s: float, *, stable_s: float = 0.0) -> float:
        """Let time pass until something holds for `stable_s`; returns when it began to, seconds from now."""
        start, since = self.now, None
        while self.now < start + limit_s + stable_s:
            if not holds():
                since = None
            elif since is None:
                since = self.now
            if since is not None and self.now - since >= stable_s:
                return since - start
            self.run(0.05)
        last = "\n".join(self.story[-40:])
        raise AssertionError(f"does not hold after {limit_s} s; {self.picture()}\n{last}")

    # -- what a test looks at ------------------------------------------------------------------------------------

    def running(self) -> list[Machine]:
        return [machine for machine in self.machines if machine.up]

    def leaders(self) -> list[int]:
        """Return the nodes that may grant now, as they see it themselves."""
        return [m.index for m in self.running() if m.votes.may_grant(self.mono(m))]

    def one_leader(self, among: Iterable[int] | None = None) -> bool:
        """Tell whether these running nodes follow one of them, which may grant, and none else thinks it leads."""
        chosen = [m for m in self.running() if among is None or m.index in list(among)]
        leads = [m for m in chosen if m.votes.is_leader]
        return (
            len(leads) == 1
            and leads[0].votes.may_grant(self.mono(leads[0]))
            and all(m.votes.leader_at(self.mono(m)) == leads[0].id for m in chosen)
        )

    def all_see(self, alive: Iterable[int]) -> bool:
        """Tell whether every running node sees exactly these alive."""
        expected = tuple(node_id(i) for i in sorted(alive))
        return all(m.members.alive() == expected for m in self.running())

    def state(self, viewer: int, index: int) -> MemberState | None:
        return self.machines[viewer].members.state_of(node_id(index))

    def mono(self, machine: Machine) -> float:
        return self.now + machine.mono_offset

    def picture(self) -> str:
        return " ".join(
            f"{m.index}:{m.votes.role.name[0]}{m.votes.term}"
            f"->{int(m.votes.leader, 16) if m.votes.leader else '-'}({len(m.members.alive())})"
            for m in self.running()
        )

    # -- inside --------------------------------------------------------------------------------------------------

    def _boot_one(self, machine: Machine, seeds: Iterable[int] | None) -> None:
        machine.epoch += 1
        machine.timer, machine.paused_until = None, 0.0
        known = range(len(self.machines)) if seeds is None else list(seeds)
        rng = Random(self.rng.getrandbits(64))
        members = Membership(machine.id, machine.epoch, f"10.0.0.{machine.index}:1", rng)
        outlook = Outlook(members.alive, members.suspects, members.dead, lambda: None, lambda: machine.standing)
        machine.membership = members
        machine.election = Election(machine.id, rng, outlook, dict(machine.disk))
        self._tell(f"{machine.index} boots, life {machine.epoch}")

        def begin(turn: Turn) -> None:
            members.start(turn)
            machine.votes.start(turn)
            for index in known:
                members.learn(turn, node_id(index), f"10.0.0.{index}:1")

        self._do(machine, begin)

    def _at(self, when: float, action: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, action))

    def _hint(self, machine: Machine, node: NodeId) -> None:
        if machine.up and self.now >= machine.paused_until:
            self._do(machine, lambda turn: machine.members.suspect_now(turn, node))

    def _wake(self, machine: Machine) -> None:
        if not machine.up or self.now < machine.paused_until:
            return
        if self.rng.random() < 0.5:
            self._fire(machine)
        inbox, machine.inbox = machine.inbox, []
        for sender, message in inbox:
            self._do(machine, lambda turn, s=sender, m=message: self._handle(machine, turn, s, m))  # type: ignore[misc]  # bound now
        self._fire(machine)

    def _deliver(self, machine: Machine, life: int, sender: NodeId, message: Message) -> None:
        if not machine.up or machine.epoch != life:
            return
        if self.now < machine.paused_until:
            machine.inbox.append((sender, message))
            return
        self._do(machine, lambda turn: self._handle(machine, turn, sender, message))

    @staticmethod
    def _handle(machine: Machine, turn: Turn, sender: NodeId, message: Message) -> None:
        if isinstance(message, SwimMessage):
            machine.members.on_message(turn, sender, message)
        elif isinstance(message, ElectionMessage):
            machine.members.heard(turn, sender)
            machine.votes.on_message(turn, sender, message)

    def _fire(self, machine: Machine) -> None:
        if not machine.up or self.now < machine.paused_until:
            return
        late_s = self.now - machine.timer if machine.timer is not None else 0.0
        machine.timer = None

        def fire(turn: Turn) -> None:
            now = turn.now.mono
            machine.members.note_lag(late_s)
            deadline = machine.members.next_deadline()
            if deadline is not None and deadline <= now:
                machine.members.on_timer(turn)
            deadline = machine.votes.next_deadline()
            if self.with_elections and deadline is not None and deadline <= now:
                machine.votes.on_timer(turn)

        self._do(machine, fire)

    def _do(self, machine: Machine, action: Callable[[Turn], object]) -> None:
        """Run one turn as the node would: react to changes, save, then send."""
        turn = Turn(Instant(self.mono(machine), int(self.now * 1000)))
        action(turn)
        members, votes = machine.members, machine.votes
        changes = members.take_changes()
        if changes:
            votes.on_view_changed(turn)
        for change in changes:
            old = change.old.name.lower() if change.old else "unknown"
            self._tell(f"{machine.index}: {int(change.node, 16)} {old} -> {change.new.name.lower()}, {change.epoch}")
            if change.new is MemberState.DEAD and change.node != machine.id:
                self.deaths.append((self.now, machine.id, change.node))
        for hint in votes.take_hints():
            members.suspect_now(turn, hint)
        self._save(machine, votes, members)
        for effect in turn.effects:
            if isinstance(effect, Send):
                machine.sent += 1
                self._post(machine.id, effect.to, effect.message)
            elif isinstance(effect, Note):
                self._tell(f"{machine.index}: {effect.node[-4:]} {effect.what} {effect.text}")
        self._schedule(machine)

    def _schedule(self, machine: Machine) -> None:
        deadlines = [machine.members.next_deadline(), machine.votes.next_deadline() if self.with_elections else None]
        due = [deadline for deadline in deadlines if deadline is not None]
        if not due:
            return
        when = max(self.now, min(due) - machine.mono_offset) + 1e-6  # a timer is never early
        if machine.timer is None or when < machine.timer - 1e-9 or machine.timer < self.now:
            machine.timer, life = when, machine.epoch
            self._at(when, lambda: self._fire(machine) if (machine.timer, machine.epoch) == (when, life) else None)

    def _post(self, source: NodeId, target: NodeId, message: Message) -> None:
        machine = self._by_id.get(target)
        if machine is None or (source, target) in self._cuts or (self.loss and self.rng.random() < self.loss):
            return
        life = machine.epoch
        self._at(self.now + self.rng.uniform(*self.delay_s), lambda: self._deliver(machine, life, source, message))

    def _save(self, machine: Machine, votes: Election, members: Membership) -> None:
        dirty = votes.dirty_meta | members.dirty_meta
        if dirty:
            machine.disk |= dirty
            votes.dirty_meta.clear()
            members.dirty_meta.clear()
            machine.epoch = max(machine.epoch, machine.disk.get("epoch", 0))
            if machine.disk.get("voted_for"):
                key = (machine.id, machine.disk["term"])
                assert self._votes.setdefault(key, machine.disk["voted_for"]) == machine.disk["voted_for"], key
        accepted = (machine.disk.get("accepted_term", 0), machine.disk.get("accepted_leader", ""))
        assert votes.accepted == accepted
        assert accepted >= self._accepted.get(machine.id, (0, ""))
        assert votes.term >= accepted[0]
        self._accepted[machine.id] = accepted
        if votes.role is Role.LEADER:
            assert self._reigns.setdefault((votes.term, machine.id), machine.epoch) == machine.epoch

    def _tell(self, text: str) -> None:
        self.story.append(f"{self.now:9.3f} {text}")


def advert(index: int, epoch: int = 1, counter: int = 1) -> Advert:
    return Advert(node_id(index), epoch, counter, 1 << 30, 1 << 40, 0.5)
