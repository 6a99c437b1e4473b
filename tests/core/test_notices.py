"""Hooks are told of jobs and alerts: once where all is quiet, at least once and under one id where it is not."""

from __future__ import annotations

import asyncio
from itertools import pairwise, permutations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from farmd.core import outbox
from farmd.core.alerts import Alert
from farmd.core.alertwatch import BEFORE_S, mark_of
from farmd.core.hooks import Hooks
from farmd.core.outbox import AT_ONCE, RETRIES_S
from protocol.bodies import HookBody, pack_body
from protocol.hooks import JOB_EVENTS
from protocol.jobspec import GateMode, GateSpec
from protocol.records import Kind, Rec
from protocol.states import FailureClass, JobState
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan, Told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.sim.machine import Machine

URL = "https://hooks.example.org/farm"
ENDED = {"completed", "failed", "cancelled", "rejected"}


async def hook(farm: Farm, *events: str, on: int = 0, target: str = URL, **args: Any) -> str:
    answer = await farm.data("hook.add", on, kind="url", target=target, events=list(events), **args)
    return str(answer["hook"]["id"])


def told(farm: Farm, event: str = "", target: str = URL) -> list[Told]:
    found = [one for one in farm.world.notices if one.target == target]
    return [one for one in found if one.notice["event"].startswith(event)]


def events_of(farm: Farm, job: str) -> list[str]:
    return [one.notice["event"] for one in told(farm) if one.notice["job"] and one.notice["job"]["id"] == job]


def leader_of(farm: Farm) -> int:
    return next(n for n, machine in enumerate(farm.machines) if machine.up and machine.node.election.is_leader)


async def until_led(farm: Farm) -> int:
    def leads() -> bool:
        return any(machine.up and machine.node.election.is_leader for machine in farm.machines)

    await farm.until(leads, 30.0)
    return leader_of(farm)


# -- jobs ----------------------------------------------------------------------------------------------------------


def test_a_job_that_completes_is_told_once_by_the_leader() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.completed", on=1)
        job = await farm.submit(on=2)
        await farm.until_state(job, "completed")
        await asyncio.sleep(30)
        (one,) = farm.world.notices
        assert one.node == farm.machines[leader_of(farm)].id
        assert (one.notice["schema"], one.notice["event"], one.notice["farm"]) == (
            "farm.notice.v1",
            "job.completed",
            "simulated",
        )
        assert one.notice["id"] == f"job.completed/{job}/0"
        assert (one.notice["job"]["id"], one.notice["job"]["done"], one.notice["alert"]) == (job, 20, None)
        assert one.notice["text"].startswith("shot (anna) is completed: 20 frames in ")

    play(scene, 3)


def test_each_state_that_lasts_is_told_in_turn() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.*")
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1, 20)))
        await farm.until_state(job, "awaiting_approval")
        await asyncio.sleep(2)
        await farm.data("job.control", job=job, action="approve")
        await asyncio.sleep(2)
        await farm.data("job.control", job=job, action="pause", why="lunch")
        await asyncio.sleep(10)
        await farm.data("job.control", job=job, action="resume")
        await farm.until_state(job, "completed")
        await asyncio.sleep(2)
        expected = ["submitted", "testing", "awaiting_approval", "rendering", "paused", "rendering", "completed"]
        assert events_of(farm, job) == [f"job.{word}" for word in expected]
        assert len({one.notice["id"] for one in told(farm)}) == len(expected)
        texts = [one.notice["text"] for one in told(farm)]
        assert texts[0] == "shot (anna) is submitted: 20 frames"
        assert f"farmctl job approve {job}" in texts[2]
        assert texts[4].endswith(": lunch")

    play(scene)


def test_a_job_that_pauses_itself_fails_or_is_cancelled_says_why() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.paused", "job.failed", "job.cancelled")
        many = await farm.submit(frames="1-40", gate=GateSpec(GateMode.OFF, ()))
        few = await farm.submit(frames="1-3", gate=GateSpec(GateMode.OFF, ()))
        gone = await farm.submit(frames="1-90", gate=GateSpec(GateMode.OFF, ()))
        for job in (many, few):
            farm.world.failing[job] = lambda *_: RenderPlan(0.5, int(FailureClass.ERROR), "no licence for V-Ray")  # type: ignore[index]
        await farm.data("job.control", job=gone, action="cancel", why="wrong camera")
        await farm.until_state(many, "paused", limit_s=900)
        await farm.until_state(few, "failed", limit_s=900)
        await asyncio.sleep(5)
        texts = {one.notice["job"]["id"]: one.notice["text"] for one in told(farm)}
        assert "paused itself: 11 tasks failed for good: no licence for V-Ray" in texts[many]
        assert "3 of 3 tasks failed for good: no licence for V-Ray" in texts[few]
        assert "is cancelled by " in texts[gone]
        assert texts[gone].endswith(": wrong camera")
        assert len(told(farm)) == 3

    play(scene)


def test_a_job_that_is_completed_again_after_a_retry_is_told_again_under_another_id() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.completed")
        job = await farm.submit(frames="1-4")
        for times in (1, 2):
            await farm.until_state(job, "completed")
            await asyncio.sleep(2)
            assert len(told(farm)) == times
            if times == 1:
                await farm.data("job.control", job=job, action="retry", frames="2")
        assert len({one.notice["id"] for one in told(farm)}) == 2

    play(scene)


def test_a_state_that_was_left_for_one_that_is_not_wanted_is_told_again_when_it_is_back() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.rendering")
        job = await farm.submit(frames="1-500")
        for times in (1, 2, 3):
            await farm.until(lambda times=times: len(told(farm)) == times, 60)  # type: ignore[misc]  # bound at once
            await farm.data("job.control", job=job, action="pause")
            await asyncio.sleep(5)
            await farm.data("job.control", job=job, action="resume")
        assert len({one.notice["id"] for one in told(farm)}) == 3

    play(scene)


def test_a_hook_that_is_made_late_hears_nothing_of_what_was_before() -> None:
    async def scene(farm: Farm) -> None:
        done = await farm.submit(frames="1-4")
        await farm.until_state(done, "completed")
        paused = await farm.submit()
        await farm.data("job.control", job=paused, action="pause")
        await asyncio.sleep(5)
        await hook(farm, "job.*")
        await asyncio.sleep(20)
        assert farm.world.notices == []
        await farm.data("job.control", job=paused, action="cancel")
        await asyncio.sleep(2)
        assert events_of(farm, paused) == ["job.cancelled"]

    play(scene)


def test_a_removed_hook_is_told_nothing_more_and_stays_removed() -> None:
    async def scene(farm: Farm) -> None:
        name = await hook(farm, "job.*")
        answer = await farm.data("hook.remove", on=1, hook=name)
        assert (answer["holds"], answer["changed"]) == (False, True)
        await asyncio.sleep(1)
        await farm.submit(frames="1-2")
        await asyncio.sleep(20)
        assert farm.world.notices == []
        for machine in farm.machines:
            row = machine.node.replica.get(11, bytes.fromhex(name))
            assert row is not None
            assert URL.encode() not in row.body

    play(scene, 2)


def test_only_the_machine_that_a_hook_names_tells_it() -> None:
    async def scene(farm: Farm) -> None:
        teller = (leader_of(farm) + 1) % 3
        await hook(farm, "job.completed", node=farm.machines[teller].name)
        job = await farm.submit()
        await farm.until_state(job, "completed")
        await asyncio.sleep(5)
        assert [one.node for one in farm.world.notices] == [farm.machines[teller].id]

    play(scene, 3)


def test_many_jobs_are_told_each_and_a_few_at_a_time() -> None:
    async def scene(farm: Farm) -> None:
        open_now, most = [0], [0]

        def slow(_told: Told) -> tuple[str, float]:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
            farm.world.loop.call_later(0.2, lambda: open_now.__setitem__(0, open_now[0] - 1))
            return "", 0.2

        farm.world.receive = slow
        await hook(farm, "job.cancelled")
        jobs = [await farm.submit(frames="1-500") for _ in range(150)]
        for job in jobs:
            await farm.data("job.control", job=job, action="cancel")
        await farm.until(lambda: len(farm.world.notices) == len(jobs), 60)
        await asyncio.sleep(5)
        assert sorted(one.notice["job"]["id"] for one in farm.world.notices) == sorted(jobs)
        assert most[0] <= AT_ONCE + 1  # one may have ended in the same instant

    play(scene)


# -- receivers that fail -------------------------------------------------------------------------------------------


def test_what_fails_is_tried_again_with_longer_pauses_under_the_same_id() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.receive = lambda _told: ("503 down", 0.0) if len(farm.world.notices) < 4 else ("", 0.0)
        name = await hook(farm, "job.completed")
        job = await farm.submit(frames="1-2")
        await farm.until(lambda: len(farm.world.notices) == 4, 120)
        await asyncio.sleep(60)
        times = [one.at for one in farm.world.notices]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert [round(pause) for pause in pauses] == [1, 5, 30]
        assert {one.notice["id"] for one in farm.world.notices} == {f"job.completed/{job}/0"}
        (row,) = (await farm.data("hook.list"))["hooks"]
        assert (row["id"], row["told"], row["lost"], row["last_error"]) == (name, 1, 0, "503 down")

    play(scene)


def test_what_fails_to_the_end_is_given_up_and_noted_and_not_told_after_a_restart() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.receive = lambda _told: ("no route to host", 0.1)
        await hook(farm, "job.completed")
        job = await farm.submit(frames="1-2")
        await farm.until_state(job, "completed")
        await asyncio.sleep(sum(RETRIES_S) + 60)
        assert len(farm.world.notices) == 1 + len(RETRIES_S)
        (lost,) = [note for note in farm.machines[0].disk.notes if note.what == "notice-lost"]
        assert lost.job == job
        assert lost.text.startswith("hooks.example.org: no route to host (after 6 tries): shot ")
        assert URL not in lost.text
        farm.machines[0].crash()
        farm.machines[0].start()
        await asyncio.sleep(60)
        assert len(farm.world.notices) == 1 + len(RETRIES_S)

    play(scene)


def test_a_state_that_is_over_before_it_could_be_told_is_not_told_any_more() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.receive = lambda _told: ("down", 0.0)
        await hook(farm, "job.paused", "job.completed")
        job = await farm.submit(frames="1-4")
        await farm.data("job.control", job=job, action="pause")
        await farm.until(lambda: len(farm.world.notices) == 2, 30)
        farm.world.receive = lambda _told: ("", 0.0)
        await farm.data("job.control", job=job, action="resume")
        await farm.until_state(job, "completed")
        await asyncio.sleep(200)
        assert events_of(farm, job) == ["job.paused", "job.paused", "job.completed"]

    play(scene)


def test_more_jobs_than_are_kept_at_once_are_all_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WAITING", 20)

    async def scene(farm: Farm) -> None:
        down = [True]
        farm.world.receive = lambda _told: ("down", 0.0) if down[0] else ("", 0.0)
        name = await hook(farm, "job.cancelled")
        jobs = [await farm.submit(frames="1-500") for _ in range(60)]
        for job in jobs:
            await farm.data("job.control", job=job, action="cancel")
        await asyncio.sleep(3)
        assert (await farm.data("hook.list"))["hooks"][0]["waiting"] == 20
        down[0] = False
        arrived: dict[str, None] = {}

        def take(one: Told) -> tuple[str, float]:
            arrived[one.notice["job"]["id"]] = None
            return "", 0.0

        farm.world.receive = take
        await farm.until(lambda: len(arrived) == len(jobs), 900)
        assert (await farm.data("hook.list"))["hooks"][0] | {"id": name, "waiting": 0, "lost": 0} == (
            await farm.data("hook.list")
        )["hooks"][0]

    play(scene)


# -- leaders that die ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [False, True])
def test_a_leader_killed_around_a_delivery_leaves_it_to_the_next_under_the_same_id(answers: bool) -> None:
    async def scene(farm: Farm) -> None:
        led = leader_of(farm)

        def receive(one: Told) -> tuple[str, float]:
            if len(farm.world.notices) == 1:  # it dies before (or just after) the answer is here
                farm.world.loop.call_later(0.05, farm.machines[led].crash)
                return "", 0.01 if answers else 10.0
            return "", 0.01

        farm.world.receive = receive
        await hook(farm, "job.completed", on=(led + 1) % 3)
        job = await farm.submit(on=(led + 1) % 3, frames="1-3")
        await farm.until(lambda: bool(farm.world.notices), 120)
        await asyncio.sleep(60)
        assert 1 <= len(farm.world.notices) <= (1 if answers else 2) + 1
        if not answers:
            assert len(farm.world.notices) == 2
        assert {one.notice["id"] for one in farm.world.notices} == {f"job.completed/{job}/0"}
        assert leader_of(farm) != led

    play(scene, 3)


def test_both_halves_of_a_divided_farm_may_tell_and_say_the_same_id() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.cancelled")
        job = await farm.submit(frames="1-400")
        await asyncio.sleep(3)
        halves = [farm.machines[:2], farm.machines[2:]]
        farm.world.network.split([[machine.id for machine in half] for half in halves])
        await asyncio.sleep(30)
        for on in (0, 3):
            await farm.data("job.control", on, job=job, action="cancel", why="both")
        await asyncio.sleep(20)
        farm.world.network.heal()
        await asyncio.sleep(40)
        assert 1 <= len(told(farm)) <= 2
        assert {one.notice["id"] for one in told(farm)} == {f"job.cancelled/{job}/0"}

    play(scene, 4)


# -- alerts --------------------------------------------------------------------------------------------------------


def test_an_alert_is_told_when_it_comes_and_when_it_goes() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "alert.node_lost")
        await asyncio.sleep(20)
        lost = next(n for n in range(3) if n != leader_of(farm))
        farm.machines[lost].crash(power_cut=True)
        await farm.until(lambda: len(told(farm)) == 1, 60)
        begin = told(farm)[0].notice
        assert (begin["event"], begin["resolved"], begin["alert"]["node"]) == (
            "alert.node_lost",
            False,
            farm.machines[lost].id,
        )
        assert f"{farm.machines[lost].name} is lost" in begin["text"]
        farm.machines[lost].start()
        await farm.until(lambda: len(told(farm)) == 2, 60)
        end = told(farm)[1].notice
        assert (end["event"], end["resolved"], end["id"]) == ("alert.node_lost", True, begin["id"] + "/resolved")
        await asyncio.sleep(30)
        assert len(told(farm)) == 2

    play(scene, 3)


def test_the_next_leader_tells_that_the_last_one_is_lost_and_only_that() -> None:
    async def scene(farm: Farm) -> None:
        led = leader_of(farm)
        first = next(n for n in range(4) if n != led)
        await hook(farm, "alert.*", on=led)
        await asyncio.sleep(20)
        farm.machines[first].crash(power_cut=True)
        await asyncio.sleep(BEFORE_S + 40)
        before = len(told(farm, "alert.node_lost"))
        farm.machines[led].crash(power_cut=True)
        await asyncio.sleep(60)
        nodes = [one.notice["alert"]["node"] for one in told(farm, "alert.node_lost")]
        assert (before, nodes) == (1, [farm.machines[first].id, farm.machines[led].id])

    play(scene, 4)


def test_alerts_that_stood_before_the_hook_are_not_told() -> None:
    async def scene(farm: Farm) -> None:
        await asyncio.sleep(15)
        lost = next(n for n in range(3) if n != leader_of(farm))
        farm.machines[lost].crash(power_cut=True)
        await asyncio.sleep(30)
        await hook(farm, "alert.*", on=leader_of(farm))
        await asyncio.sleep(30)
        assert told(farm) == []

    play(scene, 3)


def test_a_machine_whose_disk_is_full_tells_it_itself() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "alert.disk")
        await asyncio.sleep(20)
        full = next(n for n in range(3) if n != leader_of(farm))
        farm.machines[full].free_disk = 1 << 20
        await farm.until(lambda: len(told(farm)) == 1, 30)
        assert told(farm)[0].node == farm.machines[full].id
        await asyncio.sleep(20)
        assert len(told(farm)) == 1
        farm.machines[full].free_disk = 1 << 40
        await farm.until(lambda: len(told(farm)) == 2, 30)
        farm.machines[full].free_disk = 1 << 20
        await farm.until(lambda: len(told(farm)) == 3, 30)
        first, over, second = (one.notice["id"] for one in told(farm))
        assert over == first + "/resolved"
        assert second != first, "who remembers ids acts again"

    play(scene, 3)


def test_a_machine_that_is_sick_again_after_it_finished_something_is_told_of_under_another_id() -> None:
    async def scene(farm: Farm) -> None:
        marks: list[str] = []
        for _ in range(2):
            job = await farm.submit()
            await farm.until_state(job, "completed")
            await asyncio.sleep(5)
            sick = Alert("node_sick", "warning", "", node=farm.machines[1].id)
            found = {mark_of(machine.node, sick, machine.clock.now()) for machine in farm.machines}
            assert len(found) == 1, "whoever tells it names it alike"
            marks += found
        assert marks[0] != marks[1]

    play(scene, 3)


def test_a_disk_that_takes_nothing_is_told_of_while_it_takes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "alert.disk", "job.cancelled")
        job = await farm.submit(frames="1-500")
        await asyncio.sleep(20)
        farm.machines[0].disk.full = True
        await farm.ask("job.control", job=job, action="cancel")
        await farm.until(lambda: len(told(farm)) == 1, 30)
        assert told(farm)[0].notice["event"] == "alert.disk"
        await asyncio.sleep(20)
        assert len(told(farm)) == 1, "a job is told of when its row is safe"
        farm.machines[0].disk.full = False
        await farm.until(lambda: len(told(farm)) == 3, 30)
        assert {one.notice["event"] for one in told(farm)[1:]} == {"alert.disk", "job.cancelled"}

    play(scene)


@pytest.mark.parametrize("what", ["delete", "remove"])
def test_what_waits_for_a_deleted_job_or_a_removed_hook_is_forgotten(what: str) -> None:
    async def scene(farm: Farm) -> None:
        farm.world.receive = lambda _told: ("down", 0.3)
        name = await hook(farm, "job.cancelled")
        job = await farm.submit(frames="1-500")
        await farm.data("job.control", job=job, action="cancel")
        await farm.until(lambda: len(told(farm)) == 2, 30)  # and the second one is under way
        if what == "delete":
            await farm.data("job.control", job=job, action="delete")
        else:
            await farm.data("hook.remove", hook=name)
        await asyncio.sleep(200)
        assert len(told(farm)) == 2

    play(scene)


def test_names_of_jobs_cannot_begin_lines_of_their_own() -> None:
    async def scene(farm: Farm) -> None:
        await hook(farm, "job.submitted")
        await farm.submit(owner="anna\nBcc: everybody", frames="1")
        await farm.until(lambda: bool(told(farm)), 10)
        assert told(farm)[0].notice["text"] == "shot (anna Bcc: everybody) is submitted: 3 frames"

    play(scene)


def test_a_hook_that_comes_right_after_a_change_of_leader_costs_others_no_notice() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.receive = lambda _told: ("down", 0.0)
        await hook(farm, "job.cancelled")
        job = await farm.submit(frames="1-500")
        await farm.data("job.control", job=job, action="cancel")
        await farm.until(lambda: len(told(farm)) == 2, 30)
        farm.machines[leader_of(farm)].crash()
        farm.world.receive = lambda _told: ("", 0.0)
        new = await until_led(farm)
        await hook(farm, "job.failed", on=new, target="https://other.example.org/")
        assert len(told(farm)) == 2, "it is too early to know what the last leader wrote"
        await farm.until(lambda: len(told(farm)) == 3, 10)
        assert told(farm)[2].node == farm.machines[new].id

    play(scene, 3)


# -- rows ----------------------------------------------------------------------------------------------------------


def row(pk: bytes = b"12345678", ver: int = 1, rank: int = 0, body: bytes | None = None, **changes: Any) -> Rec:
    made = HookBody("url", URL, ("job.*",), 0, "anna")._replace(**changes)
    return Rec(Kind.HOOK, pk, ver, ver, 1, ver, rank, pack_body(made) if body is None else body)


def test_the_order_in_which_rows_arrive_does_not_change_the_hooks() -> None:
    rows = [row(bytes((first,)) * 8, target=f"https://x{first}.example") for first in (3, 1, 2)]
    outcomes = []
    for order in permutations(rows):
        fold = Hooks()
        for rec in order:
            fold.apply(rec)
        outcomes.append(list(fold.standing.items()))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len(outcomes[0]) == 3


@pytest.mark.parametrize(
    "later",
    [
        row(ver=2, rank=1, removed=True, target=""),
        row(ver=2, body=b"\x93\x01\x02\x03"),
        row(ver=2, kind="pigeon"),
        row(ver=2, style="morse"),
    ],
)
def test_a_row_that_means_nothing_here_takes_the_place_of_the_hook_before(later: Rec) -> None:
    fold = Hooks()
    fold.apply(row(events=("alert.disk",)))
    assert (len(fold), fold.alerting) == (1, True)
    fold.apply(later)
    assert (len(fold), fold.alerting) == (0, False)


# -- orders --------------------------------------------------------------------------------------------------------


def test_a_hook_is_listed_without_its_secret_and_adding_it_again_changes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        name = await hook(farm, "job.failed", secret="quite secret", note="render wranglers")
        again = await farm.data(
            "hook.add", 1, kind="url", target=URL, events=["job.failed"], secret="quite secret", dry_run=True
        )
        assert (again["changed"], again["hook"]["id"]) == (False, name)
        (row,) = (await farm.data("hook.list", 1))["hooks"]
        assert (row["signed"], row["note"], row["style"], row["events"]) == (
            True,
            "render wranglers",
            "json",
            ["job.failed"],
        )
        assert "quite secret" not in repr(row)
        for machine in farm.machines:
            (line,) = [note for note in machine.disk.notes if note.what == "hook-add"]
            assert line.text == "hooks.example.org: job.failed: render wranglers"

    play(scene, 2)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ({"kind": "url", "target": "ftp://x"}, 2, "no address of http"),
        ({"kind": "url", "target": "https://u:p@x/"}, 2, "--secret-file"),
        ({"kind": "url", "target": "https:///x"}, 2, "no address"),
        ({"kind": "url", "target": "https://x\ny"}, 2, "printable"),
        ({"kind": "command", "target": "notify-send x"}, 2, "absolute"),
        ({"kind": "command", "target": "/bin/x 'y"}, 2, "quotes"),
        ({"kind": "command", "target": "/bin/x", "style": "slack"}, 2, "one of json"),
        ({"kind": "smoke", "target": "x"}, 2, "url, command"),
        ({"kind": "url", "target": URL, "events": ["job.complete"]}, 2, "did you mean job.completed?"),
        ({"kind": "url", "target": URL, "events": "job.*"}, 2, "list of events"),
        ({"kind": "url", "target": URL, "node": "n77"}, 5, "n77"),
    ],
)
def test_a_hook_that_could_never_work_is_refused(args: dict[str, Any], code: int, said: str) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask("hook.add", **args)
        assert answer.error is not None
        assert answer.error[0] == code
        assert said in " ".join(map(str, answer.error))
        assert (await farm.data("hook.list"))["hooks"] == []

    play(scene)


def test_only_admins_see_and_change_hooks() -> None:
    async def scene(farm: Farm) -> None:
        name = await hook(farm, "job.*")
        await farm.data("user.add", name="wim", role="wrangler")
        await farm.data("user.add", name="ada", role="admin")
        asked: list[tuple[str, dict[str, Any]]] = [
            ("list", {}),
            ("add", {"kind": "url", "target": URL}),
            ("remove", {"hook": name}),
            ("test", {"hook": name}),
        ]
        for op, args in asked:
            answer = await farm.ask_as("wim", f"hook.{op}", **args)
            assert answer.error is not None
            assert answer.error[0] == 6
        assert (await farm.ask_as("ada", "hook.list")).error is None

    play(scene)


@pytest.mark.parametrize("error", ["", "404 Not Found"])
def test_a_test_is_sent_at_once_and_its_outcome_is_the_answer(error: str) -> None:
    async def scene(farm: Farm) -> None:
        farm.world.receive = lambda _told: (error, 0.3)
        name = await hook(farm, "job.failed")
        answer = await farm.data("hook.test", 1, hook=name[:6])
        assert (answer["ok"], answer["error"], answer["id"]) == (not error, error, name)
        await asyncio.sleep(60)
        (one,) = farm.world.notices
        assert (one.node, one.notice["event"], one.notice["job"]) == (farm.machines[1].id, "test", None)

    play(scene, 2)


# -- whatever happens ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_through_faults_every_job_that_ended_is_told_at_least_once_and_only_what_was_true(seed: int) -> None:
    rng = Random(seed)

    async def scene(farm: Farm) -> None:
        taken: list[Told] = []

        def receive(one: Told) -> tuple[str, float]:
            if rng.random() < 0.3:
                return rng.choice(("500 oops", "timed out")), rng.uniform(0, 3)
            taken.append(one)
            return "", rng.uniform(0, 3)

        def take(one: Told) -> tuple[str, float]:
            taken.append(one)
            return "", 0.1

        farm.world.receive = receive
        await hook(farm, "job.*", "alert.*")
        jobs: list[str] = []
        for _ in range(25):
            await _something_happens(farm, rng, jobs)
            await asyncio.sleep(rng.uniform(0.05, 3))
        farm.world.receive = take
        await _everything_ends(farm, jobs)
        await asyncio.sleep(sum(RETRIES_S[:4]) + 30)
        _check_told(farm, jobs, taken)
        before = len(farm.world.notices)
        await asyncio.sleep(60)
        assert len(farm.world.notices) == before

    play(scene, 3)


async def _everything_ends(farm: Farm, jobs: list[str]) -> None:
    farm.world.network.heal()
    for machine in farm.machines:
        if machine.driver is None:
            machine.start()
    await asyncio.sleep(10)
    for job in jobs:
        if await farm.state(job) == "paused":
            await farm.data("job.control", job=job, action="resume")
    await farm.until(lambda: all(_state(farm, job) in ENDED for job in jobs), 3000)


def _state(farm: Farm, job: str) -> str:
    return farm.machines[0].node.jobs.state_of(job).value  # type: ignore[arg-type]  # a job id


def _check_told(farm: Farm, jobs: Iterable[str], taken: Iterable[Told]) -> None:
    words = {f"job.{word}" for word in JOB_EVENTS.values()}
    for job in jobs:
        mine = [one.notice for one in taken if one.notice["job"] and one.notice["job"]["id"] == job]
        told_of_it = [notice["event"] for notice in mine if notice["alert"] is None]
        assert f"job.{_state(farm, job)}" in told_of_it, (job, told_of_it)
        assert set(told_of_it) <= words
        assert told_of_it[0] == "job.submitted"
        for notice in mine:
            if notice["alert"] is None and notice["event"] != "job.submitted":
                state = JobState(notice["job"]["state"])
                assert notice["event"] == f"job.{JOB_EVENTS[state]}"


async def _something_happens(farm: Farm, rng: Random, jobs: list[str]) -> None:
    up = [number for number, machine in enumerate(farm.machines) if machine.driver is not None]
    down: list[Machine] = [machine for machine in farm.machines if machine.driver is None]
    network, ids = farm.world.network, [machine.id for machine in farm.machines]
    match rng.choice(
        ["submit", "submit", "pause", "resume", "cancel", "retry", "crash", "crash", "start", "split", "heal"]
    ):
        case "submit":
            jobs.append(await farm.submit(rng.choice(up), frames=f"1-{rng.randint(1, 30)}"))
        case "crash" if len(up) > 1:
            farm.machines[rng.choice(up)].crash()
        case "start" if down:
            rng.choice(down).start()
        case "split":
            rng.shuffle(ids)
            network.split([ids[:1], ids[1:]])
        case "heal":
            network.heal()
        case "pause" | "resume" | "cancel" | "retry" as action if jobs:
            await farm.ask("job.control", rng.choice(up), 15.0, job=rng.choice(jobs), action=action)
        case _:
            pass
