"""A farm in one process: real cores and real drivers on simulated machines, watched after every event.

Each machine has a clock with an offset and a drift, a disk, a content store and renderers that take time. What the
outside of the farm sees is recorded here: which attempts were started, which writes were acknowledged, which outputs
were delivered. Nothing here decides anything that the farm should decide.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from farmd.core.effects import Save
from farmd.core.events import ClientAsked, Connected, Disconnected, JoinAsked, Measured, MessageReceived, PeerHeardOf
from farmd.core.node import Loaded, Node, Self
from farmd.core.turn import Instant
from farmd.driver import Driver
from protocol.bodies import FarmBody, NodeBody
from protocol.ids import NodeId, node_id_of
from protocol.jobspec import spec_to_bytes
from tests.sim.disk import SimDisk
from tests.sim.hands import Blobs, SimHands
from tests.sim.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.effects import AnswerJoin, Effect, Reply, Send, StartAttempt
    from farmd.core.events import Event
    from protocol.bodies import OutputFact
    from protocol.ids import AttemptRef, JobId
    from protocol.jobspec import JobSpec
    from protocol.messages import Message
    from tests.sim.invariants import Watch

START_WALL_MS = 1_780_000_000_000
GIB = 1 << 30


@dataclass(slots=True)
class SimClock:
    """One machine's clocks: boot time runs true, wall time has an offset and a drift."""

    loop: asyncio.AbstractEventLoop
    boot_at: float
    skew_ms: int = 0
    drift: float = 0.0

    def now(self) -> Instant:
        true = self.loop.time()
        return Instant(true + self.boot_at, START_WALL_MS + self.skew_ms + int(1000 * true * (1 + self.drift)))


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """How a simulated attempt will go."""

    seconds: float
    cause: int = 0
    text: str = ""
    peak_ram_bytes: int = 100 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A client's answer, and when it came."""

    at: float
    data: Any
    error: tuple[int, str, str, str] | None


class SimDriver(Driver):
    """The driver of a machine that can be frozen: what happens meanwhile is handled when it thaws."""

    frozen: list[Event] | None = None

    def post(self, event: Event) -> None:
        if self.frozen is not None:
            self.frozen.append(event)
        else:
            super().post(event)


class Machine:
    """One computer: what survives a crash, and the life of the daemon on it."""

    def __init__(self, world: World, index: int) -> None:
        self.world = world
        self.index = index
        self.public_key = hashlib.sha256(f"{world.seed}/{index}".encode()).digest()
        self.id: NodeId = node_id_of(self.public_key)
        self.name = f"n{index:02d}"
        self.rng = Random(f"{world.seed}/machine/{index}")
        self.clock = SimClock(world.loop, boot_at=self.rng.random() * 1000)
        self.disk = SimDisk(Random(f"{world.seed}/disk/{index}"))
        self.blobs = Blobs()
        self.driver: SimDriver | None = None
        self.hands: SimHands | None = None
        self.lives = 0
        self.cores, self.ram_gib, self.slots = 4, 32, 2
        self.free_disk = 1 << 40
        self._measure: asyncio.TimerHandle | None = None
        self.admitted = False

    @property
    def node(self) -> Node:
        """The core of the present life."""
        assert self.driver is not None
        return self.driver.node

    @property
    def up(self) -> bool:
        """The daemon runs (frozen or not)."""
        return self.driver is not None

    def body(self) -> NodeBody:
        """What the machine offers."""
        return NodeBody(
            self.name, f"10.0.0.{self.index}:7000", 0, self.cores, self.ram_gib * GIB, (), self.slots, (), "0", 1, 1
        )

    def start(self, founds: FarmBody | None = None) -> None:
        """Start the daemon from what the disk holds."""
        assert self.driver is None
        image = self.disk.image
        loaded = Loaded(tuple(image.rows.values()), dict(image.vector), dict(image.meta))
        rng = Random(f"{self.world.seed}/life/{self.index}/{self.lives}")
        self.lives += 1
        node = Node(Self(self.public_key, self.body(), founds), loaded, rng, self.clock.now())
        self.hands = SimHands(self.id, self.world, self._post, self.blobs)
        self.driver = self.world.driver_class(
            node, clock=self.clock, store=self.disk, hands=self.hands, on_bug=self.world.on_bug
        )
        self.world.watch.on_birth(self)
        self._wrap(node)
        self.driver.start()
        self._beat()
        if not self.admitted and founds is None:
            self._knock()

    def _post(self, event: Event) -> None:
        if self.driver is not None:
            self.driver.post(event)

    def _wrap(self, node: Node) -> None:
        """Have every turn watched."""
        handle, start = node.handle, node.start

        def watched_handle(event: Event, now: Instant) -> list[Effect]:
            effects = handle(event, now)
            self.world.watch.on_turn(self, event, effects)
            return effects

        def watched_start(now: Instant) -> list[Effect]:
            effects = start(now)
            self.world.watch.on_turn(self, None, effects)
            return effects

        node.handle, node.start = watched_handle, watched_start  # type: ignore[method-assign]  # the watch's seam

    def _beat(self) -> None:
        self._post(Measured(self.ram_gib * GIB, self.free_disk, 0.5))
        self._measure = self.world.loop.call_later(1.0, self._beat)

    def _knock(self) -> None:
        """A machine with a token asks members to be admitted until one does."""
        if not self.up or self.admitted:
            return
        hosts = [machine for machine in self.world.machines if machine.up and machine.admitted]
        hosts = [host for host in hosts if (self.id, host.id) not in self.world.network.cut]
        if hosts:
            self.world.knock(self, self.rng.choice(hosts))
        self.world.loop.call_later(1.0, self._knock)

    def crash(self) -> None:
        """Power cut or kill -9: everything in memory is gone, and the machine's processes."""
        assert self.driver is not None
        assert self.hands is not None
        self.driver.close()
        self.hands.crash()
        self.disk.crash()
        if self._measure is not None:
            self._measure.cancel()
        self.driver = None
        for machine in self.world.machines:
            if machine.up and machine is not self:
                machine._post(Disconnected(self.id))

    def freeze(self) -> None:
        """The machine stops executing (SIGSTOP, a sleeping laptop); its renders stop with it."""
        assert self.driver is not None
        assert self.hands is not None
        self.driver.frozen = []
        self.hands.stash = []

    def thaw(self) -> None:
        """The machine goes on, with everything that has piled up."""
        if self.driver is None or self.hands is None or self.driver.frozen is None:
            return
        events, self.driver.frozen = self.driver.frozen, None
        effects, self.hands.stash = self.hands.stash or [], None
        for effect in effects:
            self.hands.perform(effect)
        for event in events:
            self.driver.post(event)

    @property
    def frozen(self) -> bool:
        return self.driver is not None and self.driver.frozen is not None


@dataclass(slots=True)
class Counts:
    """What happened in a history."""

    events: int = 0
    starts: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class World:
    """All machines, the network between them, and everything that an outsider could observe."""

    def __init__(
        self, seed: str, loop: asyncio.AbstractEventLoop, watch: Watch, *, driver_class: type[SimDriver] = SimDriver
    ) -> None:
        self.seed = seed
        self.loop = loop
        self.rng = Random(f"{seed}/world")
        self.watch = watch
        self.driver_class = driver_class
        self.network = Network(Random(f"{seed}/network"), self._deliver)
        self.machines: list[Machine] = []
        self.by_id: dict[NodeId, Machine] = {}
        self.answers: dict[int, Answer] = {}
        self.counts = Counts()
        self.delivered: dict[tuple[str, str], bytes] = {}
        self.mean_frame_s = 4.0
        self.failing: dict[JobId, Callable[[Random, StartAttempt], RenderPlan | None]] = {}
        self.corrupt: dict[NodeId, float] = {}
        self._client = 0
        self._doors: dict[int, Machine] = {}
        watch.world = self

    # -- building -------------------------------------------------------------------------------------------------

    def add(self) -> Machine:
        """Bring a machine into the studio; it is off."""
        machine = Machine(self, len(self.machines))
        self.machines.append(machine)
        self.by_id[machine.id] = machine
        return machine

    def found(self) -> Machine:
        """The first machine founds the farm."""
        machine = self.add()
        machine.admitted = True
        machine.start(FarmBody("simulated", b"\0" * 32))
        return machine

    def knock(self, joiner: Machine, host: Machine) -> None:
        """A join request crosses the network."""
        self._client += 1
        door = self._client
        self._doors[door] = joiner
        body = joiner.body()
        event = JoinAsked(door, joiner.public_key, joiner.name, body.address, "node", "")
        self.loop.call_later(0.002, host._post, event)

    def on_join_answer(self, host: NodeId, effect: AnswerJoin) -> None:
        joiner = self._doors.pop(effect.door, None)
        if joiner is None or not effect.admitted or (host, joiner.id) in self.network.cut:
            return
        joiner.admitted = True
        for address, key in effect.members:
            joiner._post(PeerHeardOf(address, key, vouched=True))

    # -- what hands ask -------------------------------------------------------------------------------------------

    def on_send(self, sender: NodeId, effect: Send) -> None:
        self.watch.on_send(sender, effect)
        self.network.send(sender, effect.to, effect.message)

    def _deliver(self, sender: NodeId, to: NodeId, message: Message) -> None:
        machine = self.by_id[to]
        if not machine.up or machine.hands is None:
            if self.by_id[sender].up and self.rng.random() < 0.2:
                self.by_id[sender]._post(Disconnected(to))
            return
        if sender in machine.hands.trusted:
            machine._post(MessageReceived(sender, message))

    def on_reply(self, node: NodeId, effect: Reply) -> None:
        self.answers[effect.client] = Answer(self.loop.time(), effect.data, effect.error)
        self.watch.on_reply(node, effect)

    def on_start(self, node: NodeId, effect: StartAttempt) -> None:
        self.counts.starts += 1
        self.watch.on_start(node, effect)

    def render_plan(self, node: NodeId, effect: StartAttempt) -> RenderPlan:
        rng = Random(f"{self.seed}/render/{effect.ref}")
        special = self.failing.get(effect.ref.job)
        plan = special(rng, effect) if special is not None else None
        return plan or RenderPlan(self.mean_frame_s * (0.3 + 1.4 * rng.random()) * len(effect.frames))

    def stop_delay(self, grace_s: float) -> float:
        return self.rng.random() * min(grace_s, 2.0)

    def on_piece_served(self, node: NodeId, content: bytes) -> bytes:
        if self.rng.random() < self.corrupt.get(node, 0.0):
            self.counts.faults["corrupt piece"] = self.counts.faults.get("corrupt piece", 0) + 1
            return content + b"?"
        return content

    def on_delivered(self, folder: str, output: OutputFact, content: bytes) -> None:
        self.delivered[folder, output.name] = content

    def on_bug(self, event: Event, error: Exception) -> None:
        raise AssertionError(f"the core raised on {type(event).__name__}: {error!r}") from error

    # -- what a client does ---------------------------------------------------------------------------------------

    def ask(self, machine: Machine, op: str, **args: Any) -> int:
        """A client on a machine asks something; the answer appears in `answers`."""
        self._client += 1
        machine._post(ClientAsked(self._client, op, args, f"anna@{machine.name}", same_user=True))
        self.watch.on_ask(machine, self._client, op, args)
        return self._client

    def submit(self, machine: Machine, spec: JobSpec) -> int:
        """Submit a job on a machine."""
        return self.ask(machine, "job.submit", spec=spec_to_bytes(spec), ack="peer", deliver=True)

    def up(self) -> list[Machine]:
        """Machines whose daemon runs."""
        return [machine for machine in self.machines if machine.up]

    def running(self, ref: AttemptRef) -> list[NodeId]:
        """Where an attempt's process is alive."""
        return [m.id for m in self.up() if m.hands is not None and ref in m.hands.processes]


__all__ = ["Answer", "Connected", "Machine", "RenderPlan", "Save", "SimClock", "SimDriver", "World"]
