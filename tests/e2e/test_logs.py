"""Logs and events of real daemons, asked through a node that has neither the log nor the renderer."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from protocol.client import Client
from tests.e2e.farm import FARMCTL, until

if TYPE_CHECKING:
    from tests.e2e.farm import Farm, Member

ERROR = "Error: no camera"
pytestmark = pytest.mark.e2e
SLOW = "sh -c 'for n in 1 2 3; do echo line $n of $FARM_FRAME; sleep 1.2; done; echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; echo Error: no camera; exit 3'"


@pytest.fixture
def pair(farm: Farm) -> list[Member]:
    """Two nodes, of which only the first renders."""
    a, b = farm.start("a", "b")
    assert a.ctl("node", "hold", "b").returncode == 0
    return [a, b]


def texts(answer: Any) -> list[str]:
    return [line["text"] for line in answer["lines"] if line["level"] != "farm"]


def test_running_frame_is_followed_through_another_node_and_its_lines_have_times(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit("--command", SLOW, "--frames", "7", "--gate", "off", "--retries", "0")
    done = b.ctl("logs", job, "--frame", "7", "-f", "--times")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "[farmd]" not in line]
    assert [line[21:] for line in lines if " a" not in line] == [*(f"line {n} of 7" for n in (1, 2, 3)), ERROR]
    assert "ended: error" in done.stdout.splitlines()[-1]
    stamps = [line["at_ms"] for line in b.ask("log.read", job=job)["lines"] if line["text"].startswith("line")]
    assert 1_000 < stamps[2] - stamps[0] < 6_000, stamps
    recent = b.ask("log.read", job=job, since_ms=stamps[1] + 1)
    assert "line 1 of 7" not in texts(recent)
    assert "Error: no camera" in texts(recent)


def test_whole_job_is_followed_by_frame_and_machine(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit("--command", SLOW, "--frames", "1-2", "--gate", "off", "--retries", "0")
    done = b.ctl("logs", job, "-f")
    assert done.returncode == 0, done.stderr
    for frame in (1, 2):
        assert f"{frame}@a | line 3 of {frame}" in done.stdout.replace(" " * 2, " ")


def test_errors_and_words_are_found_where_the_log_is(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit("--command", SLOW, "--frames", "1", "--gate", "off", "--retries", "0")
    assert a.ctl("job", "wait", job).returncode == 3
    found = b.ctl("logs", job, "--errors")
    assert "Error: no camera" in found.stdout, found.stderr
    assert b.ctl("logs", job, "--grep", "LINE 2", "--ignore-case").stdout == "line 2 of 1\n"
    evil = b.ctl("logs", job, "--grep", "(a+)+b", "--regex")
    assert evil.returncode == 1
    assert "takes too long" in evil.stderr
    assert b.ask("farm.status")["leader"], "the farm lives on"
    (attempt,) = b.ask("log.list", job=job)["attempts"]
    assert (attempt["state"], attempt["cause"], attempt["node_name"]) == ("failed", "error", "a")
    assert attempt["size"] > 50


def test_log_of_a_node_that_is_off_is_told_where_it_is_with_its_last_lines(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit("--command", SLOW, "--frames", "1", "--gate", "off", "--retries", "0")
    assert b.ctl("job", "wait", job).returncode == 3
    a.stop()
    told = until(lambda: _away(b, job), "b knows that a is off")
    assert told["node_name"] == "a"
    done = b.ctl("logs", job)
    assert done.returncode == 1
    assert "Error: no camera" in done.stdout
    assert "the log is on a" in done.stderr


def _away(member: Member, job: str) -> Any:
    return member.ask("log.tail", job=job)["away"]


def test_events_are_waited_for_and_are_the_same_on_both_nodes(pair: list[Member]) -> None:
    a, b = pair
    last = b.ask("event.list", limit=1)["last"]
    job = a.submit("--command", "sleep 30", "--frames", "1", "--gate", "off")
    with Client(b.data_dir) as client:
        began = time.monotonic()
        words = [*FARMCTL, "job", "pause", job, "--why", "lunch"]
        pausing = subprocess.Popen(words, env=a.farm.environ | {"FARM_NODE": str(a.data_dir)})
        answer = client.call("event.list", after=last, job=job, what="pause", wait_s=4.5)
        assert pausing.wait(20) == 0
        assert time.monotonic() - began < 5
    (event,) = answer["events"] or b.ask("event.list", after=last, job=job, what="pause")["events"]
    assert event["why"] == "lunch"
    keys = [until(lambda m=m: _pause(m, job), f"{m.name} tells it")["key"] for m in (a, b)]  # type: ignore[misc]
    assert keys == [event["key"]] * 2
    assert "lunch" in json.dumps(b.ctl_json("events", "--job", job, "--what", "pause"))


def _pause(member: Member, job: str) -> Any:
    found = member.ask("event.list", job=job, what="pause")["events"]
    return found[0] if found else None
