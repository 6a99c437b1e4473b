"""A small simulated farm for tests of the node's outer behaviour: what clients ask, what they are told, what runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from protocol.jobspec import GateMode, GateSpec, JobSpec
from tests.sim.invariants import Watch
from tests.sim.passes import check_folds, check_replicas
from tests.sim.virtual_loop import VirtualLoop
from tests.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from protocol.ids import AttemptRef, NodeId
    from tests.sim.world import Answer

SPEC = JobSpec(
    name="shot",
    owner="anna",
    submitted_at_ms=0,
    submit_node="0" * 16,  # type: ignore[arg-type]  # the node fills it in
    renderer="command",
    command="render {frame} {output}",
    frames="1-20",
    output_name="f.{frame:04d}.png",
    output_dir="/out",
    gate=GateSpec(GateMode.AUTO, (1, 10, 20)),
)


class Farm:
    """A world with a few words for tests."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machines = world.machines

    @property
    def started(self) -> dict[AttemptRef, NodeId]:
        """Attempts whose process was started, and where, in order."""
        found: dict[AttemptRef, Any] = dict(self.world.watch.started)
        return {ref: where[0] if isinstance(where, tuple) else where for ref, where in found.items()}

    async def ask(self, op: str, on: int = 0, wait_s: float = 5.0, **args: Any) -> Answer:
        """Ask one machine and wait for its answer."""
        return await self._answer(self.world.ask(self.machines[on], op, **args), wait_s)

    async def ask_as(self, user: str, op: str, on: int = 0, wait_s: float = 5.0, **args: Any) -> Answer:
        """Ask as a person with no more rights than their role."""
        return await self._answer(self.world.ask_as(self.machines[on], user, op, **args), wait_s)

    async def _answer(self, client: int, wait_s: float) -> Answer:
        await self.until(lambda: client in self.world.answers, wait_s)
        return self.world.answers[client]

    async def data(self, op: str, on: int = 0, wait_s: float = 5.0, **args: Any) -> Any:
        """Ask, and insist on an answer without error."""
        answer = await self.ask(op, on, wait_s, **args)
        assert answer.error is None, answer.error
        return answer.data

    async def submit(self, on: int = 0, **changes: Any) -> str:
        """Submit a job like SPEC with some changes; returns its id."""
        return str((await self.submitted(on, **changes))["job"])

    async def submitted(self, on: int = 0, **changes: Any) -> Any:
        """Submit a job like SPEC with some changes; returns the whole answer."""
        client = self.world.submit(self.machines[on], replace(SPEC, **changes))
        await self.until(lambda: client in self.world.answers, 25.0)
        answer = self.world.answers[client]
        assert answer.error is None, answer.error
        return answer.data

    async def state(self, job: str, on: int = 0) -> str:
        """State of a job as one machine sees it."""
        return str((await self.data("job.show", on, job=job))["state"])

    async def until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Let simulated time pass until something holds."""
        deadline = self.world.loop.time() + limit_s
        while not condition():
            assert self.world.loop.time() < deadline, "it did not happen in time"
            await asyncio.sleep(0.05)

    async def until_state(self, job: str, state: str, on: int = 0, limit_s: float = 120.0) -> None:
        """Let simulated time pass until a job is in a state."""
        await self.until(
            lambda: self.machines[on].node.jobs.state_of(job).value == state,  # type: ignore[arg-type]  # a job id
            limit_s,
        )


def play(
    scene: Callable[[Farm], Awaitable[None]], machines: int = 1, *, prepare: Callable[[World], None] | None = None
) -> None:
    """Run a scene on a farm of so many machines, on simulated time; invariants are watched."""
    loop = VirtualLoop()

    async def run() -> None:
        world = World(scene.__name__, loop, Watch())
        if prepare is not None:
            prepare(world)
        world.found()
        for _ in range(machines - 1):
            world.add().start()
        await asyncio.sleep(8)
        await scene(Farm(world))
        check_replicas(world.watch)
        for machine in world.up():
            check_folds(world.watch, machine)
        for machine in world.up():
            machine.crash()
        await asyncio.sleep(1)

    loop.run_until_complete(run())
