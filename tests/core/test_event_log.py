"""What people read of members and leaders: one line for each change, with names."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from farmd.core.turn import MAX_TEXT
from protocol.jobspec import spec_to_bytes
from tests.core.small_farm import SPEC, Farm, play

if TYPE_CHECKING:
    from tests.sim.machine import Machine


def told(machine: Machine, what: str = "node") -> list[str]:
    return [note.text for note in machine.disk.notes if note.what == what]


async def told_also(farm: Farm, machine: Machine, *lines: str) -> None:
    """Wait until a machine has told these lines and no others, and forget them."""
    await farm.until(lambda: sorted(told(machine)) == sorted(lines), 60)
    await asyncio.sleep(5)
    assert sorted(told(machine)) == sorted(lines)
    machine.disk.notes.clear()


def test_each_change_of_a_member_is_one_line_with_its_name() -> None:
    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        await told_also(farm, first, "n01 joined")
        await told_also(farm, second, "n00 is a member")
        second.crash()
        await told_also(farm, first, "n01 does not answer", "n01 is lost")
        second.start()
        await told_also(farm, first, "n01 is back (life 2)")
        await told_also(farm, second, "n00 is here")
        second.leave()
        await told_also(farm, first, "n01 left")

    play(scene, 2)


def test_a_leader_that_begins_is_one_line() -> None:
    async def scene(farm: Farm) -> None:
        lines = [line for machine in farm.machines for line in told(machine, "leader") if "leads" in line]
        terms = [line.partition(":")[0] for line in lines]
        assert terms
        assert len(terms) == len(set(terms))

    play(scene, 3)


def test_machine_that_was_off_before_this_node_started_is_said_to_be_so() -> None:
    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        second.leave()
        await farm.until(lambda: not second.up)
        first.crash()
        await asyncio.sleep(2)
        first.start()
        await asyncio.sleep(10)
        views = {view["name"]: view for view in (await farm.data("node.list"))["nodes"]}
        assert (views["n01"]["state"], views["n01"]["reason"]) == ("lost", "not seen since this node started")
        assert views["n00"]["reason"] == ""
        second.start()
        await asyncio.sleep(10)
        views = {view["name"]: view for view in (await farm.data("node.list"))["nodes"]}
        assert (views["n01"]["state"], views["n01"]["reason"]) == ("idle", "")

    play(scene, 2)


def test_a_job_submitted_for_somebody_else_names_who_submitted_it_in_every_log() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="ben", role="wrangler")
        spec = spec_to_bytes(replace(SPEC, owner="cleo", submitted_by="dora"))
        answer = await farm.ask_as("ben", "job.submit", spec=spec)
        assert answer.error is None
        for machine in farm.machines:
            await farm.until(lambda m=machine: bool(told(m, "submitted")))  # type: ignore[misc]
            assert [note.actor for note in machine.disk.notes if note.what == "submitted"] == ["ben@n00"]
        shown = await farm.data("job.show", on=1, job=answer.data["job"])
        assert shown["owner"] == "cleo"

    play(scene, 2)


def test_lines_are_bounded_however_long_the_list_of_frames_or_the_folder_is() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(frames=",".join(map(str, range(1, 20_000, 2))))
        await farm.data("job.edit", job=job, changes={"output_dir": "/out" * 1000}, why="w" * 5000)
        for machine in farm.machines:
            await farm.until(lambda m=machine: len(told(m, "submitted") + told(m, "edit")) == 2)  # type: ignore[misc]
            assert told(machine, "submitted")[0].startswith("shot: 1,3,5,")
            assert told(machine, "edit")[0].startswith("output_dir /out/out")
            for note in machine.disk.notes:
                assert max(map(len, (note.text, note.why, note.actor))) <= MAX_TEXT

    play(scene, 2)
