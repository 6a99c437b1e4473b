"""The live feed: what viewers are told, when, and that it is all there is to tell."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from farmd.core.chronicle import REMOVED_KEPT, Chronicle
from farmd.core.feed import JOBS_PER_ANSWER
from farmd.core.jobs import Jobs
from farmd.core.jobstatus import task_state, task_states
from farmd.core.pace import BUCKETS, Pace
from protocol.errors import PeerError
from protocol.feed import FarmPicture, JobPicture
from protocol.ids import JobId, TaskIndex
from protocol.jobspec import GateMode, GateSpec
from protocol.states import TASK_STATES
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from tests.sim.machine import Machine

COMPARED = ("state", "priority", "done", "failed", "running", "waiting", "progress")
HELD = "nodes_held"


class Viewer:
    """Follows the feed of one machine, as a dashboard does, and starts anew where that machine does not answer."""

    def __init__(self, farm: Farm, on: int = 0) -> None:
        self.farm = farm
        self.on = on
        self.picture = FarmPicture()
        self.answers: list[tuple[float, dict[str, Any]]] = []

    async def step(self, patience_s: float = 2.0) -> dict[str, Any]:
        """Ask once and take the answer."""
        answer = await self.farm.data("farm.feed", self.on, patience_s + 1, **self.picture.question(patience_s))
        self.picture.apply(answer)
        self.answers.append((self.farm.world.loop.time(), answer))
        return dict(answer)

    async def run(self) -> None:
        """Follow until cancelled; a machine that is down is asked again, or another."""
        while True:
            if self.farm.machines[self.on].driver is None:
                self.on = (self.on + 1) % len(self.farm.machines)
            with suppress(AssertionError):
                await self.step()
            await asyncio.sleep(0.01)

    async def catch_up(self) -> None:
        """Ask until nothing is new."""
        while (await self.step(0.0))["more"]:
            pass


def test_a_first_question_is_answered_at_once_with_everything() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        viewer, before = Viewer(farm), farm.world.loop.time()
        answer = await viewer.step(30.0)
        assert farm.world.loop.time() - before < 0.2
        assert (answer["reset"], answer["more"], list(viewer.picture.jobs)) == (True, False, [job])
        assert [node["name"] for node in viewer.picture.nodes.values()] == [farm.machines[0].name]
        assert viewer.picture.farm["jobs"]["total"] == 1

    play(scene)


def test_a_change_is_told_within_a_quarter_of_a_second_and_nothing_more_often() -> None:
    async def scene(farm: Farm) -> None:
        viewer = Viewer(farm)
        await viewer.catch_up()
        follows = asyncio.ensure_future(viewer.run())
        await asyncio.sleep(1)
        told = len(viewer.answers)
        job = await farm.submit(frames="1-60")
        await farm.until(lambda: job in viewer.picture.jobs, 0.5)
        await farm.until_state(job, "completed", limit_s=600)
        await asyncio.sleep(0.5)
        follows.cancel()
        times = [at for at, _ in viewer.answers[told:]]
        assert max(sum(low <= at < low + 1 for at in times) for low in times) <= 5
        assert viewer.picture.jobs[job]["done"] == 60

    play(scene)


def test_with_nothing_new_the_answer_comes_when_patience_ends() -> None:
    async def scene(farm: Farm) -> None:
        viewer = Viewer(farm)
        await viewer.catch_up()
        before = farm.world.loop.time()
        answer = await viewer.step(3.0)
        assert 2.9 < farm.world.loop.time() - before < 3.3
        assert (answer["jobs"], answer["removed"], answer["reset"]) == ([], [], False)

    play(scene)


def test_viewers_that_stand_at_the_same_point_are_given_the_same_answer() -> None:
    async def scene(farm: Farm) -> None:
        viewers = [Viewer(farm) for _ in range(3)]
        for viewer in viewers:
            await viewer.catch_up()
        asking = [asyncio.ensure_future(viewer.step(10.0)) for viewer in viewers]
        await asyncio.sleep(0.2)
        await farm.submit()
        first, second, third = await asyncio.gather(*asking)
        assert first["jobs"]
        assert first["jobs"][0] is second["jobs"][0] is third["jobs"][0]

    play(scene)


def test_many_jobs_come_in_pages_and_all_of_them() -> None:
    async def scene(farm: Farm) -> None:
        jobs = [await farm.submit(frames="1") for _ in range(JOBS_PER_ANSWER + 7)]
        viewer = Viewer(farm)
        await viewer.step()
        whole = [viewer.picture.is_whole]
        await viewer.catch_up()
        assert [*whole, viewer.picture.is_whole] == [False, True]
        assert sorted(viewer.picture.jobs) == sorted(jobs)

    play(scene)


def test_a_deleted_job_leaves_the_picture() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        viewer = Viewer(farm)
        await viewer.catch_up()
        assert job in viewer.picture.jobs
        await farm.data("job.control", job=job, action="cancel")
        await farm.data("job.control", job=job, action="delete")
        answer = await viewer.step()
        assert (answer["removed"], viewer.picture.jobs, answer["reset"]) == ([job], {}, False)

    play(scene)


def test_an_archived_job_leaves_the_picture_and_its_counts_until_it_is_brought_back() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1-4")
        await farm.until_state(job, "completed")
        await asyncio.sleep(3)  # until it is delivered, too
        viewer = Viewer(farm)
        await viewer.catch_up()
        await farm.data("job.control", job=job, action="archive")
        await viewer.step()
        assert (viewer.picture.jobs, viewer.picture.farm["jobs"]["total"]) == ({}, 0)
        fresh = Viewer(farm)
        await fresh.catch_up()
        assert fresh.picture.jobs == {}
        await farm.data("job.control", job=job, action="unarchive")
        await viewer.step()
        assert (list(viewer.picture.jobs), viewer.picture.farm["jobs"]["total"]) == ([job], 1)
        assert sum(viewer.picture.farm["pace"]["frames"]) == viewer.picture.jobs[job]["total"]

    play(scene)


def test_a_waiting_job_that_was_archived_while_nobody_watched_is_no_news_for_ever() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.hold", node="n00")
        job = await farm.submit(frames="1-4")
        viewer = Viewer(farm)
        await viewer.catch_up()
        assert viewer.picture.jobs[job]["reason"]["code"] == HELD
        await farm.data("job.control", job=job, action="cancel")
        await farm.data("job.control", job=job, action="archive")
        await asyncio.sleep(30)
        fresh = Viewer(farm)
        await fresh.catch_up()
        before, told = farm.world.loop.time(), len(fresh.answers)
        while farm.world.loop.time() < before + 20:
            await fresh.step(10.0)
        assert len(fresh.answers) - told <= 3

    play(scene)


def test_another_life_of_the_node_tells_everything_anew() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        viewer = Viewer(farm)
        await viewer.catch_up()
        farm.machines[0].crash()
        await asyncio.sleep(1)
        farm.machines[0].start()
        await asyncio.sleep(2)
        answer = await viewer.step()
        assert (answer["reset"], list(viewer.picture.jobs)) == (True, [job])

    play(scene)


async def _wait_for_a_held_machine(farm: Farm, count: int) -> list[str]:
    farm.world.render_plan = lambda node, effect: RenderPlan(60.0)  # type: ignore[method-assign]
    await farm.data("node.hold", node="n00")
    return [await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-4") for _ in range(count)]


def _codes(viewer: Viewer, jobs: list[str]) -> set[str | None]:
    reasons = [viewer.picture.jobs[job]["reason"] for job in jobs]
    return {None if reason is None else reason["code"] for reason in reasons}


def test_why_a_job_waits_is_told_anew_when_only_the_machines_have_changed() -> None:
    async def scene(farm: Farm) -> None:
        first, second = await _wait_for_a_held_machine(farm, 2)
        viewer = Viewer(farm)
        await viewer.catch_up()
        follows = asyncio.ensure_future(viewer.run())
        await asyncio.sleep(1)
        assert _codes(viewer, [first, second]) == {HELD}
        await farm.data("node.release", node="n00")
        await farm.until(lambda: _codes(viewer, [second]) == {"nodes_busy"}, 2.0)
        listed = {job["id"]: job for job in (await farm.data("job.list"))["jobs"]}
        assert viewer.picture.jobs[second]["reason"] == listed[second]["reason"]
        await asyncio.sleep(2)  # what does not change is not told again and again
        told = len([answer for _, answer in viewer.answers if answer["jobs"]])
        await asyncio.sleep(10)
        assert len([answer for _, answer in viewer.answers if answer["jobs"]]) == told
        follows.cancel()

    play(scene)


def test_all_jobs_of_a_page_say_why_they_wait() -> None:
    async def scene(farm: Farm) -> None:
        jobs = await _wait_for_a_held_machine(farm, JOBS_PER_ANSWER)
        viewer = Viewer(farm)
        await viewer.catch_up()
        assert _codes(viewer, jobs) == {HELD}

    play(scene)


def test_who_was_told_another_reason_than_a_newcomer_is_told_again() -> None:
    async def scene(farm: Farm) -> None:
        (job,) = await _wait_for_a_held_machine(farm, 1)
        early, late = Viewer(farm), Viewer(farm)
        await early.catch_up()
        farm.machines[0].node.registry.hold_of = lambda node: None  # type: ignore[method-assign]
        await late.catch_up()
        await early.step(1.0)
        assert _codes(late, [job]) == _codes(early, [job]) != {HELD}

    play(scene)


def test_a_hold_is_told_at_once_though_no_job_has_changed() -> None:
    async def scene(farm: Farm) -> None:
        viewer = Viewer(farm)
        await viewer.catch_up()
        asking = asyncio.ensure_future(viewer.step(30.0))
        await asyncio.sleep(0.1)
        before = farm.world.loop.time()
        await farm.data("node.hold", node="n00", why="mine")
        await asking
        assert farm.world.loop.time() - before < 0.5
        assert [node["state"] for node in viewer.picture.nodes.values()] == ["held"]

    play(scene)


def test_an_alert_of_a_job_is_told_within_two_seconds_whatever_the_patience() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        viewer, stood_at = Viewer(farm), 0.0
        while not viewer.picture.farm or not viewer.picture.farm["alerts"]:
            await viewer.step(30.0)
            if not stood_at and viewer.picture.jobs[job]["state"] == "awaiting_approval":
                stood_at = farm.world.loop.time()
        assert [alert["code"] for alert in viewer.picture.farm["alerts"]] == ["gate_approval"]
        assert farm.world.loop.time() - stood_at < 2.0

    play(scene)


def test_what_changed_while_a_viewer_was_busy_is_told_when_it_asks_again() -> None:
    async def scene(farm: Farm) -> None:
        busy, other = Viewer(farm), Viewer(farm)
        await busy.catch_up()
        await other.catch_up()
        asking = asyncio.ensure_future(other.step(30.0))
        await asyncio.sleep(0.1)
        await farm.data("node.hold", node="n00")
        await asking
        before = farm.world.loop.time()
        await busy.step(30.0)
        assert farm.world.loop.time() - before < 0.5
        assert [node["state"] for node in busy.picture.nodes.values()] == ["held"]

    play(scene)


@pytest.mark.parametrize("after", [[], [1, -1, 0], ["a", 2, 0], "x", [1] * 9, [True, 0, 0]])
def test_nonsense_as_a_position_is_refused(after: object) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask("farm.feed", life="x", after=after, patience_s=0)
        assert answer.error is not None
        assert answer.error[0] == 2

    play(scene)


def test_after_more_deletions_than_are_remembered_everything_is_told_anew() -> None:
    chronicle = Chronicle(Jobs())
    for number in range(REMOVED_KEPT + 2):
        job = JobId(f"j{number}")
        chronicle.touch(job)
        chronicle._remove(job)
    assert chronicle.removed_since(0) is None
    kept = chronicle.removed_since(chronicle.version - 3)
    assert kept == [f"j{number}" for number in range(REMOVED_KEPT - 1, REMOVED_KEPT + 2)]


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 12))])
def test_pictures_that_were_followed_through_faults_equal_pictures_made_anew(seed: int) -> None:
    rng = Random(seed)

    async def scene(farm: Farm) -> None:
        jobs: list[str] = []
        viewers = [Viewer(farm, on) for on in range(3)]
        follows = [asyncio.ensure_future(viewer.run()) for viewer in viewers]
        for _ in range(25):
            await _something_happens(farm, rng, jobs)
            await asyncio.sleep(rng.uniform(0.05, 2))
        for machine in farm.machines:
            if machine.driver is None:
                machine.start()
        await asyncio.sleep(5)
        for job in jobs:  # so that nothing changes while two pictures are compared
            await farm.ask("job.control", 0, 15.0, job=job, action="pause")
        await asyncio.sleep(20)
        for follow in follows:
            follow.cancel()
        for viewer in viewers:
            await viewer.catch_up()
            fresh = Viewer(farm, viewer.on)
            await fresh.catch_up()
            assert _essence(viewer.picture) == _essence(fresh.picture)
            assert viewer.picture.farm["tasks"]["total"] == sum(
                job["total_tasks"] for job in viewer.picture.jobs.values()
            )

    play(scene, machines=3)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_why_jobs_wait_is_told_as_it_is_after_holds_and_losses_of_machines(seed: int) -> None:
    rng = Random(seed)

    async def scene(farm: Farm) -> None:
        farm.world.render_plan = lambda node, effect: RenderPlan(10_000.0)  # type: ignore[method-assign]
        for number in range(12):
            await farm.submit(number % 3, gate=GateSpec(GateMode.OFF), frames="1-4", priority=rng.choice((40, 50)))
        viewers = [Viewer(farm, on) for on in range(3)]
        follows = [asyncio.ensure_future(viewer.run()) for viewer in viewers]
        for _ in range(10):
            await _machines_change(farm, rng)
            await asyncio.sleep(rng.uniform(0.1, 8))
        await asyncio.sleep(60)  # until who is away is known to be, and a leader is
        for follow in follows:
            follow.cancel()
        up = [viewer for viewer in viewers if farm.machines[viewer.on].driver is not None]
        for viewer in up:
            await viewer.catch_up()
            listed = (await farm.data("job.list", viewer.on))["jobs"]
            told = {job["id"]: job["reason"] and job["reason"]["code"] for job in viewer.picture.jobs.values()}
            assert told == {job["id"]: job["reason"] and job["reason"]["code"] for job in listed}
        assert up

    play(scene, machines=3)


async def _machines_change(farm: Farm, rng: Random) -> None:
    up = [number for number, machine in enumerate(farm.machines) if machine.driver is not None]
    down = [machine for machine in farm.machines if machine.driver is None]
    match rng.choice(("hold", "hold", "release", "release", "crash", "start")):
        case "crash" if len(up) > 1:
            farm.machines[rng.choice(up)].crash()
        case "start" if down:
            rng.choice(down).start()
        case "hold" | "release" as order:
            await farm.ask(f"node.{order}", rng.choice(up), 15.0, node=rng.choice(farm.machines).name)
        case _:
            pass


async def _something_happens(farm: Farm, rng: Random, jobs: list[str]) -> None:
    up = [number for number, machine in enumerate(farm.machines) if machine.driver is not None]
    down: list[Machine] = [machine for machine in farm.machines if machine.driver is None]
    match rng.choice(["submit", "submit", "pause", "resume", "cancel", "delete", "priority", "crash", "start"]):
        case "submit":
            jobs.append(await farm.submit(rng.choice(up), frames=f"1-{rng.randint(1, 60)}"))
        case "crash" if len(up) > 1:
            farm.machines[rng.choice(up)].crash()
        case "start" if down:
            rng.choice(down).start()
        case "pause" | "resume" | "cancel" | "delete" | "priority" as action if jobs:
            args = {"value": rng.randint(0, 100)} if action == "priority" else {}
            await farm.ask("job.control", rng.choice(up), 15.0, job=rng.choice(jobs), action=action, **args)
        case _:
            pass


def _essence(picture: FarmPicture) -> object:
    jobs = {
        job_id: [*[job[name] for name in COMPARED], job["reason"] and job["reason"]["code"]]
        for job_id, job in picture.jobs.items()
    }
    nodes = {node_id: (node["state"], node["epoch"], node["running"]) for node_id, node in picture.nodes.items()}
    return jobs, nodes, picture.farm["jobs"], picture.farm["tasks"]


# -- one job -------------------------------------------------------------------------------------------------------


def test_states_of_all_tasks_are_those_of_each_task_whatever_happens_to_the_job() -> None:
    async def scene(farm: Farm) -> None:
        job_id = await farm.submit(frames="1-60", chunk=3, gate=GateSpec(GateMode.HOLD, (1, 99)))
        job = farm.machines[0].node.jobs.get(JobId(job_id))
        assert job is not None

        def check() -> None:
            states = [TASK_STATES[number] for number in task_states(job)]
            assert states == [task_state(job, TaskIndex(task)) for task in range(job.plan.task_count)]

        check()
        await farm.until_state(job_id, "awaiting_approval")
        check()
        await farm.data("job.control", job=job_id, action="approve")
        for _ in range(8):
            await asyncio.sleep(0.3)
            check()
        await farm.data("job.control", job=job_id, action="cancel")
        check()

    play(scene)


def test_a_job_is_followed_task_by_task() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1-40", chunk=4, gate=GateSpec(GateMode.AUTO, (7, 99)))
        picture = JobPicture(job)
        seen = set()
        while True:
            picture.apply(await farm.data("job.feed", 0, 5.0, **picture.question(2.0)))
            seen |= {TASK_STATES[number].value for number in picture.states}
            if picture.job["state"] == "completed":
                break
        assert {"held", "running", "done"} <= seen
        plan = farm.machines[0].node.jobs.get(JobId(job)).plan  # type: ignore[union-attr]
        tasks = [plan.frames_of(TaskIndex(task)) for task in range(plan.task_count)]
        assert picture.tests == 2
        assert list(picture.first) == [frames[0] for frames in tasks]
        assert list(picture.last) == [frames[-1] for frames in tasks]

    play(scene)


def test_what_runs_is_told_with_its_progress_though_nothing_else_changes() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.render_plan = lambda node, effect: RenderPlan(20.0)  # type: ignore[method-assign]
        job = await farm.submit(frames="1-2", gate=GateSpec(GateMode.OFF))
        picture = JobPicture(job)
        await farm.until(lambda: farm.machines[0].node.jobs.get(JobId(job)).running != {})  # type: ignore[union-attr]
        picture.apply(await farm.data("job.feed", **picture.question(0)))
        before = farm.world.loop.time()
        picture.apply(await farm.data("job.feed", 0, 20.0, **picture.question(15.0)))
        assert farm.world.loop.time() - before < 1.5
        assert {running["node_name"] for running in picture.running.values()} == {farm.machines[0].name}

    play(scene)


def test_a_deleted_job_is_an_error_for_who_looks_at_it() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames="1")
        await farm.until_state(job, "completed")
        await asyncio.sleep(3)  # until it is delivered, too
        picture = JobPicture(job)
        picture.apply(await farm.data("job.feed", **picture.question(0)))
        client = farm.world.ask(farm.machines[0], "job.feed", **picture.question(20.0))
        await asyncio.sleep(0.2)
        await farm.data("job.control", job=job, action="delete")
        await farm.until(lambda: client in farm.world.answers, 2.0)
        error = farm.world.answers[client].error
        assert error is not None
        assert error[0] == 5

    play(scene)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"schema": "farm.feed.v1"},
        {
            "schema": "farm.jobfeed.v1", "life": "", "after": 1, "job": {}, "as_of_ms": 0, "states": b"no zlib",
            "count": 3, "running": [], "plan": None,
        },
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(answer: object) -> None:
    with pytest.raises(PeerError):
        JobPicture("j").apply(answer)


# -- counts --------------------------------------------------------------------------------------------------------


def test_pace_counts_frames_in_buckets_and_forgets_the_oldest() -> None:
    pace = Pace()
    pace.add(3, 100.0)
    pace.add(2, 109.0)
    pace.add(4, 111.0)
    assert pace.counts(111.0)[-3:] == [0, 5, 4]
    assert pace.counts(111.0 + 10 * (BUCKETS - 2))[:2] == [5, 4]
    assert pace.counts(1e6) == [0] * BUCKETS


def test_failed_and_cancelled_tasks_are_counted_as_such() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.render_plan = lambda node, effect: RenderPlan(0.5, 2, "crash")  # type: ignore[method-assign]
        job = await farm.submit(frames="1-4", gate=GateSpec(GateMode.OFF))
        await farm.until_state(job, "failed", limit_s=600)
        other = await farm.submit(frames="1-50")
        await farm.data("job.control", job=other, action="cancel")
        await asyncio.sleep(15)
        status = await farm.data("farm.feed", patience_s=0)
        assert status["farm"]["jobs"] == {
            "total": 2,
            "pending": 0,
            "running": 0,
            "completed": 0,
            "failed": 1,
            "cancelled": 1,
        }
        assert (status["farm"]["tasks"]["failed"], status["farm"]["tasks"]["waiting"]) == (4, 0)

    play(scene)
