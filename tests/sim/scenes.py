"""Short scenes: the cheapest trouble in which a certain mistake shows. Correct code plays each to its end.

A scene is a coroutine on a small farm that has already elected its leader. It ends with the passes over all replicas.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import msgpack

from farmd.core.events import MessageReceived
from protocol.ids import AttemptId, JobId, TaskIndex
from protocol.jobspec import GateMode, GateSpec, JobSpec
from protocol.messages import Grant
from protocol.states import FailureClass, JobState
from tests.sim import passes
from tests.sim.blobs import large
from tests.sim.invariants import Watch
from tests.sim.machine import SimDriver
from tests.sim.network import Weather
from tests.sim.virtual_loop import VirtualLoop
from tests.sim.world import RenderPlan, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from farmd.core.effects import Send, StartAttempt
    from protocol.ids import BlobAddress, NodeId
    from protocol.messages import Message
    from tests.sim.machine import Machine

    SceneOf = Callable[["Stage"], Awaitable[None]]

LINK_BY_LINK_TIMES = 12
"""About every seventh time two jobs are refused at different moments and nothing else happens afterwards."""


class Stage:
    """A small farm for one scene."""

    def __init__(self, nodes: int, driver_class: type[SimDriver]) -> None:
        self.loop = VirtualLoop()
        self.watch = Watch()
        self.world = World("scene", self.loop, self.watch, driver_class=driver_class)
        self.world.mean_frame_s = 2.0
        self.grants: list[tuple[NodeId, NodeId, Grant]] = []
        self._nodes = nodes
        self._listen()

    def _listen(self) -> None:
        on_send = self.world.on_send

        def heard(sender: NodeId, effect: Send) -> None:
            if isinstance(effect.message, Grant):
                self.grants.append((sender, effect.to, effect.message))
            on_send(sender, effect)

        self.world.on_send = heard  # type: ignore[method-assign]  # a tap on the line

    @property
    def machines(self) -> list[Machine]:
        return self.world.machines

    def leader(self) -> Machine:
        """The machine that leads now."""
        return next(m for m in self.world.up() if m.node.election.is_leader)

    def follower(self) -> Machine:
        """A machine that follows; the leader on a farm of one."""
        up = self.world.up()
        return next((m for m in up if not m.node.election.is_leader), up[0])

    async def job(self, at: Machine, **fields: Any) -> JobId:
        """Submit a job and wait until it is accepted."""
        base: dict[str, Any] = {"name": "scene", "owner": "anna", "submitted_at_ms": 0, "submit_node": at.id}
        base |= {"renderer": "command", "command": "render {frame}", "frames": "1-12"}
        base |= {"output_name": "f.{frame:04d}.png", "output_dir": f"/out/{len(self.watch.asked)}"}
        client = self.world.submit(at, JobSpec(**(base | fields)))
        await asyncio.sleep(3.0)
        return JobId(self.world.answers[client].data["job"])

    def scene(self, at: Machine, name: str, files: int = 4) -> BlobAddress:
        """Put the files of a scene into the store of a machine; return their manifest."""
        blobs = [at.blobs.add(f"{name} file {index}".encode()) for index in range(files)]
        return at.blobs.add(msgpack.packb([list(blob) for blob in blobs]))

    def expect_completed(self, job: JobId) -> None:
        """Complain unless a job is completed, with no failure held against a frame."""
        found = self.leader().node.jobs.get(job)
        if found is None or found.state is not JobState.COMPLETED:
            self.watch.fail(0, f"{job} is {found.state if found else 'gone'}, not completed")

    def order(self, at: Machine, job: JobId, action: str, **args: Any) -> None:
        """Ask for something on a machine."""
        self.world.ask(at, "job.control", job=job, action=action, **args)

    def deliver(self, sender: NodeId, to: NodeId, message: Message) -> None:
        """Let a message arrive that was sent long ago."""
        self.world.by_id[to]._post(MessageReceived(sender, message))

    async def play(self, scene: SceneOf) -> None:
        self.world.found()
        for _ in range(self._nodes - 1):
            self.world.add().start()
        for machine in self.machines:
            machine.disk.kept_commits = 1000
        await asyncio.sleep(6.0)
        await scene(self)
        self.watch.note_done()
        self.world.network.heal()
        await asyncio.sleep(45.0)
        passes.check_replicas(self.watch)
        passes.check_disk(self.watch)
        passes.check_done_survives(self.watch)
        passes.check_acknowledged(self.watch)
        passes.check_blobs(self.watch)
        for machine in self.world.up():
            passes.check_folds(self.watch, machine)
        for fault in passes.undelivered(self.watch):
            self.watch.fail(7, fault)


def play(scene: SceneOf, *, nodes: int = 3, driver_class: type[SimDriver] = SimDriver) -> str:
    """Play a scene; return what broke, or nothing."""
    stage = Stage(nodes, driver_class)
    try:
        stage.loop.run_until_complete(stage.play(scene))
    except Exception as error:  # noqa: BLE001  # a mutant may fail in any way
        return f"{type(error).__name__}: {error}"
    finally:
        for machine in stage.machines:
            if machine.driver is not None:
                machine.driver.close()
        stage.loop.close()
    return ""


async def quiet(stage: Stage) -> None:
    """A job is rendered and delivered; nothing goes wrong."""
    await stage.job(stage.follower())
    await asyncio.sleep(15.0)


async def held_and_paused(stage: Stage) -> None:
    """A job waits at its gate, is approved, paused and resumed."""
    job = await stage.job(stage.follower(), gate=GateSpec(GateMode.HOLD, (1, 2)), frames="1-30")
    await asyncio.sleep(6.0)
    stage.order(stage.leader(), job, "approve")
    await asyncio.sleep(3.0)
    stage.order(stage.follower(), job, "pause")
    await asyncio.sleep(8.0)
    stage.order(stage.leader(), job, "resume")
    await asyncio.sleep(15.0)


async def contradictory_orders(stage: Stage) -> None:
    """Both sides of a split set the same registers, each with its own reasons."""
    jobs = [await stage.job(stage.follower()) for _ in range(2)]
    one, others = stage.machines[0], stage.machines[1:]
    stage.world.network.split([[one.id], [other.id for other in others]])
    for side, value in ((one, 10), (others[0], 20)):
        for job, why in zip(jobs, ("aardvark", "zebra") if side is one else ("zebra", "aardvark"), strict=True):
            stage.order(side, job, "priority", value=value, why=why)
    await asyncio.sleep(4.0)
    stage.world.network.heal()
    await asyncio.sleep(5.0)


async def lost_tail(stage: Stage) -> None:
    """A disk loses commits of which others have heard, and its node goes on writing; how many it loses is chance."""
    job = await stage.job(stage.leader(), frames="1-40")
    for turn in range(3):
        for value in range(1, 5):
            stage.order(stage.follower(), job, "priority", value=20 * turn + value)
            await asyncio.sleep(0.3)
        victim = stage.follower()
        victim.crash(power_cut=True)
        stage.watch.note_done()
        stage.watch.on_lie(victim)
        victim.disk.lose_tail()
        await asyncio.sleep(0.5)
        victim.start()
        await asyncio.sleep(0.2)
        for value in range(10, 14):
            stage.order(victim, job, "priority", value=20 * turn + value)
            await asyncio.sleep(1.0)
    await asyncio.sleep(10.0)


async def half_heard_tail(stage: Stage) -> None:
    """A disk loses commits of which one node has heard; only another one can be asked when its node comes back."""
    job = await stage.job(stage.leader(), frames="1-40")
    for turn in range(3):
        victim, holder, other = stage.machines[turn:] + stage.machines[:turn]
        stage.world.network.split([[victim.id, holder.id], [other.id]])
        victim.disk.settle()
        for value in range(1, 5):
            stage.order(victim, job, "priority", value=10 * turn + value)
            await asyncio.sleep(0.3)
        victim.crash(power_cut=True)
        stage.watch.note_done()
        stage.watch.on_lie(victim)
        victim.disk.forget_orders()
        stage.world.network.heal()
        stage.world.network.split([[victim.id, other.id], [holder.id]])
        await asyncio.sleep(25.0)
        victim.start()
        await asyncio.sleep(4.0)
        for value in range(5, 9):
            stage.order(victim, job, "priority", value=10 * turn + value)
            await asyncio.sleep(0.5)
        stage.world.network.heal()
        await asyncio.sleep(10.0)


async def done_and_forgotten(stage: Stage) -> None:
    """A frame is done and everybody knows it; then the disk of its node forgets it."""
    await stage.job(stage.leader(), frames="1-4", output_name=None, output_dir=None)
    await asyncio.sleep(8.0)
    stage.watch.note_done()
    victim = stage.world.by_id[next(iter(stage.watch.done)).attempt.leader]
    for ref, (node, _) in stage.watch.started.items():
        if ref in stage.watch.done:
            victim = stage.world.by_id[node]
    victim.crash(power_cut=True)
    stage.watch.on_lie(victim)
    victim.disk.forget_ends()
    await asyncio.sleep(1.0)
    victim.start()
    await asyncio.sleep(10.0)


async def start_forgotten(stage: Stage) -> None:
    """A disk forgets that its node had begun a frame, and that node then leads alone."""
    stage.world.mean_frame_s = 8.0
    job = await stage.job(stage.leader(), frames="1-4")
    victim = stage.leader()
    for other in stage.machines:
        if other is not victim:
            stage.order(victim, job, "priority", value=other.index)
    victim.crash(power_cut=True)
    stage.watch.on_lie(victim)
    victim.disk.forget_starts()
    victim.start()
    await asyncio.sleep(45.0)
    if any(row.state != JobState.COMPLETED for row in (m.node.jobs.get(job) for m in stage.machines) if row):
        stage.watch.fail(0, "a frame whose start was forgotten never ends")


async def late_grants(stage: Stage) -> None:
    """A grant of a leader that is gone arrives late, and one of a life that is over arrives again."""
    await stage.job(stage.leader(), gate=GateSpec(GateMode.HOLD, (1, 2, 3)))
    await asyncio.sleep(10.0)
    old, grant = stage.leader(), stage.grants[-1][2]
    old.crash()
    await asyncio.sleep(12.0)
    worker = stage.follower()
    grant = grant._replace(epoch=worker.node.epoch)
    stage.deliver(old.id, worker.id, _renamed(grant, grant.ref.attempt, TaskIndex(7)))
    await asyncio.sleep(5.0)
    chief, worker = stage.leader(), stage.follower()
    fresh = AttemptId(chief.node.election.term, chief.id, 0)
    grant = _renamed(grant, fresh, TaskIndex(8))._replace(epoch=worker.node.epoch)
    stage.deliver(chief.id, worker.id, grant)
    await asyncio.sleep(0.1)
    worker.crash()
    worker.start()
    await asyncio.sleep(8.0)
    stage.deliver(chief.id, worker.id, grant)
    old.start()
    await asyncio.sleep(20.0)


def _renamed(grant: Grant, attempt: AttemptId, task: TaskIndex) -> Grant:
    return grant._replace(ref=grant.ref._replace(attempt=attempt._replace(n=10_000), task=task))


async def healed_link_by_link(stage: Stage) -> None:
    """A node that was cut off gave orders; its links come back one by one, and the rest refuses what it grants."""
    rng, world = Random(5), stage.world
    world.mean_frame_s = 0.6
    at, alone = stage.machines[0], stage.machines[-1]
    endless: dict[str, Any] = {"frames": "1-2000", "output_name": None, "output_dir": None}
    for _ in range(LINK_BY_LINK_TIMES):
        paused, stopped = [
            await stage.job(at, gate=GateSpec(GateMode.OFF), priority=value, **endless) for value in (50, 60)
        ]
        stage.order(at, paused, "pause")
        await asyncio.sleep(3.0)
        world.network.split([[alone.id], [machine.id for machine in stage.machines if machine is not alone]])
        await asyncio.sleep(8.0 + 5.0 * rng.random())
        stage.order(alone, stopped, "pause")
        stage.order(alone, paused, "resume")
        await asyncio.sleep(1.0)
        for link in list(world.network.cut):
            stage.loop.call_later(3.0 * rng.random(), world.network.cut.pop, link, None)
        await asyncio.sleep(10.0)
        if passes.could_grant(stage.leader()) and not stage.leader().node.leader.granted:
            stage.watch.fail(0, "a job that was resumed is not granted again")
        for job in (paused, stopped):
            stage.order(stage.leader(), job, "cancel")
        await asyncio.sleep(5.0)


async def everything_twice(stage: Stage) -> None:
    """Every message arrives twice, and late."""
    stage.world.network.weather = Weather(duplicate=1.0, reorder=0.5)
    await stage.job(stage.follower(), frames="1-20")
    await asyncio.sleep(20.0)


async def lossy(stage: Stage) -> None:
    """Every third message is lost."""
    stage.world.network.weather = Weather(loss=0.35)
    job = await stage.job(stage.follower(), frames="1-40")
    for value in range(60):
        stage.order(stage.machines[value % len(stage.machines)], job, "priority", value=value)
        await asyncio.sleep(0.15)
    await asyncio.sleep(15.0)


async def restarts(stage: Stage) -> None:
    """The leader is killed and comes back, twice."""
    await stage.job(stage.follower(), frames="1-40")
    for _ in range(2):
        leader = stage.leader()
        leader.crash()
        await asyncio.sleep(8.0)
        leader.start()
        await asyncio.sleep(8.0)


async def feature_missing(stage: Stage) -> None:
    """The renderer of one node lacks what a job needs; that of every node lacks what another job needs."""
    lame = stage.follower().id

    def lacks(rng: Random, node: NodeId, effect: StartAttempt) -> RenderPlan | None:
        return RenderPlan(0.5, int(FailureClass.MISSING_FEATURE), "built without a denoiser") if node == lame else None

    some = await stage.job(stage.leader(), frames="1-20")
    stage.world.failing[some] = lacks
    everywhere = await stage.job(stage.leader(), frames="1-20", gate=GateSpec(GateMode.OFF))
    stage.world.failing[everywhere] = lambda rng, _, effect: lacks(rng, lame, effect)
    await asyncio.sleep(40.0)
    jobs = stage.leader().node.jobs
    if (jobs.state_of(some), jobs.state_of(everywhere)) != (JobState.COMPLETED, JobState.FAILED):
        stage.watch.fail(0, f"{jobs.state_of(some)} and {jobs.state_of(everywhere)}, not completed and failed")


async def corrupt_sender(stage: Stage) -> None:
    """One node sends corrupt pieces for a while."""
    worker = stage.follower()
    stage.world.corrupt[worker.id] = 1.0
    await stage.job(stage.leader(), frames="1-20")
    await asyncio.sleep(20.0)
    stage.world.corrupt.clear()


async def corrupt_pieces(stage: Stage) -> None:
    """The only node that has a large file sends corrupt pieces while two others fetch it and exchange what they have."""
    at = stage.machines[0]
    stage.world.ask(at, "node.hold", node=at.id)
    stage.world.corrupt[at.id] = 0.3  # more, and it is left out for a while before one comes too long
    big = at.blobs.add(large(12, "half of it wrong"))
    manifest = at.blobs.add(msgpack.packb([list(big)]))
    job = await stage.job(at, frames="1-20", manifest=manifest)
    await asyncio.sleep(40.0)
    stage.world.corrupt.clear()
    await asyncio.sleep(40.0)
    stage.expect_completed(job)


async def lost_packs(stage: Stage) -> None:
    """Every third message is lost while small files are fetched from the only node that has them."""
    at = stage.machines[0]
    stage.world.ask(at, "node.hold", node=at.id)
    await asyncio.sleep(1.0)
    stage.world.network.weather = Weather(loss=0.35)
    files = [at.blobs.add(f"file {index}".encode() * 1000) for index in range(400)]
    manifest = at.blobs.add(msgpack.packb([list(file) for file in files]))
    job = await stage.job(at, frames="1-8", manifest=manifest)
    await asyncio.sleep(40.0)
    stage.world.network.weather = Weather()
    await asyncio.sleep(40.0)
    stage.expect_completed(job)


async def rotten_copy(stage: Stage) -> None:
    """A bit flips in the copy of the node where a job was submitted; another node has the files from earlier."""
    at, other, _ = stage.machines
    stage.world.ask(at, "node.hold", node=at.id)
    manifest = stage.scene(at, "rot")
    other.blobs.held.update(at.blobs.held)
    spoilt = [blob for blob in at.blobs.held if blob != manifest]
    for blob in spoilt:
        at.blobs.spoil(blob)
    job = await stage.job(at, frames="1-40", manifest=manifest)
    await asyncio.sleep(40.0)
    stage.expect_completed(job)
    if at.blobs.rotten:
        stage.watch.fail(14, "a copy that was doubted is kept as it is")


async def rot_while_rendering(stage: Stage) -> None:
    """Bits flip in the files of a job on every node but one, while its frames are rendered one after the other."""
    at = stage.machines[0]
    manifest = stage.scene(at, "rot")
    job = await stage.job(at, frames="1-60", manifest=manifest)
    for machine in stage.machines[1:]:
        await asyncio.sleep(4.0)
        for blob in [blob for blob in machine.blobs.held if blob != manifest]:
            machine.blobs.spoil(blob)
    await asyncio.sleep(60.0)
    stage.expect_completed(job)


async def liar(stage: Stage) -> None:
    """A node sends wrong pieces with hashes that agree, and stands by them."""
    at, other, third = stage.machines
    manifest = stage.scene(at, "one")
    other.blobs.held.update(at.blobs.held)
    stage.world.lying[other.id] = None
    job = await stage.job(at, frames="1-40", manifest=manifest)
    await asyncio.sleep(15.0)
    told = [line for _, line in stage.world.story if "peer-lies" in line]
    wary = [one for one in (at, third) if any(line.startswith(f"{one.name}:") for line in told)]
    before, again = [one.node.swarm.receiving.corrupt_in for one in wary], stage.scene(at, "two")
    other.blobs.held.update(at.blobs.held)
    next_job = await stage.job(at, frames="1-40", manifest=again)
    await asyncio.sleep(5.0)
    if [one.node.swarm.receiving.corrupt_in for one in wary] != before:
        stage.watch.fail(14, "a node that was found to lie is asked again at once, by one that knows")
    stage.world.lying.clear()
    await asyncio.sleep(50.0)
    stage.expect_completed(job)
    stage.expect_completed(next_job)
    if not told:
        stage.watch.fail(14, "nobody notices who lies")


async def lie_passed_on(stage: Stage) -> None:
    """A node lies about a large file, and those who fetch it pass the lie on before they can know."""
    at, other, *honest = stage.machines
    stage.world.ask(at, "node.hold", node=at.id)
    stage.world.ask(at, "node.hold", node=other.id)
    await asyncio.sleep(1.0)
    stage.world.lying[other.id] = None
    manifest = at.blobs.add(msgpack.packb([list(at.blobs.add(large(40, "half of it a lie")))]))
    other.blobs.held.update({blob: content for blob, content in at.blobs.held.items() if blob != manifest})
    job = await stage.job(at, frames="1-20", manifest=manifest)
    await asyncio.sleep(40.0)
    stage.world.lying.clear()
    await asyncio.sleep(20.0)
    stage.expect_completed(job)
    for machine in honest:
        for judge in honest:
            if machine.id in judge.node.swarm.receiving.standing._left_out:
                stage.watch.fail(14, f"{judge.name} leaves {machine.name} out, which only passed on what it was told")


async def store_deleted(stage: Stage) -> None:
    """The content store of each follower is deleted under the running daemon, while no frame of it needs a file."""
    at = stage.leader()
    manifest = stage.scene(at, "wiped")
    job = await stage.job(at, frames="1-60", manifest=manifest)
    for machine in [machine for machine in stage.machines if machine is not at]:
        stage.world.ask(at, "node.hold", node=machine.id)
        await asyncio.sleep(6.0)
        machine.empty_store()
        await asyncio.sleep(0.1)
        await asyncio.sleep(2.2)
        told = at.node.jobs.get(job)
        claims = told is not None and machine.id in told.copies.asset_holders()
        if claims and manifest not in machine.blobs.held:
            stage.watch.fail(14, f"{machine.name} still says that it holds files that are gone")
        stage.world.ask(at, "node.release", node=machine.id)
        await asyncio.sleep(4.0)
    await asyncio.sleep(60.0)
    stage.expect_completed(job)


async def last_copy_lost(stage: Stage) -> None:
    """Frames are done on nodes that nobody reaches, their stores are emptied, and the results were never delivered."""
    at, *others = stage.machines
    stage.world.ask(at, "node.hold", node=at.id)
    job = await stage.job(at, frames="1-12", gate=GateSpec(GateMode.OFF))
    await asyncio.sleep(2.0)
    stage.world.network.split([[at.id], [other.id for other in others]])
    await asyncio.sleep(20.0)
    for machine in stage.machines:
        if machine is not at:
            machine.empty_store()
    await asyncio.sleep(4.0)
    stage.world.network.heal()
    await asyncio.sleep(60.0)
    stage.expect_completed(job)
    found = at.node.jobs.get(job)
    for task in found.done_tasks() if found is not None else ():
        if found is not None and not found.copies.is_delivered(task):
            stage.watch.fail(7, f"the result of task {task} was lost and nobody rendered it again")


SCENES: tuple[tuple[SceneOf, int], ...] = (
    (quiet, 1),
    (quiet, 3),
    (held_and_paused, 3),
    (contradictory_orders, 3),
    (lost_tail, 3),
    (half_heard_tail, 3),
    (done_and_forgotten, 3),
    (start_forgotten, 2),
    (late_grants, 3),
    (healed_link_by_link, 4),
    (everything_twice, 3),
    (lossy, 5),
    (restarts, 3),
    (restarts, 1),
    (corrupt_sender, 3),
    (corrupt_pieces, 3),
    (lost_packs, 2),
    (rotten_copy, 3),
    (rot_while_rendering, 3),
    (liar, 3),
    (lie_passed_on, 5),
    (store_deleted, 3),
    (last_copy_lost, 3),
    (feature_missing, 3),
)
