"""One task with its tries, and the files of a job with who holds them, as clients are told."""

from __future__ import annotations

import msgpack
import pytest

from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import Farm, play

OFF = GateSpec(GateMode.OFF, ())


def test_a_task_is_shown_with_every_try_of_it() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1-4", gate=OFF)
        await farm.until_state(job, "completed")
        await farm.data("job.control", job=job, action="retry", frames="3")
        await farm.until_state(job, "completed")
        task = await farm.data("task.show", job=job, frame=3)
        assert (task["schema"], task["index"], task["frames"], task["state"]) == ("farm.task.v1", 2, "3", "done")
        assert [(one["state"], one["generation"]) for one in task["tries"]] == [("done", 0), ("done", 1)]
        assert {one["node_name"] for one in task["tries"]} == {task["node_name"]}
        assert task["reasons"] == []
        assert await farm.data("task.show", job=job, task=2) == task

    play(scene)


def test_a_waiting_task_is_shown_with_its_reason() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1-4", gate=OFF)
        await farm.data("job.control", job=job, action="pause", now=True)
        task = await farm.data("task.show", job=job, task=3)
        assert [reason["code"] for reason in task["reasons"]] == ["paused"]

    play(scene)


@pytest.mark.parametrize("which", [{"frame": 5}, {"task": 4}, {"task": -1}])
def test_a_task_that_a_job_does_not_have_is_not_found(which: dict[str, int]) -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1-4", gate=OFF)
        error = (await farm.ask("task.show", job=job, **which)).error
        assert error is not None
        assert error[0] == 5

    play(scene)


def test_a_job_without_files_is_held_by_nobody_and_complete_everywhere() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1", gate=OFF)
        assets = await farm.data("asset.show", job=job)
        assert (assets["manifest"], assets["holders"], assets["here"], assets["missing_bytes"]) == (None, [], True, 0)

    play(scene)


def test_who_holds_the_files_of_a_job_is_told_by_every_node() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        files = [at.blobs.add(f"shot {number}".encode()) for number in range(2)]
        manifest = at.blobs.add(msgpack.packb([list(file) for file in files]))
        job = await farm.submit(manifest=manifest, gate=GateSpec(GateMode.HOLD, (1,)), frames="1-9")
        await farm.until_state(job, "awaiting_approval")
        await farm.until(lambda: all(file in other.blobs.held for file in files))
        for on in range(2):
            assets = await farm.data("asset.show", on=on, job=job)
            assert (assets["manifest"], assets["manifest_bytes"]) == (str(manifest), manifest.size)
            assert [holder["id"] for holder in assets["holders"]] == sorted([at.id, other.id])
            assert (assets["here"], assets["missing_bytes"]) == (True, 0)
        other.crash()
        await farm.until(lambda: other.id not in at.node.membership.alive())
        holders = (await farm.data("asset.show", job=job))["holders"]
        assert {holder["id"]: holder["alive"] for holder in holders} == {at.id: True, other.id: False}

    play(scene, machines=2)
