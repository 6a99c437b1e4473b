"""`farmctl node evict` and `replace`: what is lost is shown, a name is typed, and only then is it done."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from protocol.errors import UserError
from protocol.schemas import SCHEMAS
from tests.farmctl.fakes import NODE_A, NODE_B, FakeNode, run

FINDING = {"code": "results", "blocks": True, "text": "3 results of fire_v3", "hint": "", "count": 3}


def answer(dry_run: bool = False, **args: Any) -> dict[str, Any]:
    by = {"by": args["by"], "by_name": "n02"} if "by" in args else {}
    told = {"schema": "farm.eviction.v1", "node": args["node"], "node_name": "ws07", "alive": False, "changed": True}
    tail = {"dry_run": True} if dry_run else {"stored": "farm", "nodes": ["n02"], "alone": False}
    return told | {"findings": [FINDING] if dry_run else []} | by | tail


@pytest.fixture
def node() -> FakeNode:
    return FakeNode({"node.evict": answer, "node.replace": answer})


def test_evict_shows_what_is_lost_and_does_nothing_without_a_person(node: FakeNode) -> None:
    result = run(node, "node", "evict", NODE_A)
    assert result.exit_code == 2
    assert "3 results of fire_v3" in result.stderr
    assert [asked.get("dry_run") for asked in node.asked("node.evict")] == [True]


def test_evict_with_y_is_done_and_said(node: FakeNode) -> None:
    result = run(node, "node", "evict", NODE_A, "-y", "--why", "sold", "-o", "json")
    assert result.exit_code == 0
    assert node.asked("node.evict")[1] == {"node": NODE_A, "why": "sold"}
    document = json.loads(result.stdout)
    jsonschema_rs.validate(SCHEMAS["farm.eviction.v1"], document)
    assert document["findings"] == [FINDING]
    assert run(node, "node", "evict", NODE_A, "-y").stdout == "evicted: ws07\n"


def test_a_dry_run_asks_the_node_and_changes_nothing(node: FakeNode) -> None:
    result = run(node, "node", "evict", NODE_A, "-n")
    assert result.stdout.splitlines()[0] == "ws07 would be evicted for ever"
    assert result.stderr == "dry run: nothing was changed\n"
    assert [asked.get("dry_run") for asked in node.asked("node.evict")] == [True]


def test_replace_names_who_stands_in(node: FakeNode) -> None:
    result = run(node, "node", "replace", NODE_A, NODE_B, "-y")
    assert result.stdout == "evicted: ws07; n02 stands in for it\n"
    assert node.asked("node.replace")[1] == {"node": NODE_A, "by": NODE_B, "why": ""}


def test_evicting_what_is_evicted_asks_nobody(node: FakeNode) -> None:
    node.answers["node.evict"] = answer(dry_run=True, node=NODE_A) | {"changed": False, "findings": []}
    result = run(node, "node", "evict", NODE_A)
    assert (result.exit_code, result.stdout) == (0, "ws07 is evicted  (was so already)\n")
    assert len(node.asked("node.evict")) == 1


def test_a_machine_that_still_answers_must_be_stopped(node: FakeNode) -> None:
    node.answers["node.evict"] = lambda **args: answer(**args) | {"alive": True}
    assert "stop its daemon, too" in run(node, "node", "evict", NODE_A, "-y").stderr
    node.answers["node.replace"] = UserError("ws07 cannot be replaced", "it answers", "stop its daemon first")
    assert run(node, "node", "replace", NODE_A, NODE_B, "-y").exit_code == 1
