"""Rounds through the store: asked for at once, never faster than they may be, one question at a time."""

from __future__ import annotations

from farmd.core.effects import FindBlobs
from farmd.core.events import BlobLost, BlobsFound
from farmd.core.rounds import BETWEEN_S, FIRST_S, PERIOD_S
from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import Farm, play

OFF = GateSpec(GateMode.OFF)


def test_however_often_something_is_missed_rounds_keep_their_distance() -> None:
    async def scene(farm: Farm) -> None:
        await farm.submit(gate=OFF, frames="1-3")
        await farm.until(lambda: len(farm.world.delivered) == 3)
        machine = farm.machines[0]
        found: list[float] = []
        hands = machine.hands
        assert hands is not None
        right = hands.perform

        def heard(effect: object) -> None:
            if isinstance(effect, FindBlobs) and effect.ask < 0:
                found.append(farm.world.loop.now)
            right(effect)  # type: ignore[arg-type]  # whatever it was

        hands.perform = heard  # type: ignore[method-assign]  # a tap on the line
        until = farm.world.loop.now + 20.0
        while farm.world.loop.now < until:
            machine._post(BlobLost(None))
            await farm.until(lambda at=farm.world.loop.now: farm.world.loop.now > at + 0.1)  # type: ignore[misc]
        assert 3 <= len(found) <= 20 / BETWEEN_S + 2

    play(scene, 1)


def test_round_that_nobody_asked_for_comes_soon_after_the_start_and_then_seldom() -> None:
    async def scene(farm: Farm) -> None:
        farm.machines[0].crash()
        farm.machines[0].start()
        node = farm.machines[0].node
        due = node.rounds.next_deadline()
        assert due is not None
        assert due - farm.machines[0].clock.now().mono <= FIRST_S
        await farm.until(lambda: (node.rounds.next_deadline() or 0.0) > due, 2 * FIRST_S)
        assert (node.rounds.next_deadline() or 0.0) <= due + PERIOD_S + 1

    play(scene, 1)


def test_answer_to_a_question_of_an_earlier_round_changes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        machine = farm.machines[0]
        job = await farm.submit(gate=OFF, frames="1-3")
        await farm.until(lambda: len(farm.world.delivered) == 3)
        blobs = tuple((blob, ()) for blob in machine.blobs.held)
        machine._post(BlobsFound(-999, blobs))
        await farm.until_state(job, "completed")
        found = machine.node.jobs.get(job)  # type: ignore[arg-type]  # a job id
        assert found is not None
        assert found.lost_tasks() == []

    play(scene, 1)
