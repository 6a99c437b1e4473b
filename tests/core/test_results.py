"""Assets and results: only what is needed moves, everything is verified, a result is safe only when held twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from farmd.core import resultviews
from farmd.core.effects import Deliver
from farmd.core.events import AttemptEnded, Delivered
from protocol.bodies import HoldingBody, unpack_body
from protocol.existing import ExistingFile
from protocol.jobspec import GateMode, GateSpec, spec_to_bytes
from protocol.records import HoldingWhat, Kind
from protocol.states import FailureClass
from tests.core.small_farm import SPEC, Farm, play
from tests.sim.blobs import Blobs

if TYPE_CHECKING:
    from farmd.core.effects import Effect
    from protocol.ids import BlobAddress
    from tests.sim.world import Machine

OFF = GateSpec(GateMode.OFF)


def scene_files(blobs: Blobs) -> BlobAddress:
    """Put a small scene into a store; returns its manifest."""
    files = [blobs.add(f"file {n}".encode()) for n in range(5)]
    packed: bytes = msgpack.packb([list(address) for address in files])
    return blobs.add(packed)


def holders(farm: Farm, what: HoldingWhat, on: int = 0) -> dict[str, HoldingBody]:
    rows = farm.machines[on].node.replica.rows_of(Kind.HOLDING)
    return {rec.pk[:8].hex(): unpack_body(HoldingBody, rec.body) for rec in rows if rec.pk[8] == what}


def test_files_reach_the_nodes_that_render_and_each_says_when_it_has_them() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_files(farm.machines[1].blobs)
        job = await farm.submit(on=1, manifest=manifest, scene="s.blend", frames="1-40")
        await farm.until_state(job, "completed", on=1, limit_s=300)
        rendered = set(farm.started.values())
        assert len(rendered) > 1
        assert rendered <= set(holders(farm, HoldingWhat.ASSETS, on=1))
        for machine in farm.machines:
            if machine.id in rendered:
                assert manifest in machine.blobs.held

    play(scene, 3)


def test_submission_whose_files_are_nowhere_is_refused_and_leaves_nothing() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_files(Blobs())
        client = farm.world.ask(
            farm.machines[0],
            "job.submit",
            spec=spec_to_bytes(replace(SPEC, manifest=manifest, scene="s.blend")),
            ack="peer",
        )
        await farm.until(lambda: client in farm.world.answers, 30)
        error = farm.world.answers[client].error
        assert error is not None
        assert "not accepted" in error[1]
        assert len(farm.machines[0].node.jobs) == 0

    play(scene, 2)


def test_results_are_held_twice_before_they_count_as_safe() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(on=1, gate=OFF, output_dir=None)
        await farm.until_state(job, "completed", on=1)
        await farm.until(lambda: farm.machines[1].node.jobs.status_of(job, farm.machines[1].clock.now()).safe == 20, 30)  # type: ignore[arg-type]
        outputs = (await farm.data("result.list", on=1, job=job))["outputs"]
        assert len(outputs) == 20
        for output in outputs:
            kept = [m for m in farm.machines if any(str(blob) == output["blob"] for blob in m.blobs.held)]
            assert len(kept) >= 2
            assert {node["name"] for node in output["nodes"]} <= {m.name for m in kept}

    play(scene, 3)


def test_results_of_a_large_job_come_in_pages_and_each_of_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resultviews, "PAGE_BYTES", 2_000)

    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=OFF, output_dir=None)
        await farm.until_state(job, "completed")
        whole = await farm.data("result.list", job=job)
        assert (len(whole["outputs"]), whole["next"]) == (20, None)
        told: list[dict[str, Any]] = []
        offset: int | None = 0
        pages = 0
        while offset is not None:
            page = await farm.data("result.list", job=job, offset=offset)
            told, offset, pages = told + page["outputs"], page["next"], pages + 1
        assert told == whole["outputs"]
        assert 2 < pages < 20
        some = await farm.data("result.list", job=job, offset=0, frames="3,19-20")
        assert [output["frame"] for output in some["outputs"]] == [3, 19, 20]

    play(scene)


def test_a_page_of_results_looks_at_so_many_tasks_whatever_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resultviews, "PAGE_TASKS", 8)

    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=OFF, output_dir=None)
        await farm.until_state(job, "completed")
        first = await farm.data("result.list", job=job, offset=0, frames="20")
        assert (first["outputs"], first["next"]) == ([], 8)
        last = await farm.data("result.list", job=job, offset=16, frames="20")
        assert ([output["frame"] for output in last["outputs"]], last["next"]) == ([20], None)

    play(scene)


def test_result_whose_only_copy_is_off_is_named_as_unavailable() -> None:
    async def scene(farm: Farm) -> None:
        other = farm.machines[1]
        await farm.data("node.hold", node="n00")
        farm.world.corrupt[other.id] = 1.0
        job = await farm.submit(gate=OFF, frames="1-4")
        await farm.until_state(job, "completed")
        assert (await farm.data("job.show", job=job))["safe"] == 0
        other.crash()
        await farm.until(lambda: not farm.machines[0].node.membership.is_alive(other.id), 30)
        view = await farm.data("job.show", job=job)
        assert view["unavailable_frames"] == "1-4"
        assert view["away"] == [{"frames": "1-4", "nodes": ["n01"]}]
        assert view["state"] == "completed"
        (reason,) = (await farm.data("why", job=job))["reasons"]
        assert (reason["code"], reason["count"], reason["frames"]) == ("result_away", 4, "1-4")
        assert reason["text"] == "done, but the only copy is on n01, which is off"
        (reason,) = (await farm.data("why", job=job, frame=3))["reasons"]
        assert reason["hint"] == f"switch n01 on, or render it again: farmctl job retry {job} --frames 3"
        assert (await farm.data("why", job=job, frame=3))["task"]["result"] == "away"
        tasks = (await farm.data("task.list", job=job))["tasks"]
        assert {task["result"] for task in tasks} == {"away"}
        assert tasks[0]["holders"] == [{"id": other.id, "name": "n01", "alive": False}]

    play(scene, 2)


def test_done_available_and_delivered_are_told_apart() -> None:
    async def scene(farm: Farm) -> None:
        at_home = await farm.submit(gate=OFF, frames="1-3")
        in_farm = await farm.submit(gate=OFF, frames="1-3", output_dir=None)
        nothing = await farm.submit(gate=OFF, frames="1-3", output_dir=None, output_name=None)
        for job, where in ((at_home, "delivered"), (in_farm, "available"), (nothing, "none")):
            await farm.until_state(job, "completed")
            await farm.until(lambda: farm.machines[0].node.jobs.get(at_home).copies.delivered_count() == 3)  # type: ignore[union-attr, arg-type]
            tasks = (await farm.data("task.list", job=job))["tasks"]
            assert {task["result"] for task in tasks} == {where}
            assert (await farm.data("why", job=job))["reasons"] == []

    play(scene)


def test_delivery_goes_on_after_a_restart_and_writes_each_result_once() -> None:
    async def scene(farm: Farm) -> None:
        submitter = farm.machines[1]
        job = await farm.submit(on=1, gate=OFF, frames="1-30")
        await farm.until(lambda: len(farm.world.delivered) > 3)
        submitter.crash()
        await farm.until_state(job, "completed", on=0, limit_s=300)
        assert len(farm.world.delivered) < 30
        submitter.start()
        await farm.until(lambda: len(farm.world.delivered) == 30, 60)
        await farm.until(lambda: _delivered(submitter, job) == 30, 10)

    def _delivered(machine: Machine, job: str) -> int:
        found = machine.node.jobs.get(job)  # type: ignore[arg-type]  # a job id
        return found.copies.delivered_count() if found is not None else 0

    play(scene, 3)


def test_requeued_result_replaces_the_old_one_everywhere() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=OFF, frames="1-4")
        await farm.until(lambda: len(farm.world.delivered) == 4)
        before = dict(farm.world.delivered)
        await farm.data("job.control", job=job, action="retry", frames="2")
        await farm.until(lambda: farm.world.delivered != before, 60)
        changed = [name for key, name in zip(before, before, strict=True) if farm.world.delivered[key] != before[key]]
        assert [name for _, name in changed] == ["f.0002.png"]
        await farm.until_state(job, "completed")

    play(scene, 2)


def test_delivery_knows_what_the_job_wrote_before_and_what_to_do_with_the_rest() -> None:
    async def scene(farm: Farm) -> None:
        asked: list[Deliver] = []
        hands = farm.machines[0].hands
        assert hands is not None
        perform = hands.perform

        def watched(effect: Effect) -> None:
            if isinstance(effect, Deliver):
                asked.append(effect)
            perform(effect)

        hands.perform = watched  # type: ignore[method-assign]  # a spy
        job = await farm.submit(gate=OFF, frames="1", existing=ExistingFile.KEEP)
        await farm.until(lambda: len(asked) == 1)
        assert (asked[0].existing, asked[0].former) == (ExistingFile.KEEP, ())
        await farm.until_state(job, "completed")
        await farm.data("job.control", job=job, action="retry", frames="1")
        await farm.until(lambda: len(asked) == 2)
        assert asked[1].former == (asked[0].outputs[0].blob,)
        (output,) = (await farm.data("result.list", job=job))["outputs"]
        assert output["former"] == [str(asked[0].outputs[0].blob)]

    play(scene)


def test_delivery_that_a_person_must_free_is_tried_again_rarely_and_a_remark_is_kept() -> None:
    async def scene(farm: Farm) -> None:
        answers = iter([("a file is in the way", True, ""), ("", False, "moved aside")])
        machine, hands = farm.machines[0], farm.machines[0].hands
        assert hands is not None
        tried: list[float] = []

        def deliver(effect: Deliver) -> None:
            error, lasting, remark = next(answers)
            tried.append(farm.world.loop.time())
            hands._later(Delivered(effect.ref, error, lasting, remark))

        hands._deliver = deliver  # type: ignore[method-assign]  # a folder with a file in it
        job = await farm.submit(gate=OFF, frames="1")
        await farm.until(lambda: len(tried) == 1)
        await farm.until_state(job, "completed")
        assert (await farm.data("job.show", job=job))["delivery_error"] == "a file is in the way"
        await farm.until(lambda: len(tried) == 2, 90)
        assert tried[1] - tried[0] >= 60
        await farm.until(lambda: machine.node.jobs.get(job).copies.delivered_count() == 1)  # type: ignore[union-attr, arg-type]
        view = await farm.data("job.show", job=job)
        assert (view["delivery_error"], view["delivery_remark"]) == ("", "moved aside")

    play(scene)


def test_lost_files_are_taken_back_and_fetched_again() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_files(farm.machines[0].blobs)
        job = await farm.submit(manifest=manifest, scene="s.blend", frames="1-60")
        await farm.until(lambda: farm.machines[1].id in holders(farm, HoldingWhat.ASSETS), 30)
        loser = farm.machines[1]
        loser.blobs.held.clear()
        live = list(loser.node.worker.live)
        await farm.until(lambda: bool(loser.node.worker.live), 30)
        ref = next(iter(loser.node.worker.live), None) or live[0]
        loser._post(AttemptEnded(ref, 5, text="a file of the job is not here"))
        await farm.until(lambda: manifest in loser.blobs.held, 30)
        await farm.until_state(job, "completed", limit_s=300)

    play(scene, 2)


@pytest.mark.parametrize(("cause", "said"), [(FailureClass.MISSING_ASSET, 0), (FailureClass.FILES_LOST, 1)])
def test_files_are_called_lost_only_when_they_are(cause: FailureClass, said: int) -> None:
    async def scene(farm: Farm) -> None:
        machine = farm.machines[0]
        manifest = scene_files(machine.blobs)
        await farm.submit(manifest=manifest, scene="s.blend", frames="1-3", gate=OFF)
        await farm.until(lambda: bool(machine.node.worker.live), 30)
        ref = next(iter(machine.node.worker.live))
        machine._post(AttemptEnded(ref, int(cause), text="wood.png is not there"))
        await farm.until(lambda: len([one for one in farm.started if one.task == ref.task]) == 2, 30)
        assert [note.what for note in machine.disk.notes].count("files-lost") == said

    play(scene)


def test_keeper_that_lost_its_copies_fetches_them_again() -> None:
    async def scene(farm: Farm) -> None:
        await farm.submit(gate=OFF, frames="1-6", output_dir=None)
        await farm.until(lambda: sum(_kept(machine) for machine in farm.machines) == 6, 30)
        keeper = max(farm.machines, key=_kept)
        before, count = dict(keeper.blobs.held), _kept(keeper)
        keeper.empty_store()
        await farm.until(lambda: _kept(keeper) == count and set(before) <= set(keeper.blobs.held), 20)

    def _kept(machine: Machine) -> int:
        node = machine.node
        rows = [rec for rec in node.replica.rows_of(Kind.HOLDING) if rec.pk[:8].hex() == node.id and rec.pk[8] == 2]
        runs = [run for rec in rows for run in unpack_body(HoldingBody, rec.body).runs]
        return sum(last - first + 1 for first, last in runs)

    play(scene, 2)


def test_lost_results_that_wait_for_nobody_are_said_to_be_lost_and_not_rendered_again() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=OFF, frames="1-3")
        await farm.until(lambda: len(farm.world.delivered) == 3)
        await farm.until_state(job, "completed")
        starts = len(farm.started)
        await asyncio.sleep(5.0)
        farm.machines[0].empty_store()
        await asyncio.sleep(30.0)
        found = farm.machines[0].node.jobs.get(job)  # type: ignore[arg-type]  # a job id
        assert found is not None
        assert found.lost_tasks() == [0, 1, 2]
        assert (found.state.value, len(farm.started)) == ("completed", starts)

    play(scene, 1)
