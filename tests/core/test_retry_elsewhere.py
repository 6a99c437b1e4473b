"""Where a task that failed goes next: to a node where it has not failed, also on a farm that has no room just now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from farmd.core.retry import AVOID_AFTER, ELSEWHERE_S
from protocol.jobspec import GateMode, GateSpec, Requirements
from protocol.states import FailureClass
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.ids import NodeId

OFF = GateSpec(GateMode.OFF)
CRASH = RenderPlan(0.5, int(FailureClass.ERROR), "out of wood")


def renders(farm: Farm, plan: Callable[[NodeId, int], RenderPlan]) -> None:
    farm.world.render_plan = lambda node, effect: plan(node, effect.frames[0])  # type: ignore[method-assign]


def tries_of(farm: Farm, job: str, task: int) -> list[NodeId]:
    """Return where a task was tried, in order."""
    return [node for ref, node in farm.started.items() if (ref.job, ref.task) == (job, task)]


def cores_of(farm: Farm) -> Requirements:
    """Ask for a whole machine, so that each renders one frame at a time."""
    return Requirements(cores=farm.machines[0].node.registry.bodies[farm.machines[0].id].cores)


def test_each_retry_on_a_busy_farm_goes_to_another_node() -> None:
    bad = (5, 15)

    async def scene(farm: Farm) -> None:
        renders(farm, lambda node, frame: CRASH if frame in bad else RenderPlan(2.0 + frame % 5))
        job = await farm.submit(gate=OFF, frames="1-60", requirements=cores_of(farm))
        await farm.until_state(job, "failed", limit_s=900)
        for frame in bad:
            tried = tries_of(farm, job, frame - 1)
            assert len(set(tried[:3])) == 3, f"frame {frame} was tried on {tried}"

    play(scene, 3)


def test_task_is_tried_again_where_it_failed_once_all_others_have_had_no_room_for_long() -> None:
    async def scene(farm: Farm) -> None:
        where: list[NodeId] = []

        def plan(node: NodeId, frame: int) -> RenderPlan:
            if frame == 1:
                where.append(node)
                return CRASH
            return RenderPlan(5.0 if [node] == where[:1] else 1e5)

        renders(farm, plan)
        job = await farm.submit(gate=OFF, frames="1-100", requirements=cores_of(farm))
        await farm.until(lambda: bool(where))
        begun, first = farm.world.loop.time(), where[0]
        await asyncio.sleep(10)
        reasons = (await farm.data("why", job=job, frame=1))["reasons"]
        assert [reason["code"] for reason in reasons] == ["retry_elsewhere"]
        assert f"failed on {farm.world.by_id[first].name}, waits for room on another machine" in reasons[0]["text"]
        await farm.until(lambda: len(tries_of(farm, job, 0)) == 2, 2 * ELSEWHERE_S)
        assert farm.world.loop.time() - begun >= ELSEWHERE_S - 5
        assert sum(node == first for node in farm.started.values()) > ELSEWHERE_S / 10, "it works on meanwhile"

    play(scene, 2)


def test_task_of_a_lone_machine_is_tried_again_at_once() -> None:
    async def scene(farm: Farm) -> None:
        renders(farm, lambda _node, frame: CRASH if frame == 2 else RenderPlan(1.0))
        job = await farm.submit(gate=OFF, frames="1-4")
        await farm.until(lambda: len(tries_of(farm, job, 1)) == 2, 30)

    play(scene)


@pytest.mark.parametrize("ahead_h", [1, 24 * 365])
def test_task_that_failed_where_the_clock_is_ahead_waits_no_longer_for_another_node(ahead_h: int) -> None:
    async def scene(farm: Farm) -> None:
        where: list[NodeId] = []
        bad = next(machine for machine in farm.machines if not machine.node.election.is_leader)
        bad.clock.skew_ms = ahead_h * 3_600_000

        def plan(node: NodeId, frame: int) -> RenderPlan:
            if node == bad.id and not where:
                where.append(node)
                return CRASH
            return RenderPlan(5.0 if node == bad.id else 1e5)

        renders(farm, plan)
        job = await farm.submit(gate=OFF, frames="1-100", requirements=cores_of(farm))
        await farm.until(lambda: bool(where))
        task = next(ref.task for ref, node in farm.started.items() if node == bad.id)
        await farm.until(lambda: len(tries_of(farm, job, task)) == 2, 2 * ELSEWHERE_S)

    play(scene, 2)


def test_task_is_not_said_to_wait_for_a_node_that_is_held() -> None:
    async def scene(farm: Farm) -> None:
        renders(farm, lambda _node, frame: CRASH if frame == 1 else RenderPlan(60.0))
        await farm.data("node.hold", node="n01", why="mine")
        job = await farm.submit(gate=OFF, frames="1-20", requirements=cores_of(farm))
        await farm.until(lambda: bool(tries_of(farm, job, 1)))  # nobody keeps frame 1: it was tried there twice
        await asyncio.sleep(10)
        (reason,) = (await farm.data("why", job=job, frame=1))["reasons"]
        assert reason["code"] == "nodes_busy"
        await farm.data("node.release", node="n01")
        await farm.until(lambda: tries_of(farm, job, 0)[2:] == [farm.machines[1].id], 10)

    play(scene, 2)


def test_sick_node_is_not_tried_with_what_just_failed_there() -> None:
    async def scene(farm: Farm) -> None:
        bad = farm.machines[1].id
        renders(farm, lambda node, _frame: CRASH if node == bad else RenderPlan(1e5))

        def tried() -> list[tuple[str, int]]:
            return [(ref.job, ref.task) for ref, node in farm.started.items() if node == bad]

        for count in (AVOID_AFTER, AVOID_AFTER + 2):  # the second job makes the node sick, and a canary goes there
            await farm.submit(gate=OFF, frames="1-20", requirements=cores_of(farm))
            await farm.until(lambda count=count: len(tried()) == count)  # type: ignore[misc]
        assert len(set(tried())) == len(tried()), tried()

    play(scene, 2)
