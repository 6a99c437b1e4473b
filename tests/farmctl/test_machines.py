"""Holding and releasing machines: one, several, or all that a filter finds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.errors import NotAllowed, Unreachable
from tests.farmctl.fakes import NODE_A, NODE_B, FakeNode, farm, run


def node_with(answer: Any = None) -> FakeNode:
    done = answer or {"changed": True, "stored": "farm"}
    return FakeNode(farm() | {"node.hold": done, "node.release": done})


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_one_machine_is_shown_as_it_is_then(verb: str) -> None:
    node = node_with()
    result = run(node, "node", verb, "ws07", "--why", "mine", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["schema"] == "farm.controls.v1"
    assert document["results"] == [
        {"node": NODE_A, "action": verb, "name": "ws07", "state": "busy", "changed": True, "stored": "farm"}
    ]
    (asked,) = node.asked(f"node.{verb}")
    assert (asked["node"], asked["why"]) == (NODE_A, "mine")


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("ws07", "n02"), [NODE_A, NODE_B]),
        (("--filter", "state=held"), [NODE_B]),
        (("--filter", "gpus>0,ram>=64G,renderer=blender"), [NODE_A]),
        (("--filter", "name~N0*"), [NODE_B]),
    ],
)
def test_several_machines_are_changed_one_after_the_other(words: tuple[str, ...], ids: list[str]) -> None:
    node = node_with()
    assert run(node, "node", "release", *words).exit_code == 0
    assert [args["node"] for args in node.asked("node.release")] == ids


def test_ids_come_from_stdin() -> None:
    node = node_with()
    assert run(node, "node", "hold", "-", stdin=f"{NODE_B}\n{NODE_A}  ws07\n").exit_code == 0
    assert [args["node"] for args in node.asked("node.hold")] == [NODE_B, NODE_A]


@pytest.mark.parametrize(("answer", "told"), [({}, 1), ({"alone": True}, 0), ({"stored": "farm"}, 0)])
def test_an_order_that_no_other_machine_has_yet_is_told_so(answer: dict[str, Any], told: int) -> None:
    result = run(node_with({"changed": True, "stored": "here"} | answer), "node", "hold", "ws07")
    assert result.exit_code == 0
    assert result.stderr.count("ws07: stored here only, other machines learn of it as soon as one answers") == told


def test_a_dry_run_holds_nothing() -> None:
    node = node_with()
    result = run(node, "node", "hold", "ws07", "n02", "-n")
    assert (result.exit_code, node.asked("node.hold")) == (0, [])
    assert "nothing was changed" in result.stderr
    assert "ws07" in result.stdout


def test_the_first_refusal_decides_and_the_other_machine_is_held_all_the_same() -> None:
    node = node_with(lambda node, **_: NotAllowed("no") if node == NODE_A else {"changed": True})
    result = run(node, "node", "hold", "ws07", "n02", "-q")
    assert (result.exit_code, result.stdout) == (6, f"{NODE_B}\n")
    told = run(node, "node", "hold", "ws07", "n02", "--json")
    refused, held = json.loads(told.stdout)["results"]
    assert (refused["node"], refused["error"]["code"]) == (NODE_A, 6)
    assert (held["node"], held["state"]) == (NODE_B, "held")


def test_a_node_that_is_gone_is_not_asked_for_every_machine() -> None:
    node = node_with(Unreachable("no answer"))
    result = run(node, "node", "hold", "ws07", "n02", "--json")
    assert result.exit_code == 7
    assert len(node.asked("node.hold")) == 1
    errors = [(told["node"], told["error"]["what"]) for told in json.loads(result.stdout)["results"]]
    assert errors == [(NODE_A, "no answer"), (NODE_B, "not asked")]


def test_machines_that_all_refuse_are_a_document_all_the_same() -> None:
    result = run(node_with(NotAllowed("no")), "node", "release", "ws07", "n02", "-o", "json")
    assert result.exit_code == 6
    assert [told["error"]["code"] for told in json.loads(result.stdout)["results"]] == [6, 6]


def test_an_order_that_was_given_before_the_node_died_is_told_as_given() -> None:
    node = node_with()
    node.answers["node.show"] = Unreachable("no answer")
    result = run(node, "node", "hold", "ws07", "--json")
    assert result.exit_code == 0
    assert [told["changed"] for told in json.loads(result.stdout)["results"]] == [True]


@pytest.mark.parametrize("words", [(), ("ws07", "--filter", "state=idle"), ("--filter", "state=idel")])
def test_machines_have_to_be_named_in_one_way(words: tuple[str, ...]) -> None:
    assert run(node_with(), "node", "hold", *words).exit_code == 2
