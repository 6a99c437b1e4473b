"""Nothing waits for ever: situations that once did, each played to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from farmd.core.events import ClientLeft, MessageReceived
from protocol.ids import AttemptId, AttemptRef, BlobAddress, JobId, NodeId, TaskIndex
from protocol.jobspec import GateMode, GateSpec, Limits, spec_to_bytes
from protocol.messages import Grant, Keep, Prefetch, Push, Span, Stop
from protocol.records import Kind, Rec
from tests.core.small_farm import SPEC, Farm, play
from tests.core.test_results import scene_files
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from collections.abc import Callable

OFF = GateSpec(GateMode.OFF)
ONCE = Limits(retries=0)


def let_all_fail(farm: Farm) -> Callable[[], None]:
    """Every attempt crashes from now on; returns what ends that."""
    world = farm.world
    before = world.render_plan
    world.render_plan = lambda node, effect: RenderPlan(1.0, 2, f"crashed {effect.ref} on {node}")  # type: ignore[method-assign]

    def end() -> None:
        world.render_plan = before  # type: ignore[method-assign]

    return end


def test_farm_of_one_recovers_from_two_bad_jobs() -> None:
    async def scene(farm: Farm) -> None:
        end = let_all_fail(farm)
        for _ in range(2):
            await farm.until_state(await farm.submit(gate=OFF, frames="1", limits=ONCE), "failed")
        end()
        assert farm.machines[0].node.jobs.health.is_sick(farm.machines[0].id)
        good = await farm.submit(gate=OFF, frames="1-3")
        await farm.until_state(good, "completed")
        assert not farm.machines[0].node.jobs.health.is_sick(farm.machines[0].id)

    play(scene)


def test_sick_node_is_left_out_while_others_are_well_and_tried_after_a_while() -> None:
    async def scene(farm: Farm) -> None:
        sick = farm.machines[1]
        await farm.data("node.hold", on=2, node="n00")
        await farm.data("node.hold", on=2, node="n02")
        end = let_all_fail(farm)
        for _ in range(2):
            await farm.until_state(await farm.submit(on=2, gate=OFF, frames="1", limits=ONCE), "failed", on=2)
        end()
        plan = farm.world.render_plan
        farm.world.render_plan = lambda node, effect: (  # type: ignore[method-assign]
            RenderPlan(1.0, 2, "crashed") if node == sick.id else plan(node, effect)
        )
        await farm.data("node.release", on=2, node="n00")
        await farm.data("node.release", on=2, node="n02")
        before = len(farm.started)
        good = await farm.submit(on=2, gate=OFF, frames="1-40")
        await farm.until_state(good, "completed", on=2, limit_s=300)
        nodes = list(farm.started.values())[before:]
        assert nodes.count(sick.id) <= 1

    play(scene, 3)


def test_finished_job_with_files_can_be_retried_after_the_whole_farm_was_restarted() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_files(farm.machines[0].blobs)
        job = await farm.submit(manifest=manifest, scene="s.blend", frames="1-6", gate=OFF)
        await farm.until_state(job, "completed")
        for machine in farm.machines:
            machine.crash()
        for machine in farm.machines:
            machine.start()
        await farm.until(lambda: farm.machines[0].node.election.leader is not None, 30)
        await farm.data("job.control", job=job, action="retry", frames="1-2")
        await farm.until_state(job, "completed")

    play(scene, 3)


def test_node_that_comes_back_late_is_not_lost_for_ever() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 20.0
        await farm.submit(gate=OFF, frames="1-200")
        await farm.until(lambda: len(farm.started) >= 6)
        for machine in farm.machines:
            machine.crash()
        farm.machines[0].start()
        farm.machines[1].start()
        await farm.until(lambda: farm.world.loop.time() > 80, 90)
        late = farm.machines[2]
        late.start()
        await farm.until(lambda: bool(late.node.worker.live), 60)
        ref = next(iter(late.node.worker.live))
        await farm.until(lambda: ref in {a.ref for a in farm.machines[0].node.jobs.running_on(late.id)}, 10)

    play(scene, 3)


def test_retry_reopens_a_gate_that_a_test_frame_closed() -> None:
    async def scene(farm: Farm) -> None:
        end = let_all_fail(farm)
        job = await farm.submit(gate=GateSpec(GateMode.AUTO, (1,)))
        await farm.until_state(job, "failed")
        end()
        answer = await farm.data("job.control", job=job, action="retry")
        assert answer["changed"]
        await farm.until_state(job, "completed")

    play(scene, 3)


def test_files_whose_transfer_was_ended_with_the_job_are_fetched_when_it_is_retried() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_files(farm.machines[0].blobs)
        farm.world.corrupt[farm.machines[0].id] = 1.0
        end = let_all_fail(farm)
        job = await farm.submit(manifest=manifest, scene="s.blend", gate=GateSpec(GateMode.AUTO, (1,)), limits=ONCE)
        await farm.until_state(job, "failed")
        await farm.until(lambda: farm.world.loop.time() > 40)
        farm.world.corrupt.clear()
        end()
        await farm.data("node.hold", node="n00")
        await farm.data("job.control", job=job, action="retry")
        await farm.until_state(job, "completed", limit_s=300)

    play(scene, 2)


def test_job_that_others_wait_for_is_not_deleted() -> None:
    async def scene(farm: Farm) -> None:
        first = await farm.submit(frames="1", gate=OFF)
        await farm.until_state(first, "completed")
        await farm.data("node.hold", node="n00")
        second = await farm.submit(frames="1", gate=OFF, after=(JobId(first),))
        refused = await farm.ask("job.control", job=first, action="delete")
        assert refused.error is not None
        await farm.data("node.release", node="n00")
        await farm.until_state(second, "completed")
        assert (await farm.data("job.control", job=first, action="delete"))["changed"]

    play(scene)


def test_restored_node_lives_on_above_the_life_that_peers_remember() -> None:
    async def scene(farm: Farm) -> None:
        restored = farm.machines[1]
        for _ in range(3):
            restored.crash()
            restored.start()
            await farm.until(lambda: len(restored.node.membership.alive()) == 2, 20)
        restored.crash()
        restored.disk.image.meta["epoch"] = 1
        restored.start()
        await farm.until(lambda: restored.node.epoch > 4, 20)
        job = await farm.submit(gate=OFF, frames="1-20")
        await farm.until_state(job, "completed")
        assert restored.id in farm.started.values()

    play(scene, 2)


def test_farm_of_one_pays_nothing_for_results_that_nobody_else_holds() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 0.05
        job = await farm.submit(gate=OFF, frames="1-500")
        await farm.until_state(job, "completed", limit_s=300)
        await farm.until(lambda: farm.world.loop.time() > 60)
        before, at = farm.world.counts.events, farm.world.loop.time()
        await farm.until(lambda: farm.world.loop.time() > at + 20)
        assert farm.world.counts.events - before < 20 * 20

    play(scene)


def test_results_that_were_lonely_are_copied_when_others_come() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=OFF, frames="1-30")
        await farm.until_state(job, "completed")
        farm.world.add().start()
        now = farm.machines[0].clock.now
        await farm.until(lambda: farm.machines[0].node.jobs.status_of(JobId(job), now()).safe == 30, 60)

    play(scene)


@pytest.mark.parametrize("timeout", ["abc", [1], 10**30, -5, None])
def test_watch_with_a_senseless_time_is_answered(timeout: object) -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        answer = await farm.ask("job.watch", job=job, since=-1, timeout_s=timeout)
        assert answer.error is None or answer.error[0] == 2

    play(scene)


def test_client_that_leaves_while_its_files_are_looked_for_submits_nothing() -> None:
    async def scene(farm: Farm) -> None:
        missing = BlobAddress(1, 100, bytes(16))
        spec = spec_to_bytes(replace(SPEC, manifest=missing, scene="s"))
        client = farm.world.ask(farm.machines[0], "job.submit", spec=spec)
        await farm.until(lambda: farm.world.loop.time() > 9)
        farm.machines[0]._post(ClientLeft(client))
        await farm.until(lambda: farm.world.loop.time() > 40)
        assert client not in farm.world.answers
        assert len(farm.machines[0].node.jobs) == 0

    play(scene)


# -- what an admitted node may say ------------------------------------------------------------------------------------


def from_peer(farm: Farm, message: object, *, to: int = 0, by: int = 1) -> None:
    farm.machines[to]._post(MessageReceived(farm.machines[by].id, message))  # type: ignore[arg-type]  # on purpose


def foreign(farm: Farm, *, task: int = 0, term: int = 1000, by: int = 1, job: str = "0" * 16) -> AttemptRef:
    return AttemptRef(JobId(job), TaskIndex(task), AttemptId(term, farm.machines[by].id, 0))


def test_orders_of_impossible_attempts_cost_their_sender_and_no_slot() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)), frames="1-4")
        await farm.until_state(job, "awaiting_approval")
        node = farm.machines[0].node
        spec = node.jobs.get(JobId(job)).rec.body  # type: ignore[union-attr]  # it is there
        for ref in (
            foreign(farm, task=9999, job=job),
            foreign(farm, task=1 << 40, job=job),
            foreign(farm, task=-1, job=job),
            foreign(farm, term=1 << 40, job=job),
            foreign(farm, job="bad"),
        ):
            from_peer(farm, Grant(ref, node.epoch, 0, spec))
        from_peer(farm, Prefetch(JobId("bad"), spec))
        from_peer(farm, Keep(foreign(farm, job="bad"), (BlobAddress(1, -5, b""),)))
        from_peer(farm, Stop(foreign(farm, job=job), 0, "x"), by=2)
        await farm.until(lambda: farm.world.loop.time() > 30)
        assert not node.worker.live
        await farm.data("job.control", job=job, action="approve")
        await farm.until_state(job, "completed")

    play(scene, 3)


def test_attempt_is_stopped_by_its_leader_only_and_never_becomes_done_by_it() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 30.0
        await farm.submit(gate=OFF, frames="1-9")
        await farm.until(lambda: all(m.node.worker.live for m in farm.machines))
        lead = farm.machines[0].node.election.leader
        victim = next(m for m in farm.machines if m.id != lead)
        stranger = next(m for m in farm.machines if m.id not in (lead, victim.id))
        ref = next(iter(victim.node.worker.live))
        from_peer(farm, Stop(ref, 1, "because"), to=victim.index, by=stranger.index)
        await farm.until(lambda: farm.world.loop.time() > 15)
        assert ref in victim.node.worker.live
        assert not victim.node.worker.live[ref].stopping
        leader = farm.world.by_id[NodeId(str(lead))]
        from_peer(farm, Stop(ref, 0, "because"), to=victim.index, by=leader.index)
        await farm.until(lambda: ref not in victim.node.worker.live, 15)
        task = victim.node.jobs.get(ref.job).tasks.attempts_of(ref.task)  # type: ignore[union-attr]  # it is there
        assert [attempt.state.name for attempt in task if attempt.ref == ref] == ["STOPPED"]

    play(scene, 3)


def test_malformed_row_is_relayed_and_harms_no_start() -> None:
    async def scene(farm: Farm) -> None:
        row = Rec(Kind.HOLDING, b"abc", 1, 1 << 20, 77, 1, 0, b"junk")
        from_peer(farm, Push((Span(77, 0, 1, (row,)),)))
        await farm.until(lambda: farm.world.loop.time() > 15)
        for machine in farm.machines:
            machine.crash()
            machine.start()
        job = await farm.submit(gate=OFF, frames="1-4")
        await farm.until_state(job, "completed")

    play(scene, 3)
