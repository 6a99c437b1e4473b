"""Holding and draining machines, with and without an end, whatever the clocks say."""

from __future__ import annotations

import pytest

from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan


def wall_ms(farm: Farm, machine: int = 0) -> int:
    return farm.machines[machine].clock.now().wall_ms


def test_a_hold_ends_by_itself_when_the_clock_of_the_machine_passes_its_end() -> None:
    async def scene(farm: Farm) -> None:
        until = wall_ms(farm) + 30_000
        answer = await farm.data("node.hold", on=1, node="n00", until_ms=until, why="lunch")
        assert answer["changed"]
        await farm.until(lambda: farm.machines[0].node.worker.held)
        view = await farm.data("node.show", node="n00")
        assert (view["state"], view["held_until_ms"]) == ("held", until)
        began = farm.world.loop.time()
        await farm.until(lambda: not farm.machines[0].node.worker.held, 60)
        assert 29 < farm.world.loop.time() - began < 31
        await farm.until(lambda: farm.machines[1].node.registry.hold_of(farm.machines[0].id) is None)
        notes = [note for note in farm.machines[1].disk.notes if note.what == "release"]
        assert [note.actor for note in notes] == ["farmd"]

    play(scene, 2)


def test_a_machine_that_is_off_at_the_end_of_its_hold_lets_itself_go_when_it_is_back() -> None:
    async def scene(farm: Farm) -> None:
        held = farm.machines[1]
        await farm.data("node.hold", node="n01", until_ms=wall_ms(farm) + 20_000)
        await farm.until(lambda: held.node.worker.held)
        held.crash()
        began = farm.world.loop.time()
        await farm.until(lambda: farm.world.loop.time() > began + 40)
        assert farm.machines[0].node.registry.hold_of(held.id) is not None
        held.start()
        await farm.until(lambda: farm.machines[0].node.registry.hold_of(held.id) is None)

    play(scene, 2)


def test_a_hold_survives_a_restart_from_the_first_moment_on() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.hold", node="n00")
        job = await farm.submit()
        farm.machines[0].crash()
        farm.machines[0].start()
        assert farm.machines[0].node.worker.held or not farm.machines[0].node.life.introduced
        began = farm.world.loop.time()
        await farm.until(lambda: farm.world.loop.time() > began + 20)
        assert farm.machines[0].node.worker.held
        assert farm.world.counts.starts == 0
        await farm.data("node.release", node="n00")
        await farm.until_state(job, "completed")

    play(scene)


def test_a_hold_is_lengthened_and_shortened_by_another_order() -> None:
    async def scene(farm: Farm) -> None:
        first, second = wall_ms(farm) + 10_000, wall_ms(farm) + 40_000
        await farm.data("node.hold", until_ms=first)
        assert (await farm.data("node.hold", until_ms=second))["changed"]
        assert not (await farm.data("node.hold", until_ms=second))["changed"]
        began = farm.world.loop.time()
        await farm.until(lambda: farm.world.loop.time() > began + 20)
        assert farm.machines[0].node.worker.held
        await farm.until(lambda: not farm.machines[0].node.worker.held, 40)
        assert not (await farm.data("node.release"))["changed"]

    play(scene)


def test_an_order_on_top_of_a_hold_is_told_with_its_word_and_reason() -> None:
    async def scene(farm: Farm) -> None:
        node = farm.machines[0].node
        told = farm.machines[0].disk.notes
        await farm.data("node.hold", why="lunch")
        assert not (await farm.data("node.hold", why="lunch"))["changed"]
        assert not (await farm.data("node.hold"))["changed"]
        assert (await farm.data("node.hold", why="the fan is loud"))["changed"]
        assert (await farm.data("node.drain"))["changed"]
        held = node.registry.hold_of(node.id)
        assert held is not None
        assert (held.text, held.why) == ("drain", "")
        lines = [(note.what, note.why) for note in told if note.what in ("hold", "drain")]
        assert lines == [("hold", "lunch"), ("hold", "the fan is loud"), ("drain", "")]

    play(scene)


@pytest.mark.parametrize("ahead_ms", [-1000, 0, 400 * 86_400_000])
def test_an_end_that_is_over_or_too_far_ahead_is_refused(ahead_ms: int) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask("node.drain", until_ms=wall_ms(farm) + ahead_ms)
        assert answer.error is not None
        assert answer.error[0] == 2
        assert farm.machines[0].node.registry.hold_of(farm.machines[0].id) is None

    play(scene)


def test_draining_lets_what_runs_finish_and_draining_now_stops_it_at_no_cost() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        farm.world.failing[job] = lambda rng, node, effect: RenderPlan(20.0, 0, "")  # type: ignore[index]  # a job id
        first = farm.machines[0]
        await farm.until(lambda: bool(first.node.worker.live))
        await farm.data("node.drain", node="n00", why="the fan is loud")
        assert (await farm.data("node.show", node="n00"))["state"] == "draining"
        live = list(first.node.worker.live)
        await farm.until(lambda: not first.node.worker.live, 60)
        assert all(first.node.jobs.get(job).is_done(ref.task) for ref in live)  # type: ignore[union-attr,arg-type]
        await farm.until(lambda: bool(farm.machines[1].node.worker.live))
        await farm.data("node.drain", node="n01", now=True)
        await farm.until(lambda: not farm.machines[1].node.worker.live, 15)
        view = await farm.data("job.show", job=job)
        assert view["failed"] == 0
        assert [note.what for note in first.disk.notes if note.what in ("drain", "hold")] == ["drain", "drain"]

    play(scene, 2)
