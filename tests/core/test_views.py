"""What clients are shown: counts that add up, and words that say what is so."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan


def test_a_frame_without_a_log_is_told_apart_from_a_job_without_one() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1, 20)))
        await farm.until_state(job, "awaiting_approval")
        answer = await farm.ask("logs", job=job, frame=5)
        assert answer.error == (5, "frame 5 has not run yet", "these have: 1,20", f"farmctl why {job} --frame 5")

    play(scene)


def test_rejected_and_cancelled_jobs_do_not_count_as_failed() -> None:
    async def scene(farm: Farm) -> None:
        rejected = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(rejected, "awaiting_approval")
        await farm.data("job.control", job=rejected, action="reject", why="pink")
        cancelled = await farm.submit()
        await farm.data("job.control", job=cancelled, action="cancel")
        counts = (await farm.data("farm.status"))["jobs"]
        assert (counts["failed"], counts["cancelled"], counts["total"]) == (0, 2, 2)
        assert counts["total"] == sum(count for state, count in counts.items() if state != "total")

    play(scene)


def test_frames_that_wait_for_their_next_try_have_one_reason_whatever_the_seconds() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-4")
        fall = RenderPlan(0.1, 1, "it fell")
        farm.world.failing[job] = lambda rng, node, effect: fall  # type: ignore[index]  # a job id
        most = 0
        for _ in range(200):
            told = (await farm.data("why", job=job))["reasons"]
            delays = [reason for reason in told if reason["code"] == "retry_delay"]
            assert len(delays) <= 1
            most = max([most, *(reason["count"] for reason in delays)])
            if most > 1:
                return
        pytest.fail("no two frames ever waited")

    play(scene)


@pytest.mark.parametrize(("action", "words"), [("pause", "paused by "), ("cancel", "cancelled by ")])
def test_what_a_job_was_stopped_for_stands_in_its_reason(action: str, words: str) -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        await farm.data("job.control", job=job, action=action, why="need the machines")
        listed = (await farm.data("job.list"))["jobs"][0]["reason"]["text"]
        told = (await farm.data("why", job=job))["reasons"]
        for text in (listed, *(reason["text"] for reason in told)):
            assert text.startswith(words)
            assert text.endswith(": need the machines")

    play(scene)


@pytest.mark.parametrize("name", ["f.{frame:04d}.png", None])
def test_a_job_says_whether_it_leaves_files(name: str | None) -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(output_name=name, command="render {frame}")
        assert (await farm.data("job.show", job=job))["leaves_outputs"] is (name is not None)

    play(scene)


def test_a_new_priority_is_answered_with_the_one_before() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        asked: dict[str, Any] = {"job": job, "action": "priority", "value": 90}
        assert (await farm.data("job.control", **asked))["changes"] == [{"field": "priority", "from": 50, "to": 90}]
        assert "changes" not in await farm.data("job.control", **asked)

    play(scene)


async def _hint(farm: Farm, job: str) -> str:
    (reason,) = (await farm.data("why", job=job))["reasons"]
    return str(reason["hint"])


def test_a_job_that_waits_for_machines_is_told_which_job_is_in_front_and_what_puts_it_there() -> None:
    async def scene(farm: Farm) -> None:
        off = GateSpec(GateMode.OFF)
        first = await farm.submit(gate=off, name="first", frames="1-500")
        await farm.until(lambda: bool(farm.started), 10.0)
        usual = await farm.submit(gate=off, name="usual", frames="1-500")
        urgent = await farm.submit(gate=off, name="urgent", frames="1-500")
        assert await _hint(farm, usual) == f"wait, or let it go before first: farmctl job priority {usual} 51"
        await farm.data("job.control", job=urgent, action="priority", value=90)
        assert await _hint(farm, urgent) == "nothing to do: it is next"
        assert await _hint(farm, usual) == f"wait, or let it go before urgent: farmctl job priority {usual} 91"
        await farm.data("job.control", job=urgent, action="priority", value=100)
        assert await _hint(farm, usual) == f"wait, or let it go before urgent: farmctl job priority {urgent} 49"
        assert first != usual

    play(scene, machines=1)


def test_what_moves_a_job_to_the_front_does_so() -> None:
    async def scene(farm: Farm) -> None:
        off = GateSpec(GateMode.OFF)
        await farm.submit(gate=off, name="first", frames="1-500")
        await farm.until(lambda: bool(farm.started), 10.0)
        later = await farm.submit(gate=off, name="later", frames="1-500")
        *_, job, priority = (await _hint(farm, later)).split()
        await farm.data("job.control", job=job, action="priority", value=int(priority))
        assert await _hint(farm, later) == "nothing to do: it is next"

    play(scene, machines=1)
