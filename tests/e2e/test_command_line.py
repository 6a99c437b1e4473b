"""`farmd` and `farmctl` as a person and a script use them, against a real farm made by commands alone."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import FARMCTL, Farm, Member, copy_scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COPY = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.txt")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    with Farm(tmp_path_factory.mktemp("ctl") / "farm") as farm:
        yield farm.start("a", "b")


def test_farm_is_founded_and_joined_by_commands_alone(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    token = farm.farmd("invite", "--data-dir", str(a.data_dir))
    assert (token.returncode, len(token.stdout.split()), token.stderr) == (0, 1, "")
    b = Member(farm, "b", "127.0.0.1:0")
    joined = farm.farmd("join", "--data-dir", str(b.data_dir), token.stdout.strip())
    assert (joined.returncode, joined.stdout) == (0, "")
    farm.members["b"] = b
    b.start()
    assert farm.settle() in ("a", "b")
    assert b.ctl("job", "list", "-q").stdout == ""
    assert f"{a.address}" in a.ctl("node", "show", "a").stdout


@pytest.mark.parametrize(
    ("command", "code", "state"),
    [("true", 0, "completed"), ("false", 3, "failed"), ("sleep 600", 4, "cancelled"), ("sleep 599", 8, "")],
)
def test_waiting_submit_exits_as_the_job_ends(pair: list[Member], command: str, code: int, state: str) -> None:
    a, b = pair
    words = ["submit", "-q", "--command", command, "--frames", "1-2", "--gate", "off", "--retries", "0", "--wait"]
    words += ["--timeout", "2s"] if code == 8 else []
    environ = a.farm.environ | {"FARM_NODE": str(a.data_dir)}
    waiting = subprocess.Popen([*FARMCTL, *words], stdout=subprocess.PIPE, text=True, env=environ)
    assert waiting.stdout is not None
    if code == 4:
        job = until(lambda: newest(b, "rendering"), "the job runs")
        assert b.ctl("cancel", job).returncode == 0
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == code
    (job,) = out.split()
    if state:
        assert a.state(job) == state
        assert a.ctl("job", "wait", job).returncode == code
    else:
        a.ctl("cancel", job)


def newest(member: Member, state: str) -> str:
    jobs = [job["id"] for job in member.ask("job.list")["jobs"] if job["state"] == state]
    return max(jobs, default="")


def test_job_shows_what_scripts_need(pair: list[Member], tmp_path: Path) -> None:
    a, b = pair
    out = tmp_path / "out"
    job = a.submit(*COPY, str(copy_scene(tmp_path)), "--frames", "1-8", "--output", str(out))
    assert b.ctl("job", "wait", job).returncode == 0
    shown = b.ctl_json("job", "show", job)
    assert shown["schema"] == "farm.job.v1"
    assert (shown["state"], shown["progress"], shown["total"]) == ("completed", 100.0, 8)
    assert (shown["completed_frames"], shown["failed_frames"]) == ("1-8", "")
    assert {node["name"] for node in shown["nodes"]} <= {"a", "b"}
    assert sum(node["frames"] for node in shown["nodes"]) == 8
    status = b.ctl_json("farm", "status")
    assert {node["name"] for node in status["nodes"]} == {"a", "b"}
    assert status["leader"] in {node["id"] for node in status["nodes"]}
    assert job in b.ctl("job", "list", "-q").stdout.split()
    assert len(b.ctl_json("task", "list", job)["tasks"]) == 8
    until(lambda: len(list(out.glob("f.*.txt"))) == 8, "the results are delivered")
    fetched = b.ctl("job", "download", job, "--output", str(tmp_path / "fetched"))
    assert fetched.returncode == 0, fetched.stderr
    assert len(list((tmp_path / "fetched").iterdir())) == 8


def test_log_of_a_frame_is_read_from_any_node(pair: list[Member]) -> None:
    a, b = pair
    says = "sh -c 'echo this is frame $FARM_FRAME; echo and this is wrong >&2; exit 3'"
    job = a.submit("--command", says, "--frames", "7", "--gate", "off", "--retries", "0")
    assert a.ctl("job", "wait", job).returncode == 3
    for member in (a, b):
        log = member.ctl("logs", job, "--frame", "7").stdout
        assert "this is frame 7" in log
        assert "and this is wrong" in log
    assert "7" in b.job(job)["failed_frames"]
    assert job in b.ctl("why", job).stdout + b.ctl("events", "--job", job).stdout
    assert b.ctl("job", "retry", job).returncode == 0


def test_completion_offers_ids_of_live_jobs(pair: list[Member]) -> None:
    a, _ = pair
    job = a.submit("--command", "true", "--frames", "1")
    environ = a.farm.environ | {"FARM_NODE": str(a.data_dir), "_FARMCTL_COMPLETE": "bash_complete"}
    asked = environ | {"COMP_WORDS": f"farmctl job show {job[:4]}", "COMP_CWORD": "3"}
    done = subprocess.run(FARMCTL, env=asked, capture_output=True, text=True, timeout=30, check=False)
    assert job in done.stdout, done.stderr


def test_order_piped_from_a_list_is_carried_out_for_each(pair: list[Member]) -> None:
    a, b = pair
    jobs = [a.submit("--command", "sleep 600", "--frames", "1", "--name", f"many{n}") for n in range(3)]
    words = [*FARMCTL, "cancel", "-", "-o", "json"]
    environ = b.farm.environ | {"FARM_NODE": str(b.data_dir)}
    done = subprocess.run(
        words, input="\n".join(jobs), env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [result["job"] for result in json.loads(done.stdout)["results"]] == jobs
    until(lambda: {a.state(job) for job in jobs} == {"cancelled"}, "all are cancelled")
