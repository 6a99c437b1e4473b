"""A job's files on their way to a node, on a simulated farm: whoever said that it has all of them is asked for them."""

from __future__ import annotations

from farmd.core.effects import Effect, Send
from farmd.core.events import MessageReceived
from protocol.ids import BlobAddress, JobId
from protocol.jobspec import GateMode, GateSpec
from protocol.messages import HaveAsk, PackAsk, Prefetch
from tests.core.small_farm import Farm, play
from tests.core.test_evictable import effects_of, scene_on

HOLD = GateSpec(GateMode.HOLD, (1,))


def questions(effects: list[Effect], kind: type[HaveAsk | PackAsk], files: list[BlobAddress]) -> int:
    """Count the questions for any of these files."""
    sends = [effect.message for effect in effects if isinstance(effect, Send)]
    return sum(isinstance(message, kind) and not set(files).isdisjoint(message.blobs) for message in sends)


def test_files_are_asked_of_the_node_that_said_it_holds_the_job_without_a_question_before() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        asked = effects_of(other)
        manifest, files = scene_on(at)
        job = JobId(await farm.submit(0, manifest=manifest, gate=HOLD, frames="1-9"))
        await farm.until_state(job, "awaiting_approval")
        await farm.until(lambda: all(file in other.blobs.held for file in files))
        assert questions(asked, PackAsk, files) == 1
        assert questions(asked, HaveAsk, files) == 0

    play(scene, 2)


def test_file_that_its_holder_has_lost_unnoticed_comes_from_another_node() -> None:
    async def scene(farm: Farm) -> None:
        at, second = farm.machines
        manifest, files = scene_on(at)
        await farm.submit(0, manifest=manifest, gate=GateSpec(GateMode.OFF), frames="1-400")
        await farm.until(lambda: all(file in second.blobs.held for file in files))

        del at.blobs.held[files[0]]
        late = farm.world.add()
        late.start()
        await farm.until(lambda: all(file in late.blobs.held for file in files), 120)

    play(scene, 2)


def test_node_that_has_not_said_that_it_holds_the_job_is_asked_what_it_has() -> None:
    async def scene(farm: Farm) -> None:
        at, other, third = farm.machines
        for machine in (other, third):
            await farm.data("node.hold", node=machine.id)
        manifest, files = scene_on(at)
        job = JobId(await farm.submit(0, manifest=manifest, gate=GateSpec(GateMode.OFF), frames="1-40"))
        await farm.until(lambda: other.node.jobs.get(job) is not None)
        known = other.node.jobs.get(job)
        assert known is not None
        await farm.until(lambda: known.copies.asset_holders() == (at.id,))
        sent = effects_of(other)
        other._post(MessageReceived(third.id, Prefetch(job, known.rec.body)))
        await farm.until(lambda: all(file in other.blobs.held for file in files))
        sends = [effect for effect in sent if isinstance(effect, Send)]
        about = [send for send in sends if isinstance(send.message, HaveAsk | PackAsk)]
        asked = [send for send in about if not set(files).isdisjoint(send.message.blobs)]  # type: ignore[union-attr]
        assert [(send.to, type(send.message)) for send in asked] == [(third.id, HaveAsk), (at.id, PackAsk)]

    play(scene, 3)
