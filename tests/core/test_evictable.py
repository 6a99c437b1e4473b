"""What may leave a store, on simulated farms: the anchor's word counts, and so does what the store cannot know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from farmd.core.effects import Effect, ReadManifest, RemoveCheckouts, Send, Tidy
from farmd.core.events import CheckoutsFound, HeldBlob, ManifestRead, Measured, MessageReceived
from farmd.core.evictable import FILES, FRESH_MS, IDLE_MS, MANIFEST, RESERVED_MS, THUMBNAIL, Claim, Verdict, is_over
from farmd.core.quota import FLOOR_BYTES, Quota
from farmd.core.tidying import PERIOD_S
from farmd.core.turn import Turn
from protocol.ids import BlobAddress, JobId, NodeId
from protocol.jobspec import GateMode, GateSpec
from protocol.messages import PledgeAsk, PledgeIs, Prefetch, Wanted
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from farmd.core.node import Node
    from tests.sim.machine import Machine

OFF, HOLD = GateSpec(GateMode.OFF), GateSpec(GateMode.HOLD, (1,))
GIB = 1 << 30


def scene_on(machine: Machine, name: str = "shot") -> tuple[BlobAddress, list[BlobAddress]]:
    """Put a scene of two files into a store; return its manifest and them."""
    files = [machine.blobs.add(f"{name} {number}".encode()) for number in range(2)]
    return machine.blobs.add(msgpack.packb([list(file) for file in files])), files


def judge(machine: Machine, blob: BlobAddress, claims: tuple[Claim, ...], age_ms: int) -> Verdict:
    """Judge a blob that was used so long ago."""
    now = machine.clock.now()
    return machine.node.room.evictable.verdict(HeldBlob(blob, now.wall_ms - age_ms), claims, now)


def effects_of(machine: Machine) -> list[Effect]:
    """Collect what a machine is told to do from now on."""
    hands = machine.hands
    assert hands is not None
    found: list[Effect] = []
    right = hands.perform

    def heard(effect: Effect) -> None:
        found.append(effect)
        right(effect)

    hands.perform = heard  # type: ignore[method-assign]  # a tap on the line
    return found


def test_files_of_a_job_that_goes_on_stay_at_its_anchor_and_need_its_word_elsewhere() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        manifest, files = scene_on(at)
        job = JobId(await farm.submit(0, manifest=manifest, gate=HOLD, frames="1-9"))
        await farm.until_state(job, "awaiting_approval")
        await farm.until(lambda: manifest in other.blobs.held)
        claims, long_ago = (Claim(job, FILES),), 2 * IDLE_MS

        assert judge(at, files[0], claims, long_ago) is Verdict.NEVER
        assert judge(other, files[0], claims, long_ago) is Verdict.PLEDGE
        assert judge(other, files[0], claims, IDLE_MS // 2) is Verdict.NEVER
        assert judge(other, manifest, (Claim(job, MANIFEST),), long_ago) is Verdict.NEVER
        assert other.node.room.evictable.anchors(HeldBlob(files[0], 0), claims, other.clock.now()) == [
            (claims[0], at.id)
        ]

    play(scene, 2)


def test_files_of_a_job_are_cache_when_it_is_cancelled_or_all_its_results_are_home() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        manifest, files = scene_on(at)
        done = JobId(await farm.submit(manifest=manifest, gate=OFF, frames="1-3"))
        waiting = JobId(await farm.submit(manifest=manifest, gate=HOLD, frames="1-3"))
        await farm.until_state(done, "completed")
        await farm.until(lambda: at.node.jobs.get(done).copies.delivered_count() == 3)  # type: ignore[union-attr]
        both = (Claim(done, FILES), Claim(waiting, FILES))

        assert judge(at, files[0], both[:1], FRESH_MS) is Verdict.FREE
        assert judge(at, files[0], both[:1], FRESH_MS - 1) is Verdict.SOON
        assert judge(at, files[0], both, FRESH_MS) is Verdict.NEVER

        await farm.data("job.control", job=waiting, action="cancel")
        assert judge(at, files[0], both, FRESH_MS) is Verdict.FREE

    play(scene, 1)


def test_files_of_a_job_that_failed_stay_since_a_person_may_retry_it() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        manifest, files = scene_on(at)
        job = JobId(await farm.submit(manifest=manifest, gate=HOLD, frames="1-3"))
        await farm.until_state(job, "awaiting_approval")
        await farm.data("job.control", job=job, action="reject")
        await farm.until_state(job, "rejected")
        assert judge(at, files[0], (Claim(job, FILES),), 2 * IDLE_MS) is Verdict.NEVER

    play(scene, 1)


def test_result_stays_until_it_is_delivered_and_then_goes_last_at_its_anchor() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        await farm.data("node.hold", node=at.id)
        job = JobId(await farm.submit(0, gate=OFF, frames="1-2"))
        await farm.until_state(job, "completed", 1)
        found = other.node.jobs.get(job)
        assert found is not None
        result = found.result_of(next(iter(found.done_tasks())))
        assert result is not None
        claims, blob = (Claim(job, result.task),), result.body.outputs[0].blob
        await farm.until(lambda: found.copies.is_delivered(result.task))
        assert judge(at, blob, claims, 2 * IDLE_MS) is Verdict.LAST
        assert judge(other, blob, claims, 2 * IDLE_MS) is Verdict.FREE
        stranger = other.blobs.add(b"what an earlier generation left")
        assert judge(other, stranger, claims, 2 * IDLE_MS) is Verdict.FREE

    play(scene, 2)


def test_undelivered_result_never_leaves_its_anchor_and_leaves_others_only_by_its_word() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        await farm.data("node.hold", node=at.id)
        job = JobId(await farm.submit(0, gate=OFF, frames="1-2", output_dir=None))
        await farm.until_state(job, "completed", 1)
        found = at.node.jobs.get(job)
        assert found is not None
        await farm.until(lambda: all(at.node.outputs.is_here(job, task) for task in found.done_tasks()))
        result = found.result_of(next(iter(found.done_tasks())))
        assert result is not None
        claims, blob = (Claim(job, result.task),), result.body.outputs[0].blob

        assert judge(at, blob, claims, 2 * IDLE_MS) is Verdict.NEVER
        assert judge(other, blob, claims, 2 * IDLE_MS) is Verdict.PLEDGE
        assert at.node.room.evictable.stays_here(job, result.task, blob)
        assert not other.node.room.evictable.stays_here(job, result.task, blob)

    play(scene, 2)


def test_reserved_blob_stays_until_the_job_that_it_was_reserved_for_has_come_and_is_over() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        manifest, files = scene_on(at)
        before = JobId(await farm.submit(manifest=manifest, gate=OFF, frames="1"))
        await farm.until(lambda: is_over(at.node.jobs.get(before)))  # type: ignore[arg-type]  # it is there
        claims: tuple[Claim, ...] = (Claim(before, FILES),)
        asked = at.clock.now().wall_ms + 1
        await farm.until(lambda: at.clock.now().wall_ms > asked)
        assert judge(at, files[0], claims, -RESERVED_MS) is Verdict.NEVER

        job = JobId(await farm.submit(manifest=manifest, gate=HOLD, frames="1"))
        used_ago = at.clock.now().wall_ms - asked - RESERVED_MS
        claims = (*claims, Claim(job, FILES))
        assert judge(at, files[0], claims, used_ago) is Verdict.NEVER
        await farm.data("job.control", job=job, action="cancel")
        used_ago = at.clock.now().wall_ms - asked - RESERVED_MS
        assert judge(at, files[0], claims, used_ago) is Verdict.FREE

    play(scene, 1)


def test_blob_that_no_job_names_goes_unless_it_is_older_than_this_database() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        lives_ms = at.clock.now().wall_ms - at.node.room.evictable.began_ms
        await farm.until(lambda: at.clock.now().wall_ms - at.node.room.evictable.began_ms > 3 * FRESH_MS)
        blob = at.blobs.add(b"nobody's")
        lives_ms = at.clock.now().wall_ms - at.node.room.evictable.began_ms
        assert judge(at, blob, (), lives_ms - 1) is Verdict.FREE
        assert judge(at, blob, (), lives_ms + 1) is Verdict.NEVER

    play(scene, 1)


def test_database_remembers_over_restarts_when_it_began() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        began_ms = at.node.room.evictable.began_ms
        at.crash()
        at.start()
        assert at.node.room.evictable.began_ms == began_ms

    play(scene, 1)


def test_anchor_gives_no_word_for_what_it_lost_or_never_had() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        manifest, files = scene_on(at)
        job = JobId(await farm.submit(0, manifest=manifest, gate=HOLD, frames="1-9"))
        await farm.until_state(job, "awaiting_approval")
        at.blobs.set_aside(files[1])
        given: list[tuple[BlobAddress, ...]] = []
        eviction = other.node.room.eviction

        def heard(turn: Turn, sender: NodeId, message: PledgeIs) -> None:
            given.append(message.blobs)

        eviction.on_pledge = heard  # type: ignore[method-assign]  # a tap on the line

        ask(other, at.id, PledgeAsk(7, tuple(Wanted(file, job, FILES) for file in files)))
        await farm.until(lambda: len(given) == 1)
        ask(other, at.id, PledgeAsk(8, (Wanted(files[0], JobId("0" * 16), FILES), Wanted(files[0], job, 99_999))))
        await farm.until(lambda: len(given) == 2)

        assert given == [(files[0],), ()]

    play(scene, 2)


def ask(machine: Machine, to: NodeId, message: PledgeAsk) -> None:
    """Let a machine send a message."""
    assert machine.hands is not None
    machine.hands.perform(Send(to, message))


def test_disk_that_is_almost_full_loses_cache_without_any_quota_and_nothing_else() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        manifest, files = scene_on(at, "needed")
        await farm.submit(manifest=manifest, gate=HOLD, frames="1-9")
        await farm.until(lambda: at.clock.now().wall_ms - at.node.room.evictable.began_ms > FRESH_MS)
        cache = at.blobs.add(b"nobody's")
        at.ageing.notice()

        at.free_disk, at.ageing.disk_bytes = 5 * GIB, 1000 * GIB
        await farm.until(lambda: cache not in at.blobs.held, 100)

        assert all(file in at.blobs.held for file in (manifest, *files))

    play(scene, 1)


def test_floor_is_a_share_of_a_small_disk_and_an_amount_of_a_large_one() -> None:
    quota = Quota(0)
    for disk, floor in ((100 * GIB, 5 * GIB), (4000 * GIB, FLOOR_BYTES)):
        lows = []
        for free in (floor, floor - 1):
            quota.measured(Measured(0, free, 0.0, 0, disk))
            lows.append(quota.is_low)
        assert lows == [False, True]
        assert quota.cache_excess_bytes() > floor // 10
        assert quota.needed_excess_bytes() == 0


def test_store_above_its_quota_that_may_drop_nothing_fetches_nothing_ahead_and_works_all_the_same() -> None:
    async def scene(farm: Farm) -> None:
        at, other = farm.machines
        manifest, _ = scene_on(at, "one")
        job = JobId(await farm.submit(0, manifest=manifest, gate=HOLD, frames="1-9"))
        await farm.until_state(job, "awaiting_approval")
        await farm.until(lambda: manifest in other.blobs.held)
        other.ageing.set_quota(1)
        at.crash()
        node: Node = other.node
        await farm.until(lambda: bool(node.room.quota.fault), 120)
        assert "nothing may be dropped" in node.room.quota.fault
        assert manifest in other.blobs.held

        spec = node.jobs.get(job)
        assert spec is not None
        wanted = node.assets.is_wanted
        other._post(MessageReceived(at.id, Prefetch(JobId("1" * 16), spec.rec.body)))
        now = farm.world.loop.now
        await farm.until(lambda: farm.world.loop.now > now + 1)
        assert not wanted(JobId("1" * 16))
        at.start()
        await farm.data("job.control", on=1, job=job, action="approve")
        await farm.until_state(job, "completed", 1)
        other.ageing.set_quota(0)

    play(scene, 2)


def test_working_tree_of_a_job_goes_at_the_second_look_after_it_was_over() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        over = JobId(await farm.submit(gate=OFF, frames="1"))
        waiting = JobId(await farm.submit(gate=HOLD, frames="1-2"))
        await farm.until_state(over, "completed")
        await farm.until(lambda: is_over(at.node.jobs.get(over)))  # type: ignore[arg-type]  # it is there
        effects = effects_of(at)
        for look in (0, 1):
            at._post(CheckoutsFound((over, waiting)))
            now = farm.world.loop.now
            await farm.until(lambda now=now: farm.world.loop.now > now + 0.1)  # type: ignore[misc]
            removed = [effect.jobs for effect in effects if isinstance(effect, RemoveCheckouts)]
            assert removed == [(over,)] * look

    play(scene, 1)


def test_parts_and_trees_are_looked_at_seldom_and_sooner_in_a_store_that_is_too_full() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        at.blobs.add(b"something")
        tidying = at.node.room.tidying
        assert (tidying.next_deadline() or 0.0) > at.clock.now().mono
        effects = effects_of(at)
        at.ageing.set_quota(1)
        await farm.until(lambda: any(isinstance(effect, Tidy) for effect in effects), 60)
        at.ageing.set_quota(0)
        assert (tidying.next_deadline() or 0.0) <= at.clock.now().mono + PERIOD_S

    play(scene, 1)


def test_survey_reads_the_files_of_a_job_once_however_often_it_changes_and_of_a_new_one_at_once() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        manifest, files = scene_on(at)
        job = JobId(await farm.submit(manifest=manifest, gate=HOLD, frames="1-9"))
        node, survey = at.node, at.node.room.survey
        found = node.jobs.get(job)
        assert found is not None
        turn = Turn(at.clock.now())
        survey.begin()
        assert not survey.step(turn)
        assert turn.effects == [ReadManifest(manifest, quiet=True)]
        assert survey.on_manifest(ManifestRead(manifest, tuple(files)))
        for _ in range(3):
            survey.add_job(found)
            assert survey.step(turn)
        assert survey.of(files[0]) == (Claim(job, FILES),)
        assert survey.of(manifest) == (Claim(job, MANIFEST),)

        other, _ = scene_on(at, "other")
        new = node.jobs.get(JobId(await farm.submit(manifest=other, gate=HOLD, frames="1-9")))
        assert new is not None
        assert not survey.step(turn)
        assert turn.effects[1:] == [ReadManifest(other, quiet=True)]
        survey.drop()

    play(scene, 1)


def test_thumbnail_stays_while_its_job_goes_on_and_takes_no_word_about_the_result_with_it() -> None:
    async def scene(farm: Farm) -> None:
        at = farm.machines[0]
        job = JobId(await farm.submit(gate=HOLD, frames="1-9"))
        await farm.until_state(job, "awaiting_approval")
        small, claims = at.blobs.add(b"small"), (Claim(job, THUMBNAIL),)
        assert judge(at, small, claims, 2 * IDLE_MS) is Verdict.NEVER
        task = next(iter(at.node.jobs.get(job).done_tasks()))  # type: ignore[union-attr]  # it is there
        at.node.room.eviction._words.take_back(Turn(at.clock.now()), claims)
        assert at.node.outputs.is_here(job, task)
        await farm.data("job.control", job=job, action="cancel")
        assert judge(at, small, claims, 2 * IDLE_MS) is Verdict.FREE

    play(scene, 1)
