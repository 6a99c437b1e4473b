"""Scenes of stores that may hold almost nothing, and the mistakes that show in them.

Each scene drives machines to the point where the only way to keep a quota would be to drop what a job needs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from farmd.core.evictable import Evictable, Verdict
from farmd.core.eviction import Eviction
from farmd.core.keeping import Keeping, Words
from farmd.core.pledges import Pledges
from protocol.jobspec import GateMode, GateSpec
from protocol.messages import PledgeIs
from tests.sim.ageing import files_of
from tests.sim.mutants import Mutant

if TYPE_CHECKING:
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, JobId
    from tests.sim.machine import Machine
    from tests.sim.scenes import SceneOf, Stage

LONG_UNUSED_S = 75.0
"""Files of a job that goes on are let go at the earliest a minute after their last use."""
ROUNDS_S = 100.0
"""In this time a store that is too full looks at least once at everything."""


async def waiting_job(stage: Stage) -> tuple[JobId, list[BlobAddress]]:
    """Let a job wait for approval on machines that have all its files; return it, and its files but their list."""
    at = stage.machines[0]
    stage.world.ask(at, "node.hold", node=at.id)
    manifest = stage.scene(at, "full")
    job = await stage.job(at, frames="1-30", manifest=manifest, gate=GateSpec(GateMode.HOLD, (1, 2)))
    await asyncio.sleep(20.0)
    files = files_of(at, manifest)
    if not all(file in machine.blobs.held for machine in stage.machines for file in files):
        stage.watch.fail(0, "the files are not on every machine, so the scene shows nothing")
    await asyncio.sleep(LONG_UNUSED_S)
    return job, files


def allow(machines: list[Machine], size_bytes: int) -> None:
    """Set the quota of machines; 0 = none."""
    for machine in machines:
        machine.ageing.set_quota(size_bytes)


async def finish(stage: Stage, job: JobId) -> None:
    """Lift all quotas, approve the job and see it completed and delivered."""
    allow(stage.machines, 0)
    await asyncio.sleep(5.0)
    stage.order(stage.leader(), job, "approve")
    await asyncio.sleep(60.0)
    stage.expect_completed(job)


async def last_copies_wanted(stage: Stage) -> None:
    """The anchor is off and its store is gone: the others have the only copies, and may hold almost nothing."""
    job, files = await waiting_job(stage)
    at, *others = stage.machines
    at.crash()
    at.blobs.wipe()
    allow(others, 1)
    await asyncio.sleep(ROUNDS_S)
    for machine in others:
        if not all(file in machine.blobs.held for file in files):
            stage.watch.fail(16, f"{machine.name} dropped files although nobody else was there to keep them")
        if not machine.node.room.quota.fault:
            stage.watch.fail(0, f"{machine.name} does not say that its store is too full")
    at.start()
    await asyncio.sleep(30.0)
    await finish(stage, job)


async def copies_that_the_anchor_keeps(stage: Stage) -> None:
    """The anchor has everything: the others, too full, ask it and drop theirs, and fetch again what they need."""
    job, files = await waiting_job(stage)
    at, *others = stage.machines
    allow(stage.machines, 1)
    await asyncio.sleep(ROUNDS_S)
    if not all(file in at.blobs.held for file in files):
        stage.watch.fail(16, "the anchor dropped files of its own job")
    for machine in others:
        held = [file for file in files if file in machine.blobs.held]
        if held:
            stage.watch.fail(0, f"{machine.name} keeps {len(held)} files that the anchor has, above its quota")
        told = at.node.jobs.get(job)
        if told is not None and machine.id in told.copies.asset_holders():
            stage.watch.fail(14, f"{machine.name} still says that it holds files that it dropped")
    await finish(stage, job)


async def rotten_copy_of_the_anchor(stage: Stage) -> None:
    """Bits fell over in the anchor's files while nobody read them: the sound copies are on machines that are full."""
    job, files = await waiting_job(stage)
    at, *others = stage.machines
    for file in files:
        at.blobs.spoil(file)
    allow(others, 1)
    await asyncio.sleep(ROUNDS_S)
    await finish(stage, job)


async def results_not_home(stage: Stage) -> None:
    """Frames are done behind a cut, their machines are too full, and the node that delivers them is beyond it."""
    at, *others = stage.machines
    stage.world.ask(at, "node.hold", node=at.id)
    job = await stage.job(at, frames="1-12", gate=GateSpec(GateMode.OFF))
    await asyncio.sleep(0.5)
    stage.world.network.split([[at.id], [other.id for other in others]])
    await asyncio.sleep(20.0)
    allow(others, 1)
    await asyncio.sleep(LONG_UNUSED_S + ROUNDS_S)
    stage.world.network.heal()
    await asyncio.sleep(40.0)
    allow(others, 0)
    await asyncio.sleep(30.0)
    stage.expect_completed(job)


async def cache_goes_first(stage: Stage) -> None:
    """A job is over and another one waits: a quota with room for one of them takes the files of the first."""
    at = stage.machines[0]
    over = stage.scene(at, "over")
    first = await stage.job(at, frames="1-6", manifest=over, gate=GateSpec(GateMode.OFF))
    await asyncio.sleep(20.0)
    stage.expect_completed(first)
    old = files_of(at, over)
    job, files = await waiting_job(stage)
    for machine in stage.machines:
        machine.ageing.set_quota(sum(blob.size for blob in machine.blobs.held) - 1)
    await asyncio.sleep(ROUNDS_S)
    for machine in stage.machines:
        if all(file in machine.blobs.held for file in old):
            stage.watch.fail(0, f"{machine.name} keeps all files of a job that is over, above its quota")
        if not all(file in machine.blobs.held for file in files):
            stage.watch.fail(
                16, f"{machine.name} dropped files of the job that waits before those of the one that is over"
            )
    await finish(stage, job)


SCENES: tuple[SceneOf, ...] = (
    last_copies_wanted,
    copies_that_the_anchor_keeps,
    rotten_copy_of_the_anchor,
    results_not_home,
    cache_goes_first,
)


def _ask_nobody(self: Eviction, turn: Turn) -> None:
    """Take every word for given."""
    self._keeping.questions(self._evictable, lambda _: True, turn.now)
    for missing in self._keeping._anchors.values():
        missing.clear()
    self._look(turn)


def _any_result(self: Evictable, blob: Any, job: Any, task: Any, *, is_idle: bool) -> Verdict:
    return Verdict.FREE


def _any_node(self: Evictable, job: Any, kind: int, *, is_idle: bool) -> Verdict:
    """Who was it that never drops?"""
    return Verdict.FREE if job.spec.submit_node == self._node else Verdict.NEVER


def _pledge_unread(self: Pledges, turn: Turn, sender: Any, message: Any) -> None:
    kept = [item.blob for item in message.items if self._evictable.stays_here(item.job, item.task, item.blob)]
    turn.send(sender, PledgeIs(message.ask, tuple(kept)))


def _promised_for_ever(self: Keeping) -> list[Any]:
    return [held for held, _ in self._wanted.values()]


MUTANTS: tuple[Mutant, ...] = (
    Mutant("evict without asking", last_copies_wanted, ((Eviction, "_ask", _ask_nobody),)),
    Mutant("take silence for a word", rotten_copy_of_the_anchor, ((Keeping, "pledged", _promised_for_ever),)),
    Mutant("evict results that nobody else has", results_not_home, ((Evictable, "_of_result", _any_result),)),
    Mutant("let the anchor evict", copies_that_the_anchor_keeps, ((Evictable, "_of_file", _any_node),)),
    Mutant("give a word for a copy unread", rotten_copy_of_the_anchor, ((Pledges, "on_ask", _pledge_unread),)),
    Mutant(
        "keep a word about what was dropped",
        copies_that_the_anchor_keeps,
        ((Words, "take_back", lambda self, turn, claims: None),),
    ),
)
