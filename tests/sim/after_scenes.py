"""Short scenes of what people ask for after submission, as `tests.sim.scenes`, and mistakes that must show in them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from farmd.core.attempts import read_attempt
from farmd.core.gate import GateState
from farmd.core.job import Job
from farmd.core.registers import Registers
from farmd.core.releasing import Releasing
from farmd.core.worker import Worker
from protocol.jobspec import GateMode, GateSpec
from protocol.records import JobField, Kind
from tests.sim.mutants import Mutant

if TYPE_CHECKING:
    from protocol.bodies import ControlBody
    from protocol.ids import JobId
    from protocol.records import Rec
    from tests.sim.machine import Machine
    from tests.sim.scenes import SceneOf, Stage

GIB = 1 << 30
HOLD_S = 10.0


def edit(stage: Stage, at: Machine, job: JobId, **changes: Any) -> None:
    """Ask for changes of a job on a machine."""
    stage.world.ask(at, "job.edit", job=job, changes=changes)


async def changed_while_running(stage: Stage) -> None:
    """A job asks for much more while its frames run, with as many ready as before."""
    job = await stage.job(stage.follower(), gate=GateSpec(GateMode.OFF), frames="1-60")
    await asyncio.sleep(4.0)
    edit(stage, stage.follower(), job, ram_bytes=9 * GIB, cores=2)
    await asyncio.sleep(60.0)
    stage.expect_completed(job)


async def changed_on_both_sides(stage: Stage) -> None:
    """Both sides of a split change a job: different fields, and one field twice."""
    job = await stage.job(stage.follower(), gate=GateSpec(GateMode.HOLD, (1,)))
    one, others = stage.machines[0], stage.machines[1:]
    await asyncio.sleep(4.0)
    stage.world.network.split([[one.id], [other.id for other in others]])
    edit(stage, one, job, ram_bytes=2 * GIB, name="one")
    edit(stage, others[0], job, retries=7, name="other")
    await asyncio.sleep(4.0)
    stage.world.network.heal()
    await asyncio.sleep(6.0)
    for machine in stage.world.up():
        spec = machine.node.jobs._jobs[job].spec
        if (spec.requirements.ram_bytes, spec.limits.retries) != (2 * GIB, 7) or spec.name not in ("one", "other"):
            stage.watch.fail(1, f"{machine.name} has lost a change: {spec}")
    if len({machine.node.jobs._jobs[job].spec for machine in stage.world.up()}) != 1:
        stage.watch.fail(1, "machines differ about a job that was changed")


async def held_for_a_while(stage: Stage) -> None:
    """Machines whose clocks differ by an hour are held for ten seconds of their own, one of them over a restart."""
    early, late = stage.machines[1], stage.machines[2]
    early.clock.skew_ms, late.clock.skew_ms = -3_600_000, 3_600_000
    for machine in (early, late):
        until_ms = machine.clock.now().wall_ms + int(HOLD_S * 1000)
        stage.world.ask(machine, "node.hold", node=machine.id, until_ms=until_ms, now=True)
    await asyncio.sleep(HOLD_S / 2)
    late.crash()
    for machine in stage.world.up():
        if any(machine.node.registry.hold_of(held.id) is None for held in (early, late)):
            stage.watch.fail(0, f"{machine.name} does not know that both are held")
    await asyncio.sleep(HOLD_S)
    late.start()
    await asyncio.sleep(HOLD_S)
    for machine in stage.world.up():
        if any(machine.node.registry.hold_of(held.id) is not None for held in (early, late)):
            stage.watch.fail(0, f"{machine.name} takes one for held whose time is over")
    job = await stage.job(stage.machines[0])
    await asyncio.sleep(30.0)
    stage.expect_completed(job)


async def paid_for(stage: Stage) -> None:
    """A machine changes its price while a job is rendered; every machine knows the same cost."""
    for machine in stage.machines:
        stage.world.ask(machine, "node.price", node=machine.id, price_micros=1_000_000)
    await asyncio.sleep(2.0)
    job = await stage.job(stage.follower(), gate=GateSpec(GateMode.OFF), frames="1-30")
    await asyncio.sleep(4.0)
    prices = {attempt.price for attempt in _attempts(stage, job)}
    stage.world.ask(stage.machines[1], "node.price", node=stage.machines[0].id, price_micros=5_000_000, alike=True)
    stage.world.ask(stage.machines[1], "node.price", node=stage.machines[0].id, price_micros=900_000_000)
    await asyncio.sleep(40.0)
    stage.expect_completed(job)
    sums = {machine.node.jobs._jobs[job].costs.total for machine in stage.world.up()}
    if len(sums) != 1 or not next(iter(sums)).cost or next(iter(sums)).unpriced_ms:
        stage.watch.fail(13, f"machines differ about what a job cost, or do not know it: {sums}")
    if not prices or 0 in prices:
        stage.watch.fail(13, "attempts started without a price")


def _attempts(stage: Stage, job: JobId) -> list[Any]:
    rows = stage.leader().node.replica.rows()
    found = [read_attempt(rec) for rec in rows if rec.kind == Kind.ATTEMPT]
    return [attempt for attempt in found if attempt.ref.job == job]


AFTER_SCENES: tuple[tuple[SceneOf, int], ...] = (
    (changed_while_running, 3),
    (changed_on_both_sides, 3),
    (held_for_a_while, 3),
    (paid_for, 3),
)


def _old_order(self: Job) -> Any:
    return -self.priority, self.gate is not GateState.TESTING, self.id, self.ram_floor_bytes


def _one_register(right: Any) -> Any:
    def put(self: Registers, rec: Rec, field: int, body: ControlBody) -> bytes | None:
        if field == JobField.EDITED:
            for key in [key for key in self._found if key[0] == field]:
                del self._found[key]
        found: bytes | None = right(self, rec, field, body)
        return found

    return put


def _no_price(right: Any) -> Any:
    def obey(self: Worker, turn: Any, hold: Any, price: int | None) -> None:
        right(self, turn, hold, None if price is None else 0)

    return obey


AFTER_MUTANTS = (
    Mutant("grant what was asked for at first", changed_while_running, ((Job, "grant_order", property(_old_order)),)),
    Mutant(
        "one change takes the place of another",
        changed_on_both_sides,
        ((Registers, "put", _one_register(Registers.put)),),
    ),
    Mutant(
        "never let go", held_for_a_while, ((Releasing, "on_timer", lambda self, turn: setattr(self, "_due", None)),)
    ),
    Mutant("render for nothing", paid_for, ((Worker, "obey_hold", _no_price(Worker.obey_hold)),)),
)
