"""What the leader promises: nothing rendered twice for a change of leader, nothing lost with a node, nothing stuck."""

from __future__ import annotations

import asyncio
from collections import Counter

from protocol.jobspec import GateMode, GateSpec, PartitionPolicy
from protocol.messages import Grant, GrantReply
from tests.core.small_farm import Farm, play

OFF = GateSpec(GateMode.OFF)


def leader_of(farm: Farm) -> int:
    leaders = [m.index for m in farm.world.up() if m.node.election.may_grant(m.clock.now().mono)]
    assert len(leaders) == 1
    return leaders[0]


def starts_by_task(farm: Farm) -> Counter[int]:
    return Counter(ref.task for ref in farm.started)


def test_new_leader_adopts_what_runs_and_renders_nothing_twice() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 12.0
        first = leader_of(farm)
        farm.world.mean_frame_s = 12.0
        job = await farm.submit(on=(first + 1) % 4, gate=OFF)
        await farm.until(lambda: farm.world.counts.starts >= 6)
        victims = {ref.task for ref, node in farm.started.items() if node == farm.machines[first].id}
        farm.machines[first].crash()
        await farm.until_state(job, "completed", on=(first + 1) % 4, limit_s=300)
        again = {task for task, count in starts_by_task(farm).items() if count > 1}
        assert again <= victims

    play(scene, 4)


def test_restarted_node_gives_its_tasks_back_at_once() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 200.0
        lead = leader_of(farm)
        other = farm.machines[(lead + 1) % 3]
        await farm.submit(on=lead, gate=OFF)
        await farm.until(lambda: bool(other.node.worker.live))
        lost = set(other.node.worker.live)
        other.crash()
        other.start()
        crashed_at = farm.world.loop.time()
        await farm.until(
            lambda: any(ref.task == old.task and ref != old for ref in farm.started for old in lost),
            20,
        )
        assert farm.world.loop.time() - crashed_at < 15

    play(scene, 3)


def test_node_that_stays_away_loses_its_tasks_only_after_its_patience() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 500.0
        lead = leader_of(farm)
        other = farm.machines[(lead + 1) % 3]
        job = await farm.submit(on=lead, gate=OFF, frames="1-6")
        await farm.until(lambda: len(farm.started) == 6)
        lost = {ref.task for ref in other.node.worker.live}
        assert lost
        other.crash()
        crashed_at = farm.world.loop.time()
        node = farm.machines[lead].node
        await farm.until(lambda: not node.jobs.running_on(other.id), 60)
        assert farm.world.loop.time() - crashed_at >= 30
        tasks = (await farm.data("task.list", on=lead, job=job))["tasks"]
        assert {task["index"] for task in tasks if task["state"] == "waiting"} == lost

    play(scene, 3)


def test_grant_that_never_arrives_is_void_and_given_to_another() -> None:
    async def scene(farm: Farm) -> None:
        lead = leader_of(farm)
        deaf = farm.machines[(lead + 1) % 3]
        deliver = farm.world.network.deliver
        dropped: list[object] = []

        def losing(sender: object, to: object, message: object) -> None:
            if to == deaf.id and isinstance(message, Grant):
                dropped.append(message)
            else:
                deliver(sender, to, message)  # type: ignore[arg-type]  # passed through

        farm.world.network.deliver = losing
        job = await farm.submit(on=lead, gate=OFF)
        await farm.until_state(job, "completed", on=lead, limit_s=200)
        assert dropped
        assert deaf.id not in farm.started.values()

    play(scene, 3)


def test_duplicated_grants_start_one_process_each() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.network.weather.duplicate = 0.9
        farm.world.network.weather.reorder = 0.5
        job = await farm.submit(gate=OFF)
        await farm.until_state(job, "completed", limit_s=200)
        assert max(starts_by_task(farm).values()) == 1

    play(scene, 3)


def test_lost_acceptance_is_made_good_by_the_row() -> None:
    async def scene(farm: Farm) -> None:
        deliver = farm.world.network.deliver

        def losing(sender: object, to: object, message: object) -> None:
            if not isinstance(message, GrantReply):
                deliver(sender, to, message)  # type: ignore[arg-type]  # passed through

        farm.world.network.deliver = losing
        job = await farm.submit(gate=OFF)
        await farm.until_state(job, "completed", limit_s=200)
        assert max(starts_by_task(farm).values()) == 1

    play(scene, 3)


def test_higher_priority_goes_first_and_equal_priority_in_order() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 2.0
        jobs = [await farm.submit(gate=OFF, frames="1-8", priority=priority) for priority in (50, 50, 80)]
        await farm.until_state(jobs[0], "completed", limit_s=200)
        await farm.until_state(jobs[1], "completed", limit_s=200)
        order = [ref.job for ref in farm.started]
        ends = [max(index for index, job in enumerate(order) if job == wanted) for wanted in jobs]
        assert ends[2] < ends[0] < ends[1]

    play(scene)


def test_small_half_of_a_split_farm_walks_backwards_or_waits_as_the_job_wishes() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 6.0
        keen = await farm.submit(gate=OFF, frames="1-100")
        patient = await farm.submit(gate=OFF, frames="1-100", on_partition=PartitionPolicy.HOLD_IN_MINORITY)
        small, large = farm.machines[:1], farm.machines[1:]
        farm.world.network.split([[m.id for m in small], [m.id for m in large]])
        await farm.until(lambda: small[0].node.election.may_grant(small[0].clock.now().mono), 60)
        before = len(farm.started)
        await farm.until(lambda: sum(node == small[0].id for node in list(farm.started.values())[before:]) >= 4, 120)
        fresh = [ref for ref, node in list(farm.started.items())[before:] if node == small[0].id]
        assert {ref.job for ref in fresh} == {keen}
        assert min(ref.task for ref in fresh) > 50
        why = await farm.data("why", job=patient)
        assert "minority_held" in {reason["code"] for reason in why["reasons"]}

    play(scene, 5)


def test_frame_that_takes_two_nodes_down_is_held_until_a_person_looks() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 300.0
        job = await farm.submit(on=2, gate=OFF, frames="1")
        for _ in range(2):
            await farm.until(lambda: _runner(farm) is not None, 90)
            await _bring_down(farm, _runner(farm) or 0)
        assert len(set(farm.started.values())) == 2
        starts = len(farm.started)
        why = await farm.data("why", on=2, job=job)
        assert [reason["code"] for reason in why["reasons"]] == ["poison"]
        await farm.until(lambda: farm.world.loop.time() > 150, 200)
        assert len(farm.started) == starts
        farm.world.mean_frame_s = 2.0
        await farm.data("job.control", on=2, job=job, action="retry")
        await farm.until_state(job, "completed", on=2)

    async def _bring_down(farm: Farm, index: int) -> None:
        victim = farm.machines[index]
        await asyncio.sleep(0.1)  # the row of a start gathers a moment for company before it leaves its node
        victim.crash()
        await farm.until(lambda: _runner(farm) is None, 30)
        victim.start()
        await farm.until(lambda: len(victim.node.membership.alive()) == 3, 20)
        await farm.data("node.hold", on=index, node=victim.name)

    def _runner(farm: Farm) -> int | None:
        running = [m.index for m in farm.world.up() if m.node.worker.live]
        return running[0] if running else None

    play(scene, 3)
