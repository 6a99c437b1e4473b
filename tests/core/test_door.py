"""What clients ask and are told, on one machine and on several."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from farmd.core import explain
from protocol.ids import JobId, task_id_of
from protocol.jobspec import GateMode, GateSpec, Requirements, spec_from_bytes
from tests.core.small_farm import SPEC, Farm, play
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from farmd.core.effects import Note

GIB = 1 << 30


def test_job_runs_through_its_gate_and_is_delivered() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        await farm.until_state(job, "completed")
        view = await farm.data("job.show", job=job)
        assert (view["progress"], view["completed_frames"], view["failed_frames"]) == (100.0, "1-20", "")
        assert [test["state"] for test in view["gate"]["test_frames"]] == ["done"] * 3
        await farm.until(lambda: len(farm.world.delivered) == 20)

    play(scene)


def test_a_job_is_found_by_its_nine_digits_and_its_specification_is_given_back() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(foreign=b"kept", priority=70)
        digits = (await farm.data("job.show", job=job))["task_id"]
        assert digits == task_id_of(JobId(job))
        answer = await farm.data("job.spec", job=digits)
        spec = spec_from_bytes(answer["spec"])
        assert (answer["job"], spec.foreign, spec.priority) == (job, b"kept", 70)

    play(scene)


def test_done_safe_and_delivered_are_counted_in_the_same_unit_in_a_job_with_chunks() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1-20", chunk=5)
        await farm.until_state(job, "completed")
        node = farm.machines[0].node
        await farm.until(lambda: node.jobs.get(job).copies.delivered_count() == 7)  # type: ignore[union-attr,arg-type]
        view = await farm.data("job.show", job=job)
        assert (view["done"], view["total"]) == (20, 20)
        assert view["done_tasks"] == view["total_tasks"] == view["delivered"] == 7

    play(scene)


def test_nothing_but_test_frames_starts_before_a_person_approves() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1, 20)))
        await farm.until_state(job, "awaiting_approval")
        assert len(farm.started) == 2
        why = await farm.data("why", job=job)
        assert why["reasons"][0]["code"] == "gate_approval"
        answer = await farm.data("job.control", job=job, action="approve", why="looks good")
        assert answer["changed"]
        await farm.until_state(job, "completed")

    play(scene)


def test_rejection_is_the_end_and_approval_after_it_is_a_new_decision() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(job, "awaiting_approval")
        await farm.data("job.control", job=job, action="reject", why="pink")
        assert await farm.state(job) == "rejected"
        assert len(farm.started) == 1

    play(scene)


def test_control_that_makes_no_sense_is_refused_and_changes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        for action, args in (
            ("reject", {}),
            ("explode", {}),
            ("priority", {"value": 101}),
            ("priority", {"value": "high"}),
            ("retry", {"frames": "900"}),
            ("retry", {"frames": "nonsense"}),
            ("delete", {}),
        ):
            answer = await farm.ask("job.control", job=job, action=action, **args)
            assert answer.error is not None, action
            assert answer.error[1]
        await farm.until_state(job, "completed")
        refused = await farm.ask("job.control", job=job, action="cancel")
        assert refused.error is not None

    play(scene)


@pytest.mark.parametrize(
    ("op", "args", "code"),
    [
        ("job.show", {"job": "nosuchjob"}, 5),
        ("job.show", {}, 2),
        ("job.show", {"job": 7}, 2),
        ("no.such.op", {}, 2),
        ("job.submit", {"spec": b"junk"}, 2),
        ("job.submit", {}, 2),
        ("node.show", {"node": "nobody"}, 5),
        ("task.list", {"job": "x", "offset": "a"}, 5),
        ("why", {"job": ""}, 2),
    ],
)
def test_bad_request_is_answered_with_its_exit_code(op: str, args: dict[str, Any], code: int) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask(op, **args)
        assert answer.error is not None
        assert answer.error[0] == code

    play(scene)


def test_asking_twice_for_the_same_control_changes_nothing_the_second_time() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        first = await farm.data("job.control", job=job, action="pause")
        second = await farm.data("job.control", job=job, action="pause")
        assert (first["changed"], second["changed"]) == (True, False)
        await farm.data("job.control", job=job, action="resume")
        await farm.until_state(job, "completed")

    play(scene)


def test_pause_lets_running_frames_finish_and_pause_now_stops_them_at_no_cost() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        await farm.until(lambda: bool(farm.machines[0].node.worker.live))
        await farm.data("job.control", job=job, action="pause", now=True)
        await farm.until(lambda: not farm.machines[0].node.worker.live, 12)
        view = await farm.data("job.show", job=job)
        assert (view["state"], view["failed"]) == ("paused", 0)
        await farm.data("job.control", job=job, action="resume")
        await farm.until_state(job, "completed")

    play(scene)


def test_order_is_logged_on_every_node_with_who_gave_it_and_once() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        await farm.until(lambda: job in farm.machines[1].node.jobs)
        await farm.data("job.control", job=job, action="pause", why="need the machines", on=1)
        await farm.data("job.control", job=job, action="priority", value=80, on=1)
        await farm.data("job.control", job=job, action="retry", frames="1,3,5", on=1)
        await farm.data("node.hold", node="n00", why="I work here", on=1)
        for machine in farm.machines:

            def told(notes: list[Note] = machine.disk.notes) -> list[tuple[str, str, bool]]:
                orders = ("pause", "priority", "retry", "hold")
                return [(note.what, note.text, bool(note.actor)) for note in notes if note.what in orders]

            await farm.until(lambda: len(told()) >= 4, 20)
            assert told() == [
                ("pause", "need the machines", True),
                ("priority", "80: shot", True),
                ("retry", "shot", True),
                ("hold", "n00: I work here", True),
            ]

    play(scene, 2)


def test_cancelled_job_stops_and_stays_so() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        await farm.until(lambda: bool(farm.machines[0].node.worker.live))
        await farm.data("job.control", job=job, action="cancel")
        await farm.until(lambda: not farm.machines[0].node.worker.live, 12)
        assert await farm.state(job) == "cancelled"
        answer = await farm.ask("job.control", job=job, action="resume")
        assert answer.error is not None

    play(scene)


def test_deleted_job_is_gone_everywhere_and_never_comes_back() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        await farm.until_state(job, "completed", on=1)
        await farm.data("job.control", job=job, action="delete", on=1)
        await farm.until(lambda: all(job not in machine.node.jobs for machine in farm.machines), 10)
        answer = await farm.ask("job.show", job=job)
        assert answer.error is not None
        assert answer.error[0] == 5

    play(scene, 3)


def test_job_that_fits_nowhere_says_what_is_missing_and_starts_when_a_fitting_node_joins() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(requirements=Requirements(ram_bytes=64 * GIB))
        why = await farm.data("why", job=job)
        reason = why["reasons"][0]
        assert reason["code"] == "no_node_fits_ram"
        assert {fit["has"] for fit in reason["nearest"]} == {32 * GIB}
        assert [entry["count"] for entry in why["reasons"]] == [3, 17]
        assert (await farm.data("job.show", job=job))["reason"]["code"] == "no_node_fits_ram"
        big = farm.world.add()
        big.ram_gib = 64
        big.start()
        await farm.until_state(job, "completed", limit_s=200)
        assert {node["name"] for node in (await farm.data("job.show", job=job))["nodes"]} == {big.name}

    play(scene, 2)


def test_held_node_gets_no_work_until_it_is_released() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.hold", node="n00", why="I work here")
        job = await farm.submit()
        await farm.until(lambda: farm.world.loop.time() > 20)
        assert farm.world.counts.starts == 0
        why = await farm.data("why", job=job)
        assert why["reasons"][0]["code"] == "nodes_held"
        listed = (await farm.data("node.list"))["nodes"][0]
        assert listed["state"] == "held"
        assert "I work here" in listed["reason"]
        await farm.data("node.release", node="n00")
        await farm.until_state(job, "completed")

    play(scene)


def test_failed_frames_are_retried_by_a_person_and_the_job_completes() -> None:
    async def scene(farm: Farm) -> None:
        broken = {7: True}
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        farm.world.failing[job] = lambda rng, node, effect: (  # type: ignore[index]  # a job id
            RenderPlan(0.5, 1, "no licence of the good kind") if broken.get(effect.frames[0]) else None
        )
        await farm.until_state(job, "failed", limit_s=400)
        view = await farm.data("job.show", job=job)
        assert view["failed_frames"] == "7"
        assert view["completed_frames"] == "1-6,8-20"
        tasks = (await farm.data("task.list", job=job, state="failed"))["tasks"]
        assert [(task["frames"], task["attempts"]) for task in tasks] == [("7", 4)]
        broken.clear()
        answer = await farm.data("job.control", job=job, action="retry")
        assert answer["changed"]
        await farm.until_state(job, "completed")

    play(scene, 2)


def test_watch_answers_when_the_job_changes_and_otherwise_after_its_time() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(job, "awaiting_approval")
        await farm.until(lambda: farm.world.loop.time() > 40)
        first = await farm.data("job.watch", job=job, since=-1, timeout_s=5)
        started = farm.world.loop.time()
        again = await farm.data("job.watch", 0, 20, job=job, since=first["version"], timeout_s=3)
        assert again["version"] == first["version"]
        assert 2.9 < farm.world.loop.time() - started < 4
        client = farm.world.ask(farm.machines[0], "job.watch", job=job, since=first["version"], timeout_s=30)
        await farm.data("job.control", job=job, action="approve")
        await farm.until(lambda: client in farm.world.answers, 1)
        assert farm.world.answers[client].data["version"] > first["version"]

    play(scene)


def test_full_disk_refuses_what_is_new_and_says_so() -> None:
    async def scene(farm: Farm) -> None:
        farm.machines[0].free_disk = 1 << 20
        await farm.until(lambda: bool(farm.machines[0].node.condition.disk_fault()), 3)
        client = farm.world.submit(farm.machines[0], SPEC)
        await farm.until(lambda: client in farm.world.answers, 3)
        error = farm.world.answers[client].error
        assert error is not None
        assert "disk is full" in error[2]
        farm.machines[0].free_disk = 1 << 40
        await farm.until(lambda: not farm.machines[0].node.condition.disk_fault(), 3)
        await farm.until_state(await farm.submit(), "completed")

    play(scene)


def test_submission_on_any_node_is_known_to_all_and_acknowledged_by_another() -> None:
    async def scene(farm: Farm) -> None:
        client = farm.world.submit(farm.machines[2], SPEC)
        await farm.until(lambda: client in farm.world.answers, 3)
        data = farm.world.answers[client].data
        assert data["stored"] == "farm"
        assert data["nodes"]
        await farm.until(lambda: all(data["job"] in machine.node.jobs for machine in farm.machines), 3)

    play(scene, 4)


def test_farm_of_one_says_that_nobody_else_could_store_it() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        answer = await farm.data("job.control", job=job, action="pause")
        assert (answer["stored"], answer["alone"]) == ("here", True)

    play(scene)


def test_cut_off_node_accepts_at_once_and_the_farm_learns_after_healing() -> None:
    async def scene(farm: Farm) -> None:
        lonely = farm.machines[3]
        job = await farm.submit(frames="1-200")
        await farm.until_state(job, "rendering")
        farm.world.network.split([[m.id for m in farm.machines[:3]], [lonely.id]])
        await farm.until(lambda: len(lonely.node.membership.alive()) == 1, 30)
        answer = await farm.data("job.control", on=3, job=job, action="pause")
        assert (answer["stored"], answer["alone"]) == ("here", False)
        farm.world.network.heal()
        await farm.until(lambda: all(m.node.jobs.get(job).paused for m in farm.machines), 5)  # type: ignore[union-attr,arg-type]
        starts = farm.world.counts.starts
        await farm.until(lambda: not any(m.node.worker.live for m in farm.machines), 30)
        assert farm.world.counts.starts <= starts + 8

    play(scene, 4)


def test_renderer_that_nobody_ever_heard_of_is_refused_and_one_not_installed_waits() -> None:
    async def scene(farm: Farm) -> None:
        client = farm.world.submit(farm.machines[0], replace(SPEC, renderer="blendr"))
        await farm.until(lambda: client in farm.world.answers, 3)
        error = farm.world.answers[client].error
        assert error is not None
        assert "did you mean blender?" in error[3]
        job = await farm.submit(renderer="povray", command=None)
        assert (await farm.data("why", job=job))["reasons"][0]["code"] == "no_node_has_renderer"

    play(scene)


def test_job_waits_for_disk_space_and_starts_when_there_is_some() -> None:
    async def scene(farm: Farm) -> None:
        farm.machines[0].free_disk = 1 << 20
        await farm.data("node.hold", on=1, node="n01")
        await farm.until(lambda: farm.machines[1].node.condition.free_disk_of(farm.machines[0].id) == 1 << 20, 20)
        job = await farm.submit(on=1)
        why = await farm.data("why", on=1, job=job)
        assert why["reasons"][0]["code"] == "node_disk_full"
        await farm.until(lambda: farm.world.loop.time() > 40)
        assert farm.world.counts.starts == 0
        farm.machines[0].free_disk = 1 << 40
        await farm.until_state(job, "completed", on=1)

    play(scene, 2)


def test_jobs_are_listed_in_pages_that_together_are_all() -> None:
    async def scene(farm: Farm) -> None:
        jobs = [await farm.submit(frames="1", gate=GateSpec(GateMode.OFF)) for _ in range(5)]
        pages = [await farm.data("job.list", offset=offset, limit=2) for offset in (0, 2, 4, 6)]
        assert [job["id"] for page in pages for job in page["jobs"]] == jobs
        assert {page["total"] for page in pages} == {5}
        whole = await farm.data("job.list")
        assert [job["id"] for job in whole["jobs"]] == jobs

    play(scene)


def test_a_list_of_jobs_says_of_each_what_stands_in_its_way() -> None:
    async def scene(farm: Farm) -> None:
        huge = await farm.submit(requirements=Requirements(ram_bytes=4096 * GIB))
        await asyncio.sleep(2)
        (listed,) = (await farm.data("job.list"))["jobs"]
        assert (listed["id"], listed["reason"]["code"]) == (huge, "no_node_fits_ram")
        (fed,) = (await farm.data("farm.feed", patience_s=0))["jobs"]
        assert fed["reason"] == listed["reason"] == (await farm.data("job.show", job=huge))["reason"]

    play(scene)


def test_in_a_long_list_the_first_are_explained_by_the_machines_and_the_others_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explain, "EXPLAINED_AT_ONCE", 6)

    async def scene(farm: Farm) -> None:
        for _ in range(11):
            await farm.submit(requirements=Requirements(ram_bytes=4096 * GIB))
        codes = [job["reason"]["code"] for job in (await farm.data("job.list"))["jobs"]]
        assert codes == ["no_node_fits_ram"] * 6 + ["gate_testing"] * 5

    play(scene)
