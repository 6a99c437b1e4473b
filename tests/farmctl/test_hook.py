"""`farmctl hook`: what the node is asked, what people and scripts read, and that secrets stay secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import jsonschema_rs
import pytest

from farmctl.completing import complete_hook_events, complete_hooks
from protocol.errors import NotAllowed
from protocol.hooks import ALERT_CODES, EVENTS
from protocol.schemas import SCHEMAS
from tests.farmctl.fakes import NOW_MS, FakeNode, run, session_for

if TYPE_CHECKING:
    from pathlib import Path

HOOK = {
    "id": "3fa1b2c3d4e5f607",
    "kind": "url",
    "target": "https://ntfy.example.org/farm",
    "events": ["job.failed", "alert.*"],
    "style": "json",
    "signed": True,
    "node": "",
    "node_name": "",
    "note": "night watch",
    "made_ms": NOW_MS - 60_000,
    "made_by": "anna@ws01",
    "told": 12,
    "lost": 1,
    "waiting": 0,
    "last_error": "it answers 503 Service Unavailable",
}
LISTED = {"schema": "farm.hooks.v1", "hooks": [HOOK]}


def changed(dry_run: bool = False, **args: Any) -> dict[str, Any]:
    hook = HOOK | {key: args[key] for key in ("kind", "target", "events", "note") if args.get(key)}
    tail = {"dry_run": True} if dry_run else {"stored": "farm", "nodes": ["n02"], "alone": False}
    return {"schema": "farm.hook.v1", "hook": hook, "holds": "hook" not in args, "changed": True} | tail


def outcome(ok: bool) -> dict[str, Any]:
    error = "" if ok else "it answers 404 Not Found"
    target = HOOK["target"]
    return {
        "schema": "farm.hook-test.v1",
        "id": HOOK["id"],
        "target": target,
        "node_name": "n01",
        "ok": ok,
        "error": error,
    }


@pytest.fixture
def node() -> FakeNode:
    return FakeNode({"hook.list": LISTED, "hook.add": changed, "hook.remove": changed, "hook.test": outcome(True)})


def test_list_shows_who_is_told_of_what_and_how_it_went(node: FakeNode) -> None:
    lines = run(node, "hook", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "TELLS", "OF", "FROM", "HERE", "NOTE"]
    assert [cell.strip() for cell in lines[1].split("  ") if cell.strip()] == [
        HOOK["id"],
        HOOK["target"],
        "job.failed, alert.*",
        "the leader",
        "12 told, 1 lost (it answers 503 Service Unavailable)",
        "night watch",
    ]
    assert run(node, "hook", "list", "-q").stdout == f"{HOOK['id']}\n"
    assert json.loads(run(node, "hook", "list", "--json").stdout) == LISTED


def test_a_farm_without_hooks_says_how_to_add_one() -> None:
    result = run(FakeNode({"hook.list": {"hooks": []}}), "hook", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "farmctl hook add" in result.stderr


def test_an_address_is_one_word_and_its_secret_comes_from_a_file(node: FakeNode, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("quite secret\nanother line\n")
    words = ("--on", "job.*", "--on", "alert.disk", "--secret-file", str(secret), "--teller", "n02")
    result = run(node, "hook", "add", "https://ntfy.example.org/farm", *words)
    assert result.exit_code == 0
    assert node.asked("hook.add") == [
        {
            "kind": "url",
            "target": "https://ntfy.example.org/farm",
            "events": ["job.*", "alert.disk"],
            "style": "",
            "secret": "quite secret",
            "node": "n02",
            "note": "",
            "dry_run": False,
        }
    ]
    assert "quite secret" not in result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "try it out: farmctl hook test 3fa1b2c3"


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (("--", "/usr/bin/mail", "-s", "the farm", "anna"), "/usr/bin/mail -s 'the farm' anna"),
        (("/usr/bin/mail -s 'the farm' anna",), "/usr/bin/mail -s 'the farm' anna"),
    ],
)
def test_a_program_is_given_word_by_word_or_as_one_line(words: tuple[str, ...], target: str, node: FakeNode) -> None:
    assert run(node, "hook", "add", "-n", *words).exit_code == 0
    (asked,) = node.asked("hook.add")
    assert (asked["kind"], asked["target"], asked["dry_run"]) == ("command", target, True)


@pytest.mark.parametrize("content", [None, "", "\nsecond\n"])
def test_a_secret_that_is_not_there_is_2_and_nothing_is_asked(
    content: str | None, node: FakeNode, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    result = run(node, "hook", "add", "https://x.example", "--secret-file", str(tmp_path / "secret"))
    assert result.exit_code == 2
    assert node.calls == []


def test_remove_says_who_is_told_no_longer(node: FakeNode) -> None:
    result = run(node, "hook", "remove", "3fa1", "--note", "left")
    assert result.stdout == f"removed: {HOOK['id']}, which told {HOOK['target']}\n"
    assert node.asked("hook.remove") == [{"hook": "3fa1", "note": "left", "dry_run": False}]


@pytest.mark.parametrize(("ok", "code", "said"), [(True, 0, "told "), (False, 1, "did not tell ")])
def test_a_test_says_what_became_of_it_and_ends_so(ok: bool, code: int, said: str) -> None:
    result = run(FakeNode({"hook.test": outcome(ok)}), "hook", "test", "3fa1")
    assert result.exit_code == code
    assert result.stdout.startswith(f"{said}{HOOK['target']} from n01")


def test_who_is_no_admin_is_told_so_by_6() -> None:
    node = FakeNode({"hook.list": NotAllowed("ben may not see who is told", "it takes an admin", "")})
    assert run(node, "hook", "list").exit_code == 6


def test_documents_keep_their_promise(node: FakeNode) -> None:
    for words in (("list",), ("add", "https://x.example"), ("remove", "3fa1"), ("test", "3fa1")):
        document = json.loads(run(node, "hook", *words, "--json").stdout)
        jsonschema_rs.validate(SCHEMAS[document["schema"]], document)


def test_ids_and_events_are_completed(node: FakeNode) -> None:
    command = click.Command("remove")
    ctx = click.Context(command, obj=session_for(node))
    assert [item.value for item in complete_hooks(ctx, click.Argument(["hook"]), "3f")] == [HOOK["id"]]
    offered = [item.value for item in complete_hook_events(ctx, click.Option(["--on"]), "alert.")]
    assert offered == ["alert.*", *(f"alert.{code}" for code in ALERT_CODES)]
    assert len(complete_hook_events(ctx, click.Option(["--on"]), "")) == len(EVENTS) + 2
