r"""`farmctl path` and `submit --map`: what the node is asked, what people and scripts read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from farmctl.completing import complete_path_prefixes
from farmctl.mapping import path_rules_of
from protocol.errors import NotFound, UsageError
from protocol.pathrules import PLATFORMS, PathRule, apply, for_platform
from tests.farmctl.fakes import JOB, NOW_MS, FakeNode, job_view, run, session_for

if TYPE_CHECKING:
    from pathlib import Path

RULES = (PathRule(r"Y:\show", "/mnt/show", "linux"), PathRule("//filer/tex", "/mnt/tex"))


def listed() -> dict[str, Any]:
    rows = [rule._asdict() | {"note": "", "actor": "anna@ws07", "set_at_ms": NOW_MS - 60_000} for rule in RULES]
    return {"schema": "farm.paths.v1", "rules": rows}


def outcome_of(path: str) -> dict[str, Any]:
    outcomes = [(platform, *apply(for_platform(RULES, platform), path)) for platform in PLATFORMS[1:]]
    rows = [{"platform": name, "becomes": text, "rule": rule and rule._asdict()} for name, text, rule in outcomes]
    return {"schema": "farm.path-test.v1", "path": path, "platforms": rows}


def changed(dry_run: bool = False, **args: Any) -> dict[str, Any]:
    rule = {"becomes": "/mnt/show", "platform": "any", "note": ""} | args
    answer = {"schema": "farm.path.v1", "rule": rule, "holds": True, "replaced": None, "changed": True}
    return answer | ({"dry_run": True} if dry_run else {"stored": "farm", "nodes": ["n02"], "alone": False})


@pytest.fixture
def node() -> FakeNode:
    def removed(**args: Any) -> dict[str, Any]:
        return changed(**args | {"platform": args["platform"] or "any"}) | {"holds": False}

    return FakeNode({"path.list": listed(), "path.test": outcome_of, "path.add": changed, "path.remove": removed})


def test_list_shows_what_is_written_and_what_it_becomes(node: FakeNode) -> None:
    lines = run(node, "path", "list").stdout.splitlines()
    assert lines[0].split() == ["WRITTEN", "BECOMES", "ON", "NOTE"]
    assert lines[1].split() == [r"Y:\show", "/mnt/show", "linux"]
    wide = run(node, "path", "list", "-o", "wide").stdout.splitlines()
    assert wide[1].split()[3:] == ["anna@ws07", "1m", "ago"]
    assert run(node, "path", "list", "-q").stdout == "Y:\\show\n//filer/tex\n"
    assert json.loads(run(node, "path", "list", "--json").stdout) == listed()


def test_a_farm_without_rules_says_how_to_add_one() -> None:
    result = run(FakeNode({"path.list": {"rules": []}}), "path", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "farmctl path add" in result.stderr


def test_add_asks_the_node_and_says_what_holds_now(node: FakeNode) -> None:
    result = run(node, "path", "add", r"Y:\show", "/mnt/show", "--platform", "linux", "--note", "new filer")
    assert (result.exit_code, result.stdout) == (0, "Y:\\show -> /mnt/show on linux\n")
    asked = {"written": r"Y:\show", "becomes": "/mnt/show", "platform": "linux", "note": "new filer", "dry_run": False}
    assert node.asked("path.add") == [asked]


def test_a_dry_run_is_the_nodes_and_says_that_nothing_was_changed(node: FakeNode) -> None:
    result = run(node, "path", "add", "Y:/show", "/mnt/show", "-n", "--json")
    assert node.asked("path.add")[0]["dry_run"]
    assert json.loads(result.stdout)["dry_run"]
    assert result.stderr == "dry run: nothing was changed\n"


def test_remove_says_what_holds_no_longer(node: FakeNode) -> None:
    result = run(node, "path", "remove", "Y:/show", "--note", "moved")
    assert (result.exit_code, result.stdout) == (0, "removed: Y:/show -> /mnt/show\n")
    assert node.asked("path.remove") == [{"written": "Y:/show", "platform": "", "note": "moved", "dry_run": False}]


def test_removing_what_is_not_there_is_5() -> None:
    node = FakeNode({"path.remove": NotFound("no path rule is for 'Y:/'", "", "farmctl path list")})
    assert run(node, "path", "remove", "Y:/").exit_code == 5


@pytest.mark.parametrize(("replaced", "was"), [("/mnt/old", "(was /mnt/old)"), (None, "")])
def test_a_replaced_target_is_named(replaced: str | None, was: str) -> None:
    node = FakeNode({"path.add": changed(written="Y:/show") | {"replaced": replaced}})
    assert run(node, "path", "add", "Y:/show", "/mnt/show").stdout == f"Y:/show -> /mnt/show  {was}".rstrip() + "\n"


def test_test_says_which_rule_and_what_becomes_of_the_path_on_each_platform(node: FakeNode) -> None:
    result = run(node, "path", "test", r"Y:\show\tex\a.png")
    assert result.exit_code == 0
    rows = [line.split("  ") for line in result.stdout.splitlines()]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["ON", "READS", "BY"],
        ["linux", "/mnt/show/tex/a.png", r"Y:\show -> /mnt/show"],
        ["windows", r"Y:\show\tex\a.png", "no rule"],
        ["darwin", r"Y:\show\tex\a.png", "no rule"],
    ]


def test_a_path_that_no_rule_is_for_is_5_and_told(node: FakeNode) -> None:
    result = run(node, "path", "test", "/opt/a.png", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["path"] == "/opt/a.png"
    assert "no rule of the farm is for /opt/a.png" in result.stderr


@pytest.mark.parametrize("words", [("add", "Y:/"), ("add", "Y:/", "/a", "--platform", "amiga"), ("remove",), ("test",)])
def test_words_that_are_missing_or_wrong_are_2(words: tuple[str, ...], node: FakeNode) -> None:
    assert run(node, "path", *words).exit_code == 2
    assert node.calls == []


def test_prefixes_are_completed_whatever_their_case(node: FakeNode) -> None:
    command = click.Command("remove")
    ctx = click.Context(command, obj=session_for(node))
    param = click.Argument(["written"])
    assert [item.value for item in complete_path_prefixes(ctx, param, "y:")] == [r"Y:\show"]
    assert len(complete_path_prefixes(ctx, param, "")) == 2
    broken = click.Context(command, obj=session_for(FakeNode({"path.list": UsageError("old node", "", "")})))
    assert complete_path_prefixes(broken, param, "") == []


def test_a_map_is_a_prefix_and_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a=b").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    pairs = (f"Y:/show={tmp_path}", r"\\filer\tex=a=b", "Z:/=~/a=b")
    here = str(tmp_path / "a=b")
    assert path_rules_of(pairs) == (("Y:/show", str(tmp_path)), (r"\\filer\tex", here), ("Z:/", here))


@pytest.mark.parametrize("pair", ["", "Y:/show", "=/mnt", "Y:/show= "])
def test_a_map_without_prefix_or_folder_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="cannot read the rule"):
        path_rules_of((pair,))


def test_a_map_to_what_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="gone"):
        path_rules_of((f"Y:/show={tmp_path / 'gone'}",))


def test_a_job_shows_the_first_of_its_own_rules() -> None:
    rules = [[f"{drive}:/show", f"/mnt/{drive}"] for drive in "WXYZ"]
    result = run(
        FakeNode({"job.show": job_view(path_rules=rules), "job.list": {"jobs": [job_view()]}}), "job", "show", JOB
    )
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("reads ")]
    assert line.endswith("W:/show -> /mnt/W, X:/show -> /mnt/X, Y:/show -> /mnt/Y, and 1 more")
