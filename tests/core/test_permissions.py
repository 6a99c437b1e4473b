"""Who may do what: every operation has a need, and every role is judged by it alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.core.events import ClientAsked
from farmd.core.permissions import RULES, Need, Permissions
from farmd.core.users import Users
from farmd.daemon.operations import Operations
from protocol.bodies import UserBody, pack_body
from protocol.errors import NotAllowed
from protocol.jobspec import spec_to_bytes
from protocol.people import ROLES, is_user_name, person_of
from protocol.records import Kind, Rec, user_pk
from tests.core.small_farm import SPEC, Farm, play

if TYPE_CHECKING:
    from farmd.core.node import Node

HERE = "a" * 16


class _Job:
    def __init__(self, owner: str) -> None:
        self.id = "20260101-000000-aaaa"
        self.spec = type("Spec", (), {"owner": owner, "name": "shot"})()


class _Registry:
    def find(self, text: str) -> list[str]:
        return [HERE] if text in (HERE, "ws07") else ["b" * 16]


class _Node:
    """What the permissions look at."""

    def __init__(self, roles: dict[str, str], owner: str = "anna@ws07") -> None:
        self.id, self.registry, self.users, self.jobs = HERE, _Registry(), Users(), [_Job(owner)]
        for name, role in roles.items():
            self.users.apply(Rec(Kind.USER, user_pk(name), 1, 1, 1, 1, 0, pack_body(UserBody(role, "root"))))


def may(roles: dict[str, str], user: str, op: str, *, proof: str = "local", **args: Any) -> bool:
    node: Any = _Node(roles)
    asked = ClientAsked(
        1, op, {"job": node.jobs[0].id, "node": HERE, "name": user} | args, f"{user}@x", False, user, proof
    )
    error = refusal_of(node, asked)
    if error is None:
        return True
    assert error.code == 6
    assert error.what.startswith(f"{asked.actor if RULES[op].need is Need.DAEMON else user} may not ")
    assert error.why
    return False


def refusal_of(node: Any, asked: ClientAsked) -> NotAllowed | None:
    try:
        Permissions(node).check(asked)
    except NotAllowed as error:
        return error
    return None


def operations_of(node: Node) -> set[str]:
    """All that a daemon answers: the core's own, and what moves data beside it."""
    beside: Any = Operations(None, None, node, str)  # type: ignore[arg-type]  # its table needs neither store
    return {*node.door._operations, *beside.handlers}


def test_every_operation_has_a_need() -> None:
    async def scene(farm: Farm) -> None:
        assert operations_of(farm.machines[0].node) - set(RULES) == set()

    play(scene)


@pytest.mark.parametrize("op", sorted(RULES))
def test_a_higher_role_may_whatever_a_lower_one_may(op: str) -> None:
    for proof in ("local", "key", "token"):
        for owner in ("anna", "ben"):
            allowed = [may({owner: role}, owner, op, proof=proof) for role in ROLES]
            assert allowed == sorted(allowed), f"{op}: {dict(zip(ROLES, allowed, strict=True))}"


@given(op=st.sampled_from(sorted(RULES)), role=st.sampled_from(ROLES), proof=st.sampled_from(["local", "key", "token"]))
def test_what_a_role_may_follows_from_the_need_alone(op: str, role: str, proof: str) -> None:
    need, rank = RULES[op].need, ROLES.index(role)
    of_others = may({"ben": role}, "ben", op, proof=proof, node="b" * 16, name="anna")
    assert (
        of_others
        == {
            Need.READ: True,
            Need.WORK: rank >= 1,
            Need.OWN_JOB: rank >= 2,
            Need.OWN_NODE: rank >= 2,
            Need.WRANGLE: rank >= 2,
            Need.OWN_ACCOUNT: rank >= 3,
            Need.ADMINISTER: rank >= 3,
            Need.DAEMON: False,
        }[need]
    )
    own = may({"anna": role}, "anna", op, proof=proof)
    if need in (Need.OWN_JOB, Need.OWN_NODE):
        assert own == (rank >= 2 or (rank >= 1 and (need is Need.OWN_JOB or proof == "local")))
    elif need is Need.OWN_ACCOUNT:
        assert own == (rank >= 3 or proof != "token")
    else:
        assert own == of_others


@given(role=st.sampled_from(ROLES), op=st.text(max_size=20))
def test_an_operation_that_the_table_does_not_name_is_for_admins(role: str, op: str) -> None:
    node: Any = _Node({"ben": role})
    asked = ClientAsked(1, "x." + op, {}, "ben@x", user="ben")
    if role == "admin":
        Permissions(node).check(asked)
        return
    with pytest.raises(NotAllowed):
        Permissions(node).check(asked)


@pytest.mark.parametrize("op", sorted(set(RULES) - {"user.check"}))
def test_the_daemons_own_user_and_other_nodes_may_do_everything(op: str) -> None:
    node: Any = _Node({"*": "viewer"})
    Permissions(node).check(ClientAsked(1, op, {}, "node b"))


def test_tokens_are_checked_for_the_daemons_own_user_alone() -> None:
    node: Any = _Node({"anna": "admin"})
    Permissions(node).check(ClientAsked(1, "user.check", {}, "farm@x", same_user=True))
    for asked in (
        ClientAsked(1, "user.check", {}, "node b"),
        ClientAsked(1, "user.check", {}, "anna@x", user="anna"),
    ):
        with pytest.raises(NotAllowed):
            Permissions(node).check(asked)


def test_who_is_not_listed_has_the_role_of_everybody() -> None:
    assert may({}, "zoe", "job.submit")
    assert not may({"*": "viewer"}, "zoe", "job.submit")
    assert may({"*": "viewer", "zoe": "artist"}, "zoe", "job.submit")
    assert may({"*": "wrangler"}, "zoe", "path.add")


def test_a_refusal_says_whose_job_it_is_and_whom_to_ask() -> None:
    node: Any = _Node({})
    asked = ClientAsked(1, "job.control", {"job": node.jobs[0].id, "action": "pause"}, "ben@x", user="ben")
    with pytest.raises(NotAllowed) as refused:
        Permissions(node).check(asked)
    error = refused.value
    assert error.what == f"ben may not pause job {node.jobs[0].id}"
    assert error.why == "it belongs to anna, and artists steer their own jobs"
    assert error.hint == "ask anna or a wrangler (farmctl user list)"


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("ben", "farmctl user add ben --role wrangler"),
        ("anna", "farmctl user role anna wrangler"),
        ("Ben@corp", "farmctl user role '*' wrangler"),
    ],
)
def test_a_refusal_names_a_command_that_can_be_given(user: str, command: str) -> None:
    node: Any = _Node({"anna": "artist"})
    with pytest.raises(NotAllowed) as refused:
        Permissions(node).check(ClientAsked(1, "path.add", {}, f"{user}@x", user=user))
    assert refused.value.hint == f"an admin can change that: {command}"


def test_a_refused_order_writes_nothing_and_a_role_takes_effect_at_once() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        replica = farm.machines[0].node.replica
        seq = replica.seq
        refused = await farm.ask_as("ben", "job.control", job=job, action="pause")
        assert refused.error is not None
        assert refused.error[0] == 6
        assert replica.seq == seq
        await farm.data("user.add", name="ben", role="wrangler")
        paused = await farm.ask_as("ben", "job.control", job=job, action="pause")
        assert paused.error is None
        assert paused.data["state"] == "paused"
        notes = [note for note in farm.machines[0].disk.notes if note.what == "pause"]
        assert [note.actor for note in notes] == ["ben@n00"]

    play(scene)


def test_an_artist_owns_what_it_submits_whatever_name_stands_in_it() -> None:
    async def scene(farm: Farm) -> None:
        spec = spec_to_bytes(SPEC)
        answer = await farm.ask_as("ben", "job.submit", spec=spec)
        assert (await farm.data("job.show", job=answer.data["job"]))["owner"] == "ben@n00"
        await farm.data("user.add", name="cleo", role="wrangler")
        answer = await farm.ask_as("cleo", "job.submit", spec=spec)
        assert (await farm.data("job.show", job=answer.data["job"]))["owner"] == "anna"

    play(scene)


@pytest.mark.parametrize(
    ("actor", "person"),
    [("anna@ws07", "anna"), ("anna", "anna"), ("a@corp.example@ws07", "a@corp.example"), ("uid 7@ws07", "uid 7")],
)
def test_a_person_is_who_stands_before_the_machine(actor: str, person: str) -> None:
    assert person_of(actor) == person


@pytest.mark.parametrize("name", ["", "Anna", "a b", "*", "a\n", "a\0b", "ä", "a" * 65, "a@b"])
def test_a_name_that_no_account_should_have_is_none(name: str) -> None:
    assert not is_user_name(name)
