"""A machine whose renderer lacks what the scene needs: asked once, left out from then on, and no machine means no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.capacity import Need
from farmd.core.match import avoided_nodes
from protocol.bodies import NodeBody
from protocol.ids import JobId
from protocol.jobspec import GateMode, GateSpec, Limits
from protocol.records import JobField
from protocol.states import FailureClass
from tests.core.foldrows import (
    JOB,
    OTHER,
    A,
    B,
    C,
    at,
    control_row,
    done_row,
    failed_row,
    fold,
    folded,
    job_row,
    requeue_row,
    spec,
)
from tests.core.small_farm import Farm, play
from tests.core.test_results import scene_files
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from protocol.records import Rec
    from tests.sim.machine import Machine

OFF = GateSpec(GateMode.OFF)
ROW = job_row(spec("1-9"))
TEXT = "Blender 3.4.1 was built without a denoiser"
FITS = NodeBody("n", "", 1, 8, 1 << 36, (), 0, (), "", 1, 1)


def lacks_row(task: int, n: int, node: str = A, **more: int) -> Rec:
    return failed_row(task, n, node, FailureClass.MISSING_FEATURE, **more)  # type: ignore[arg-type]  # it is a node id


def given_up_row(hlc: int, value: int = 1) -> Rec:
    return control_row(JobField.GIVEN_UP, value, hlc=hlc)


# -- the folds --------------------------------------------------------------------------------------------------------


def test_one_missing_feature_bars_a_node_for_good_and_costs_nothing() -> None:
    job = folded(ROW, lacks_row(0, 1), now=at(9e6))
    assert list(job.barred_nodes()) == [A]
    assert job.nodes_to_avoid(at()) == ()
    assert job.ready_tasks(9, at())[0] == 0
    assert folded(ROW, failed_row(0, 1)).barred_nodes() == {}


def test_missing_features_of_two_jobs_make_no_node_sick() -> None:
    jobs = fold(ROW, job_row(spec("1-9"), OTHER), lacks_row(0, 1), failed_row(0, 1, A, 14, job=OTHER, hlc=30))
    assert jobs.health.sick() == ()
    assert [job.id for job in jobs.barred_candidates()] == [JOB, OTHER]


def test_test_frame_without_a_feature_on_two_nodes_does_not_close_the_gate() -> None:
    job = folded(job_row(spec("1-9", tests=(1,))), lacks_row(0, 1, A), lacks_row(0, 2, B))
    assert (job.gate, job.state) == ("testing", "testing")


def test_retry_of_any_frame_unbars_what_was_found_before_it() -> None:
    before, after = lacks_row(0, 1, A, hlc=20), lacks_row(1, 2, B, hlc=40)
    assert list(folded(ROW, before, after).barred_nodes()) == [A, B]
    assert list(folded(ROW, before, after, requeue_row(7, 7, 1, hlc=30)).barred_nodes()) == [B]


def test_attempt_that_was_done_after_all_bars_nobody() -> None:
    assert folded(ROW, lacks_row(0, 1), done_row(0, 1)).barred_nodes() == {}


def test_given_up_job_has_failed_with_all_that_is_not_done() -> None:
    jobs = fold(ROW, lacks_row(0, 1), done_row(3, 2, B), given_up_row(50))
    status = jobs.status_of(JOB, at())
    assert (status.state, status.failed, status.waiting, status.done) == ("failed", 8, 0, 1)
    assert status.failed_frames == "1-3,5-9"
    assert status.reason is not None
    assert status.reason.code == "missing_feature"
    assert jobs.candidates() == []


def test_given_up_job_of_untouched_tasks_has_failed_frames() -> None:
    assert fold(ROW, given_up_row(50)).status_of(JOB, at()).failed_frames == "1-9"


def test_only_a_later_retry_undoes_giving_up() -> None:
    rows = (ROW, lacks_row(0, 1), given_up_row(50))
    assert folded(*rows, requeue_row(2, 2, 1, hlc=40)).given_up
    retried = folded(*rows, requeue_row(2, 2, 1, hlc=60))
    assert (retried.given_up, retried.state, retried.barred_nodes()) == ("", "rendering", {})
    assert folded(ROW, lacks_row(0, 1), given_up_row(50, 0)).given_up == ""


def test_register_that_a_newer_node_made_up_changes_nothing() -> None:
    newer = control_row(JobField.PRIORITY, 1)
    newer = newer._replace(pk=newer.pk[:10] + bytes((99,)))
    jobs = fold(ROW, newer)
    assert jobs.skipped == 0
    assert jobs.status_of(JOB, at()) == fold(ROW).status_of(JOB, at())


def test_cancelled_job_stays_cancelled_and_complete_one_complete() -> None:
    assert folded(ROW, given_up_row(50), control_row(JobField.CANCELLED, 1)).state == "cancelled"
    done = [done_row(task, task + 1) for task in range(9)]
    assert folded(ROW, given_up_row(50), *done).state == "completed"


def test_barred_nodes_stay_avoided_when_all_others_have_failed() -> None:
    failed = [failed_row(task, task + 1, B) for task in range(3)]
    job = folded(ROW, *failed, lacks_row(4, 9, A))
    need, farm = Need("command"), dict.fromkeys((A, B), FITS)
    assert list(avoided_nodes(job, need, farm, at())) == [A]
    assert list(avoided_nodes(job, need, farm | {C: FITS}, at())) == [A, B]
    assert list(avoided_nodes(folded(ROW, lacks_row(4, 9, A)), need, {A: FITS}, at())) == [A]


# -- a farm -----------------------------------------------------------------------------------------------------------


def lack(farm: Farm, *lame: Machine) -> None:
    """These machines cannot render anything from now on."""
    right, ids = type(farm.world).render_plan, {machine.id for machine in lame}
    farm.world.render_plan = lambda node, effect: (  # type: ignore[method-assign]
        RenderPlan(0.5, int(FailureClass.MISSING_FEATURE), TEXT) if node in ids else right(farm.world, node, effect)
    )


def tries(farm: Farm, job: str, machine: Machine) -> int:
    return sum(ref.job == job and node == machine.id for ref, node in farm.started.items())


def test_tasks_go_to_a_node_that_can_and_no_more_to_one_that_cannot() -> None:
    async def scene(farm: Farm) -> None:
        lame = farm.machines[1]
        lack(farm, lame)
        job = await farm.submit(frames="1-60", gate=OFF, limits=Limits(retries=0))
        await farm.until_state(job, "completed", limit_s=200)
        assert 1 <= tries(farm, job, lame) <= lame.node.body.cores
        assert not lame.node.jobs.health.is_sick(lame.id)
        other = await farm.submit(frames="1-3", gate=OFF)
        await farm.until_state(other, "completed", limit_s=200)

    play(scene, 3)


def test_job_that_no_machine_can_render_fails_at_once_and_names_them() -> None:
    async def scene(farm: Farm) -> None:
        lack(farm, *farm.machines)
        begin = farm.world.loop.time()
        job = await farm.submit(frames="1-200", gate=OFF)
        await farm.until_state(job, "failed")
        assert farm.world.loop.time() - begin < 20
        for machine in farm.machines:
            assert tries(farm, job, machine) <= machine.node.body.cores
        reasons = (await farm.data("why", job=job))["reasons"]
        assert [(reason["code"], reason["count"]) for reason in reasons] == [("missing_feature", 200)]
        assert reasons[0]["text"] == f"no machine can render it: n00, n01: {TEXT}"
        shown = await farm.data("task.list", job=job, state="failed", offset=0, limit=999)
        assert shown["total"] == 200
        assert {task["text"] for task in shown["tasks"]} == {f"n00, n01: {TEXT}"}
        assert {task["cause"] for task in shown["tasks"]} == {FailureClass.MISSING_FEATURE}
        for machine in farm.machines:
            told = [note for note in machine.disk.notes if note.what == "give-up"]
            assert [(note.text, note.actor) for note in told] == [(f"n00, n01: {TEXT}", "farmd")]

    play(scene, 2)


def test_test_frames_find_out_that_no_machine_can_and_a_retry_tries_again() -> None:
    async def scene(farm: Farm) -> None:
        lack(farm, *farm.machines)
        job = await farm.submit()
        await farm.until_state(job, "failed")
        assert len(farm.started) <= 3 * len(farm.machines)
        lack(farm, *farm.machines[:2])
        assert (await farm.data("job.control", job=job, action="retry"))["changed"]
        await farm.until_state(job, "completed", limit_s=200)

    play(scene, 3)


def test_machine_that_is_off_is_waited_for_since_it_may_have_the_feature() -> None:
    async def scene(farm: Farm) -> None:
        able = farm.machines[2]
        able.crash()
        lack(farm, *farm.machines[:2])
        job = await farm.submit(gate=OFF)
        await farm.until(lambda: farm.world.loop.time() > 1000, 1200)
        assert await farm.state(job) == "rendering"
        reasons = (await farm.data("why", job=job))["reasons"]
        assert [reason["code"] for reason in reasons] == ["feature_away"]
        assert "n02" in reasons[0]["hint"]
        able.start()
        await farm.until_state(job, "completed", limit_s=200)

    play(scene, 3)


def test_job_is_given_up_when_the_machine_that_it_waited_for_is_evicted() -> None:
    async def scene(farm: Farm) -> None:
        lack(farm, *farm.machines[:2])
        farm.machines[2].crash()
        job = await farm.submit(gate=OFF)
        await farm.until(lambda: tries(farm, job, farm.machines[1]) > 0)
        await farm.until(lambda: farm.world.loop.time() > 100, 120)
        farm.world.revoke(farm.machines[0], farm.machines[2])
        await farm.until_state(job, "failed")

    play(scene, 3)


def test_newcomer_does_not_start_what_was_given_up() -> None:
    async def scene(farm: Farm) -> None:
        lack(farm, *farm.machines)
        job = await farm.submit(gate=OFF)
        await farm.until_state(job, "failed")
        farm.world.add().start()
        before = len(farm.started)
        await farm.until(lambda: farm.world.loop.time() > 120, 140)
        assert (await farm.state(job), len(farm.started)) == ("failed", before)
        await farm.data("job.control", job=job, action="retry", frames="3")
        await farm.until_state(job, "completed", limit_s=200)

    play(scene)


def test_files_of_a_single_frame_go_on_to_a_machine_that_can() -> None:
    async def scene(farm: Farm) -> None:
        manifest = scene_files(farm.machines[0].blobs)
        lack(farm, *farm.machines[:2])
        job = await farm.submit(manifest=manifest, scene="s.blend", frames="1", gate=OFF)
        await farm.until_state(job, "completed", limit_s=200)
        result = farm.machines[0].node.jobs.get(JobId(job)).result_of(0)  # type: ignore[union-attr, arg-type]
        assert result is not None
        assert result.node == farm.machines[2].id

    play(scene, 3)
