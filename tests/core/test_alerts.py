"""What a person should look at: it is there while its cause is, and gone with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from farmd.core import resultviews
from farmd.core.alerts import away_words
from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan


async def alerts_on(farm: Farm, on: int = 0) -> dict[str, dict[str, Any]]:
    """Ask one machine; alerts by their code."""
    answer = await farm.data("farm.feed", on, patience_s=0)
    return {alert["code"]: alert for alert in answer["farm"]["alerts"]}


def test_a_farm_that_is_well_has_nothing_to_look_at() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        await farm.until_state(job, "completed")
        await asyncio.sleep(2)
        assert await alerts_on(farm) == {}

    play(scene, machines=2)


def test_a_gate_that_waits_is_told_until_somebody_decides() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(job, "awaiting_approval")
        await asyncio.sleep(2)
        alert = (await alerts_on(farm))["gate_approval"]
        assert (alert["level"], alert["job"]) == ("info", job)
        await farm.data("job.control", job=job, action="approve")
        await asyncio.sleep(2)
        assert "gate_approval" not in await alerts_on(farm)

    play(scene)


def test_a_gate_that_waits_is_told_by_a_lone_machine_that_was_restarted_too() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(job, "awaiting_approval")
        await asyncio.sleep(2)
        farm.machines[0].crash()
        await asyncio.sleep(1)
        farm.machines[0].start()
        await asyncio.sleep(10)
        assert (await alerts_on(farm))["gate_approval"]["job"] == job

    play(scene)


def test_a_job_that_paused_itself_is_an_error_until_it_is_resumed() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.render_plan = lambda node, effect: RenderPlan(0.2, 2, "crash")  # type: ignore[method-assign]
        job = await farm.submit(frames="1-40", gate=GateSpec(GateMode.OFF))
        await farm.until_state(job, "paused", limit_s=900)
        await asyncio.sleep(2)
        alert = (await alerts_on(farm))["job_paused_itself"]
        assert (alert["level"], alert["job"]) == ("error", job)
        await farm.data("job.control", job=job, action="cancel")
        await asyncio.sleep(2)
        assert "job_paused_itself" not in await alerts_on(farm)

    play(scene)


@pytest.mark.parametrize("looked_at", [2, 10_000])  # the job counts as a large one, or not
def test_a_lost_machine_and_the_only_copies_that_it_has_are_told_until_it_is_back(
    looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resultviews, "MOST_LOOKED_AT", looked_at)

    async def scene(farm: Farm) -> None:
        other = farm.machines[1]
        await farm.data("node.hold", node="n00")
        farm.world.corrupt[other.id] = 1.0
        job = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-4")
        await farm.until_state(job, "completed")
        other.crash()
        await asyncio.sleep(20)  # suspected, then given up
        told = await alerts_on(farm)
        assert (told["node_lost"]["node"], told["node_lost"]["level"]) == (other.id, "warning")
        assert told["node_lost"]["hint"].startswith("farmctl node show ")
        shown = "frames 1-4" if looked_at > 4 else "frames 1-2"
        assert told["only_copy"]["text"] == f"shot: n01 is off and has the only copy of {shown}"
        assert next(iter(told)) == "only_copy"  # errors first
        other.start()
        await asyncio.sleep(30)
        assert not {"node_lost", "only_copy"} & set(await alerts_on(farm))

    play(scene, machines=2)


@pytest.mark.parametrize(
    ("names", "text", "hint"),
    [
        ([], "no machine has frame 7 any more", "AGAIN"),
        (["a"], "a is off and has the only copy of frame 7", "switch a on, or AGAIN"),
        (["a", "b"], "a and b are off and have the only copies of frame 7", "switch them on, or AGAIN"),
        (["a", "b", "c"], "a, b and c are off and have the only copies of frame 7", "switch them on, or AGAIN"),
    ],
)
def test_who_has_the_only_copies_is_a_sentence_and_the_hint_can_be_followed(
    names: list[str], text: str, hint: str
) -> None:
    assert away_words(names, "frame 7", "AGAIN") == (text, hint)
