"""What real daemons answer is what the schemas promise, and bulk orders reach what a filter names."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest

from protocol.schemas import SCHEMAS
from tests.e2e.farm import FARMCTL, Farm, Member, copy_scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COPY = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.txt")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Farm(tmp_path_factory.mktemp("out") / "farm") as farm:
        (member,) = farm.start("a")
        yield member


def test_every_reading_command_keeps_its_promise_against_a_real_daemon(node: Member, tmp_path: Path) -> None:
    job = node.submit(*COPY, str(copy_scene(tmp_path)), "--frames", "1-3")
    assert node.ctl("job", "wait", job).returncode == 0
    failing = node.submit("--command", "false", "--frames", "1-2", "--gate", "off", "--retries", "0")
    assert node.ctl("job", "wait", failing).returncode == 3
    assert node.ctl("path", "add", "/x", "/y").returncode == 0
    asked = [
        "status", "farm status", "farm doctor", "doctor", "node list", "node show a", "job list", "path list", "events",
        "path test /x/a.png", f"why {failing}", f"pause {failing} -n",
        *(f"{words} {one}" for words in ("job show", "task list", "asset show", "asset list") for one in (job, failing)),
        f"task show {job} 2", f"task show {failing} 1",
    ]  # fmt: skip
    for words in asked:
        document = node.ctl_json(*words.split())
        jsonschema_rs.validate(SCHEMAS[document["schema"]], document)
    for row in map(json.loads, node.ctl("job", "list", "-o", "jsonl").stdout.splitlines()):
        jsonschema_rs.validate(SCHEMAS[row["schema"]], row)
    names = [file["path"] for file in node.ctl_json("asset", "list", job)["files"]]
    assert len(names) == 1
    assert node.ctl_json("task", "show", failing, "1")["tries"][-1]["exit_code"] == 1


def test_a_filter_changes_what_it_names_and_nothing_else(node: Member) -> None:
    jobs = {
        name: node.submit("--command", "sleep 600", "--frames", "1", "--name", name) for name in ("x_1", "x_2", "y")
    }
    words = ("cancel", "--filter", "name~x_*,state!=cancelled")
    assert node.ctl(*words).returncode == 2, "nobody can be asked"
    assert node.ctl(*words, "--dry-run").stdout.count("would be asked to cancel") == 2
    done = node.ctl(*words, "-y", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert {one["job"] for one in json.loads(done.stdout)["results"]} == {jobs["x_1"], jobs["x_2"]}
    until(lambda: {node.state(jobs["x_1"]), node.state(jobs["x_2"])} == {"cancelled"}, "both are cancelled")
    assert node.state(jobs["y"]) not in ("cancelled", "failed")
    node.ctl("cancel", jobs["y"])


def test_watching_a_job_prints_each_change_and_ends_with_it(node: Member) -> None:
    job = node.submit("--command", "true", "--frames", "1-5", "--gate", "hold", "--test-frames", "1")
    until(lambda: node.state(job) == "awaiting_approval", "it waits for a person")
    watching = subprocess.Popen(
        [*FARMCTL, "job", "watch", job, "-o", "jsonl"],
        env=node.farm.environ | {"FARM_NODE": str(node.data_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["state"] == "awaiting_approval"
    node.control(job, "approve")
    out, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert json.loads(out.splitlines()[-1])["state"] == "completed"


def test_the_farm_is_watched_through_another_node_when_the_first_one_dies(tmp_path: Path) -> None:
    with Farm(tmp_path / "pair") as farm:
        a, b = farm.start("a", "b")
        watching = subprocess.Popen(
            [*FARMCTL, "status", "--watch", "-o", "jsonl"],
            env=farm.environ | {"FARM_NODE": str(a.data_dir), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["node_name"] == "a"
            a.kill()
            told = iter(watching.stdout.readline, "")
            after = next(view for view in map(json.loads, told) if view["node_name"] == "b")
            jsonschema_rs.validate(SCHEMAS["farm.status.v1"], after)
            watching.send_signal(signal.SIGINT)
            watching.communicate(timeout=20)
            assert watching.returncode == 130
        finally:
            watching.kill()
            watching.wait(10)
        assert b.is_running
