"""A farm of hundreds of whole nodes, to measure how fast all of them know what one was told.

The machines start with the farm's keys and descriptions on their disks, as after a power cut of the whole building:
growing such a farm one join at a time would take longer than measuring it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest.mock import patch

from farmd.core.life import Life
from protocol.bodies import FarmBody, KeyBody, pack_body
from protocol.clock import hlc_of
from protocol.ids import pack_node
from protocol.jobspec import JobSpec
from protocol.records import Kind, Rec
from tests.sim.disk import Image
from tests.sim.invariants import Watch
from tests.sim.machine import START_WALL_MS
from tests.sim.virtual_loop import VirtualLoop
from tests.sim.world import World

if TYPE_CHECKING:
    from farmd.core.effects import Effect, Reply, Send, StartAttempt
    from farmd.core.events import Event
    from protocol.ids import JobId, NodeId
    from tests.sim.machine import Machine

SETTLE_S = 6.0
STEP_S = 0.01
GIVE_UP_S = 10.0
ENOUGH = 0.99


class Glance(Watch):
    """Counts, and checks nothing: this is about time."""

    def on_turn(self, machine: Machine, event: Event | None, effects: list[Effect]) -> None:
        self.world.counts.events += 1

    def on_send(self, sender: NodeId, effect: Send) -> None:
        pass

    def on_start(self, node: NodeId, effect: StartAttempt) -> None:
        pass

    def on_reply(self, node: NodeId, effect: Reply) -> None:
        pass


def image_of(machines: list[Machine]) -> Image:
    """Make the database that all of them share: one stream with the farm, its keys and its nodes."""
    hlc, origin, rows = hlc_of(START_WALL_MS - 1000), 1, []
    content = [(Kind.FARM, b"", pack_body(FarmBody("big", bytes(32))))]
    for machine in machines:
        pk = pack_node(machine.id)
        content.append((Kind.KEY, pk, pack_body(KeyBody(machine.public_key, "node", "founder"))))
        content.append((Kind.NODE, pk, pack_body(machine.body())))
    for seq, (kind, pk, body) in enumerate(content, start=1):
        rows.append(Rec(int(kind), pk, 1, hlc, origin, seq, 0, body))
    return Image({(rec.kind, rec.pk): rec for rec in rows}, {origin: len(rows)}, {})


class BigFarm:
    """Many nodes, none of which works: spreading news is all they do."""

    def __init__(self, nodes: int, seed: str = "big") -> None:
        self.loop = VirtualLoop()
        self.world = World(seed, self.loop, Glance())
        self.nodes = nodes

    def measure(self, samples: int) -> list[float]:
        """Submit on one node after the other; return how long it took each time until 99 % of the nodes knew."""
        with patch.object(Life, "introduce", lambda self, turn: None):
            return [float(seconds) for seconds in self.loop.run_until_complete(self._measure(samples))]

    async def _measure(self, samples: int) -> list[float]:
        machines = [self.world.add() for _ in range(self.nodes)]
        image = image_of(machines)
        for machine in machines:
            machine.disk.image = image.copy()
            machine.start()
        await asyncio.sleep(SETTLE_S)
        times = [await self._sample(number) for number in range(samples)]
        for machine in machines:
            assert machine.driver is not None
            machine.driver.close()
        return times

    async def _sample(self, number: int) -> float:
        machine = self.world.rng.choice(self.world.machines)
        spec = JobSpec(f"news {number}", "anna", 0, machine.id, "blender", scene="s.blend")
        began = self.loop.time()
        self.world.submit(machine, spec)
        while self.loop.time() < began + GIVE_UP_S:
            await asyncio.sleep(STEP_S)
            job = next((job.id for job in machine.node.jobs if job.spec.name == spec.name), None)
            if job is not None and self._knowing(job) >= ENOUGH * self.nodes:
                break
        took = self.loop.time() - began
        await asyncio.sleep(1.0)
        return took

    def _knowing(self, job: JobId) -> int:
        return sum(job in machine.node.jobs for machine in self.world.machines)
