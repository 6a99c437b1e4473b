"""Jobs and machines after submission, on a farm of real daemons, by farmctl alone and from either machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest

from protocol.schemas import SCHEMAS
from tests.e2e.farm import Farm, Member, copy_scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COPY = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.txt")
SLOW = ("--command", "sleep 3", "--gate", "off")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    with Farm(tmp_path_factory.mktemp("after") / "farm") as farm:
        yield farm.start("a", "b")


def test_a_job_that_fits_nowhere_runs_when_another_machine_is_told_that_it_needs_less(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit(
        "--command", "true", "--frames", "1-3", "--ram", "900T", "--project", "dragon", "--label", "shot=s010"
    )
    until(lambda: job in b.ctl("job", "list", "-q").stdout, "the other machine knows it")
    assert b.job(job)["state"] == "queued"
    done = b.ctl("job", "edit", job, "--ram", "1M", "--retries", "7", "--why", "a typo")
    assert done.returncode == 0, done.stderr
    assert "ram_bytes 900T -> 1M" in done.stdout
    assert a.ctl("job", "wait", job, "--timeout", "30s").returncode == 0
    shown = a.ctl_json("job", "show", job)
    jsonschema_rs.validate(SCHEMAS["farm.job.v1"], shown)
    edits = {edit["field"]: edit for edit in shown["edits"]}
    assert (edits["ram_bytes"]["submitted"], edits["ram_bytes"]["value"]) == (900 << 40, 1 << 20)
    assert edits["retries"]["why"] == "a typo"
    assert edits["retries"]["actor"]
    assert "changed since it was submitted" in a.ctl("job", "show", job).stdout
    assert a.ctl("job", "list", "--filter", "label.shot=s010,project=dragon", "-q").stdout.split() == [job]


def test_a_job_is_made_again_on_the_other_machine_without_sending_its_files(pair: list[Member], tmp_path: Path) -> None:
    a, b = pair
    job = a.submit(*COPY, str(copy_scene(tmp_path)), "--frames", "1-6", "--output", str(tmp_path / "out"))
    assert b.ctl("job", "wait", job, "--timeout", "60s").returncode == 0
    folder = tmp_path / "again"
    again = b.ctl("job", "resubmit", job, "--with", "frames=2-3", f"--with=output={folder}", "--with=name=again", "-q")
    assert again.returncode == 0, again.stderr
    assert b.ctl("job", "wait", again.stdout.strip(), "--timeout", "60s").returncode == 0
    until(lambda: sorted(path.name for path in folder.glob("f.*")) == ["f.0002.txt", "f.0003.txt"], "it is delivered")
    document = tmp_path / "job.json"
    document.write_text(a.ctl("job", "export", job, "--format", "json").stdout)
    jsonschema_rs.validate(SCHEMAS["farm.job-file.v1"], json.loads(document.read_text()))
    third = b.ctl("submit", str(document), "--frames", "5", "--output", str(tmp_path / "third"), "--wait", "-q")
    assert third.returncode == 0, third.stderr
    assert [path.name for path in (tmp_path / "third").glob("f.*")] == ["f.0005.txt"]


def test_an_ended_job_is_put_away_and_brought_back(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit("--command", "true", "--frames", "1")
    assert a.ctl("job", "wait", job, "--timeout", "30s").returncode == 0
    assert a.ctl("job", "archive", job, "-q").stdout.strip() == job
    until(lambda: job not in b.ctl("job", "list", "-q").stdout.split(), "it left the lists of the other machine")
    assert job in b.ctl("job", "list", "--archived", "-q").stdout.split()
    assert b.ctl("job", "unarchive", job).returncode == 0
    assert job in b.ctl("job", "list", "-q").stdout.split()


def test_costs_follow_the_price_of_the_machines(pair: list[Member]) -> None:
    a, b = pair
    priced = a.ctl("node", "price", "a", "3600", "--alike")
    assert priced.returncode == 0, priced.stderr
    until(lambda: b.ctl_json("node", "price", "b")["price_micros"] == 3_600_000_000, "both have a price")
    job = a.submit("--command", "sleep 1", "--frames", "1-2", "--project", "whale", "--gate", "off")
    assert b.ctl("job", "wait", job, "--timeout", "30s").returncode == 0
    costs = b.ctl_json("farm", "costs", "--since", "1d")
    jsonschema_rs.validate(SCHEMAS["farm.costs.v1"], costs)
    (row,) = [row for row in costs["rows"] if row["key"] == "whale"]
    assert row["cost_micros"] == b.job(job)["cost_micros"] > 0
    assert row["unpriced_ms"] == 0
    assert "whale" in b.ctl("farm", "costs").stdout


def test_a_machine_is_drained_until_a_time_and_is_then_safe_to_switch_off(pair: list[Member]) -> None:
    a, b = pair
    job = a.submit(*SLOW, "--frames", "1-4")
    until(lambda: b.ctl_json("node", "show", "b")["running"], "it renders there")
    busy = a.ctl("node", "safe-to-off", "b")
    assert (busy.returncode, "in the way" in busy.stdout) == (1, True), busy.stdout + busy.stderr
    drained = a.ctl("node", "drain", "b", "--for", "15s", "--wait", "--why", "new disk")
    assert drained.returncode == 0, drained.stderr
    assert "until" in drained.stdout
    safe = a.ctl("node", "safe-to-off", "b", "--wait", "--timeout", "20s", "-o", "json")
    assert safe.returncode == 0, safe.stdout + safe.stderr
    jsonschema_rs.validate(SCHEMAS["farm.safe-to-off.v1"], json.loads(safe.stdout))
    until(lambda: a.ctl_json("node", "show", "b")["state"] in ("idle", "busy"), "it lets itself go")
    assert a.ctl("job", "wait", job, "--timeout", "60s").returncode == 0
    told = [event["text"] for event in a.events() if event["what"] == "release"]
    assert told[-1] == "b: its time was over"
