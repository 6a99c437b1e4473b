"""The event log of every node tells every order and every stop, with who and why, also of those that were off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from farmd.core.controls import Controls
from farmd.core.events import MessageReceived
from protocol.jobspec import GateMode, GateSpec
from protocol.messages import EventLine, EventsAre
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    from farmd.core.effects import Note
    from tests.sim.machine import Machine

OFF = GateSpec(GateMode.OFF, ())
WHY = "the client changed their mind"
ARGUMENTS: dict[str, dict[str, Any]] = {"priority": {"value": 80}, "retry": {"frames": "1,3"}}
JOB_ORDERS = ("pause", "resume", "priority", "retry", "approve", "reject", "cancel", "delete", "archive", "unarchive")


def lines(machine: Machine, what: str, job: str = "") -> list[Note]:
    return [note for note in machine.disk.notes if note.what == what and (not job or note.job == job)]


async def ordered(farm: Farm, job: str, action: str, on: int = 1, **args: Any) -> None:
    """Give an order at a machine and wait until all have had time to hear of it."""
    await farm.data("job.control", on, 30, job=job, action=action, why=WHY, **args)
    await asyncio.sleep(3)


async def prepared(farm: Farm, action: str) -> str:
    """Bring a job to where an order makes sense."""
    if action in ("approve", "reject"):
        job = await farm.submit(frames="1-3", gate=GateSpec(GateMode.HOLD, (1,)))
        await farm.until_state(job, "awaiting_approval")
        return job
    farm.world.mean_frame_s = 1.0 if action in ("delete", "archive", "unarchive") else 30.0
    job = await farm.submit(frames="1-3", gate=OFF)
    if action in ("delete", "archive", "unarchive"):
        await farm.until_state(job, "completed")
    if action == "resume":
        await ordered(farm, job, "pause")
    if action == "unarchive":
        await ordered(farm, job, "archive")
    return job


def test_every_order_to_a_job_is_in_this_table() -> None:
    controls = Controls.__new__(Controls)
    Controls.__init__(controls, None)  # type: ignore[arg-type]  # only its table is looked at
    assert sorted(controls._actions) == sorted(JOB_ORDERS)


@pytest.mark.parametrize("action", JOB_ORDERS)
def test_order_is_one_line_with_actor_and_reason_on_every_node(action: str) -> None:
    async def scene(farm: Farm) -> None:
        job = await prepared(farm, action)
        await ordered(farm, job, action, **ARGUMENTS.get(action, {}))
        told = [lines(machine, action, job) for machine in farm.machines]
        assert [len(notes) for notes in told] == [1, 1, 1], "one line each"
        notes = [notes[0] for notes in told]
        assert {(note.actor, note.why, note.job) for note in notes} == {("anna@n01", WHY, job)}
        assert len({(note.key, note.at_ms) for note in notes}) == 1, "the same event has the same key and time"

    play(scene, 3)


@pytest.mark.parametrize(("op", "what"), [("node.hold", "hold"), ("node.release", "release")])
def test_order_to_a_node_is_one_line_with_actor_and_reason_on_every_node(op: str, what: str) -> None:
    async def scene(farm: Farm) -> None:
        if op == "node.release":
            await farm.data("node.hold", 1, 30, node="n02")
        await farm.data(op, 1, 30, node="n02", why=WHY)
        await asyncio.sleep(3)
        for machine in farm.machines:
            (note,) = lines(machine, what)
            assert (note.actor, note.why, note.node) == ("anna@n01", WHY, farm.machines[2].id)

    play(scene, 3)


@pytest.mark.parametrize(
    ("order", "cause", "text"),
    [
        ({"action": "cancel"}, "cancelled", f"the job was cancelled by anna@n01: {WHY}"),
        ({"action": "pause", "now": True}, "preempted", f"the job was paused at once by anna@n01: {WHY}"),
        ({"action": "retry", "frames": "1"}, "superseded", f"the task was requeued by anna@n01: {WHY}"),
    ],
)
def test_stop_of_an_attempt_is_one_line_on_every_node_and_names_who_wanted_it(
    order: dict[str, Any], cause: str, text: str
) -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 60.0
        job = await farm.submit(frames="1", gate=OFF)
        await farm.until(lambda: any(machine.node.worker.live for machine in farm.machines))
        (where,) = [machine for machine in farm.machines if machine.node.worker.live]
        await ordered(farm, job, order.pop("action"), **order)
        for machine in farm.machines:
            (note,) = lines(machine, "attempt-stopped", job)
            assert (note.actor, note.why, note.node, note.task) == ("anna@n01", cause, where.id, 0)
            assert note.text == f"task 0: {text}"

    play(scene, 3)


def test_attempts_that_a_hold_at_once_stopped_name_who_held_the_machine() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 60.0
        job = await farm.submit(frames="1", gate=OFF)
        await farm.until(lambda: any(machine.node.worker.live for machine in farm.machines))
        (where,) = [machine for machine in farm.machines if machine.node.worker.live]
        await farm.data("node.hold", 1, 30, node=where.name, now=True, why=WHY)
        await asyncio.sleep(5)
        for machine in farm.machines:
            note = lines(machine, "attempt-stopped", job)[0]
            assert (note.actor, note.why, note.node) == ("anna@n01", "preempted", where.id)

    play(scene, 3)


def test_stop_by_the_end_of_a_daemon_and_a_failure_are_told_everywhere_and_nobody_ordered_them() -> None:
    async def scene(farm: Farm) -> None:
        farm.world.mean_frame_s = 60.0
        job = await farm.submit(frames="1", gate=OFF)
        await farm.until(lambda: any(machine.node.worker.live for machine in farm.machines))
        (where,) = [machine for machine in farm.machines if machine.node.worker.live]
        others = [machine for machine in farm.machines if machine is not where]
        farm.world.failing[job] = lambda *_: RenderPlan(0.5, 1, "no such camera")  # type: ignore[index]  # a job id
        where.leave()
        await farm.until(lambda: all(lines(machine, "attempt-failed", job) for machine in others), 60)
        for machine in others:
            (stopped,) = lines(machine, "attempt-stopped", job)
            assert (stopped.actor, stopped.why, stopped.text) == ("", "preempted", "task 0: the daemon was stopped")
            failed = lines(machine, "attempt-failed", job)[0]
            assert (failed.actor, failed.why, failed.text) == ("", "error", "task 0: no such camera")

    play(scene, 3)


def test_node_that_was_off_tells_what_happened_meanwhile_as_the_others_do() -> None:
    async def scene(farm: Farm) -> None:
        late = farm.machines[2]
        late.leave()
        await farm.until(lambda: not late.up)
        farm.world.mean_frame_s = 1.0
        job = await farm.submit(1, frames="1-3", gate=OFF)
        await ordered(farm, job, "priority", value=70)
        happened_ms = lines(farm.machines[0], "priority", job)[0].at_ms
        await asyncio.sleep(60)
        late.start()
        await asyncio.sleep(20)
        (submitted,), (priority,) = lines(late, "submitted", job), lines(late, "priority", job)
        assert (submitted.actor, priority.actor, priority.why) == ("anna@n01", "anna@n01", WHY)
        assert priority.at_ms == happened_ms
        assert priority.noted_ms - priority.at_ms > 55_000, "it learned of it late, and says so"
        for machine in farm.machines:
            keys = [note.key for note in machine.disk.notes if note.key]
            assert len(keys) == len(set(keys)), "no event twice"

    play(scene, 3)


async def pause_and_resume(farm: Farm, job: str) -> None:
    await ordered(farm, job, "pause")
    await ordered(farm, job, "resume")


def paused_once_everywhere(farm: Farm, job: str) -> bool:
    return all([note.why for note in lines(machine, "pause", job)] == [WHY] for machine in farm.machines)


def test_order_that_was_overruled_while_a_node_was_off_is_told_there_too() -> None:
    async def scene(farm: Farm) -> None:
        late = farm.machines[2]
        job = await prepared(farm, "pause")
        late.leave()
        await farm.until(lambda: not late.up)
        await pause_and_resume(farm, job)
        late.start()
        await farm.until(lambda: paused_once_everywhere(farm, job), 30)
        assert lines(late, "pause", job)[0].at_ms < lines(late, "resume", job)[0].at_ms

    play(scene, 3)


def test_order_that_was_overruled_on_the_other_side_of_a_partition_is_told_there_too() -> None:
    async def scene(farm: Farm) -> None:
        job = await prepared(farm, "pause")
        farm.world.network.split([[machine.id for machine in farm.machines[:2]], [farm.machines[2].id]])
        await asyncio.sleep(30)
        await pause_and_resume(farm, job)
        assert not lines(farm.machines[2], "pause", job)
        farm.world.network.heal()
        await farm.until(lambda: paused_once_everywhere(farm, job), 60)

    play(scene, 3)


def test_events_of_another_node_are_not_taken_unasked() -> None:
    async def scene(farm: Farm) -> None:
        here, there = farm.machines
        forged = EventLine("f.1", 1, "cancel", "forged", "", "anna@n00", "", -1, "")
        here._post(MessageReceived(there.id, EventsAre(99, (forged,))))
        await asyncio.sleep(2)
        assert not [note for note in here.disk.notes if note.text == "forged"]

    play(scene, 2)
