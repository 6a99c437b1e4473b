"""`farmctl user`: what the node is asked, what people and scripts read, and where keys end up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import jsonschema_rs
import pytest

from farmctl.completing import complete_users
from protocol.errors import NotAllowed, NotFound, UserError
from protocol.places import read_key_file
from protocol.schemas import SCHEMAS
from tests.farmctl.fakes import NOW_MS, FakeNode, run, session_for

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = {"id": "3fa1b2c3d4e5", "label": "laptop", "made_ms": NOW_MS - 60_000, "actor": "root@ws01"}
ANNA = {
    "name": "anna",
    "role": "wrangler",
    "full_name": "Anna Ems",
    "listed": True,
    "actor": "root@ws01",
    "set_at_ms": NOW_MS - 60_000,
    "tokens": [TOKEN],
    "keys": [],
}
EVERYBODY = ANNA | {"name": "*", "role": "artist", "full_name": "", "listed": False, "set_at_ms": None, "tokens": []}
LISTED = {"schema": "farm.users.v1", "users": [ANNA, EVERYBODY]}
ONE = {"schema": "farm.user.v1", "user": ANNA}
STORED = {"stored": "farm", "nodes": ["ws02"], "alone": False}


def changed(**args: Any) -> dict[str, Any]:
    user = ANNA | {key: args[key] for key in ("name", "role") if key in args}
    tail = {"dry_run": True} if args.get("dry_run") else STORED
    return ONE | {"user": user, "changed": True, "id": TOKEN["id"], "what": "token", "token": "farm_secret"} | tail


@pytest.fixture
def node() -> FakeNode:
    answers = dict.fromkeys(("add", "role", "remove", "token", "key", "revoke"), changed)
    asked: dict[str, Any] = {f"user.{verb}": answer for verb, answer in answers.items()}
    me = {"schema": "farm.me.v1", "user": "anna", "role": "wrangler", "actor": "anna@ws07"}
    return FakeNode(asked | {"user.list": LISTED, "user.show": ONE, "user.me": me})


def test_list_shows_roles_and_that_of_everybody_else(node: FakeNode) -> None:
    lines = run(node, "user", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "ROLE", "TOKENS", "KEYS", "FULL", "NAME"]
    assert lines[1].split() == ["anna", "wrangler", "1", "Anna", "Ems"]
    assert lines[2].split() == ["*", "(everybody", "else)", "artist"]
    assert run(node, "user", "list", "-q").stdout == "anna\n*\n"
    assert json.loads(run(node, "user", "list", "--json").stdout) == LISTED


@pytest.mark.parametrize("words", ["list", "show anna", "me", "add ben", "role anna viewer", "token", "revoke anna 3"])
def test_json_of_every_command_is_as_its_schema_says(node: FakeNode, words: str) -> None:
    document = json.loads(run(node, "user", *words.split(), "-o", "json").stdout)
    jsonschema_rs.validate(SCHEMAS[document["schema"]], document)


def test_show_names_tokens_by_id_and_label(node: FakeNode) -> None:
    shown = run(node, "user", "show", "anna").stdout
    assert "3fa1b2c3d4e5  laptop, made 1m ago by root@ws01" in shown
    assert json.loads(run(node, "user", "show", "anna", "--json").stdout) == ONE


def test_show_without_a_name_shows_who_asks(node: FakeNode) -> None:
    run(node, "user", "show")
    assert node.asked("user.show") == [{"name": "anna"}]


def test_me_says_name_role_and_actor(node: FakeNode) -> None:
    assert run(node, "user", "me").stdout == "anna is wrangler here (anna@ws07 in the history)\n"


def test_list_asks_until_it_has_all_people(node: FakeNode) -> None:
    first = {"schema": "farm.users.v1", "users": [ANNA], "next": "anna"}
    node.answers["user.list"] = iter([first, {"schema": "farm.users.v1", "users": [ANNA | {"name": "ben"}, EVERYBODY]}])
    assert run(node, "user", "list", "-q").stdout == "anna\nben\n*\n"
    assert node.asked("user.list") == [{}, {"after": "anna"}]


def test_add_leaves_the_role_to_the_node_unless_it_is_said(node: FakeNode) -> None:
    run(node, "user", "add", "anna", "--full-name", "Anna Ems")
    assert node.asked("user.add") == [{"name": "anna", "full_name": "Anna Ems", "dry_run": False}]


def test_add_asks_the_node_and_says_what_holds_now(node: FakeNode) -> None:
    result = run(node, "user", "add", "ben", "--role", "viewer", "--full-name", "Ben Ohm")
    assert (result.exit_code, result.stdout) == (0, "ben is viewer\n")
    assert node.asked("user.add") == [{"name": "ben", "role": "viewer", "full_name": "Ben Ohm", "dry_run": False}]


def test_a_dry_run_is_the_nodes_and_says_that_nothing_was_changed(node: FakeNode) -> None:
    result = run(node, "user", "role", "anna", "admin", "-n")
    assert node.asked("user.role") == [{"name": "anna", "role": "admin", "dry_run": True}]
    assert result.stderr == "dry run: nothing was changed\n"


def test_a_role_that_does_not_exist_is_2_and_asks_nothing(node: FakeNode) -> None:
    assert run(node, "user", "role", "anna", "king").exit_code == 2
    assert node.calls == []


def test_remove_asks_first_and_says_what_is_lost(node: FakeNode) -> None:
    refused = run(node, "user", "remove", "anna")
    assert refused.exit_code == 2
    assert "1 tokens and 0 keys are revoked for ever" in refused.stderr
    assert node.asked("user.remove") == []
    done = run(node, "user", "remove", "anna", "-y")
    assert done.stdout.startswith("removed: anna")
    assert node.asked("user.remove") == [{"name": "anna", "dry_run": False}]


def test_a_token_alone_goes_to_stdout(node: FakeNode) -> None:
    result = run(node, "user", "token", "--label", "laptop")
    assert result.stdout == "farm_secret\n"
    assert "farmctl user revoke anna 3fa1b2c3d4e5" in result.stderr
    assert "farm_secret" not in result.stderr
    assert node.asked("user.token") == [{"name": "anna", "label": "laptop"}]
    assert run(node, "user", "token", "anna", "-q").stdout == "farm_secret\n"


def test_a_key_is_made_known_before_it_is_kept_and_only_its_owner_can_read_it(node: FakeNode, tmp_path: Path) -> None:
    env: dict[str, str | None] = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = tmp_path / "farm" / "user.key"
    node.answers["user.key"] = NotFound("nobody is listed as 'anna'", "", "")
    assert run(node, "user", "key", env=env).exit_code == 5
    assert not path.exists()
    node.answers["user.key"] = changed
    result = run(node, "user", "key", "--label", "laptop", env=env)
    assert result.exit_code == 0
    public, secret = read_key_file(path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert node.asked("user.key")[1] == {"name": "anna", "public_key": public, "label": "laptop"}
    assert public.hex() in result.stdout
    assert secret.hex() not in result.output
    run(node, "user", "key", env=env)
    assert node.asked("user.key")[2]["public_key"] == public, "it is found again"
    run(node, "user", "key", "--new", env=env)
    assert node.asked("user.key")[3]["public_key"] == read_key_file(path)[0] != public


def test_the_public_key_of_somebody_else_is_registered_and_none_is_made(node: FakeNode, tmp_path: Path) -> None:
    env: dict[str, str | None] = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert run(node, "user", "key", "ben", "--public", "ab" * 32, env=env).exit_code == 0
    assert node.asked("user.key") == [{"name": "ben", "public_key": b"\xab" * 32, "label": ""}]
    assert run(node, "user", "key", "ben", "--public", "ab" * 31, env=env).exit_code == 2
    assert not (tmp_path / "farm").exists()


def test_revoke_says_what_is_good_for_nothing_now(node: FakeNode) -> None:
    result = run(node, "user", "revoke", "anna", "3fa1")
    assert result.stdout == "revoked: token 3fa1b2c3d4e5 of anna\n"
    assert node.asked("user.revoke") == [{"name": "anna", "id": "3fa1", "dry_run": False}]


def test_what_the_node_does_not_allow_is_6_in_three_lines(node: FakeNode) -> None:
    node.answers["user.add"] = NotAllowed("ben may not list people", "it takes an admin, and ben is artist", "ask one")
    result = run(node, "user", "add", "carl")
    assert result.exit_code == 6
    assert [line.partition(":")[0].strip() for line in result.stderr.splitlines()] == ["error", "why", "try"]


def test_what_only_this_node_knows_is_said(node: FakeNode) -> None:
    node.answers["user.add"] = changed() | {"stored": "here"}
    assert "stored here only" in run(node, "user", "add", "carl", "-q").stderr


def test_completion_offers_names_and_survives_a_node_that_fails(node: FakeNode) -> None:
    context = click.Context(click.Command("x"), obj=session_for(node))
    param = click.Argument(["name"])
    assert [item.value for item in complete_users(context, param, "a")] == ["anna"]
    node.answers["user.list"] = UserError("no", "", "")
    assert complete_users(context, param, "a") == []
