"""The keys that sign invitations, and how often an invitation is good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from farmd.core.events import JoinAsked
from farmd.core.signers import Signers
from protocol.bodies import SignerBody, pack_body
from protocol.records import Kind, Rank, Rec
from protocol.schemas import SCHEMAS
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from tests.sim.machine import Machine

FOUNDING, OTHER = b"f" * 32, b"o" * 32


def row(key: bytes, rank: int = 0) -> Rec:
    return Rec(Kind.SIGNER, key, 1, 1, 1, 1, rank, pack_body(SignerBody("root", "a" * 16)))


def test_the_founding_key_is_good_until_it_is_retired() -> None:
    fold = Signers()
    assert fold.good(FOUNDING) == [FOUNDING]
    fold.apply(row(OTHER))
    assert fold.good(FOUNDING) == [FOUNDING, OTHER]
    fold.apply(row(FOUNDING, Rank.ENDED))
    assert fold.good(FOUNDING) == [OTHER]
    assert [signer.good for signer in fold.all(FOUNDING)] == [False, True]


@pytest.mark.parametrize("bad", [row(b"short"), row(OTHER)._replace(body=b"\x01")])
def test_a_row_that_cannot_be_read_makes_no_key_good(bad: Rec) -> None:
    fold = Signers()
    fold.apply(bad)
    assert fold.good(FOUNDING) == [FOUNDING]


def test_keys_are_added_and_retired_and_one_is_always_left() -> None:
    async def scene(farm: Farm) -> None:
        listed = await farm.data("signer.list")
        jsonschema_rs.validate(SCHEMAS["farm.signers.v1"], listed)
        (founding,) = listed["signers"]
        assert (founding["good"], founding["label"]) == (True, "founder")
        refused = await farm.ask("signer.retire", id=founding["id"])
        assert refused.error is not None
        assert "the only one" in refused.error[2]
        added = await farm.data("signer.add", on=1, verify_key=OTHER, label="second admin")
        jsonschema_rs.validate(SCHEMAS["farm.signer.v1"], added)
        assert not (await farm.data("signer.add", on=1, verify_key=OTHER))["changed"]
        await farm.until(lambda: len(farm.machines[0].node.registry.signing_keys()) == 2)
        retired = await farm.data("signer.retire", id=founding["id"])
        assert (retired["changed"], retired["signer"]["good"]) == (True, False)
        assert retired["signer"]["label"] == "founder"
        again = await farm.ask("signer.add", verify_key=bytes.fromhex(founding["verify_key"]))
        assert again.error is not None, "retired is for ever"
        for machine in farm.machines:
            await farm.until(
                lambda machine=machine: [s.good for s in machine.node.registry.signing_keys()] == [False, True]  # type: ignore[misc]
            )

    play(scene, 2)


@pytest.mark.parametrize(
    ("op", "args", "code"),
    [
        ("signer.add", {}, 2),
        ("signer.add", {"verify_key": b"short"}, 2),
        ("signer.retire", {}, 2),
        ("signer.retire", {"id": "zz"}, 5),
    ],
)
def test_an_order_that_makes_no_sense_is_an_error(op: str, args: dict[str, Any], code: int) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask(op, **args)
        assert answer.error is not None
        assert answer.error[0] == code

    play(scene)


def test_only_an_admin_changes_keys() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="ben", role="wrangler")
        for op in ("signer.add", "signer.retire"):
            answer = await farm.ask_as("ben", op, verify_key=OTHER, id="00")
            assert answer.error is not None
            assert answer.error[0] == 6
        assert (await farm.ask_as("ben", "signer.list")).error is None

    play(scene)


def knock(machine: Machine, number: int, *, uses: int) -> None:
    key = bytes([number]) * 32
    machine._post(JoinAsked(number, key, f"ws{number}", f"10.0.0.{number}:7777", "node", "", "token", uses))


def test_an_invitation_admits_as_many_machines_as_it_says_and_each_as_often_as_it_likes() -> None:
    async def scene(farm: Farm) -> None:
        (first,) = farm.machines
        for number in (1, 2, 1, 3, 2):
            knock(first, number, uses=2)
        await farm.until(lambda: sum(note.what == "admitted" for note in first.disk.notes) >= 2)
        await farm.until(lambda: any(note.what == "join-refused" for note in first.disk.notes))
        refused = [note.text for note in first.disk.notes if note.what == "join-refused"]
        assert refused == ["ws3 at 10.0.0.3:7777: the token was good for 2 machines"]
        assert first.node.registry.uses_of("token") == 2

    play(scene)


def test_an_evicted_machine_has_used_its_invitation() -> None:
    async def scene(farm: Farm) -> None:
        (first,) = farm.machines
        knock(first, 1, uses=1)
        await farm.until(lambda: len(first.node.registry.keys) == 2)
        (other,) = [node for node in first.node.registry.keys if node != first.id]
        turn = first.node._turn(first.clock.now())
        key = first.node.registry.keys[other]._replace(revoked=True)
        first.node.replica.write(turn, Kind.KEY, bytes.fromhex(other), pack_body(key), rank=Rank.ENDED)
        first.node._finish(turn)
        knock(first, 2, uses=1)
        await farm.until(lambda: any(note.what == "join-refused" for note in first.disk.notes))

    play(scene)
