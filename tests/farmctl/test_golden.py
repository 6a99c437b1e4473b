"""What commands print is a promise: every change of it shows up here. UPDATE_GOLDEN=1 writes the files anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.farmctl.fakes import JOB, NOW_MS, FakeNode, farm, job_view, run

GOLDEN = Path(__file__).parents[1] / "golden" / "farmctl"

COMMANDS = {
    "job_list": ("job", "list"),
    "job_show": ("job", "show", JOB),
    "job_show_paused": ("job", "show", "wide_ünïcode"),
    "task_list": ("task", "list", JOB),
    "task_show": ("task", "show", JOB, "3"),
    "asset_list": ("asset", "list", JOB),
    "asset_show": ("asset", "show", JOB),
    "path_list": ("path", "list"),
    "farm_doctor": ("farm", "doctor"),
    "config_show": ("config", "show"),
    "node_list": ("node", "list"),
    "node_show": ("node", "show", "ws07"),
    "farm_status": ("farm", "status"),
    "status": ("status",),
    "why": ("why", JOB),
    "events": ("events", "--tail", "2"),
    "doctor": ("doctor",),
}


@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "name", "csv"])
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_as_promised(name: str, form: str) -> None:
    result = run(FakeNode(farm()), *COMMANDS[name], "-o", form)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    path = GOLDEN / f"{name}.{form}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result.stdout, encoding="utf-8")
    assert result.stdout == path.read_text(encoding="utf-8")


HELP = {
    "help_path": ("path", "--help"),
    "help_config_set": ("config", "set", "--help"),
    "help_job_retry": ("job", "retry", "--help"),
    "help_exit_codes": ("help", "exit-codes"),
    "help_error": ("job", "shwo"),
}
"""One of each kind: a noun, a verb, a verb that changes and waits, a topic, a mistake. All others are in the reference."""


@pytest.mark.parametrize("name", HELP)
def test_help_is_laid_out_as_promised(name: str) -> None:
    result = run(FakeNode(), *HELP[name], env={"COLUMNS": "80"})
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(result.output, encoding="utf-8")
    assert result.output == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_json_carries_its_schema_and_what_the_node_said(name: str) -> None:
    document = json.loads(run(FakeNode(farm()), *COMMANDS[name], "--json").stdout)
    assert document["schema"].startswith("farm.")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_other_machines_say_cannot_steer_the_terminal(name: str) -> None:
    for form in ("table", "wide", "json", "jsonl", "name", "csv"):
        assert "\x1b" not in run(FakeNode(farm()), *COMMANDS[name], "-o", form).stdout


def test_an_older_node_that_leaves_fields_out_is_shown_all_the_same() -> None:
    node = FakeNode(
        {"job.list": {"jobs": [{"id": JOB}]}, "job.show": {"id": JOB}, "node.list": {"nodes": [{"id": "a"}]}}
    )
    for words in (("job", "list"), ("job", "show", JOB), ("node", "list")):
        assert run(node, *words, "-o", "wide").exit_code == 0, words


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *words: str, node: FakeNode) -> list[str]:
    monkeypatch.setattr("farmctl.output.is_terminal", lambda stream: True)
    return run(node, *words, env={"COLUMNS": str(columns), "NO_COLOR": "1"}).stdout.splitlines()


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [(80, {"OWNER", "PRIO", "RUNNING", "FAILED", "AGE"}), (106, {"AGE"}), (120, set()), (140, set())],
)
def test_a_narrow_terminal_cuts_the_reason_before_columns_go_and_keeps_it(
    columns: int, left_out: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"code": "no_node_fits_ram", "text": "no machine has 128G of memory; the largest has 64G"}
    jobs = FakeNode({"job.list": {"jobs": [job_view(reason=reason)]}})
    head, row = on_a_terminal(monkeypatch, columns, "job", "list", node=jobs)
    titles = {"OWNER", "PRIO", "RUNNING", "FAILED", "AGE"}
    assert titles - set(head.split()) == left_out
    assert row[head.index("REASON") :].startswith("no machine has")
    assert len(row) <= columns


def test_a_long_name_does_not_push_the_reason_away(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_view(name="a_very_long_name_of_a_shot" * 4, reason={"code": "x", "text": "because of this"})
    _, row = on_a_terminal(monkeypatch, 80, "job", "list", node=FakeNode({"job.list": {"jobs": [job]}}))
    assert "because of this" in row
    assert JOB in row


def test_a_long_event_neither_pads_the_others_nor_leaves_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    long = {"id": 1, "at_ms": NOW_MS, "what": "job", "text": "x" * 200, "node": "ws07", "job": JOB, "actor": "ada"}
    node = FakeNode({"event.list": {"events": [long, long | {"id": 2, "text": "short"}]}})
    lines = on_a_terminal(monkeypatch, 80, "events", node=node)
    assert max(map(len, lines)) == 80
    assert lines[2].endswith("short")
    monkeypatch.undo()
    assert len(run(node, "events").stdout.splitlines()[2]) < 80


def test_nothing_to_list_is_said_on_stderr_only() -> None:
    result = run(FakeNode({"job.list": {"schema": "farm.jobs.v1", "jobs": []}}), "job", "list")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "no jobs\n", 0)
