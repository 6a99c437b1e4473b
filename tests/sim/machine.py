"""One computer of a simulated studio: what survives a crash, and the life of the daemon on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from farmd.core.events import BlobLost, Disconnected, Measured, Stopping
from farmd.core.life import Loaded, Self
from farmd.core.node import Node
from farmd.core.turn import Instant
from farmd.driver import Driver
from protocol.bodies import NodeBody
from protocol.ids import NodeId, node_id_of, pack_node
from protocol.records import Kind
from tests.sim.ageing import Ageing
from tests.sim.blobs import Blobs
from tests.sim.disk import SimDisk
from tests.sim.hands import SimHands
from tests.sim.simlogs import SimLogs

if TYPE_CHECKING:
    import asyncio

    from farmd.core.effects import Effect
    from farmd.core.events import Event
    from farmd.core.turn import Turn
    from protocol.bodies import FarmBody
    from protocol.messages import Grant
    from tests.sim.world import World

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


class SimDriver(Driver):
    """The driver of a machine that can be frozen: what happens meanwhile is handled when it thaws."""

    frozen: list[Event] | None = None

    @property
    def is_busy(self) -> bool:
        """Events or a commit are waiting."""
        return bool(self._inbox) or self._commit is not None

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
        self.ageing = Ageing(self)
        self.logs = SimLogs()
        self.driver: SimDriver | None = None
        self.hands: SimHands | None = None
        self.lives = 0
        self.cores, self.ram_gib, self.slots = 4, 32, 2
        self.free_disk = 1 << 40
        self._measure: asyncio.TimerHandle | None = None
        self.admitted = False
        self.evicted = False
        self.leaving = False
        self.lost_power = False
        self.lied_at: float | None = None

    @property
    def node(self) -> Node:
        """The core of the present life."""
        assert self.driver is not None
        return self.driver.node

    @property
    def has_lost_rows(self) -> bool:
        """What it alone knew is not to be expected of the farm."""
        return self.lied_at is not None or self.evicted

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
        loaded = Loaded(tuple(image.rows.values()), dict(image.vector), dict(image.meta), self.lost_power)
        self.lost_power = False
        self.leaving = False
        self.admitted = founds is not None or (int(Kind.KEY), pack_node(self.id)) in image.rows
        rng = Random(f"{self.world.seed}/life/{self.index}/{self.lives}")
        self.lives += 1
        node = Node(
            Self(
                self.public_key,
                self.body(),
                founds,
                store_quota_bytes=self.ageing.quota,
                archive_after_s=self.world.archive_after_s,
            ),
            loaded,
            rng,
            self.clock.now(),
        )
        self.hands = SimHands(self.id, self.world, self._post, self.blobs)
        self.driver = self.world.driver_class(
            node, clock=self.clock, store=self.disk, hands=self.hands, on_bug=self.world.on_bug
        )
        self.world.watch.on_birth(self)
        self._wrap(node)
        self.driver.start()
        self._beat()
        if not self.admitted:
            self._knock()

    def _post(self, event: Event) -> None:
        if self.driver is not None:
            self.driver.post(event)

    def _wrap(self, node: Node) -> None:
        """Have every turn watched."""
        handle, start, on_grant = node.handle, node.start, node.worker.on_grant

        def watched_handle(event: Event, now: Instant) -> list[Effect]:
            effects = handle(event, now)
            self.world.watch.on_turn(self, event, effects)
            return effects

        def watched_start(now: Instant) -> list[Effect]:
            effects = start(now)
            self.world.watch.on_turn(self, None, effects)
            return effects

        def watched_grant(turn: Turn, sender: NodeId, grant: Grant) -> None:
            if sender == self.id:
                self.world.watch.on_grant(self, self.id, grant)
            on_grant(turn, sender, grant)

        node.worker.on_grant = watched_grant  # type: ignore[method-assign]  # grants to itself are never sent
        node.handle, node.start = watched_handle, watched_start  # type: ignore[method-assign]  # the watch's seam

    def _beat(self) -> None:
        self._post(Measured(self.ram_gib * GIB, self.free_disk, 0.5, self.ageing.measured(), self.ageing.disk_bytes))
        self._measure = self.world.loop.call_later(1.0, self._beat)

    def _knock(self) -> None:
        """A machine with a token asks members to be admitted until one does."""
        if not self.up or self.admitted or self.evicted:
            return
        hosts = [machine for machine in self.world.machines if machine.up and machine.admitted]
        hosts = [host for host in hosts if (self.id, host.id) not in self.world.network.cut]
        if hosts:
            self.world.knock(self, self.rng.choice(hosts))
        self.world.loop.call_later(1.0, self._knock)

    def crash(self, *, power_cut: bool = False) -> None:
        """Power cut or kill -9: everything in memory is gone, and the machine's processes.

        A killed process leaves a kernel that closes its connections; a machine without power says nothing.
        """
        self._end()
        self.lost_power = power_cut
        if power_cut:
            self.blobs.lose_power()
        self.world.say(f"{self.name} {'loses power' if power_cut else 'is killed'}")
        for machine in self.world.machines:
            if not power_cut and machine.up and (self.id, machine.id) not in self.world.network.cut:
                machine._post(Disconnected(self.id))

    def empty_store(self) -> None:
        """Somebody deletes the content store; a daemon that runs notices when it looks next."""
        self.blobs.wipe()
        self.world.say(f"the content store of {self.name} is wiped")
        self.world.loop.call_later(2.0, self._post, BlobLost(None))

    def _end(self) -> None:
        assert self.driver is not None
        assert self.hands is not None
        self.driver.close()
        self.hands.crash()
        self.disk.crash()
        if self._measure is not None:
            self._measure.cancel()
        self.driver = None

    def leave(self, *, patience_s: float = 5.0) -> None:
        """Shut the daemon down in good order: it ends what runs, says goodbye, and is gone some seconds later."""
        if self.driver is None or self.leaving:
            return
        self.leaving = True
        self.world.say(f"{self.name} shuts down")
        self._post(Stopping())
        self.world.loop.call_later(0.2, self._leave_when_idle, self.driver, self.world.loop.time() + patience_s)

    def _leave_when_idle(self, driver: SimDriver, until: float) -> None:
        if self.driver is not driver:
            return
        assert self.hands is not None
        if self.world.loop.time() < until and (self.hands.processes or driver.is_busy):
            self.world.loop.call_later(0.2, self._leave_when_idle, driver, until)
            return
        self._end()

    def freeze(self) -> None:
        """The machine stops executing (SIGSTOP, a sleeping laptop); its renders stop with it."""
        assert self.driver is not None
        assert self.hands is not None
        self.driver.frozen = []
        self.hands.stash = []
        self.world.say(f"{self.name} stands still")

    def thaw(self) -> None:
        """The machine goes on, with everything that has piled up."""
        if self.driver is None or self.hands is None or self.driver.frozen is None:
            return
        events, self.driver.frozen = self.driver.frozen, None
        effects, self.hands.stash = self.hands.stash or [], None
        self.world.say(f"{self.name} goes on")
        for effect in effects:
            self.hands.perform(effect)
        for event in events:
            self.driver.post(event)

    @property
    def frozen(self) -> bool:
        return self.driver is not None and self.driver.frozen is not None
