"""Logs, events, tasks in pages, doctor, completion."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from protocol.errors import NotFound, Unreachable
from tests.farmctl.fakes import JOB, NOW_MS, OTHER, FakeNode, farm, job_view, node_view, run


def test_the_last_events_are_shown() -> None:
    def events(after: int | None, limit: int) -> dict[str, Any]:
        after = 2_500 - limit if after is None else after
        return {
            "events": [{"id": number, "at_ms": NOW_MS} for number in range(after + 1, min(2_500, after + limit) + 1)]
        }

    node = FakeNode({"event.list": events})
    result = run(node, "events", "--tail", "3", "-o", "jsonl")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [2498, 2499, 2500]
    assert run(node, "events", "--tail", "0", "-o", "jsonl").stdout == ""


def test_events_are_followed_until_interrupted() -> None:
    pages = iter(
        [
            {"events": [{"id": 1, "text": "one"}]},
            {"events": []},
            {"events": [{"id": 2, "text": "two"}]},
            KeyboardInterrupt(),
        ]
    )
    node = FakeNode({"event.list": pages})
    result = run(node, "events", "-f", "--json", "--job", JOB)
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [1, 2]
    assert [args["after"] for args in node.asked("event.list")] == [None, 1, 1, 2]
    assert all(args["wait_s"] > 0 for args in node.asked("event.list")[1:]), "the node is not asked all the time"
    assert result.exit_code == 130


def test_what_is_wanted_of_the_events_is_asked_of_the_node() -> None:
    node = FakeNode({"event.list": {"events": []}})
    words = ("--actor", "anna", "--what", "pause", "--what", "attempt-*", "--on", "ws07", "--since", "2h")
    assert run(node, "events", *words, "--until", "2027-01-15T08:00:00+00:00").exit_code == 0
    (asked,) = node.asked("event.list")
    assert asked["actor"] == "anna"
    assert asked["what"] == ["pause", "attempt-*"]
    assert asked["node"] == "ws07"
    assert (asked["since_ms"], asked["until_ms"]) == (NOW_MS - 7_200_000, 1_800_000_000_000)
    assert run(node, "events", "--since", "yesterday").exit_code == 2


def test_events_stand_in_the_order_in_which_they_happened_not_in_which_the_node_heard_of_them() -> None:
    late = {"id": 9, "at_ms": NOW_MS - 5_000, "text": "while it was off"}
    node = FakeNode({"event.list": {"events": [{"id": 8, "at_ms": NOW_MS, "text": "now"}, late]}})
    result = run(node, "events", "-o", "jsonl")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [9, 8]


@pytest.mark.parametrize(
    ("words", "count"),
    [((), 200), (("--limit", "0"), 2_500), (("--limit", "1500"), 1_500), (("--offset", "2400"), 100)],
)
def test_tasks_come_in_pages(words: tuple[str, ...], count: int) -> None:
    def tasks(job: str, state: str | None, offset: int, limit: int) -> dict[str, Any]:
        return {
            "schema": "farm.tasks.v1",
            "total": 2_500,
            "tasks": [{"index": at} for at in range(offset, min(2_500, offset + min(limit, 1_000)))],
        }

    result = run(FakeNode({"task.list": tasks}), "task", "list", JOB, "-o", "name", *words)
    assert len(result.stdout.splitlines()) == count


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"checks": [{"name": "a", "ok": True}]}, 0),
        ({"checks": [{"name": "a", "ok": False}]}, 1),
        (Unreachable("x"), 7),
        (NotFound("x"), 1),
    ],
)
def test_the_doctor_says_by_its_code_whether_all_is_well(answer: Any, code: int) -> None:
    result = run(FakeNode({"doctor": answer}), "doctor", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["schema"] == "farm.doctor.v1"


def test_status_is_of_the_farm_or_of_a_job() -> None:
    assert "studio  ◐ rendering" in run(FakeNode(farm()), "status").stdout
    assert run(FakeNode(farm()), "status", JOB).stdout == run(FakeNode(farm()), "job", "show", JOB).stdout


@pytest.mark.parametrize(("unavailable", "promised"), [("", True), ("7", False)])
def test_two_copies_are_promised_only_of_what_can_be_had(unavailable: str, promised: bool) -> None:
    view = job_view(safe=45, submit_node_name="ws07", unavailable_frames=unavailable)
    shown = run(FakeNode(farm() | {"job.show": view}), "job", "show", JOB).stdout
    assert "44 of 45 results are in /home/ada/renders on ws07" in shown
    assert ("all on two machines" in shown) is promised


def test_a_failed_test_frame_says_what_went_wrong() -> None:
    gate = {"test_frames": [{"frame": 7, "state": "failed", "text": "no camera"}, {"frame": 9, "state": "done"}]}
    reason = {"code": "gate_failed", "text": "test frame 7 failed", "hint": "", "count": 0, "frames": ""}
    answers = {"why": {"job": JOB, "state": "failed", "reasons": [reason]}, "job.show": job_view(gate=gate)}
    result = run(FakeNode(farm() | answers), "why", JOB)
    assert result.stdout == "✖ job: test frame 7 failed\n    frame 7: no camera\n"


@pytest.mark.parametrize(("slots", "tasks"), [(4, "1 of 4"), (0, "1")])
def test_the_numbers_of_a_machine_are_written_for_people(slots: int, tasks: str) -> None:
    node = node_view(running=1, slots=slots, load=0.12345678)
    head, row = run(FakeNode({"node.list": {"nodes": [node]}}), "node", "list", "-o", "wide").stdout.splitlines()
    assert f"  {tasks}  " in row
    assert row[head.index("LOAD") :].split()[0] == "0.1"


def test_a_farm_without_a_leader_is_electing_one() -> None:
    answers = farm()
    answers["farm.status"] |= {"leader": None, "leader_name": None}
    assert "none yet (electing)" in run(FakeNode(answers), "farm", "status").stdout


def test_a_machine_that_was_let_in_and_never_said_what_it_is_is_told_apart_from_one_that_is_off() -> None:
    answers = farm()
    answers["farm.status"]["nodes"].append(node_view(id="5f" * 8, name="5f" * 8, state="lost", epoch=0, software=""))
    result = run(FakeNode(answers), "farm", "doctor")
    assert f"admissions: {'5f' * 8}: has never said what it is" in result.stdout
    assert f"farmctl node evict {'5f' * 8}" in result.stdout
    assert "machines: all answer" in result.stdout
    assert result.exit_code == 1


def test_the_interface_that_others_build_on() -> None:
    job = json.loads(run(FakeNode(farm()), "job", "show", JOB, "-o", "json").stdout)
    assert {"state", "progress", "total", "completed_frames", "failed_frames", "nodes"} <= set(job)
    status = json.loads(run(FakeNode(farm()), "farm", "status", "-o", "json").stdout)
    assert {"leader", "term", "nodes"} <= set(status)
    assert {"id", "name", "state"} <= set(status["nodes"][0])


# -- completion ---------------------------------------------------------------------------------------------------


def completed(node: FakeNode, words: str, **settings: Any) -> list[str]:
    env: dict[str, str | None] = {
        "_FARMCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = run(node, env=env, **settings)
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


def test_commands_jobs_and_machines_are_completed() -> None:
    assert completed(FakeNode(), "farmctl ca") == ["cancel"]
    assert "download" in completed(FakeNode(), "farmctl job ")
    assert completed(FakeNode(farm()), f"farmctl why {JOB[:10]}") == [JOB]
    assert completed(FakeNode(farm()), "farmctl job show ") == [JOB, OTHER, "fire_v3", "wide_ünïcode"]
    assert completed(FakeNode(farm()), "farmctl node show n") == ["n02"]
    assert "--frames" in completed(FakeNode(), "farmctl submit --fr")


@pytest.mark.parametrize("error", [Unreachable("x"), OSError("x"), KeyError("x")])
def test_completion_is_silent_when_nobody_answers(error: Exception) -> None:
    assert completed(FakeNode({"job.list": error}), "farmctl why ") == []


def test_of_thousands_of_jobs_the_newest_are_offered() -> None:
    def page(limit: int, offset: int = 0) -> dict[str, Any]:
        jobs = [job_view(id=f"{number:016d}", name="s") for number in range(offset, min(1_203, offset + limit))]
        return {"jobs": jobs, "total": 1_203}

    offered = completed(FakeNode({"job.list": page}), "farmctl why 0000")
    assert (len(offered), offered[-1]) == (500, f"{1_202:016d}")


def test_completion_has_a_budget() -> None:
    budgets = []

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        budgets.append(timeout_s)
        return FakeNode(farm())

    completed(FakeNode(), "farmctl why ", connect=connect)
    assert budgets == [0.3]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    result = run(FakeNode(), "completion", shell)
    assert result.exit_code == 0
    assert "_FARMCTL_COMPLETE" in result.stdout


def test_colour_is_off_away_from_a_terminal_and_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    from farmctl import output

    assert output.paint("done", "green") == "done"
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert re.fullmatch(r"\x1b\[32mdone\x1b\[0m", output.paint("done", "green"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.paint("done", "green") == "done"


def test_a_thousand_jobs_are_listed_at_once() -> None:
    jobs = [job_view(id=f"{number:016d}") for number in range(1_000)]
    begin = time.perf_counter()
    assert len(run(FakeNode({"job.list": {"jobs": jobs}}), "job", "list").stdout.splitlines()) == 1_001
    assert time.perf_counter() - begin < 5


def test_a_done_frame_is_said_to_be_done_and_where_its_result_is() -> None:
    holders = [{"id": "a" * 16, "name": "ws07", "alive": True}]
    task = {"state": "done", "result": "available", "holders": holders}
    node = FakeNode(farm() | {"why": {"job": JOB, "state": "rendering", "reasons": [], "task": task}})
    assert run(node, "why", JOB, "--frame", "3").stdout == "it is done, and its result is available (on ws07)\n"
    node.answers["why"]["task"] = {"state": "running", "result": None, "holders": []}
    assert run(node, "why", JOB, "--frame", "3").stdout == "it is running\n"


def test_a_job_names_the_machines_that_are_off_and_have_its_frames() -> None:
    away = [{"frames": "3-5", "nodes": ["n7"]}, {"frames": "9", "nodes": ["n8", "n9"]}]
    shown = run(FakeNode(farm() | {"job.show": job_view(away=away, unavailable_frames="3-5,9")}), "job", "show", JOB)
    assert "3-5: only copy on n7, which is off; 9: copies only on n8 and n9, which are off" in shown.stdout
