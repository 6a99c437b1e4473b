"""The people of the farm: rows that every node folds alike, asked for at any of them."""

from __future__ import annotations

import hashlib
from itertools import permutations
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from farmd.core import userorders
from farmd.core.users import KEY, TOKEN, Users
from protocol.bodies import CredentialBody, UserBody, pack_body
from protocol.records import Kind, Rank, Rec, credential_pk, user_pk
from protocol.schemas import SCHEMAS
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from tests.sim.machine import Machine

DRAWN = "farm_" + "x" * 40
KEY_BYTES = bytes(range(32))


def user_row(name: str, role: str, ver: int = 1, **more: Any) -> Rec:
    return Rec(Kind.USER, user_pk(name), ver, ver, 1, ver, 0, pack_body(UserBody(role, "root", **more)))


def credential_row(name: str, credential: str, what: str, proof: bytes, rank: int = 0, life: int = 1) -> Rec:
    body = CredentialBody(what, proof, "root", life=life)
    return Rec(Kind.USER, credential_pk(name, credential), 1, 1, 1, 9, rank, pack_body(body))


def notes_of(machine: Machine, what: str) -> list[tuple[str, str]]:
    return [(note.text, note.actor) for note in machine.disk.notes if note.what == what]


# -- the fold -----------------------------------------------------------------------------------------------------------


def test_the_order_in_which_rows_arrive_does_not_change_who_is_listed() -> None:
    rows = [
        user_row("anna", "wrangler"),
        user_row("*", "viewer"),
        credential_row("anna", "aa", TOKEN, KEY_BYTES),
        credential_row("ben", "bb", KEY, bytes(32)),
        user_row("ben", "artist"),
    ]
    outcomes = []
    for order in permutations(rows):
        fold = Users()
        for rec in order:
            fold.apply(rec)
        outcomes.append((fold.views(), fold.holder_of(TOKEN, KEY_BYTES), fold.holder_of(KEY, bytes(32)), fold.keys()))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][1:] == ("anna", "ben", [bytes(32)])


def test_nobody_is_listed_at_first_and_everybody_is_an_artist() -> None:
    fold = Users()
    assert (fold.names(), fold.role_of("anna"), fold.role_of("*")) == ([], "artist", "artist")


def test_a_role_that_a_newer_node_made_up_counts_as_the_least() -> None:
    fold = Users()
    fold.apply(user_row("anna", "director"))
    assert fold.role_of("anna") == "viewer"


def test_what_proved_an_earlier_life_proves_nothing_after_the_person_is_listed_again() -> None:
    fold = Users()
    fold.apply(user_row("anna", "artist"))
    fold.apply(credential_row("anna", "aa", TOKEN, KEY_BYTES))
    assert fold.holder_of(TOKEN, KEY_BYTES) == "anna"
    fold.apply(user_row("anna", "artist", 2, removed=True))
    assert fold.holder_of(TOKEN, KEY_BYTES) is None
    fold.apply(user_row("anna", "artist", 3, life=2))
    assert fold.holder_of(TOKEN, KEY_BYTES) is None


def test_the_end_of_a_life_outlasts_a_role_that_was_given_elsewhere_meanwhile() -> None:
    rows = [
        user_row("anna", "wrangler", 3),
        credential_row("anna", "aa", TOKEN, KEY_BYTES),
        credential_row("anna", "life1", "life", b"", Rank.ENDED),
    ]
    for order in permutations(rows):
        fold = Users()
        for rec in order:
            fold.apply(rec)
        assert (fold.names(), fold.role_of("anna"), fold.holder_of(TOKEN, KEY_BYTES)) == ([], "artist", None)
        assert fold.life_of("anna") == 1
        fold.apply(user_row("anna", "artist", 4, life=2))
        assert (fold.names(), fold.holder_of(TOKEN, KEY_BYTES)) == (["anna"], None)


@pytest.mark.parametrize(
    ("credential", "rank"),
    [("life1", Rank.NORMAL), ("life", Rank.ENDED), ("life0", Rank.ENDED), ("life-1", Rank.ENDED)],
)
def test_a_row_that_ends_no_life_removes_nobody(credential: str, rank: Rank) -> None:
    fold = Users()
    fold.apply(user_row("anna", "artist"))
    fold.apply(credential_row("anna", credential, "life", b"", rank))
    assert fold.names() == ["anna"]


def test_a_token_is_never_taken_for_a_key() -> None:
    fold = Users()
    fold.apply(user_row("anna", "artist"))
    fold.apply(credential_row("anna", "aa", TOKEN, KEY_BYTES))
    assert fold.holder_of(KEY, KEY_BYTES) is None


@pytest.mark.parametrize("pk", [b"Anna", b"\xff\xfe", b"", b"a" * 65, b"anna\n"])
def test_a_row_of_somebody_who_cannot_be_listed_is_passed_over(pk: bytes) -> None:
    fold = Users()
    fold.apply(user_row("anna", "admin")._replace(pk=pk))
    assert fold.names() == []


def test_a_row_that_cannot_be_read_takes_the_place_of_the_one_before() -> None:
    fold = Users()
    fold.apply(user_row("anna", "admin"))
    fold.apply(user_row("anna", "admin", 2)._replace(body=b"\x91\x01"))
    assert not fold.is_listed("anna")


# -- what is asked ------------------------------------------------------------------------------------------------------


def test_a_person_listed_at_one_node_is_known_at_all_and_is_in_every_log() -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.data("user.add", on=1, name="anna", role="wrangler", full_name="Anna Ems")
        assert (answer["changed"], answer["user"]["role"], answer["stored"]) == (True, "wrangler", "farm")
        await farm.until(lambda: all(machine.node.users.is_listed("anna") for machine in farm.machines))
        listed = (await farm.data("user.list", on=2))["users"]
        assert [(row["name"], row["role"], row["full_name"]) for row in listed] == [
            ("anna", "wrangler", "Anna Ems"),
            ("*", "artist", ""),
        ]
        for machine in farm.machines:
            assert notes_of(machine, "user-role") == [("anna is wrangler", "anna@n01")]

    play(scene, 3)


def test_asking_for_what_holds_already_writes_nothing() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna", role="artist")
        seq = farm.machines[0].node.replica.seq
        assert not (await farm.data("user.add", name="anna", role="artist"))["changed"]
        assert not (await farm.data("user.role", name="anna", role="artist"))["changed"]
        assert (await farm.data("user.role", name="anna", role="viewer", dry_run=True))["changed"]
        assert farm.machines[0].node.replica.seq == seq

    play(scene)


def test_who_is_listed_is_given_a_full_name_by_being_added_again() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna", role="wrangler")
        made = await farm.data("user.token", name="anna", token=DRAWN)
        named = await farm.data("user.add", name="anna", full_name="Anna Ems")
        assert (named["changed"], named["user"]["role"], named["user"]["full_name"]) == (True, "wrangler", "Anna Ems")
        assert [token["id"] for token in named["user"]["tokens"]] == [made["id"]]
        assert not (await farm.data("user.add", name="anna"))["changed"]
        other = await farm.ask("user.add", name="anna", role="artist", full_name="Anna")
        assert other.error is not None
        assert other.error[2:] == ("as wrangler", "farmctl user role anna artist changes that")

    play(scene)


def test_who_is_not_listed_is_told_that_tokens_are_for_who_is() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="ann")
        answer = await farm.ask_as("anna", "user.token", name="anna", token=DRAWN)
        assert answer.error is not None
        assert answer.error[2:] == (
            "only who is listed has tokens and keys",
            "an admin can list anna: farmctl user add anna",
        )

    play(scene)


def test_people_are_listed_in_parts_that_fit_into_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userorders, "LIST_BYTES", 5_000)
    names = ["anna", "ben", "cleo", "dora", "emil"]

    async def scene(farm: Farm) -> None:
        for name in names:
            await farm.data("user.add", name=name)
        for letter in "xyz":
            await farm.data("user.token", name="cleo", token=f"farm_{letter * 40}")
        parts, after = [], ""
        while True:
            answer = await farm.data("user.list", after=after)
            jsonschema_rs.validate(SCHEMAS["farm.users.v1"], answer)
            parts.append([row["name"] for row in answer["users"]])
            after = answer.get("next", "")
            if not after:
                break
        assert parts == [["anna", "ben"], ["cleo"], ["dora", "emil", "*"]], "one who is too large alone is told alone"

    play(scene)


def test_making_and_revoking_tokens_does_not_let_the_rows_of_a_person_grow_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(userorders, "MAX_ROWS", 3)

    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna")
        for letter in "xyz":
            made = await farm.data("user.token", name="anna", token=f"farm_{letter * 40}")
            await farm.data("user.revoke", name="anna", id=made["id"])
        refused = await farm.ask("user.token", name="anna", token=DRAWN[:-1] + "w")
        assert refused.error is not None
        assert refused.error[1] == "anna has had 3 tokens and keys"
        await farm.data("user.remove", name="anna")
        await farm.data("user.add", name="anna")
        assert (await farm.data("user.token", name="anna", token=DRAWN[:-1] + "w"))["changed"]

    play(scene)


def test_a_token_is_told_once_kept_as_its_hash_and_good_until_it_is_revoked() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna")
        made = await farm.data("user.token", name="anna", token=DRAWN, label="laptop")
        assert made["token"] == DRAWN
        assert await farm.data("user.check", token=DRAWN) == {"user": "anna", "role": "artist"}
        node = farm.machines[0].node
        assert not any(DRAWN.encode() in rec.body for rec in node.replica.rows())
        assert any(hashlib.sha256(DRAWN.encode()).digest() in rec.body for rec in node.replica.rows())
        shown = (await farm.data("user.show", name="anna"))["user"]
        assert [(token["id"], token["label"]) for token in shown["tokens"]] == [(made["id"], "laptop")]
        await farm.data("user.revoke", name="anna", id=made["id"][:6])
        refused = await farm.ask("user.check", token=DRAWN)
        assert refused.error is not None
        assert refused.error[0] == 6
        again = await farm.ask("user.token", name="anna", token=DRAWN)
        assert again.error is not None, "revoked is for ever"

    play(scene)


def test_every_answer_is_as_its_schema_says() -> None:
    async def scene(farm: Farm) -> None:
        answers = [
            await farm.data("user.add", name="anna", role="viewer"),
            await farm.data("user.token", name="anna", token=DRAWN),
            await farm.data("user.key", name="anna", public_key=KEY_BYTES, dry_run=True),
            await farm.data("user.role", name="*", role="viewer"),
            await farm.data("user.list"),
            await farm.data("user.show", name="*"),
            await farm.data("user.me"),
        ]
        for answer in answers:
            jsonschema_rs.validate(SCHEMAS[answer["schema"]], answer)
        made = answers[1]["id"]
        revoked = await farm.data("user.revoke", name="anna", id=made)
        jsonschema_rs.validate(SCHEMAS["farm.user.v1"], revoked)

    play(scene)


def test_what_was_revoked_is_not_taken_again_and_it_is_said_how_another_is_made() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna")
        for op, proof, hint in (
            ("user.token", {"token": DRAWN}, "farmctl user token"),
            ("user.key", {"public_key": KEY_BYTES}, "farmctl user key --new"),
        ):
            made = await farm.data(op, name="anna", **proof)
            await farm.data("user.revoke", name="anna", id=made["id"])
            again = await farm.ask(op, name="anna", **proof)
            assert again.error is not None
            assert again.error[2:] == ("that is for ever", f"make another one: {hint}")

    play(scene)


def test_a_token_revoked_in_one_half_stays_so_whatever_the_other_half_wrote_of_the_person() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna")
        made = await farm.data("user.token", name="anna", token=DRAWN)
        await farm.until(lambda: all(m.node.users.credentials("anna") for m in farm.machines))
        farm.world.network.split([[farm.machines[0].id], [farm.machines[1].id]])
        await farm.data("user.revoke", on=0, name="anna", id=made["id"])
        for role in ("wrangler", "artist", "viewer"):
            await farm.data("user.role", on=1, name="anna", role=role)
        farm.world.network.heal()
        await farm.until(lambda: not any(m.node.users.credentials("anna") for m in farm.machines))
        assert [m.node.users.role_of("anna") for m in farm.machines] == ["viewer", "viewer"]

    play(scene, 2)


def test_removing_a_person_revokes_all_that_proved_to_be_it() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna")
        await farm.data("user.token", name="anna", token=DRAWN)
        await farm.data("user.key", name="anna", public_key=KEY_BYTES)
        node = farm.machines[0].node
        assert node.users.keys() == [KEY_BYTES]
        await farm.data("user.remove", name="anna")
        assert (node.users.names(), node.users.keys()) == ([], [])
        await farm.data("user.add", name="anna")
        assert (await farm.ask("user.check", token=DRAWN)).error is not None
        assert [what for what, _ in notes_of(farm.machines[0], "user-remove")] == ["anna"]

    play(scene)


def test_the_last_admin_cannot_be_removed_or_made_less() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna", role="admin")
        for op in ("user.remove", "user.role"):
            answer = await farm.ask(op, name="anna", role="wrangler")
            assert answer.error is not None
            assert "only admin" in answer.error[2]
        await farm.data("user.add", name="ben", role="admin")
        await farm.data("user.remove", name="anna")

    play(scene)


def test_a_key_of_a_machine_or_of_somebody_else_is_no_key_of_a_person() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("user.add", name="anna")
        await farm.data("user.add", name="ben")
        machine_key = farm.machines[0].node.public_key
        assert (await farm.ask("user.key", name="anna", public_key=machine_key)).error is not None
        await farm.data("user.key", name="anna", public_key=KEY_BYTES)
        assert not (await farm.data("user.key", name="anna", public_key=KEY_BYTES))["changed"]
        taken = await farm.ask("user.key", name="ben", public_key=KEY_BYTES)
        assert taken.error is not None
        assert "anna" in taken.error[2]

    play(scene)


@pytest.mark.parametrize(
    ("op", "args", "code"),
    [
        ("user.add", {}, 2),
        ("user.add", {"name": "Anna Ems"}, 2),
        ("user.add", {"name": "*"}, 2),
        ("user.add", {"name": "anna", "role": "king"}, 2),
        ("user.add", {"name": 7}, 2),
        ("user.role", {"name": "nobody", "role": "admin"}, 5),
        ("user.role", {"name": "*"}, 2),
        ("user.remove", {"name": "*"}, 5),
        ("user.show", {"name": "nobody"}, 5),
        ("user.token", {"name": "nobody", "token": DRAWN}, 5),
        ("user.key", {"name": "*", "public_key": KEY_BYTES}, 5),
        ("user.revoke", {"name": "nobody", "id": "aa"}, 5),
        ("user.check", {"token": "farm_wrong"}, 6),
        ("user.check", {}, 2),
    ],
)
def test_an_order_that_makes_no_sense_is_an_error_and_writes_nothing(op: str, args: dict[str, Any], code: int) -> None:
    async def scene(farm: Farm) -> None:
        seq = farm.machines[0].node.replica.seq
        answer = await farm.ask(op, **args)
        assert answer.error is not None
        assert answer.error[0] == code
        assert farm.machines[0].node.replica.seq == seq

    play(scene)
