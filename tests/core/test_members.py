"""Machines that are evicted or replaced: silenced at once, their results had again, their duties taken over."""

from __future__ import annotations

import asyncio
from itertools import permutations
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from farmd.core.events import JoinAsked
from farmd.core.heirs import Heirs
from farmd.core.registry import Registry
from protocol.bodies import ControlBody, KeyBody
from protocol.ids import NodeId, node_id_of
from protocol.schemas import SCHEMAS
from protocol.states import MemberState
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from tests.sim.machine import Machine

A, B, C = (NodeId(letter * 16) for letter in "abc")


def name(machine: Machine) -> str:
    return machine.name


def notes_of(machine: Machine, what: str) -> list[tuple[str, str]]:
    return [(note.text, note.actor) for note in machine.disk.notes if note.what == what]


# -- heirs --------------------------------------------------------------------------------------------------------------


def test_an_heir_may_be_replaced_in_its_turn() -> None:
    heirs = Heirs()
    heirs.put(A, ControlBody(1, "root", text=B))
    heirs.put(B, ControlBody(1, "root", text=C))
    assert [heirs.of(node) for node in (A, B, C)] == [C, C, C]
    heirs.put(B, ControlBody(0, "root"))
    assert heirs.of(A) == B


def test_a_circle_leads_every_node_to_the_same_heir() -> None:
    links = [(A, B), (B, C), (C, B)]
    for order in permutations(links):
        heirs = Heirs()
        for old, new in order:
            heirs.put(old, ControlBody(1, "root", text=new))
        assert {heirs.of(node) for node in (A, B, C)} == {C}


@pytest.mark.parametrize("text", ["", "x", "A" * 16, "a" * 17, "a" * 15 + "\n"])
def test_an_heir_that_is_no_node_is_none(text: str) -> None:
    heirs = Heirs()
    heirs.put(A, ControlBody(1, "root", text=text))
    assert heirs.of(A) == A


# -- evicting -----------------------------------------------------------------------------------------------------------


def test_an_evicted_machine_is_in_no_list_and_the_log_says_who_did_it_and_why() -> None:
    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        third.evicted = True
        tried = await farm.data("node.evict", node=third.name, dry_run=True)
        assert tried["changed"]
        assert len((await farm.data("node.list"))["nodes"]) == 3
        answer = await farm.data("node.evict", node=third.name, why="stolen")
        assert (answer["changed"], answer["alive"], answer["node"]) == (True, True, third.id)
        jsonschema_rs.validate(SCHEMAS["farm.eviction.v1"], answer)
        both = (first, second)
        await farm.until(lambda: not any(machine.node.links.is_trusted(third.id) for machine in both))
        await farm.until(lambda: all(notes_of(machine, "evict") == [("n02: stolen", "anna@n00")] for machine in both))
        assert [node["name"] for node in (await farm.data("node.list", on=1))["nodes"]] == ["n00", "n01"]
        assert not (await farm.data("node.evict", node=third.id))["changed"], "once is for ever"

    play(scene, 3)


def test_results_that_an_evicted_machine_alone_had_are_rendered_again() -> None:
    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        job = await farm.submit(frames="1-60")
        await farm.until(lambda: bool(first.node.jobs.get(job).frames_by.get(third.id)))  # type: ignore[union-attr,arg-type]
        third.evicted = True
        await farm.data("node.evict", node=third.name)
        third.crash()
        await farm.until_state(job, "completed", limit_s=300)
        await farm.until(lambda: len(farm.world.delivered) == 60, 120)
        for machine in (first, second):
            known = machine.node.jobs.get(job)  # type: ignore[arg-type]
            assert known is not None
            assert not any(third.id in known.copies_of(task) for task in known.done_tasks())

    play(scene, 3)


def test_a_copy_on_an_evicted_machine_counts_no_more_and_another_one_is_made() -> None:
    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        job = await farm.submit(frames="1-20")
        await farm.until_state(job, "completed")
        await asyncio.sleep(10)
        second.evicted = True
        await farm.data("node.evict", node=second.name)
        second.crash()
        known = first.node.jobs.get(job)  # type: ignore[arg-type]
        assert known is not None
        await farm.until(lambda: all(len(known.copies_of(task)) > 1 for task in known.done_tasks()), 60)
        assert not any(second.id in known.copies_of(task) for task in known.done_tasks())
        assert third.node.jobs.get(job) is not None  # type: ignore[arg-type]

    play(scene, 3)


@pytest.mark.parametrize(
    ("op", "args", "code"),
    [
        ("node.evict", {"node": "n00"}, 1),
        ("node.evict", {"node": "nobody"}, 5),
        ("node.evict", {}, 2),
        ("node.replace", {"node": "n01", "by": "n00"}, 1),
        ("node.replace", {"node": "n01", "by": "nobody"}, 5),
        ("node.replace", {"node": "n01"}, 2),
    ],
)
def test_an_eviction_that_makes_no_sense_is_an_error_and_writes_nothing(
    op: str, args: dict[str, str], code: int
) -> None:
    async def scene(farm: Farm) -> None:
        seq = farm.machines[0].node.replica.seq
        client = farm.world.ask(farm.machines[0], op, **args)
        await farm.until(lambda: client in farm.world.answers)
        error = farm.world.answers[client].error
        assert error is not None
        assert error[0] == code
        assert farm.machines[0].node.replica.seq == seq

    play(scene, 2)


def test_only_an_admin_evicts() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="ben", role="wrangler")
        answer = await farm.ask_as("ben", "node.evict", node="n01")
        assert answer.error is not None
        assert answer.error[0] == 6

    play(scene, 2)


def evict_findings(answer: Any) -> dict[str, tuple[str, str]]:
    return {finding["what"]: (finding["text"], finding["hint"]) for finding in answer["findings"]}


def test_an_eviction_says_that_nobody_delivers_and_how_another_machine_would() -> None:
    async def scene(farm: Farm) -> None:
        third = farm.machines[2]
        await farm.submit(on=2, frames="1-60")
        await farm.until(lambda: len(farm.world.delivered) >= 5)
        wanted = (
            "results of shot are delivered by n02, so by nobody once it is evicted",
            "let another do it: farmctl node replace n02 NEW",
        )
        planned = await farm.data("node.evict", node="n02", dry_run=True)
        assert evict_findings(planned)["delivery"] == wanted
        third.evicted = True
        await farm.data("node.evict", node="n02")
        third.crash()
        again = await farm.data("node.evict", node="n02", dry_run=True)
        assert (again["changed"], evict_findings(again)["delivery"]) == (False, wanted), "still nobody"
        by = await farm.data("node.replace", node="n02", by="n01")
        assert "delivery" not in evict_findings(by)
        again = await farm.data("node.evict", node="n02", dry_run=True)
        assert "delivery" not in evict_findings(again)
        await farm.until(lambda: len(farm.world.delivered) == 60, 300)

    play(scene, 3)


def test_an_eviction_names_the_signing_keys_that_the_machine_could_still_invite_with() -> None:
    async def scene(farm: Farm) -> None:
        (founding,) = (await farm.data("signer.list"))["signers"]
        assert founding["node_name"] == "n00"
        hint = evict_findings(await farm.data("node.evict", on=1, node="n00", dry_run=True))["signing"][1]
        assert hint.startswith("make another one on a machine that stays")
        own = (await farm.data("signer.add", on=1, verify_key=b"o" * 32))["signer"]
        assert own["node_name"] == "n01"
        await farm.until(lambda: len(farm.machines[0].node.registry.signing_keys()) == 2)
        farm.machines[0].evicted = True
        text, hint = evict_findings(await farm.data("node.evict", on=1, node="n00", why="stolen"))["signing"]
        assert founding["id"] in text
        assert hint == f"farmd farm key retire {founding['id']}"
        assert "signing" in evict_findings(await farm.data("node.evict", on=1, node="n00")), "until it is retired"
        await farm.data("signer.retire", on=1, id=founding["id"])
        assert not evict_findings(await farm.data("node.evict", on=1, node="n00"))

    play(scene, 2)


# -- who was let in and never said more ---------------------------------------------------------------------------------


def knock(machine: Machine, letter: str) -> NodeId:
    """Ask with a good token, as somebody does who will never write a row; returns the id that the key has."""
    key = letter.encode() * 32
    machine._post(JoinAsked(ord(letter), key, "ws99", "10.0.0.9:7777", "node", "", "token"))
    return node_id_of(key)


def test_a_machine_that_was_admitted_and_never_described_itself_is_listed_told_everywhere_and_evicted() -> None:
    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        stranger = knock(first, "s")
        told = (f"ws99 at 10.0.0.9:7777, let in by n00: key {stranger}", "")
        await farm.until(lambda: all(told in notes_of(machine, "admitted") for machine in (first, second)))
        listed = await farm.data("node.list", on=1)
        jsonschema_rs.validate(SCHEMAS["farm.nodes.v1"], listed)
        (row,) = [node for node in listed["nodes"] if node["id"] == stranger]
        assert (row["name"], row["state"], row["cores"]) == (stranger, "lost", 0)
        assert row["reason"] == "admitted as ws99, but has not said what it is"
        jsonschema_rs.validate(SCHEMAS["farm.node.v1"], await farm.data("node.show", on=1, node=stranger))
        (check,) = [check for check in (await farm.data("doctor"))["checks"] if check["name"] == "admissions"]
        assert (check["ok"], stranger in check["text"]) == (False, True)
        answer = await farm.data("node.evict", on=1, node=stranger[:6], why="who is that?")
        assert (answer["node"], answer["changed"]) == (stranger, True)
        await farm.until(lambda: not any(machine.node.links.is_trusted(stranger) for machine in (first, second)))
        assert len((await farm.data("node.list"))["nodes"]) == 2

    play(scene, 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1:7777", [A]),
        ("ws01:7777", [A]),
        ("WS01.studio.example:7777", [A]),
        ("ws01", [A]),
        ("ws01:7778", []),
        ("ws02:7777", []),
        ("ws01:", []),
        ("twins:7777", [B, C]),
        ("twins:7779", []),
        ("10.0.0.9:7777", []),
    ],
)
def test_a_node_is_meant_by_its_address_or_by_its_name_and_port(text: str, found: list[NodeId]) -> None:
    registry = Registry()
    for node, called, address in ((A, "ws01", "10.0.0.1:7777"), (B, "twins", "[fe80::1]:7777"), (C, "Twins", "h:7777")):
        registry.bodies[node] = registry.body_of(node)._replace(name=called, address=address)
        registry.keys[node] = KeyBody(b"", "node", "")
    assert registry.listening_at(text) == found


def test_a_farm_of_one_is_alone_again_once_a_key_that_nobody_has_is_evicted() -> None:
    async def scene(farm: Farm) -> None:
        (first,) = farm.machines
        lost = knock(first, "l")
        await farm.until(lambda: first.node.registry.is_admitted(lost))
        assert not (await farm.data("node.hold"))["alone"]
        await farm.data("node.evict", node=lost)
        assert (await farm.data("node.release"))["alone"]

    play(scene)


# -- replacing ----------------------------------------------------------------------------------------------------------


def test_a_machine_that_is_silent_for_a_moment_only_is_not_replaced() -> None:
    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        third.evicted = True
        third.crash()
        await farm.until(lambda: first.node.membership.state_of(third.id) is MemberState.SUSPECT, 60)
        error = (await farm.ask("node.replace", node="n02", by="n01")).error
        assert error is not None
        assert error[1:3] == (
            "n02 cannot be replaced yet",
            "it has been silent for some seconds only, which may pass, and a replacement is for ever",
        )
        await farm.until(lambda: first.node.membership.state_of(third.id) is MemberState.DEAD, 60)
        second.crash()
        await farm.until(lambda: not first.node.membership.is_alive(second.id), 60)
        planned = await farm.data("node.replace", node="n02", by="n01", dry_run=True)
        assert evict_findings(planned)["heir"][0] == "n01 does not answer: until it does, it keeps and delivers nothing"

    play(scene, 3)


def test_who_replaces_a_dead_machine_delivers_what_that_still_had_to_deliver() -> None:
    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        job = await farm.submit(on=2, frames="1-60")
        await farm.until(lambda: len(farm.world.delivered) >= 5)
        third.evicted = True
        third.crash()
        await farm.until(lambda: first.node.membership.state_of(third.id) is MemberState.DEAD, 60)
        answer = await farm.data("node.replace", node=third.name, by=second.name, why="it burnt")
        jsonschema_rs.validate(SCHEMAS["farm.eviction.v1"], answer)
        assert (answer["by_name"], answer["changed"]) == (second.name, True)
        await farm.until_state(job, "completed", limit_s=300)
        await farm.until(lambda: len(farm.world.delivered) == 60, 120)
        await farm.until(lambda: first.node.registry.heirs.of(third.id) == second.id)
        for machine in (first, second):
            assert notes_of(machine, "replace") == [("n02 by n01: it burnt", "anna@n00")]
        known = first.node.jobs.get(job)  # type: ignore[arg-type]
        assert known is not None
        await farm.until(lambda: known.copies.delivered_count() == 60)

    play(scene, 3)
