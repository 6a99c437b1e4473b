"""A farm in one process: real cores and real drivers on simulated machines, watched after every event.

Each machine has a clock with an offset and a drift, a disk, a content store and renderers that take time. What the
outside of the farm sees is recorded here: which attempts were started, which writes were acknowledged, which outputs
were delivered. Nothing here decides anything that the farm should decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from farmd.core.events import ClientAsked, Disconnected, JoinAsked, MessageReceived, PeerHeardOf
from protocol.bodies import FarmBody, KeyBody, pack_body
from protocol.ids import pack_node
from protocol.jobspec import spec_to_bytes
from protocol.records import Kind, Rank
from protocol.states import FailureClass
from tests.sim.ageing import files_of
from tests.sim.blobs import flipped
from tests.sim.machine import Machine, SimClock, SimDriver
from tests.sim.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.effects import AnswerJoin, Notify, Reply, Send, StartAttempt
    from farmd.core.events import Event
    from protocol.bodies import OutputFact
    from protocol.ids import AttemptRef, JobId, NodeId
    from protocol.jobspec import JobSpec
    from protocol.messages import Message
    from tests.sim.invariants import Watch
    from tests.sim.virtual_loop import VirtualLoop


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


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that a hook was sent, when and by which machine."""

    at: float
    node: NodeId
    target: str
    notice: Mapping[str, Any]


@dataclass(slots=True)
class Counts:
    """What happened in a history."""

    events: int = 0
    starts: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def fault(self, name: str) -> None:
        """Count one more."""
        self.faults[name] = self.faults.get(name, 0) + 1


class World:
    """All machines, the network between them, and everything that an outsider could observe."""

    def __init__(
        self, seed: str, loop: VirtualLoop, watch: Watch, *, driver_class: type[SimDriver] = SimDriver
    ) -> None:
        self.seed = seed
        self.loop = loop
        self.rng = Random(f"{seed}/world")
        self.watch = watch
        self.driver_class = driver_class
        self.story: list[tuple[float, str]] = []
        self.network = Network(Random(f"{seed}/network"), self._deliver)
        self.machines: list[Machine] = []
        self.by_id: dict[NodeId, Machine] = {}
        self.answers: dict[int, Answer] = {}
        self.counts = Counts()
        self.delivered: dict[tuple[str, str], bytes] = {}
        self.notices: list[Told] = []
        self.receive: Callable[[Told], tuple[str, float]] = lambda _told: ("", 0.05)
        self.mean_frame_s = 4.0
        self.archive_after_s = 0
        self.failing: dict[JobId, Callable[[Random, NodeId, StartAttempt], RenderPlan | None]] = {}
        self.corrupt: dict[NodeId, float] = {}
        self.lying: dict[NodeId, None] = {}
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

    def say(self, line: str) -> None:
        """Add a line to the story of this history."""
        self.story.append((self.loop.time(), line))

    def revoke(self, admin: Machine, victim: Machine) -> None:
        """Write the KEY row that evicts a machine for ever."""
        assert admin.driver is not None
        victim.evicted = True
        node = admin.node
        turn = node._turn(admin.clock.now())
        body = KeyBody(victim.public_key, "node", "admin", revoked=True)
        node.replica.write(turn, Kind.KEY, pack_node(victim.id), pack_body(body), rank=Rank.ENDED)
        effects = node._finish(turn)
        self.watch.on_turn(admin, None, effects)
        admin.driver._route(effects)

    def knock(self, joiner: Machine, host: Machine) -> None:
        """A join request crosses the network."""
        self._client += 1
        door = self._client
        self._doors[door] = joiner
        body = joiner.body()
        event = JoinAsked(door, joiner.public_key, joiner.name, body.address, "node", "")
        self.loop.call_later(0.002, host._post, event)

    def on_notice(self, node: NodeId, effect: Notify) -> tuple[str, float]:
        """A hook is told something; returns what becomes of that, and when."""
        told = Told(self.loop.time(), node, effect.hook.target, effect.notice)
        self.notices.append(told)
        return self.receive(told)

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
        plan = special(rng, node, effect) if special is not None else None
        return plan or RenderPlan(self.mean_frame_s * (0.3 + 1.4 * rng.random()) * len(effect.frames))

    def missing_asset_plan(self) -> RenderPlan:
        """A checkout found that files have vanished from the store."""
        return RenderPlan(0.05, int(FailureClass.FILES_LOST), "a file of the job is not here")

    def stop_delay(self, grace_s: float) -> float:
        return self.rng.random() * min(grace_s, 2.0)

    def on_piece_read(self, node: NodeId, content: bytes) -> bytes:
        """What a node takes for its copy: a machine with bad memory hashes what it misread."""
        if node not in self.lying:
            return content
        self.counts.fault("wrong piece with a right hash")
        return flipped(content)

    def on_piece_served(self, node: NodeId, content: bytes) -> bytes:
        drawn, share = self.rng.random(), self.corrupt.get(node, 0.0)
        if drawn >= share:
            return content
        self.counts.fault("corrupt piece")
        return content + b"?" if drawn < 0.3 * share else flipped(content)

    def on_delivered(self, folder: str, output: OutputFact, content: bytes) -> None:
        self.delivered[folder, output.name] = content

    def on_bug(self, event: Event, error: Exception) -> None:
        raise AssertionError(f"the core raised on {type(event).__name__}: {error!r}") from error

    # -- what a client does ---------------------------------------------------------------------------------------

    def ask(self, machine: Machine, op: str, **args: Any) -> int:
        """A client on a machine asks something, as the daemon's own user; the answer appears in `answers`."""
        return self._ask(machine, op, args, f"anna@{machine.name}", same_user=True)

    def ask_as(self, machine: Machine, user: str, op: str, *, proof: str = "local", **args: Any) -> int:
        """A person with no more rights than their role asks something."""
        return self._ask(machine, op, args, f"{user}@{machine.name}", user=user, proof=proof)

    def _ask(self, machine: Machine, op: str, args: dict[str, Any], actor: str, **who: Any) -> int:
        self._client += 1
        machine._post(ClientAsked(self._client, op, args, actor, **who))
        self.watch.on_ask(machine, self._client, op, args)
        return self._client

    def submit(self, machine: Machine, spec: JobSpec) -> int:
        """Submit a job on a machine."""
        if spec.manifest is not None:
            machine.ageing.touch((spec.manifest, *files_of(machine, spec.manifest)))
        return self.ask(machine, "job.submit", spec=spec_to_bytes(spec), ack="peer", deliver=True)

    def up(self) -> list[Machine]:
        """Machines whose daemon runs."""
        return [machine for machine in self.machines if machine.up]

    def running(self, ref: AttemptRef) -> list[NodeId]:
        """Where an attempt's process is alive."""
        return [m.id for m in self.up() if m.hands is not None and ref in m.hands.processes]


__all__ = ["Answer", "Counts", "Machine", "RenderPlan", "SimClock", "SimDriver", "World"]
