"""Which jobs are meant, which rows a filter keeps, and which node is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.errors import UsageError
from protocol.filters import Asking, parse_filter
from protocol.ids import JobId, task_id_of
from tests.farmctl.fakes import JOB, NODE_A, NOW_MS, OTHER, FakeNode, farm, job_view, run, session_for

if TYPE_CHECKING:
    from pathlib import Path


def shown(node: FakeNode) -> list[str]:
    return [args["job"] for args in node.asked("job.show")]


def test_a_whole_id_costs_no_question() -> None:
    node = FakeNode(farm())
    assert run(node, "job", "show", JOB).exit_code == 0
    assert [op for op, _ in node.calls] == ["job.show"]


@pytest.mark.parametrize("word", [JOB[:9], JOB[:15], JOB[-6:], JOB[-4:].upper(), "fire_v3"])
def test_a_beginning_and_a_name_are_enough(word: str) -> None:
    node = FakeNode(farm())
    assert run(node, "job", "show", word).exit_code == 0
    assert shown(node) == [JOB]


def test_what_could_be_two_jobs_is_refused_with_both() -> None:
    result = run(FakeNode(farm()), "job", "show", "0h3k")
    assert result.exit_code == 5
    assert JOB in result.stderr
    assert OTHER in result.stderr


def test_nine_digits_name_a_job() -> None:
    node = FakeNode(farm())
    assert run(node, "job", "show", task_id_of(JobId(OTHER))).exit_code == 0
    assert shown(node) == [OTHER]


def test_nine_digits_that_another_job_has_as_its_name_are_refused_with_both() -> None:
    digits = task_id_of(JobId(JOB))
    node = FakeNode(farm() | {"job.list": {"jobs": [job_view(), job_view(id=OTHER, name=digits)]}})
    result = run(node, "job", "show", digits)
    assert result.exit_code == 5
    assert f"{digits!r} could be 2 jobs" in result.stderr
    assert JOB in result.stderr
    assert OTHER in result.stderr


def test_nine_digits_that_two_jobs_share_are_refused_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.ids.task_id_of", lambda job: "123456789")
    result = run(FakeNode(farm()), "pause", "123456789")
    assert result.exit_code == 5
    assert JOB in result.stderr
    assert OTHER in result.stderr


def test_nine_digits_of_no_job_are_5() -> None:
    assert run(FakeNode(farm()), "job", "show", "123456789").exit_code == 5


def test_an_exact_name_beats_a_beginning() -> None:
    node = FakeNode(farm() | {"job.list": {"jobs": [job_view(), job_view(id=OTHER, name="0h3k")]}})
    assert run(node, "job", "show", "0h3k").exit_code == 0
    assert shown(node) == [OTHER]


def test_what_is_no_job_is_5_with_the_nearest_name() -> None:
    result = run(FakeNode(farm()), "job", "show", "fier_v3")
    assert result.exit_code == 5
    assert "did you mean fire_v3?" in result.stderr


def test_ids_come_from_stdin_once_each() -> None:
    node = FakeNode(farm() | {"job.control": {"state": "paused", "changed": True}})
    result = run(node, "pause", "-", stdin=f"{JOB}  fire_v3\n\n{OTHER}\n{JOB}\n")
    assert result.exit_code == 0
    assert [args["job"] for args in node.asked("job.control")] == [JOB, OTHER]


def test_a_node_is_found_by_name_and_by_beginning() -> None:
    for word in ("ws07", "aaaa", NODE_A):
        node = FakeNode(farm())
        assert run(node, "node", "show", word).exit_code == 0
        assert node.asked("node.show") == [{"node": NODE_A}]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("state=rendering", True),
        ("state=failed|rendering", True),
        ("state!=rendering", False),
        ("owner=me", True),
        ("owner=me,age>30m", True),
        ("owner=me,age>2h", False),
        ("failed>0,priority=50", True),
        ("progress<40", False),
    ],
)
def test_a_filter_keeps_what_all_its_tests_keep(text: str, kept: bool) -> None:
    assert parse_filter(text, Asking("ada", NOW_MS))(job_view()) is kept


@pytest.mark.parametrize(
    "text",
    [
        "state",
        "progress~4",
        "state=faild",
        "renderer=",
        "colour=red",
        "state<failed",
        "priority=high",
        "age>soon",
        "=x",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_in_three_lines(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(text, Asking("ada", NOW_MS))
    assert caught.value.why
    assert caught.value.hint


def test_the_list_can_be_filtered_by_state() -> None:
    assert run(FakeNode(farm()), "job", "list", "--state", "paused", "-q").stdout == f"{OTHER}\n"


def targets(*args: str, env: dict[str, str | None] | None = None) -> list[str | None]:
    node, seen = FakeNode(farm()), []

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        seen.append(target)
        return node

    assert run(node, *args, env=env, connect=connect).exit_code == 0
    return seen


def test_the_node_is_named_by_flag_then_environment_then_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets("job", "list") == [None]
    (tmp_path / ".farm.toml").write_text('[farmctl]\nnode = "file:1"\n')
    assert targets("job", "list") == ["file:1"]
    environment: dict[str, str | None] = {"FARM_NODE": "env:1"}
    assert targets("job", "list", env=environment) == ["env:1"]
    assert targets("--node", "root:1", "job", "list", env=environment) == ["root:1"]
    assert targets("--node", "root:1", "job", "list", "--node", "leaf:1", env=environment) == ["leaf:1"]


@pytest.mark.parametrize(
    "text", ["[farmctl]\nnoed = 'x'\n", "[farmctl]\noutput = 'yaml'\n", "farmctl = 1\n", "not toml"]
)
def test_a_wrong_setting_is_2_and_names_the_file(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".farm.toml").write_text(text)
    result = run(FakeNode(farm()), "job", "list")
    assert result.exit_code == 2
    assert str(tmp_path / ".farm.toml") in result.stderr


def test_the_origin_of_a_setting_is_shown() -> None:
    result = run(FakeNode(), "config", "show", "--origin", "--node", "x:1", env={"FARM_PROGRESS": "plain"})
    assert "x:1   from command line" in result.stdout
    assert "plain   from environment FARM_PROGRESS" in result.stdout
    assert "table   from default" in result.stdout


def test_the_connection_is_closed_at_the_end() -> None:
    node = FakeNode(farm())
    run(node, "job", "list")
    assert node.closed == 1
    session_for(node).close()
