"""Changing jobs: what is asked of the node, what is told, and that nobody is asked where nobody can answer."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import pytest

from farmctl import confirm as confirm_module
from protocol.errors import NotAllowed, Unreachable, UsageError
from tests.farmctl.fakes import JOB, OTHER, FakeNode, farm, job_view, run


def node_with(answer: Any = None) -> FakeNode:
    return FakeNode(
        farm() | {"job.control": answer or {"state": "paused", "stored": "farm", "nodes": [], "changed": True}}
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pause", JOB, "--now", "--why", "need it"), {"action": "pause", "why": "need it", "now": True}),
        (("job", "pause", JOB), {"action": "pause", "why": "", "now": False}),
        (("resume", JOB), {"action": "resume", "why": ""}),
        (("cancel", JOB), {"action": "cancel", "why": ""}),
        (("job", "cancel", JOB, "-y"), {"action": "cancel", "why": ""}),
        (("job", "approve", JOB), {"action": "approve", "why": ""}),
        (("job", "reject", JOB, "--why", "dark"), {"action": "reject", "why": "dark"}),
        (("job", "retry", JOB), {"action": "retry", "why": "", "frames": ""}),
        (("job", "retry", JOB, "--frames", "3,1,2"), {"action": "retry", "why": "", "frames": "1-3"}),
        (("job", "priority", JOB, "80"), {"action": "priority", "why": "", "value": 80}),
        (("job", "delete", JOB, "-y"), {"action": "delete", "why": ""}),
    ],
)
def test_each_verb_asks_for_its_change_without_a_prompt(words: tuple[str, ...], expected: dict[str, Any]) -> None:
    node = node_with()
    result = run(node, *words)
    assert result.exit_code == 0, result.stderr
    assert node.asked("job.control") == [{"job": JOB} | expected]
    assert result.stdout == f"{JOB}  paused\n"


def test_what_was_so_already_is_told() -> None:
    assert "was so already" in run(node_with({"state": "paused", "changed": False}), "pause", JOB).stdout


def test_new_priority_is_told_with_the_one_before() -> None:
    answer = {"state": "queued", "changed": True, "changes": [{"field": "priority", "from": 50, "to": 90}]}
    assert run(node_with(answer), "job", "priority", JOB, "90").stdout == f"{JOB}  priority 50 -> 90\n"
    node = node_with(answer)
    dry = run(node, "job", "priority", JOB, "90", "--dry-run")
    assert (dry.stdout, node.asked("job.control")) == (f"{JOB}  priority 50 -> 90 (would be)\n", [])
    assert run(node_with(answer), "job", "priority", JOB, "50", "-n").stdout == f"{JOB}  (is so already)\n"


def test_every_job_has_its_own_result_and_the_first_refusal_is_the_code() -> None:
    def control(job: str, **args: Any) -> Any:
        return (
            NotAllowed("not your job", "it is grace's", "ask her")
            if job == JOB
            else {"state": "cancelled", "stored": "here"}
        )

    result = run(node_with(control), "cancel", JOB, OTHER, "--json")
    assert result.exit_code == 6
    refused, done = json.loads(result.stdout)["results"]
    assert (refused["job"], refused["error"]["code"], refused["error"]["hint"]) == (JOB, 6, "ask her")
    assert (done["job"], done["state"]) == (OTHER, "cancelled")
    assert run(node_with(control), "cancel", JOB, OTHER, "-q").stdout == f"{OTHER}\n"
    assert run(node_with(), "cancel", JOB, OTHER, "-q").stdout == f"{JOB}\n{OTHER}\n"
    assert "not your job" in result.stderr
    assert f"{OTHER}: stored here only" in result.stderr


def test_a_node_that_is_gone_is_not_asked_for_every_job() -> None:
    node = node_with(Unreachable("no answer"))
    result = run(node, "pause", JOB, OTHER, "--json")
    assert result.exit_code == 7
    assert len(node.asked("job.control")) == 1
    errors = [(told["job"], told["error"]["what"]) for told in json.loads(result.stdout)["results"]]
    assert errors == [(JOB, "no answer"), (OTHER, "not asked")]
    assert f"1 other not asked: {OTHER}" in result.stderr


def test_a_node_that_is_gone_after_a_refusal_is_7_since_not_all_were_asked() -> None:
    node = node_with(iter([NotAllowed("not your job"), Unreachable("no answer")]))
    assert run(node, "pause", JOB, OTHER, JOB).exit_code == 7


@pytest.mark.parametrize(
    "words", [("job", "priority", JOB), ("job", "priority", JOB, "high"), ("job", "priority", JOB, "101")]
)
def test_a_priority_that_is_none_is_2(words: tuple[str, ...]) -> None:
    assert run(node_with(), *words).exit_code == 2


@pytest.mark.parametrize("flags", [(), ("--no-input",)])
def test_delete_never_asks_where_nobody_can_answer(flags: tuple[str, ...]) -> None:
    node = node_with()
    result = run(node, "job", "delete", JOB, *flags, stdin="y\n")
    assert result.exit_code == 2
    assert "-y" in result.stderr.splitlines()[-1]
    assert node.asked("job.control") == []


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "approve", "reject", "retry", "delete"])
def test_a_dry_run_changes_nothing_and_says_what_it_looked_at(verb: str) -> None:
    node = node_with()
    result = run(node, "job", verb, JOB, "-n")
    assert (result.exit_code, node.asked("job.control")) == (0, [])
    assert f"would be asked to {verb}" in result.stdout
    assert "nothing was changed" in result.stderr


def test_a_filter_chooses_the_jobs_to_change() -> None:
    node = node_with()
    assert run(node, "pause", "--filter", "state=paused,name~wide").exit_code == 0
    assert [args["job"] for args in node.asked("job.control")] == [OTHER]


def test_a_filter_that_finds_nothing_changes_nothing_and_says_so() -> None:
    node = node_with()
    result = run(node, "cancel", "--filter", "failed>99")
    assert (result.exit_code, result.stdout, node.asked("job.control")) == (0, "", [])
    assert "no job matches failed>99" in result.stderr


@pytest.mark.parametrize("words", [("pause",), ("pause", JOB, "--filter", "state=paused")])
def test_ids_or_a_filter_are_needed_and_not_both(words: tuple[str, ...]) -> None:
    assert run(node_with(), *words).exit_code == 2


@pytest.mark.parametrize(("flags", "code", "asked"), [((), 2, 0), (("-y",), 0, 2), (("-n",), 0, 0)])
def test_cancelling_all_that_a_filter_finds_is_asked_for_first(flags: tuple[str, ...], code: int, asked: int) -> None:
    node = node_with()
    result = run(node, "cancel", "--filter", "total>0", *flags)
    assert (result.exit_code, len(node.asked("job.control"))) == (code, asked)
    assert code == 0 or "cancel 2 jobs" in result.stderr


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_it_asks_and_no_is_the_default(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def reply(question: str, **settings: Any) -> bool:
        asked.append(settings)
        return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(click, "confirm", reply)
    if answer:
        confirm_module.confirm("delete?", yes=False)
    else:
        with pytest.raises(UsageError) as caught:
            confirm_module.confirm("delete?", yes=False)
        assert caught.value.code == 1
    assert asked == [{"default": False, "err": True}]


@pytest.mark.parametrize(("typed", "goes_on"), [("12", True), ("y", False), ("", False)])
def test_what_concerns_many_and_is_for_good_needs_the_number_typed(
    typed: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(click, "prompt", lambda *words, **settings: typed)
    if goes_on:
        confirm_module.confirm_by_name("delete 12 jobs?", "12", yes=False)
    else:
        with pytest.raises(UsageError) as caught:
            confirm_module.confirm_by_name("delete 12 jobs?", "12", yes=False)
        assert caught.value.code == 1
    with pytest.raises(UsageError, match="delete"):
        confirm_module.confirm_by_name("delete 12 jobs?", "12", yes=False, no_input=True)


@pytest.mark.parametrize(("flags", "documents"), [(("-q",), 1), (("-o", "jsonl"), 1), (("-o", "table"), 2), ((), 2)])
def test_whoever_waits_for_a_retry_reads_each_job_once_unless_a_person_reads(
    flags: tuple[str, ...], documents: int
) -> None:
    ended = {"version": 1, "job": job_view(state="completed", deliver="none")}
    node = FakeNode(farm() | {"job.watch": ended, "job.control": {"state": "testing", "changed": True}})
    result = run(node, "job", "retry", JOB, "--wait", *flags)
    assert result.exit_code == 0, result.stderr
    assert sum(JOB in line for line in result.stdout.splitlines()) == documents
