"""The gate with real processes: nothing but test frames before it opens, and no way round it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import Farm, Member, copy_scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILS_LAST = "sh -c 'echo $FARM_FRAME >> {runs}; test $FARM_FRAME -ne 12 && cp {scene} {output}'"
COPIES = "sh -c 'echo $FARM_FRAME >> {runs}; cp {scene} {output}'"
TESTS = {"1", "6", "7", "12"}
"""First, middle (by either way of counting) and last of 12 frames."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    with Farm(tmp_path_factory.mktemp("gate") / "farm") as farm:
        yield farm.start("a", "b")


def submit(member: Member, folder: Path, command: str, *words: str) -> tuple[str, Path]:
    runs = folder / "runs"
    runs.touch()
    given = ("--param", f"runs={runs}", "--frames", "1-12", "--output-name", "f.{frame}.txt", *words)
    return member.submit("--command", command, str(copy_scene(folder)), *given), runs


def frames_run(runs: Path) -> set[str]:
    return set(runs.read_text().split())


def test_scene_that_fails_on_its_last_frame_stops_after_the_test_frames(pair: list[Member], tmp_path: Path) -> None:
    a, b = pair
    job, runs = submit(a, tmp_path, FAILS_LAST)

    until(lambda: (a.state(job), b.state(job)) == ("failed", "failed"), "the gate closes the job", 60)

    until(lambda: b.job(job)["running"] == 0, "what was tried is over")
    assert frames_run(runs) <= TESTS
    assert b.job(job)["gate"]["state"] == "failed"
    assert b.job(job)["reason"]["code"] == "gate_failed"
    assert {task["state"] for task in b.tasks(job) if not task["test"]} <= {"waiting", "held", "cancelled"}


def test_approval_from_another_node_opens_a_held_gate(pair: list[Member], tmp_path: Path) -> None:
    a, b = pair
    job, runs = submit(a, tmp_path, COPIES, "--gate", "hold")
    until(lambda: b.state(job) == "awaiting_approval", "the test frames are done")
    assert frames_run(runs) <= TESTS
    assert b.job(job)["done"] == 3
    assert b.job(job)["reason"]["code"] == "gate_approval"
    assert b.ctl("job", "wait", job, "--stop-at-gate").returncode == 9

    assert b.ctl("job", "approve", job).returncode == 0

    until(lambda: a.state(job) == "completed", "the rest is rendered")
    assert sorted(map(int, runs.read_text().split())) == list(range(1, 13))
    assert any(event["what"] == "approve" and event["job"] == job for event in b.events())


def test_rejected_job_starts_nothing_more(pair: list[Member], tmp_path: Path) -> None:
    a, b = pair
    job, runs = submit(a, tmp_path, COPIES, "--gate", "hold")
    until(lambda: b.state(job) == "awaiting_approval", "the test frames are done")

    assert b.ctl("job", "reject", job, "--why", "too dark").returncode == 0

    until(lambda: a.state(job) == "rejected", "the other node knows")
    assert a.ctl("job", "wait", job).returncode == 4
    assert frames_run(runs) <= TESTS
    a.ctl("job", "resume", job)
    assert a.state(job) == "rejected"
