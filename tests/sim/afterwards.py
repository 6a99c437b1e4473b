"""What people ask for after a job was submitted, in one history: changes, archive, holds with an end, prices.

All draws are its own, so that the seeds of older histories go on to draw the same. Each order goes to a machine that is
near, cut off or not, whatever its clock says; some make no sense and are refused.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farmd.core.job import Job
    from protocol.ids import NodeId
    from tests.sim.machine import Machine
    from tests.sim.world import World

GIB = 1 << 30
LET_GO_WITHIN_MS = 65_000
"""After the end of a hold, by the clock of the machine that is held."""
LOOK_S = 5.0
_CHANGES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("ram_bytes", (0, GIB, 6 * GIB, 500 * GIB, None)),
    ("cores", (0, 1, 2, 3, None)),
    ("retries", (0, 1, 3, 6, None)),
    ("frame_timeout_s", (60, 3600, None)),
    ("priority", (10, 50, 90, None)),
    ("name", ("renamed", "again", None)),
    ("project", ("dragon", "whale", "", None)),
    ("labels.shot", ("s010", "s020", "", None)),
    ("gpus", (9, 0, None)),
)


class Afterwards:
    """People who change their minds about what is there already."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = Random(f"{world.seed}/afterwards")
        self._until: dict[NodeId, float] = {}

    def plan(self, begin: float, end: float, count: int) -> None:
        """Plan orders between two instants."""
        for _ in range(count):
            self._world.loop.call_at(begin + (end - begin) * self._rng.random(), self._order)
        self._world.loop.call_at(begin, self._look)

    def _order(self) -> None:
        up = [machine for machine in self._world.up() if machine.admitted and not machine.leaving]
        if not up:
            return
        machine = self._rng.choice(up)
        jobs = list(machine.node.jobs)
        kind = self._rng.choice(("edit", "edit", "edit", "archive", "hold", "hold", "price"))
        if kind == "hold":
            self._hold(machine)
        elif kind == "price":
            self._ask(
                machine, "node.price", price_micros=self._rng.randint(-1, 9_000_000), alike=self._rng.random() < 0.5
            )
        elif jobs:
            self._change(machine, self._rng.choice(jobs), kind)

    def _change(self, machine: Machine, job: Job, kind: str) -> None:
        if kind == "archive":
            action = "unarchive" if job.archived else "archive"
            self._ask(machine, "job.control", job=job.id, action=action)
            return
        fields = self._rng.sample(_CHANGES, self._rng.randint(1, 3))
        changes = {name: self._rng.choice(values) for name, values in fields}
        self._ask(machine, "job.edit", job=job.id, changes=changes)

    def _hold(self, machine: Machine) -> None:
        which = self._rng.choice(self._world.machines).id
        if which not in machine.node.registry.bodies:
            return
        until_ms = machine.clock.now().wall_ms + self._rng.randint(2_000, 40_000)
        op = self._rng.choice(("node.hold", "node.drain"))
        self._ask(machine, op, node=which, until_ms=until_ms, now=self._rng.random() < 0.3)

    def _ask(self, machine: Machine, op: str, **args: Any) -> None:
        self._world.counts.fault(f"client {op}")
        self._world.say(f"on {machine.name} somebody asks for {op} {args}")
        self._world.ask(machine, op, **args)

    def _look(self) -> None:
        """A machine that is up and whose clock is past the end of its hold has let itself go."""
        self._world.loop.call_later(LOOK_S, self._look)
        for machine in self._world.up():
            hold = machine.node.registry.hold_of(machine.id)
            wall_ms = machine.clock.now().wall_ms
            over = hold is not None and 0 < hold.until_ms < wall_ms - LET_GO_WITHIN_MS
            idle = machine.frozen or not machine.node.life.introduced
            if not over or idle:
                self._until.pop(machine.id, None)
                continue
            since = self._until.setdefault(machine.id, self._world.loop.time())
            if self._world.loop.time() - since > LET_GO_WITHIN_MS / 1000:
                self._world.watch.fail(0, f"{machine.name} is held though the time of that is over")

    def tidy_up(self, machine: Machine) -> None:
        """Take back what keeps jobs from running: what they ask for is what was submitted."""
        for job in list(machine.node.jobs):
            if not job.cancelled and (job.spec.requirements, job.spec.limits) != (
                job.submitted.requirements,
                job.submitted.limits,
            ):
                names = ("ram_bytes", "cores", "gpus", "retries", "frame_timeout_s")
                self._world.ask(machine, "job.edit", job=job.id, changes=dict.fromkeys(names))
