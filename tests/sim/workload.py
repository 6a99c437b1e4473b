"""What the studio asks of the farm in one history: jobs of all kinds, and people who change their minds.

Artists submit where they sit, again elsewhere when nobody answers; wranglers pause, resume, approve, retry and cancel
on whatever machine is near, cut off or not.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import msgpack

from farmd.core.bitmap import Mark
from protocol.ids import JobId
from protocol.jobspec import GateMode, GateSpec, JobSpec, Limits, PartitionPolicy, Requirements
from protocol.states import FailureClass
from tests.sim.afterwards import Afterwards
from tests.sim.blobs import large
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.effects import StartAttempt
    from protocol.ids import BlobAddress, NodeId
    from tests.sim.machine import Machine
    from tests.sim.world import Answer, World

    Trouble = Callable[[Random, NodeId, StartAttempt], RenderPlan | None]

ANSWER_S = 25.0
KINDS = ("plain", "outputs", "assets", "chunked", "hold", "off", "after", "failing", "wide", "minority")
FAILURES = (
    FailureClass.ERROR,
    FailureClass.CRASH,
    FailureClass.OOM,
    FailureClass.TIMEOUT,
    FailureClass.BAD_OUTPUT,
    FailureClass.LICENSE,
    FailureClass.START_FAILED,
)


class Studio:
    """The people of a history.

    Attributes:
        accepted: Jobs whose submission was answered, and the machine that answered.
        frames: Asked for in all.
    """

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.accepted: dict[JobId, Machine] = {}
        self.frames = 0
        self._submissions = 0
        self.healthy = False
        self.closed = False
        self._afterwards = Afterwards(world)

    # -- artists --------------------------------------------------------------------------------------------------

    def plan(self, begin: float, end: float) -> None:
        """Draw the jobs of a history, at least 200 frames in all, and plan when each is submitted."""
        number, frames = 0, 0
        kinds = list(KINDS)
        self._rng.shuffle(kinds)
        while frames < 200 or number < 3:
            kind = kinds[number % len(kinds)]
            count = self._rng.randint(20, 90)
            at = begin + (end - begin) * self._rng.random() * (0.0 if number == 0 else 1.0)
            self._world.loop.call_at(at, self._commission, kind, number, count)
            number, frames = number + 1, frames + count
        self.frames = frames

    def _commission(self, kind: str, number: int, count: int) -> None:
        self._world.loop.create_task(self._submit(kind, number, count))

    async def _submit(self, kind: str, number: int, count: int) -> None:
        """Submit until somebody answers that the job is accepted."""
        while not self.closed:
            machine = self._near()
            if machine is None:
                await asyncio.sleep(2.0)
                continue
            client = self._world.submit(machine, self._spec(kind, number, count, machine))
            answer = await self._answer(client)
            if answer is not None and answer.error is None:
                self._accepted(JobId(answer.data["job"]), machine, kind)
                return
            await asyncio.sleep(2.0)

    def _accepted(self, job: JobId, machine: Machine, kind: str) -> None:
        self.accepted[job] = machine
        if kind == "failing" or self._rng.random() < 0.15:
            self._world.failing[job] = self._trouble(job)

    def _near(self) -> Machine | None:
        up = [machine for machine in self._world.up() if machine.admitted and not machine.leaving]
        return self._rng.choice(up) if up else None

    async def _answer(self, client: int) -> Answer | None:
        until = self._world.loop.time() + ANSWER_S
        while client not in self._world.answers and self._world.loop.time() < until:  # noqa: ASYNC110  # simulated
            await asyncio.sleep(0.25)
        return self._world.answers.get(client)

    def _spec(self, kind: str, number: int, count: int, machine: Machine) -> JobSpec:
        rng = self._rng
        more: dict[str, Any] = {}
        self._submissions += 1
        if kind in ("outputs", "assets", "chunked", "after", "hold"):
            more |= {"output_name": "f.{frame:04d}.png", "output_dir": f"/out/{self._submissions}"}
        if kind in ("assets", "chunked", "wide"):
            more["manifest"] = self._scene(machine, number)
        if kind == "chunked":
            more["chunk"] = rng.randint(2, 5)
        if kind == "after" and self.accepted:
            more["after"] = (rng.choice(sorted(self.accepted)),)
        if kind == "minority":
            more["on_partition"] = PartitionPolicy.HOLD_IN_MINORITY
        if kind == "wide":
            more["requirements"] = Requirements(cores=rng.choice((2, 3, 4)), ram_bytes=rng.choice((0, 9 << 30)))
        mode = {"hold": GateMode.HOLD, "off": GateMode.OFF}.get(kind, GateMode.AUTO)
        tests = (1, count // 2, count)[: rng.randint(1, 3)] if mode is not GateMode.OFF else ()
        return JobSpec(
            name=f"{kind}-{number}",
            owner="anna",
            submitted_at_ms=0,
            submit_node=machine.id,
            renderer="command",
            command="render {frame}",
            frames=f"1-{count}",
            gate=GateSpec(mode, tests),
            limits=Limits(retries=rng.choice((1, 3))),
            priority=rng.choice((50, 50, 20, 80)),
            **more,
        )

    def _scene(self, machine: Machine, number: int) -> BlobAddress:
        name = f"{self._world.seed} scene {number}"
        files = [machine.blobs.add(f"{name} file {index}".encode()) for index in range(3)]
        files.append(machine.blobs.add(large(3 + 5 * number % 17, name)))
        return machine.blobs.add(msgpack.packb([list(file) for file in files]))

    def _trouble(self, job: JobId) -> Trouble:
        """Draw how renders of a job fail: now and then, always on some frames, or always on some machines."""
        own = Random(f"{self._world.seed}/feature/{job}")  # its own draws: seeds that showed bugs stay the same
        if own.random() < 0.25:
            return self._lack(own)
        cause = self._rng.choice(FAILURES)
        share, always = 0.05 + 0.3 * self._rng.random(), self._rng.random() < 0.3
        bad = self._rng.randint(2, 12)
        self._world.counts.fault(f"renders fail: {cause.name}")

        def plan(rng: Random, node: NodeId, effect: StartAttempt) -> RenderPlan | None:
            hit = bad in effect.frames if always else rng.random() < share
            if self.healthy or not hit:
                return None
            return RenderPlan(0.3 + rng.random(), int(cause), f"it failed: {cause.name}", 3 << 30)

        return plan

    def _lack(self, own: Random) -> Trouble:
        """Draw the machines whose renderer lacks what the scene needs: some, or all of them."""
        names = [machine.id for machine in self._world.machines]
        lacking = own.sample(names, own.randint(1, len(names)))
        self._world.counts.fault(
            "renders fail: MISSING_FEATURE" + (" everywhere" if len(lacking) == len(names) else "")
        )

        def plan(rng: Random, node: NodeId, effect: StartAttempt) -> RenderPlan | None:
            if self.healthy or node not in lacking:
                return None
            return RenderPlan(0.3 + rng.random(), int(FailureClass.MISSING_FEATURE), "built without a denoiser")

        return plan

    # -- wranglers ------------------------------------------------------------------------------------------------

    def wrangle(self, begin: float, end: float, count: int) -> None:
        """Plan orders of people on random machines."""
        for _ in range(count):
            self._world.loop.call_at(begin + (end - begin) * self._rng.random(), self._order)
        self._afterwards.plan(begin, end, 2 * count)
        own = Random(f"{self._world.seed}/paths")  # its own draws, as with features that are lacking
        for _ in range(count // 4):
            self._world.loop.call_at(begin + (end - begin) * own.random(), self._change_rules, own)

    def _change_rules(self, own: Random) -> None:
        """Somebody adds or removes a path rule, of the same few for all, so that people get in each other's way."""
        up = [machine for machine in self._world.up() if machine.admitted and not machine.leaving]
        written, platform = own.choice(("Y:/show", r"y:\SHOW", "//filer/tex", "/mnt/a")), own.choice(("any", "linux"))
        if not up:
            return
        machine, target = own.choice(up), f"/mnt/{own.randint(1, 3)}"
        action = "remove" if machine.node.path_rules.rules and own.random() < 0.4 else "add"
        more = {"becomes": target} if action == "add" else {}
        self._world.counts.fault(f"client path {action}")
        self._world.ask(machine, f"path.{action}", written=written, platform=platform, **more)

    def _order(self) -> None:
        machine = self._near()
        if machine is None:
            return
        jobs = [job.id for job in machine.node.jobs]
        action = self._rng.choice(("pause", "resume", "priority", "retry", "approve", "cancel", "reject", "hold"))
        if action == "hold":
            self._hold(machine)
        elif jobs:
            self._control(machine, action, self._rng.choice(jobs))

    def _hold(self, machine: Machine) -> None:
        which = self._rng.choice(self._world.machines).id
        if which in machine.node.registry.bodies:
            self._world.counts.fault("client hold")
            self._world.ask(machine, "node.hold", node=which)
            self._world.loop.call_later(20 * self._rng.random(), self._release, machine, which)

    def _release(self, machine: Machine, which: str) -> None:
        if machine.up:
            self._world.ask(machine, "node.release", node=which)

    def _control(self, machine: Machine, action: str, job: JobId) -> None:
        args: dict[str, Any] = {}
        if action in ("cancel", "reject") and self._rng.random() < 0.6:
            action = "resume"
        if action == "priority":
            args["value"] = self._rng.randint(0, 100)
        if action == "pause":
            args["now"] = self._rng.random() < 0.3
            self._world.loop.call_later(30 * self._rng.random(), self._resume_somewhere, job)
        if action == "retry" and self._rng.random() < 0.5:
            first = self._rng.randint(1, 12)
            args["frames"] = f"{first}-{first + self._rng.randint(0, 4)}"
        cut_off = any(machine.id in pair for pair in self._world.network.cut)
        self._world.counts.fault(f"client {action}" + (" while cut off" if cut_off else ""))
        self._world.say(f"on {machine.name} somebody asks to {action} {job} {args or ''}")
        self._world.ask(machine, "job.control", job=job, action=action, **args)
        if action == "cancel" and self._rng.random() < 0.5:
            self._world.loop.call_later(3.0, self._delete, machine, job)

    def _delete(self, machine: Machine, job: JobId) -> None:
        if machine.up:
            self._world.counts.fault("client delete")
            self._world.ask(machine, "job.control", job=job, action="delete")

    def _resume_somewhere(self, job: JobId) -> None:
        machine = self._near()
        if machine is not None and machine.node.jobs.get(job) is not None:
            self._world.ask(machine, "job.control", job=job, action="resume")

    def tidy_up(self, machine: Machine) -> None:
        """All renders are good from now on; a wrangler lets everything go on that waits for a person."""
        self.healthy = True
        self._afterwards.tidy_up(machine)
        node = machine.node
        for job in list(node.jobs):
            if job.cancelled:
                continue
            if job.paused:
                self._world.ask(machine, "job.control", job=job.id, action="resume")
            if job.state.value == "awaiting_approval":
                self._world.ask(machine, "job.control", job=job.id, action="approve")
            if job.count(Mark.HELD):
                self._world.ask(machine, "job.control", job=job.id, action="retry")
        for which in list(node.registry.bodies):
            if node.registry.hold_of(which) is not None:
                self._world.ask(machine, "node.release", node=which)
