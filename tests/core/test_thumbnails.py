"""Thumbnails: those of test frames are everywhere, the rest come when somebody looks, and none is waited for for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from farmd.core.plan import Plan
from farmd.core.thumbnails import MAX_BYTES, SPREAD_S, output_of_frame
from protocol.bodies import OutputFact
from protocol.ids import BlobAddress, TaskIndex
from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import SPEC, Farm, play

if TYPE_CHECKING:
    from protocol.ids import AttemptRef, NodeId
    from tests.sim.machine import Machine

TESTS = GateSpec(GateMode.AUTO, (1, 3))
OFF = GateSpec(GateMode.OFF)


def draw(machine: Machine, size: int = 0) -> None:
    """Let a machine make thumbnails of what it renders."""
    hands = machine.hands
    assert hands is not None

    def output_of(ref: AttemptRef, frame: int) -> OutputFact:
        content = f"frame {frame} by {ref}".encode()
        small = f"small {frame} by {ref}".encode().ljust(size, b".")
        return OutputFact(f"f.{frame:04d}.png", hands.blobs.add(content), hands.blobs.add(small))

    hands._output_of = output_of  # type: ignore[method-assign]  # the same machine with an image library


def seen(machine: Machine) -> list[int]:
    """Frames of which a machine has a thumbnail."""
    contents = [content.split() for content in machine.blobs.held.values()]
    return sorted(int(words[1]) for words in contents if words[0] == b"small")


def renderer_of(farm: Farm, task: int) -> NodeId:
    return next(where for ref, where in farm.started.items() if ref.task == task)


def test_thumbnails_of_test_frames_reach_every_machine_and_no_others_move() -> None:
    async def scene(farm: Farm) -> None:
        for machine in farm.machines:
            draw(machine)
        job = await farm.submit(gate=TESTS, frames="1-8", output_dir=None)
        await farm.until_state(job, "completed")
        await farm.until(lambda: all({1, 3} <= set(seen(machine)) for machine in farm.machines), 20)
        others = [frame for machine in farm.machines for frame in seen(machine) if frame not in (1, 3)]
        assert sorted(others) == [2, 4, 5, 6, 7, 8]

    play(scene, 4)


def test_any_machine_shows_a_frame_when_it_is_looked_at() -> None:
    async def scene(farm: Farm) -> None:
        for machine in farm.machines:
            draw(machine)
        job = await farm.submit(gate=OFF, frames="1-6", output_dir=None)
        await farm.until_state(job, "completed")
        for number, machine in enumerate(farm.machines):
            await farm.until(lambda machine=machine: machine.node.jobs.state_of(job).value == "completed")  # type: ignore[misc]
            for frame in (2, 5):
                shown = await farm.data("task.thumbnail", on=number, job=job, frame=frame)
                assert shown["data"].startswith(f"small {frame} by ".encode())
                assert (shown["frame"], shown["name"], shown["type"]) == (frame, f"f.{frame:04d}.png", "image/jpeg")
                assert shown["node"] == renderer_of(farm, shown["task"])
            assert {2, 5} <= set(seen(machine))

    play(scene, 3)


def test_what_has_no_thumbnail_is_said_at_once() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)), frames="1-4", output_dir=None)
        await farm.until_state(job, "awaiting_approval")
        for frame, said in ((1, "no thumbnail"), (2, "not finished"), (9, "no frame 9")):
            error = (await farm.ask("task.thumbnail", job=job, frame=frame)).error
            assert error is not None
            assert error[0] == 5
            assert said in error[1]
        answer = await farm.ask("task.thumbnail", job=job, frame="x")
        assert answer.error is not None
        assert answer.error[0] == 2

    play(scene)


def test_what_is_too_large_is_no_thumbnail() -> None:
    async def scene(farm: Farm) -> None:
        draw(farm.machines[1], size=MAX_BYTES + 1)
        await farm.data("node.hold", node="n00")
        job = await farm.submit(gate=GateSpec(GateMode.AUTO, (1,)), frames="1", output_dir=None)
        await farm.until_state(job, "completed")
        error = (await farm.ask("task.thumbnail", job=job, frame=1)).error
        assert error is not None
        assert "no thumbnail" in error[1]
        assert seen(farm.machines[0]) == []

    play(scene, 2)


def test_a_thumbnail_on_a_machine_that_is_off_is_given_up() -> None:
    async def scene(farm: Farm) -> None:
        other, here = farm.machines[1], farm.machines[0]
        draw(other)
        await farm.data("node.hold", node="n00")
        job = await farm.submit(gate=OFF, frames="1", output_dir=None)
        await farm.until_state(job, "completed")
        other.crash()
        await farm.until(lambda: not here.node.membership.is_alive(other.id), 30)
        error = (await farm.ask("task.thumbnail", job=job, frame=1, wait_s=20)).error
        assert error is not None
        assert (error[0], error[2]) == (7, "it was on n01, and no machine that answers has it")
        assert here.node.thumbnails.next_deadline() is None
        assert not here.node.swarm._fetches

    play(scene, 2)


def test_a_test_frame_whose_machine_dies_at_once_is_not_looked_for_for_ever() -> None:
    async def scene(farm: Farm) -> None:
        other, here = farm.machines[1], farm.machines[0]
        draw(other)
        farm.world.corrupt[other.id] = 1.0
        await farm.data("node.hold", node="n00")
        job = await farm.submit(gate=GateSpec(GateMode.AUTO, (1,)), frames="1", output_dir=None)
        await farm.until_state(job, "completed")
        assert here.node.thumbnails.next_deadline() is not None
        other.crash()
        started = farm.world.loop.time()
        await farm.until(lambda: here.node.thumbnails.next_deadline() is None, 2 * SPREAD_S)
        assert farm.world.loop.time() - started > SPREAD_S / 2
        assert seen(here) == []

    play(scene, 2)


def test_a_client_that_leaves_is_forgotten() -> None:
    async def scene(farm: Farm) -> None:
        here = farm.machines[0]
        draw(here)
        job = await farm.submit(gate=OFF, frames="1", output_dir=None)
        await farm.until_state(job, "completed")
        client = farm.world.ask(here, "task.thumbnail", job=job, frame=1)
        await farm.until(lambda: bool(here.node.thumbnails._asked) or client in farm.world.answers)
        here.node.thumbnails.left(client)
        assert not here.node.thumbnails._asked

    play(scene)


@pytest.mark.parametrize(
    ("frame", "output_name", "names", "found"),
    [
        (2, "f.{frame:04d}.png", ("f.0001.png", "f.0002.png"), "f.0002.png"),
        (2, "{frame}/v{start}-{end}.png", ("1/v1-2.png", "2/v1-2.png"), "2/v1-2.png"),
        (2, None, ("shot2_0001.png", "shot2_0002.png"), "shot2_0002.png"),
        (2, None, ("beauty.png", "depth.png"), None),
    ],
)
def test_a_frame_of_a_chunk_is_found_by_its_name(
    frame: int, output_name: str | None, names: tuple[str, ...], found: str | None
) -> None:
    small = BlobAddress(1, 20, b"x" * 16)
    outputs = [OutputFact("a_pass.exr", small), *(OutputFact(name, small, small) for name in names)]

    class Chunk:
        spec = replace(SPEC, frames="1-2", chunk=2, gate=OFF, output_name=output_name)
        plan = Plan(spec)

    output = output_of_frame(Chunk(), TaskIndex(0), frame, outputs)  # type: ignore[arg-type]  # all that it looks at
    assert (output.name if output is not None else None) == found
