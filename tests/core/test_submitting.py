"""A submitter that chooses the id of its job may ask as often as it likes: there is one job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from protocol.ids import BlobAddress, JobId, new_job_id
from protocol.jobspec import GateMode, GateSpec, spec_to_bytes
from tests.core.small_farm import SPEC, play
from tests.sim.workload import Studio

if TYPE_CHECKING:
    from tests.core.small_farm import Farm

CHOSEN = new_job_id(1_800_000_000_000, Random(1))
ONE = spec_to_bytes(replace(SPEC, frames="1", gate=GateSpec(GateMode.OFF)))


def test_a_job_submitted_twice_under_one_id_is_one_job() -> None:
    async def scene(farm: Farm) -> None:
        first = await farm.data("job.submit", spec=ONE, job=CHOSEN)
        assert first["job"] == CHOSEN
        assert (await farm.data("job.submit", spec=ONE, job=CHOSEN))["job"] == CHOSEN
        await farm.until_state(CHOSEN, "completed")
        assert (await farm.data("job.submit", spec=ONE, job=CHOSEN))["job"] == CHOSEN
        assert len(farm.machines[0].node.jobs) == 1

    play(scene)


@pytest.mark.parametrize("seed", range(6))
def test_a_submission_that_is_repeated_after_a_crash_leaves_one_job(seed: int) -> None:
    rng = Random(seed)

    async def scene(farm: Farm) -> None:
        victim = farm.machines[0]
        farm.world.ask(victim, "job.submit", spec=ONE, job=CHOSEN, ack="peer")
        await asyncio.sleep(rng.choice([0.0, 0.001, 0.01, 0.1, 1.0]))
        victim.crash(power_cut=rng.random() < 0.5)
        await asyncio.sleep(rng.uniform(0.1, 5.0))
        victim.start()
        await asyncio.sleep(rng.uniform(0.0, 5.0))
        again = await farm.data("job.submit", wait_s=30.0, spec=ONE, job=CHOSEN, ack="peer")
        assert again["job"] == CHOSEN
        for index, machine in enumerate(farm.machines):
            await farm.until(lambda machine=machine: machine.node.jobs.get(CHOSEN) is not None)  # type: ignore[misc]
            await farm.until_state(CHOSEN, "completed", index)
            assert len(machine.node.jobs) == 1

    play(scene, 3)


def test_an_id_that_is_taken_or_is_none_is_refused() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("job.submit", spec=ONE, job=CHOSEN)
        bens = spec_to_bytes(replace(SPEC, owner="ben"))
        taken = await farm.ask_as("ben", "job.submit", spec=bens, job=CHOSEN)
        assert taken.error is not None
        assert taken.error[:3] == (1, f"there is a job {CHOSEN} already", "its id is taken")
        for wrong in ("", "abc", "!" * 16, 7, b"x" * 16):
            answer = await farm.ask("job.submit", spec=b"junk", job=wrong)
            assert answer.error is not None
            assert answer.error[0] == 2
            if wrong:
                answer = await farm.ask("job.submit", spec=ONE, job=wrong)
                assert answer.error is not None
                assert answer.error[0] == 2
        assert len(farm.machines[0].node.jobs) == 1

    play(scene)


def test_an_id_whose_files_are_looked_for_is_not_submitted_beside_itself() -> None:
    async def scene(farm: Farm) -> None:
        spec = spec_to_bytes(replace(SPEC, manifest=BlobAddress(1, 100, bytes(16)), scene="s"))
        first = farm.world.ask(farm.machines[0], "job.submit", spec=spec, job=JobId(CHOSEN))
        second = await farm.ask("job.submit", spec=spec, job=CHOSEN)
        assert second.error is not None
        assert second.error[1] == f"job {CHOSEN} is being submitted already"
        await farm.until(lambda: first in farm.world.answers, 60)
        refused = farm.world.answers[first].error
        assert refused is not None
        assert refused[1] == "the job was not accepted"

    play(scene)


def test_a_job_stands_where_it_came_whatever_id_its_submitter_chose() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.hold", node="n00")
        first = await farm.submit()
        await asyncio.sleep(1)
        chosen = JobId("0" * 15 + "1")
        await farm.data("job.submit", spec=spec_to_bytes(SPEC), job=chosen)
        await asyncio.sleep(1)
        last = await farm.submit()
        assert [job.id for job in farm.machines[0].node.jobs.line()] == [first, chosen, last]

    play(scene)


def test_an_id_of_a_job_that_was_deleted_is_not_used_again_and_that_is_said() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("job.submit", spec=ONE, job=CHOSEN)
        await farm.until_state(CHOSEN, "completed", 0)
        await farm.data("job.control", job=CHOSEN, action="delete")
        answer = await farm.ask("job.submit", spec=ONE, job=CHOSEN)
        assert answer.error is not None
        assert answer.error[:3] == (1, f"job {CHOSEN} was deleted", "its id is not used again")
        assert "a new Idempotency-Key" in answer.error[3]

    play(scene)


@pytest.mark.parametrize("owner", ["anna", "ben"])
def test_an_id_that_comes_from_elsewhere_while_files_are_looked_for_is_not_written_over(owner: str) -> None:
    async def scene(farm: Farm) -> None:
        here, there = farm.machines
        studio = Studio(farm.world, farm.world.rng)
        manifest = studio._scene(there, 1)
        spec = spec_to_bytes(replace(SPEC, manifest=manifest, owner=owner))
        farm.world.network.split([[here.id], [there.id]])
        waits = farm.world.ask(here, "job.submit", spec=spec_to_bytes(replace(SPEC, manifest=manifest)), job=CHOSEN)
        await farm.data("job.submit", on=1, spec=spec, job=CHOSEN)
        farm.world.network.heal()
        await farm.until(lambda: waits in farm.world.answers, 60)
        answer = farm.world.answers[waits]
        if owner == "anna":
            assert answer.data["job"] == CHOSEN
        else:
            assert answer.error is not None
            assert answer.error[1] == f"there is a job {CHOSEN} already"
        for machine in farm.machines:
            await farm.until(lambda machine=machine: machine.node.jobs.get(CHOSEN) is not None, 30)  # type: ignore[misc]
            (job,) = machine.node.jobs
            assert job.submitted.submit_node == there.id

    play(scene, 2)
