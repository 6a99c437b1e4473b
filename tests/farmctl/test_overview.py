"""`farmctl status`: what is going on, on one screen, and kept up to date whichever node answers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from farmctl.overview import SHOWN_ALERTS, SHOWN_JOBS, Overview, overview_lines
from protocol.errors import Unreachable
from tests.farmctl.fakes import (
    JOB,
    NODE_B,
    NOW_MS,
    OTHER,
    Clock,
    FakeNode,
    farm,
    feed_answer,
    job_view,
    node_view,
    run,
    session_for,
)

if TYPE_CHECKING:
    from farmctl.output import View

SILENT = Unreachable("no answer from ws07", "it said nothing", "try again")


def shown(answer: View, *words: str) -> str:
    result = run(FakeNode(farm() | {"farm.feed": answer}), "status", *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def of_farm(**changes: Any) -> View:
    return feed_answer(farm=feed_answer()["farm"] | changes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"alerts": [], "jobs": {"total": 9, "completed": 9}}, "● idle"),
        ({"alerts": [], "jobs": {"total": 9, "pending": 1}}, "○ waiting"),
        ({"jobs": {"total": 9, "running": 1}}, "◐ rendering"),
        ({"alerts": [{"level": "error", "text": "x"}]}, "✖ needs attention"),
        ({"leader": None, "alerts": [{"code": "no_leader", "level": "error"}]}, "◷ electing"),
        ({"alerts": [{"level": "warning", "text": "x"}]}, "◷ impaired"),
    ],
)
def test_one_word_says_how_the_farm_is(changes: View, word: str) -> None:
    assert f"studio  {word}" in shown(of_farm(**changes)).splitlines()[0]


def test_what_needs_a_person_comes_first_and_what_is_over_is_left_out() -> None:
    states = ["completed", "queued", "rendering", "failed", "awaiting_approval", "paused"]
    jobs = [job_view(id=f"{number:016d}", state=state) for number, state in enumerate(states)]
    lines = shown(feed_answer(jobs=jobs)).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("ID"))
    assert [int(line.split()[0]) for line in lines[head + 1 :]] == [4, 2, 1, 5]


def test_a_large_farm_stays_on_one_screen() -> None:
    jobs = [job_view(id=f"{number:016d}", state="queued") for number in range(500)]
    nodes = [node_view(id=f"{number:016x}", name=f"n{number}") for number in range(200)]
    alerts = [{"level": "warning", "text": f"n{number} is sick", "hint": ""} for number in range(40)]
    answer = feed_answer(jobs=jobs, nodes=nodes, farm=feed_answer()["farm"] | {"alerts": alerts})
    lines = shown(answer).splitlines()
    assert len(lines) <= 10 + SHOWN_JOBS + SHOWN_ALERTS + 5
    assert "machines     200: 200 busy" in lines
    assert any("and 488 more" in line for line in lines)
    assert any("and 34 more" in line for line in lines)


def test_more_alerts_than_are_told_are_counted() -> None:
    alerts = [{"level": "warning", "text": f"n{number} is sick", "hint": ""} for number in range(100)]
    answer = of_farm(alerts=alerts, alert_count=250)
    assert any(f"and {250 - SHOWN_ALERTS} more" in line for line in shown(answer).splitlines())
    assert json.loads(shown(answer, "--json"))["alert_count"] == 250


def test_how_long_a_machine_is_away_goes_on_though_it_is_told_once() -> None:
    lost, here = node_view(state="lost", last_seen_s=10.0), node_view(id=NODE_B, name="n02", last_seen_s=0.0)
    later = feed_answer(reset=False, nodes=[], as_of_ms=feed_answer()["as_of_ms"] + 86_400_000)
    answers = iter([feed_answer(nodes=[lost, here]), later, KeyboardInterrupt()])
    lines = run(FakeNode(farm() | {"farm.feed": answers}), "status", "-w", "-o", "json").stdout.splitlines()
    told = [{node["name"]: node["last_seen_s"] for node in json.loads(line)["nodes"]} for line in lines]
    assert told == [{"ws07": 10.0, "n02": 0.0}, {"ws07": 86_410.0, "n02": 0.0}]


def test_all_pages_of_the_feed_are_read() -> None:
    pages = iter(
        [
            feed_answer(jobs=[job_view()], more=True),
            feed_answer(jobs=[job_view(id=OTHER)], reset=False, after=[5, 2]),
        ]
    )
    node = FakeNode(farm() | {"farm.feed": pages})
    result = run(node, "status", "--json")
    assert [job["id"] for job in json.loads(result.stdout)["active_jobs"]] == [JOB, OTHER]
    assert [args["after"] for args in node.asked("farm.feed")] == [None, [2, 2]]


def test_the_pace_is_drawn_and_counted() -> None:
    assert "pace         ▂▅█▅▃  19 frames in the last 10m" in shown(feed_answer())
    assert "pace" not in shown(of_farm(pace={"bucket_s": 10, "frames": [0] * 60}))


def test_what_other_machines_say_cannot_steer_the_terminal() -> None:
    alerts = [{"level": "error", "text": "\x1b[2J", "hint": "\x1b[31m"}]
    assert "\x1b" not in shown(of_farm(alerts=alerts, name="\x1b]0;x\x07", leader_name="\x1b[1m"))


def test_watching_prints_what_is_new_and_only_that() -> None:
    farm_view = feed_answer()["farm"]
    answers = iter(
        [
            feed_answer(),
            feed_answer(reset=False),
            feed_answer(reset=False, farm=farm_view | {"jobs": {"total": 3, "running": 3}}),
            KeyboardInterrupt(),
        ]
    )
    result = run(FakeNode(farm() | {"farm.feed": answers}), "status", "--watch")
    assert result.exit_code == 130
    assert result.stdout.count("studio") == 2
    assert "3 running" in result.stdout.rpartition("studio")[2]


def test_watching_goes_on_with_another_node_and_says_so_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.places.running_daemons", list)
    first = FakeNode(farm() | {"farm.feed": iter([feed_answer(), SILENT])})
    second = FakeNode(
        farm()
        | {"farm.feed": iter([feed_answer(farm=feed_answer()["farm"] | {"node_name": "n02"}), KeyboardInterrupt()])}
    )
    clock = Clock()

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        if target is None and len(first.asked("farm.feed")) < 2:
            return first
        if target == "10.0.0.7:7000":
            return second
        raise SILENT

    result = run(first, "status", "-w", connect=connect, clock=clock)
    assert result.exit_code == 130, result.output
    parts = result.stdout.split("\n\nstudio")
    assert "✖ no answer from ws07; looking for another node" in result.stdout
    assert "answered by  n02" in parts[-1]


def test_watching_in_json_is_a_line_for_each_answer() -> None:
    answers = iter([feed_answer(), feed_answer(reset=False, as_of_ms=NOW_MS), KeyboardInterrupt()])
    lines = run(FakeNode(farm() | {"farm.feed": answers}), "status", "-w", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["as_of_ms"] for line in lines] == [NOW_MS - 2_000, NOW_MS]


def test_watching_a_job_ends_with_it() -> None:
    views = iter(
        [
            {"version": 1, "job": job_view()},
            {"version": 2, "job": job_view(state="completed", done=100, deliver="none")},
        ]
    )
    result = run(FakeNode(farm() | {"job.watch": views}), "status", JOB, "--watch")
    assert result.exit_code == 0
    assert "completed" in result.stdout.rpartition("state ")[2]


def test_on_a_terminal_the_view_stays_in_its_place_and_the_last_one_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmctl.screen.is_terminal", lambda stream: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 8)))
    monkeypatch.setattr("farmctl.watching.get_terminal_size", lambda: os.terminal_size((60, 8)))
    answers = iter([feed_answer(), feed_answer(reset=False), KeyboardInterrupt()])
    result = run(FakeNode(farm() | {"farm.feed": answers}), "status", "-w", "--color", "always", env={"COLUMNS": "60"})
    assert result.exit_code == 130
    drawn, left = result.stdout.split("\x1b[?1049l")
    assert drawn.startswith("\x1b[?1049h")
    first, second = drawn.split("\x1b[H")[1:]
    assert (first.count("\n"), second.count("\n")) == (7, 7)
    assert "more lines" in second
    assert f"farmctl job resume {OTHER}" in left


@pytest.mark.parametrize("rows", [18, 24, 40])
def test_as_many_jobs_are_shown_as_the_terminal_has_room_for(rows: int) -> None:
    jobs = [job_view(id=f"{number:016d}", state="queued") for number in range(30)]
    session = session_for(FakeNode(farm() | {"farm.feed": feed_answer(jobs=jobs)}))
    document = Overview().look(session.call)
    lines = overview_lines(session.printer, document, NOW_MS, rows)
    assert len(lines) <= rows - 1
    shown = sum(line.startswith("0000") for line in lines)
    assert lines[-1].startswith(f"… and {30 - shown} more")
    assert shown == min(SHOWN_JOBS, rows - 15)
