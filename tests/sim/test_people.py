"""Roles in a divided farm: an order is judged where it is given, with what is known there, and is good for ever after.

Any node judges with the roles that it knows, so a cut-off node may still obey somebody whose role was taken away
elsewhere. What must hold: a refused order leaves nothing anywhere; an accepted one reaches every node, however late; and
once the farm is whole, all nodes judge alike, and whoever was removed is listed again only by somebody who did just that.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import product
from random import Random
from typing import TYPE_CHECKING

import pytest

from farmd.core import permissions
from protocol.people import ROLES
from protocol.records import JobField
from tests.core.small_farm import SPEC, Farm, play

if TYPE_CHECKING:
    from tests.sim.machine import Machine

PEOPLE = ("anna", "ben", "cleo")
DRAWN = "farm_" + "t" * 40
STEPS = 60


def paused_by(machine: Machine, job: str) -> str:
    known = machine.node.jobs.get(job)  # type: ignore[arg-type]
    body = known.control(JobField.PAUSED) if known is not None else None
    return body.actor if body is not None and body.value else ""


def test_an_order_of_somebody_whose_role_was_taken_away_elsewhere_arrives_late_and_stands() -> None:
    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        await farm.data("user.add", name="ben", role="wrangler")
        job = await farm.submit(frames="1-200")
        await farm.until(lambda: all(m.node.users.role_of("ben") == "wrangler" for m in farm.machines))
        await farm.until(lambda: all(m.node.jobs.get(job) is not None for m in farm.machines))  # type: ignore[arg-type]
        farm.world.network.split([[first.id, second.id], [third.id]])
        await farm.data("user.role", name="ben", role="viewer")
        await asyncio.sleep(5)
        late = await farm.ask_as("ben", "job.control", on=2, job=job, action="pause", why="too hot")
        assert late.error is None, "the node that is cut off knows ben as a wrangler"
        refused = await farm.ask_as("ben", "job.control", on=0, job=job, action="cancel")
        assert refused.error is not None
        assert refused.error[0] == 6
        farm.world.network.heal()
        await farm.until(lambda: all(paused_by(m, job) == "ben@n02" for m in farm.machines))
        await farm.until(lambda: all(m.node.users.role_of("ben") == "viewer" for m in farm.machines))
        for on in range(3):
            again = await farm.ask_as("ben", "job.control", on=on, job=job, action="resume")
            assert again.error is not None
            assert paused_by(farm.machines[on], job) == "ben@n02"

    play(scene, 3)


def test_a_token_revoked_while_a_node_was_cut_off_is_good_there_until_it_is_back() -> None:
    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        await farm.data("user.add", name="anna")
        made = await farm.data("user.token", name="anna", token=DRAWN)
        await farm.until(lambda: bool(second.node.users.credentials("anna")))
        farm.world.network.split([[first.id], [second.id]])
        await farm.data("user.revoke", name="anna", id=made["id"])
        assert (await farm.ask("user.check", on=0, token=DRAWN)).error is not None
        assert (await farm.ask("user.check", on=1, token=DRAWN)).error is None
        farm.world.network.heal()
        await farm.until(lambda: not second.node.users.credentials("anna"), 10)
        assert (await farm.ask("user.check", on=1, token=DRAWN)).error is not None

    play(scene, 2)


def test_a_person_removed_in_one_half_stays_so_though_the_other_gave_a_role_and_made_a_token() -> None:
    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        await farm.data("user.add", name="anna")
        await farm.until(lambda: second.node.users.is_listed("anna"))
        farm.world.network.split([[first.id], [second.id]])
        await farm.data("user.remove", name="anna", on=0)
        await asyncio.sleep(1)
        await farm.data("user.role", name="anna", role="viewer", on=1)
        await farm.data("user.role", name="anna", role="wrangler", on=1)
        await farm.data("user.token", name="anna", token=DRAWN, on=1)
        assert (await farm.ask("user.check", on=1, token=DRAWN)).error is None
        farm.world.network.heal()
        await farm.until(lambda: not any(m.node.users.is_listed("anna") for m in farm.machines))
        await farm.until(lambda: len({m.node.replica.vector_hash for m in farm.machines}) == 1)
        for on, machine in enumerate(farm.machines):
            assert (await farm.ask("user.check", on=on, token=DRAWN)).error is not None
            assert [note.text for note in machine.disk.notes if note.what == "user-remove"] == ["anna"]
        await farm.data("user.add", name="anna", on=1)
        assert (await farm.ask("user.check", on=1, token=DRAWN)).error is not None

    play(scene, 2)


class Studio:
    """A farm where roles change and people give orders while links break and heal."""

    def __init__(self, farm: Farm, seed: int) -> None:
        self.farm = farm
        self.rng = Random(seed)
        self.refused: list[str] = []
        self.accepted: dict[str, int] = {}
        self.ended: list[tuple[str, int]] = []
        self.job = ""

    async def live(self) -> None:
        for name in PEOPLE:
            await self.farm.data("user.add", name=name, role=self.rng.choice(ROLES))
        client = self.farm.world.submit(self.farm.machines[0], replace(SPEC, owner="dora", frames="1-400"))
        await self.farm.until(lambda: client in self.farm.world.answers)
        self.job = str(self.farm.world.answers[client].data["job"])
        await self.farm.until(lambda: all(self.job in m.node.jobs._jobs for m in self.farm.machines))
        for number in range(STEPS):
            await self.rng.choice(STEP_KINDS)(self, number)
            await asyncio.sleep(self.rng.uniform(0.0, 1.5))
        self.farm.world.network.heal()

    async def weather(self, _number: int) -> None:
        network = self.farm.world.network
        network.heal()
        if self.rng.random() < 0.7:
            ids = [machine.id for machine in self.farm.machines]
            self.rng.shuffle(ids)
            cut = self.rng.randrange(1, len(ids))
            network.split([ids[:cut], ids[cut:]])

    async def change_role(self, _number: int) -> None:
        on = self.rng.randrange(len(self.farm.machines))
        name, role = self.rng.choice((*PEOPLE, "*")), self.rng.choice(ROLES)
        await self.farm.ask("user.role", on=on, name=name, role=role)  # the last admin may be refused

    async def come_or_go(self, _number: int) -> None:
        """A person is removed, or listed again; which of their lives were ended is written down."""
        on = self.rng.randrange(len(self.farm.machines))
        name, users = self.rng.choice(PEOPLE), self.farm.machines[on].node.users
        life = users.life_of(name)
        if not users.is_listed(name):
            await self.farm.data("user.add", on=on, name=name, role=self.rng.choice(ROLES))
        elif (await self.farm.ask("user.remove", on=on, name=name)).error is None:
            self.ended.append((name, life))

    async def order(self, number: int) -> None:
        """A person pauses or resumes a job of somebody else; the reason names the order."""
        on, name = self.rng.randrange(len(self.farm.machines)), self.rng.choice((*PEOPLE, "zoe"))
        node, tag = self.farm.machines[on].node, f"order {number}"
        before = node.users.role_of(name)
        action = self.rng.choice(("pause", "resume"))
        answer = await self.farm.ask_as(name, "job.control", on=on, job=self.job, action=action, why=tag)
        may = answer.error is None or answer.error[0] != 6
        if before == node.users.role_of(name):
            assert may == (ROLES.index(before) >= permissions.WRANGLER), f"{name} is {before}, {answer}"
        if not may:
            self.refused.append(tag)
        elif answer.error is None and answer.data["changed"]:
            self.accepted[tag] = on

    def check(self) -> None:
        """All nodes list the same people; what was refused is nowhere; what was accepted is in the log where it was."""
        machines = self.farm.machines
        views = [machine.node.users.views() for machine in machines]
        assert all(view == views[0] for view in views)
        assert len({paused_by(machine, self.job) for machine in machines}) == 1
        logs = [[note.text for note in machine.disk.notes] for machine in machines]
        assert self.refused
        for (name, life), machine in product(self.ended, machines):
            user = machine.node.users.get(name)
            assert user is None or user.body.life > life, f"{name} is listed again by what was ordered elsewhere"
        for tag in self.refused:
            assert not any(text.endswith(tag) for log in logs for text in log), tag
        for tag, on in self.accepted.items():
            assert any(text.endswith(tag) for text in logs[on]), tag


STEP_KINDS = (Studio.weather, Studio.change_role, Studio.change_role, Studio.come_or_go, Studio.order, Studio.order)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 11)), 38]
)  # in the last a role is given beside the removal of its person
def test_roles_that_change_in_a_divided_farm_end_alike_everywhere(seed: int) -> None:
    async def scene(farm: Farm) -> None:
        studio = Studio(farm, seed)
        await studio.live()
        await farm.until(lambda: len({m.node.replica.vector_hash for m in farm.machines}) == 1, 120)
        await asyncio.sleep(2)
        await farm.until(lambda: len({m.node.replica.vector_hash for m in farm.machines}) == 1, 120)
        studio.check()

    play(scene, 4)
