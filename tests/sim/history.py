"""One history: a farm drawn from a seed, five minutes in which everything goes wrong, and then the healing.

First safety: every invariant holds at every moment, whatever happens. Then liveness: when the last fault is healed,
within stated times the replicas are equal, one leader leads, every frame that can be rendered is, and results are
where they belong. The same seed gives the same history, event by event.
"""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from protocol.bodies import AttemptBody, unpack_body
from protocol.records import Kind, Rank, attempt_ref_of
from protocol.states import JOB_TERMINAL
from tests.sim import passes
from tests.sim.ageing import files_of
from tests.sim.invariants import Broken, Watch
from tests.sim.machine import SimDriver
from tests.sim.nemesis import Nemesis
from tests.sim.virtual_loop import VirtualLoop
from tests.sim.workload import Studio
from tests.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.ids import BlobAddress, JobId, NodeId
    from tests.sim.machine import Machine

SIZES = ((1, 14), (2, 20), (3, 38), (5, 20), (24, 8))
"""Farms by number of machines, and how often of a hundred each is drawn."""
TROUBLE_BEGINS_S, TROUBLE_ENDS_S, HEALED_S = 8.0, 280.0, 300.0
START_AGAIN_S = 6.0
"""Machines that are down at the end of the trouble start this long before the network is healed."""
EQUAL_WITHIN_S, LEADER_WITHIN_S = 5.0, 10.0
PATIENCE_S, PATIENCE_PER_WORK = 240.0, 2.0
"""After healing, all that can be rendered has ended within this, or within so many times what the machines need for it."""
DELIVERED_WITHIN_S = 150.0
"""A source of wrong bytes may be out of favour for a while, and be the only one."""
SAMPLE_S = 0.5
PASS_EVERY = 50
UNACCEPTED_S = 12.0
IDLE_S = 8.0


@dataclass(slots=True)
class Report:
    """What a history was like."""

    seed: str
    nodes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    leader_changes: int = 0
    two_leaders_s: float = 0.0
    two_leaders_episodes: int = 0
    frames_done: int = 0
    tasks_done: int = 0
    double_work: int = 0
    events: int = 0
    messages: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0
    digest: int = 0
    broken: str = ""
    story: list[tuple[float, str]] = field(default_factory=list)


class History:
    """Runs one seed.

    Args:
        seed: Names the history.
        nodes: Machines at the start; drawn if None.
        exact: Digest everything, not only the kinds of events and effects.
        driver_class: A mutant's, or the real one.
    """

    def __init__(
        self,
        seed: int | str,
        *,
        nodes: int | None = None,
        exact: bool = False,
        driver_class: type[SimDriver] = SimDriver,
    ) -> None:
        self.loop = VirtualLoop()
        self.watch = Watch(exact=exact)
        self.world = World(str(seed), self.loop, self.watch, driver_class=driver_class)
        self.rng = Random(f"{seed}/history")
        drawn = self.rng.choices([size for size, _ in SIZES], [share for _, share in SIZES])[0]
        self.nodes = nodes or drawn
        self.nemesis = Nemesis(self.world, Random(f"{seed}/nemesis"), max_machines=self.nodes + 3)
        self.studio = Studio(self.world, Random(f"{seed}/studio"))
        self.report = Report(str(seed), self.nodes)
        self._samples = 0
        self._two_leaders = False
        self._unaccepted: dict[object, float] = {}
        self._idle_since: dict[tuple[NodeId, int, int], float] = {}

    def run(self) -> Report:
        """Live through it; what breaks stands in the report."""
        began = time.process_time()
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            self.loop.run_until_complete(self._live())
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs into the report
            self.report.broken = f"{type(error).__name__}: {error}"
            self.world.say(self.report.broken)
            if not isinstance(error, Broken):
                self.report.broken += _where(error)
        finally:
            self._close()
            gc.collect()
            if was_enabled:
                gc.enable()
        self._fill_report()
        self.report.wall_s = time.process_time() - began
        return self.report

    def _close(self) -> None:
        for machine in self.world.machines:
            if machine.driver is not None:
                machine.driver.close()
        self.loop.close()

    # -- the life of a farm ---------------------------------------------------------------------------------------

    async def _live(self) -> None:
        self.world.found()
        for _ in range(self.nodes - 1):
            self.world.add().start()
        self._plan()
        self._sample()
        await asyncio.sleep(TROUBLE_ENDS_S + 14.0)
        self.world.say("no new trouble; machines start again")
        self.nemesis.heal()
        await asyncio.sleep(HEALED_S - self.loop.now)
        await self._heal()
        await self._finish_work()
        await self._check_end()

    def _plan(self) -> None:
        rng = self.rng
        self.studio.plan(3.0, 150.0)
        slots = sum(machine.slots for machine in self.world.machines)
        self.world.mean_frame_s = min(6.0, 200.0 * slots / self.studio.frames)
        self.nemesis.plan(TROUBLE_BEGINS_S, TROUBLE_ENDS_S, at_least=rng.randint(5, 8))
        self.studio.wrangle(20.0, TROUBLE_ENDS_S, rng.randint(4, 14))

    def _sample(self) -> None:
        """Twice a second: leaders, grants that nobody accepted, and now and then the expensive passes."""
        self.loop.call_later(SAMPLE_S, self._sample)
        self._samples += 1
        leading = [m for m in self.world.up() if not m.frozen and m.node.election.may_grant(m.clock.now().mono)]
        if len(leading) > 1:
            self.report.two_leaders_s += SAMPLE_S
            self.report.two_leaders_episodes += not self._two_leaders
        self._two_leaders = len(leading) > 1
        self._check_accepted(leading)
        self._check_idle(leading)
        if self._samples % PASS_EVERY == 0:
            self._pass()

    def _check_accepted(self, leading: list[Machine]) -> None:
        """Nothing stays granted but unaccepted for long."""
        waiting = {
            (machine.id, ref): known.granted_at
            for machine in leading
            for ref, known in machine.node.leader.granted.items()
            if not known.accepted
        }
        now = self.loop.now
        self._unaccepted = {key: self._unaccepted.get(key, now) for key in waiting}
        for key, since in self._unaccepted.items():
            if now - since > UNACCEPTED_S:
                self.watch.fail(9, f"{key} was granted {now - since:.1f} s ago and not accepted")

    def _check_idle(self, leading: list[Machine]) -> None:
        """No leader leaves a ready task waiting beside a node with room: grants need no outside event."""
        now = self.loop.now
        idle = {(m.id, m.node.epoch, m.node.leader.granting.count): m for m in leading if passes.could_grant(m)}
        self._idle_since = {key: self._idle_since.get(key, now) for key in idle}
        for key, since in self._idle_since.items():
            if now - since > IDLE_S:
                self.watch.fail(9, f"{idle[key].name} leads and has granted nothing for {now - since:.1f} s")

    def _pass(self) -> None:
        passes.check_replicas(self.watch)
        passes.check_disk(self.watch)
        self.watch.note_done()
        up = self.world.up()
        if up:
            passes.check_folds(self.watch, self.rng.choice(up))

    # -- healing --------------------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        world = self.world
        union: dict[int, int] = {}
        for machine in world.up():
            for origin, seq in machine.node.replica.vector.pairs():
                union[origin] = max(seq, union.get(origin, 0))
        world.say("everything is healed")
        world.network.heal()
        await asyncio.sleep(EQUAL_WITHIN_S)
        for machine in world.up():
            lacking = [
                (origin, seq) for origin, seq in union.items() if machine.node.replica.vector.known(origin) < seq
            ]
            if lacking:
                self.watch.fail(1, f"{machine.name} still lacks {lacking} {EQUAL_WITHIN_S} s after healing")
        await asyncio.sleep(LEADER_WITHIN_S - EQUAL_WITHIN_S)
        self._check_leader()
        leader, changes = world.up()[0].node.election.leader, self.watch.leader_changes
        self._check_cancelled_are_stopped()
        await asyncio.sleep(10.0)
        self._check_leader()
        if world.up()[0].node.election.leader != leader or self.watch.leader_changes != changes:
            self.watch.fail(0, "the leader changed although everything was healed")

    def _check_leader(self) -> None:
        up = self.world.up()
        leaders = {machine.name: machine.node.election.leader for machine in up}
        leader = leaders[up[0].name]
        if leader is None or any(other != leader for other in leaders.values()):
            self.watch.fail(0, f"no single leader after healing: {leaders}")
            return
        chief = self.world.by_id[leader]
        if not chief.node.election.may_grant(chief.clock.now().mono):
            self.watch.fail(0, f"the leader {chief.name} may not grant after healing")

    def _check_cancelled_are_stopped(self) -> None:
        for machine in self.world.up():
            assert machine.hands is not None
            for ref in machine.hands.processes:
                job = machine.node.jobs.get(ref.job)
                if machine.node.jobs.is_deleted(ref.job) or (job is not None and job.cancelled):
                    self.watch.fail(8, f"{machine.name} still renders {ref} of a cancelled job")

    async def _finish_work(self) -> None:
        """Every runnable frame ends within a bounded time."""
        self.studio.healthy = True
        patience_s = max(PATIENCE_S, PATIENCE_PER_WORK * self._work_left_s())
        until = self.loop.now + patience_s
        while True:
            for _ in range(5):
                await asyncio.sleep(1.0)
                if not self._unfinished():
                    self.studio.closed = True
                    return
            if self.loop.now > until:
                self._complain(patience_s)
            self.studio.tidy_up(self.rng.choice(self.world.up()))

    def _unfinished(self) -> list[JobId]:
        node = self.world.up()[0].node
        return [job.id for job in node.jobs if job.state not in JOB_TERMINAL and not self._is_stuck(job.id)]

    def _is_stuck(self, job_id: JobId) -> bool:
        """It waits for a job that never completes, or its files went with an evicted machine: nobody's fault."""
        jobs = self.world.up()[0].node.jobs
        job = jobs.get(job_id)
        manifest = job.spec.manifest if job is not None else None
        if manifest is not None and self._has_lost_files(manifest):
            return True
        return any(
            other not in jobs or jobs.state_of(other) in JOB_TERMINAL or self._is_stuck(other)
            for other in jobs.blocked_by(job_id)
        )

    def _has_lost_files(self, manifest: BlobAddress) -> bool:
        """No machine has a file any more: it was evicted, or the job was retried after its files were dropped."""
        up = self.world.up()
        files = [] if not up else [manifest, *files_of(up[0], manifest)]
        gone = [file for file in files if not any(file in machine.blobs.held for machine in up)]
        return manifest in gone or any(file in machine.ageing.let_go for file in gone for machine in up)

    def _work_left_s(self) -> float:
        """What is left takes so long when no machine rests: results that went with an evicted machine are made anew."""
        up = self.world.up()
        jobs = [job for job in up[0].node.jobs if job.id in self._unfinished()]
        frames = sum(job.plan.frame_count - job.tasks.done_frames for job in jobs)
        return frames * self.world.mean_frame_s / sum(machine.slots for machine in up)

    def _complain(self, patience_s: float) -> None:
        machine = self.world.up()[0]
        node, now = machine.node, machine.clock.now()
        unfinished = [job for job in node.jobs if job.id in self._unfinished()]
        reasons = {
            f"{job.spec.name} {job.state.value}": [r["text"] for r in node.door.explain.why(job, None, now)["reasons"]]
            for job in unfinished
        }
        self.watch.fail(0, f"not ended {patience_s:.0f} s after healing: {reasons}")

    async def _check_end(self) -> None:
        await asyncio.sleep(12.0)
        up = self.world.up()
        vectors = {machine.node.replica.vector_hash for machine in up}
        if len(vectors) != 1:
            self.watch.fail(1, f"{len(vectors)} different vectors at the end")
        self._pass()
        for machine in up:
            passes.check_folds(self.watch, machine)
            assert machine.hands is not None
            if machine.hands.processes:
                self.watch.fail(7, f"{machine.name} still renders {list(machine.hands.processes)}")
        passes.check_done_survives(self.watch)
        passes.check_acknowledged(self.watch)
        passes.check_blobs(self.watch)
        await self._check_delivered()

    async def _check_delivered(self) -> None:
        """Results stand where they belong."""
        until = self.loop.now + DELIVERED_WITHIN_S
        while passes.undelivered(self.watch) and self.loop.now < until:  # noqa: ASYNC110  # simulated time
            await asyncio.sleep(1.0)
        for fault in passes.undelivered(self.watch):
            self.watch.fail(7, fault)

    def _fill_report(self) -> None:
        report, world = self.report, self.world
        report.faults = dict(sorted(world.counts.faults.items()))
        report.leader_changes = self.watch.leader_changes
        report.events, report.messages = world.counts.events, world.network.sent
        report.simulated_s, report.digest, report.story = self.loop.now, self.watch.digest, world.story
        up = world.up()
        if not up:
            return
        done: dict[object, int] = {}
        for rec in up[0].node.replica.rows_of(Kind.ATTEMPT):
            if rec.rank == Rank.FINAL:
                ref, body = attempt_ref_of(rec.pk), unpack_body(AttemptBody, rec.body)
                key = (ref.job, ref.task, body.generation)
                done[key] = done.get(key, 0) + 1
        report.tasks_done = len(done)
        report.double_work = sum(done.values()) - len(done)
        report.frames_done = sum(job.tasks.done_frames for job in up[0].node.jobs)


def _where(error: BaseException) -> str:
    """Name the innermost lines of an unexpected exception."""
    lines, trace = [], error.__traceback__
    cause = error.__cause__
    while cause is not None:
        trace, cause = cause.__traceback__, cause.__cause__
    while trace is not None:
        lines.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " at " + " ".join(lines[-6:])


def run_history(seed: int | str, *, nodes: int | None = None, make: Callable[..., History] = History) -> Report:
    """Run one seed."""
    return make(seed, nodes=nodes).run()
