"""What is done with jobs and machines after submission: what is asked of the node, and what people are told."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from farmctl.jobfile import SCHEMA as JOB_FILE
from farmctl.jobfile import is_job_file, plain_spec, read_job_file
from farmctl.moments import parse_moment
from farmctl.money import money, parse_price
from farmctl.revising import with_words
from protocol.errors import NotAllowed, UsageError
from protocol.ids import BlobAddress, NodeId
from protocol.jobspec import GateMode, GateSpec, JobSpec, Requirements, spec_from_bytes, spec_to_bytes
from tests.farmctl.fakes import JOB, NODE_A, NODE_B, NOW_MS, OTHER, FakeNode, farm, job_view, run

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
SPEC = JobSpec(
    name="fire_v3",
    owner="ada",
    submitted_at_ms=1,
    submit_node=NodeId(NODE_A),
    renderer="blender",
    scene="fire.blend",
    manifest=BlobAddress(1, 2, b"m" * 16),
    frames="1-100",
    output_dir="/home/ada/renders",
    params={"samples": "64"},
    requirements=Requirements(ram_bytes=8 * GIB),
    gate=GateSpec(GateMode.AUTO, (1, 50, 100)),
    foreign=b"\x00kept",
    labels={"shot": "s010"},
)


def edit_answer(**args: Any) -> Any:
    changed = [{"field": name, "from": 0, "to": value} for name, value in args["changes"].items()]
    return {"schema": "farm.edit.v1", "job": args["job"], "changed": changed, "edits": [], "stored": "farm"}


def node_with(**answers: Any) -> FakeNode:
    submitted = {"job": OTHER, "stored": "farm", "nodes": [], "deliver": "node", "same_files": []}
    mine = {
        "job.edit": edit_answer,
        "job.spec": {"job": JOB, "spec": spec_to_bytes(SPEC)},
        "job.submit": submitted,
        "job.show": job_view(priority=70, failed_frames="46,48-49", state="failed"),
        "result.list": lambda job, offset: {
            "outputs": [{"name": f"f.{offset + 1:04}.png", "size": 9}],
            "next": offset + 1 if offset < 2 else None,
        },
    }
    return FakeNode(farm() | mine | answers)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (("--ram", "16G", "--retries", "5"), {"ram_bytes": 16 * GIB, "retries": 5}),
        (("--priority", "80", "--cores", "0"), {"priority": 80, "cores": 0}),
        (("--frame-timeout", "1.5h"), {"frame_timeout_s": 5400}),
        (("--timeout", "2h"), {"frame_timeout_s": 7200}),
        (("--name", "wide", "--project", ""), {"name": "wide", "project": ""}),
        (("--label", "shot=s010", "--label", "seq="), {"labels.shot": "s010", "labels.seq": ""}),
        (("--output", "/mnt/a/../b"), {"output_dir": "/mnt/b"}),
        (("--output", ""), {"output_dir": ""}),
        (("--reset", "ram", "--reset", "frame-timeout", "--reset", "label.shot"), None),
    ],
)
def test_options_become_changes(words: tuple[str, ...], changes: dict[str, Any] | None) -> None:
    node = node_with()
    result = run(node, "job", "edit", JOB, "--why", "it grew", *words)
    assert result.exit_code == 0, result.stderr
    expected = changes or {"ram_bytes": None, "frame_timeout_s": None, "labels.shot": None}
    assert node.asked("job.edit") == [{"job": JOB, "changes": expected, "why": "it grew", "dry_run": False}]


def test_what_was_changed_is_told_in_words() -> None:
    assert run(node_with(), "job", "edit", JOB, "--ram", "16G").stdout == f"{JOB}  ram_bytes 0 -> 16G\n"
    tried = node_with(**{"job.edit": lambda **args: edit_answer(**args) | {"dry_run": True}})
    out = run(tried, "job", "edit", JOB, "--ram", "16G", "--dry-run").stdout
    assert out == f"{JOB}  ram_bytes 0 -> 16G (would be)\n"
    assert tried.asked("job.edit")[0]["dry_run"]
    unchanged = {"job": JOB, "changed": [], "edits": []}
    assert "is so already" in run(node_with(**{"job.edit": unchanged}), "job", "edit", JOB, "--cores", "2").stdout


@pytest.mark.parametrize(
    "words", [(), ("--reset", "frames"), ("--label", "shot"), ("--ram", "8"), ("--priority", "101")]
)
def test_an_edit_that_says_nothing_that_can_be_done_is_2(words: tuple[str, ...]) -> None:
    node = node_with()
    assert run(node, "job", "edit", JOB, *words).exit_code == 2
    assert node.asked("job.edit") == []


def test_the_first_refused_job_is_the_code_and_the_others_are_changed() -> None:
    def ask(**args: Any) -> Any:
        return NotAllowed("not your job") if args["job"] == JOB else edit_answer(**args)

    result = run(node_with(**{"job.edit": ask}), "job", "edit", JOB, OTHER, "--cores", "2", "--json")
    assert result.exit_code == 6
    first, second = json.loads(result.stdout)["results"]
    assert first["error"]["what"] == "not your job"
    assert second["changes"] == [{"field": "cores", "from": 0, "to": 2}]


def test_job_show_says_who_changed_what_and_what_it_cost() -> None:
    edits = [
        {
            "field": "ram_bytes",
            "submitted": 8 * GIB,
            "value": 16 * GIB,
            "actor": "ben@ws01",
            "why": "oom",
            "at_ms": NOW_MS - 60_000,
        }
    ]
    costs = {"cost_micros": 3_500_000, "wasted_micros": 500_000, "time_ms": 7_200_000, "unpriced_ms": 3_600_000}
    view = job_view(edits=edits, costs=costs, project="dragon", labels={"shot": "s010"})
    out = run(node_with(**{"job.show": view}), "job", "show", JOB).stdout
    assert "ram_bytes  16G  8G   ben@ws01" in out
    assert "3.50 for 2.00 hours; 0.50 of it" in out
    assert "dragon" in out
    assert "shot=s010" in out


def submitted(node: FakeNode) -> JobSpec:
    [asked] = node.asked("job.submit")
    assert asked["deliver"]
    return spec_from_bytes(asked["spec"])


def test_resubmit_takes_the_old_specification_with_what_is_otherwise() -> None:
    node = node_with()
    words = ("frames=1-10", "ram=16G", "param.samples=256", "label.shot=", "frame-timeout=2h", "name=again")
    result = run(node, "job", "resubmit", JOB, *[f"--with={word}" for word in words], "-q")
    assert (result.exit_code, result.stdout) == (0, f"{OTHER}\n"), result.stderr
    spec = submitted(node)
    assert (spec.frames, spec.requirements.ram_bytes, spec.params, spec.labels) == (
        "1-10",
        16 * GIB,
        {"samples": "256"},
        {},
    )
    assert (spec.limits.frame_timeout_s, spec.name, spec.priority) == (7200, "again", 70)
    assert (spec.manifest, spec.scene, spec.output_dir) == (SPEC.manifest, SPEC.scene, SPEC.output_dir)
    assert spec.gate == GateSpec(GateMode.AUTO, (1,))


def test_resubmit_of_failed_frames_renders_these_alone() -> None:
    node = node_with()
    assert run(node, "job", "resubmit", JOB, "--failed", "-q").exit_code == 0
    assert (submitted(node).frames, submitted(node).gate.mode) == ("46,48-49", GateMode.OFF)
    none_failed = node_with(**{"job.show": job_view(failed_frames="")})
    assert run(none_failed, "job", "resubmit", JOB, "--failed").exit_code == 1


@pytest.mark.parametrize("words", [("--with=ram",), ("--with=rams=1G",), ("--with=cores=x",), ("--with=gate=shut",)])
def test_words_that_mean_nothing_are_2_and_submit_nothing(words: tuple[str, ...]) -> None:
    node = node_with()
    assert run(node, "job", "resubmit", JOB, *words).exit_code == 2
    assert node.asked("job.submit") == []


def test_a_dry_run_of_a_resubmission_shows_it_and_submits_nothing() -> None:
    node = node_with()
    result = run(node, "job", "resubmit", JOB, "--with=frames=1-10", "-n")
    assert "1-10 (10 frames, 10 tasks)" in result.stdout
    assert node.asked("job.submit") == []


def test_a_gate_that_waits_for_a_person_stays_when_frames_change() -> None:
    held = replace(SPEC, gate=GateSpec(GateMode.HOLD, (1, 50, 100)))
    assert with_words(held, {"frames": "60-61"}).gate == GateSpec(GateMode.HOLD, (60, 61))
    assert with_words(held, {"gate": "off"}).gate.mode is GateMode.OFF
    assert with_words(SPEC, {"test-frames": "7"}).gate.test_frames == (7,)


def test_an_exported_job_is_read_back_as_it_was_and_options_win(tmp_path: Path) -> None:
    exported = run(node_with(), "job", "export", JOB, "--format", "json")
    assert exported.exit_code == 0, exported.stderr
    document = json.loads(exported.stdout)
    assert (document["schema"], document["job"]) == (JOB_FILE, JOB)
    assert [output["name"] for output in document["results"]] == ["f.0001.png", "f.0002.png", "f.0003.png"]
    path = tmp_path / "job.json"
    path.write_text(exported.stdout)
    again = read_job_file(path)
    lost: dict[str, Any] = {"owner": "?", "submitted_at_ms": 0, "submit_node": NodeId("0" * 16), "priority": 70}
    assert again == replace(SPEC, **lost)
    node = node_with()
    assert run(node, "submit", str(path), "--frames", "1-9", "--ram", "4G", "--label", "take=2", "-q").exit_code == 0
    spec = submitted(node)
    assert (spec.frames, spec.requirements.ram_bytes, spec.labels) == ("1-9", 4 * GIB, {"shot": "s010", "take": "2"})


def test_export_writes_the_document_into_a_folder_where_one_is_named(tmp_path: Path) -> None:
    result = run(node_with(), "job", "export", JOB, "--format", "json", "-o", str(tmp_path))
    assert result.stdout.strip() == str(tmp_path / f"job-{JOB}.json")
    assert is_job_file(tmp_path / f"job-{JOB}.json")
    assert run(node_with(), "job", "export", JOB).exit_code == 2


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "farm.job-file.v2"},
        {"spec": None},
        {"spec": {"name": "x", "colour": "red"}},
        {"spec": {"foreign": "?"}},
    ],
)
def test_a_job_file_that_cannot_be_read_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"schema": JOB_FILE, "job": JOB, "spec": plain_spec(SPEC)} | change))
    node = node_with()
    assert run(node, "submit", str(path)).exit_code == 2
    assert node.asked("job.submit") == []


def test_an_option_that_means_nothing_for_a_job_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"schema": JOB_FILE, "spec": plain_spec(SPEC)}))
    assert run(node_with(), "submit", str(path), "--input", "more.png").exit_code == 2


@pytest.mark.parametrize("word", ["archive", "unarchive"])
def test_archive_asks_for_its_change(word: str) -> None:
    node = node_with(**{"job.control": {"state": "completed", "stored": "farm", "changed": True}})
    assert run(node, "job", word, JOB).exit_code == 0
    assert node.asked("job.control") == [{"job": JOB, "action": word, "why": ""}]


@pytest.mark.parametrize(("words", "wanted"), [((), "without"), (("--archived",), "only")])
def test_lists_leave_archived_jobs_out_unless_asked(words: tuple[str, ...], wanted: str) -> None:
    node = node_with()
    assert run(node, "job", "list", *words).exit_code == 0
    assert [args["archived"] for args in node.asked("job.list")] == [wanted]


def test_jobs_are_chosen_by_project_and_label() -> None:
    rows = [job_view(project="dragon", labels={"shot": "s010"}), job_view(id=OTHER, project="whale", labels={})]
    node = node_with(**{"job.list": {"schema": "farm.jobs.v1", "jobs": rows}})
    assert run(node, "job", "list", "--filter", "label.shot=s010", "-q").stdout == f"{JOB}\n"
    assert run(node, "job", "list", "--filter", "label.shot!=s010", "-q").stdout == f"{OTHER}\n"
    assert run(node, "job", "list", "--filter", "project=whale", "-q").stdout == f"{OTHER}\n"
    assert run(node, "node", "list", "--filter", "label.shot=s010").exit_code == 2


COSTS = {
    "schema": "farm.costs.v1",
    "by": "project",
    "since_ms": 0,
    "rows": [
        {"key": "dragon", "name": "", "jobs": 2, "cost_micros": 12_340_000, "wasted_micros": 0, "time_ms": 36_000_000},
        {"key": "", "name": "", "jobs": 1, "cost_micros": 5, "wasted_micros": 0, "time_ms": 100, "unpriced_ms": 0},
    ],
    "total": {"cost_micros": 12_340_005, "time_ms": 36_000_100},
}


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), {"by": "project", "since_ms": 0}),
        (("--by", "owner", "--since", "30d"), {"by": "owner", "since_ms": NOW_MS - 30 * 86_400_000}),
        (("--by", "label.shot"), {"by": "labels.shot", "since_ms": 0}),
    ],
)
def test_costs_are_asked_for_and_shown(words: tuple[str, ...], asked: dict[str, Any]) -> None:
    node = node_with(**{"farm.costs": COSTS})
    result = run(node, "farm", "costs", *words)
    assert node.asked("farm.costs") == [asked]
    assert "dragon" in result.stdout
    assert "12.34" in result.stdout
    assert "0.000005" in result.stdout
    assert json.loads(run(node, "farm", "costs", "--json").stdout) == COSTS
    assert run(node, "farm", "costs", "--since", "2999-01-01").exit_code == 2


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("1.20",), {"price_micros": 1_200_000, "why": "", "alike": False}),
        (("none", "--alike"), {"price_micros": -1, "why": "", "alike": True}),
        ((), {"alike": False}),
    ],
)
def test_a_price_is_set_taken_away_or_shown(words: tuple[str, ...], asked: dict[str, Any]) -> None:
    answer = {"node": NODE_A, "hardware": "16 cores, 64G RAM", "price_micros": 1_200_000, "price_for": "node"}
    node = node_with(**{"node.price": answer})
    result = run(node, "node", "price", "ws07", *words)
    assert node.asked("node.price") == [{"node": NODE_A} | asked]
    assert "1.20 an hour (its own)" in result.stdout


def test_hardware_is_listed_with_its_price() -> None:
    rows = [{"name": "16 cores, 64G RAM", "price_micros": 800_000, "nodes": ["ws07", "n02"]}]
    node = node_with(**{"farm.hardware": {"schema": "farm.hardware.v1", "hardware": rows}})
    assert run(node, "farm", "hardware").stdout.splitlines()[1].split("  ") == [
        "16 cores, 64G RAM",
        " 0.80",
        "ws07, n02",
    ]


@pytest.mark.parametrize("text", ["", "-1", "1,20", "1e3", "12345678", "0.1234567"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_price(text)


def test_prices_are_read_and_written_exactly() -> None:
    assert [parse_price(text) for text in ("0", "1.2", "0.000001", "7.05")] == [0, 1_200_000, 1, 7_050_000]
    assert [money(value) for value in (0, 1_200_000, 1, 9_999, 10_000)] == [
        "0.00",
        "1.20",
        "0.000001",
        "0.009999",
        "0.01",
    ]


def safe(*blocking: str) -> dict[str, Any]:
    findings = [
        {"what": what, "blocks": True, "number": 1, "text": f"{what} here", "hint": "wait"} for what in blocking
    ]
    findings.append({"what": "leader", "blocks": False, "number": 0, "text": "it leads", "hint": ""})
    return {
        "schema": "farm.safe-to-off.v1",
        "node": NODE_A,
        "node_name": "ws07",
        "safe": not blocking,
        "findings": findings,
    }


def test_safe_to_off_says_what_is_in_the_way_and_its_code_says_whether() -> None:
    result = run(node_with(**{"node.safe": safe("results", "assets")}), "node", "safe-to-off", "ws07")
    assert result.exit_code == 1
    assert "ws07 should stay on: 2 things in the way" in result.stdout
    assert "✖ results here" in result.stdout
    good = run(node_with(**{"node.safe": safe()}), "node", "safe-to-off", "ws07", "--json")
    assert (good.exit_code, json.loads(good.stdout)["safe"]) == (0, True)
    here = node_with(**{"node.safe": safe()})
    run(here, "node", "safe-to-off")
    assert here.asked("node.safe") == [{}]


def test_safe_to_off_waits_until_it_is_or_the_time_is_over() -> None:
    node = node_with(**{"node.safe": iter([safe("running", "results"), safe("results"), safe()])})
    result = run(node, "node", "safe-to-off", "ws07", "--wait")
    assert result.exit_code == 0
    assert "waits: results here" in result.stderr
    never = node_with(**{"node.safe": safe("records")})
    assert run(never, "node", "safe-to-off", "ws07", "--wait", "--timeout", "3s").exit_code == 8


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("hold", "ws07"), {"until_ms": 0, "now": False}),
        (("hold", "ws07", "--for", "2h"), {"until_ms": NOW_MS + 7_200_000, "now": False}),
        (("drain", "ws07", "--for", "90s", "--now"), {"until_ms": NOW_MS + 90_000, "now": True}),
    ],
)
def test_holds_have_an_end_where_one_is_named(words: tuple[str, ...], asked: dict[str, Any]) -> None:
    node = node_with(**{"node.hold": {}, "node.drain": {}})
    assert run(node, "node", *words, "--why", "lunch").exit_code == 0
    assert node.asked(f"node.{words[0]}") == [{"node": NODE_A, "why": "lunch"} | asked]
    assert run(node, "node", "hold", "ws07", "--for", "1h", "--until", "18:00").exit_code == 2


def test_drain_waits_until_nothing_runs_there() -> None:
    views = [{"id": NODE_A, "name": "ws07", "running": running, "state": "held"} for running in (2, 1, 0, 0)]
    node = node_with(**{"node.drain": {}, "node.show": iter(views)})
    assert run(node, "node", "drain", NODE_A, "--wait").exit_code == 0
    assert len(node.asked("node.show")) == 4


@pytest.mark.parametrize(
    ("answer", "words", "schema"),
    [
        ({}, (), "farm.controls.v1"),
        ({}, ("--wait",), "farm.nodes.v1"),
        (NotAllowed("no"), ("--wait",), "farm.controls.v1"),
    ],
)
def test_drain_tells_the_orders_and_after_waiting_the_machines(answer: Any, words: Any, schema: str) -> None:
    view = {"id": NODE_A, "name": "ws07", "running": 0, "state": "held"}
    node = node_with(**{"node.drain": answer, "node.show": view})
    assert json.loads(run(node, "node", "drain", NODE_A, *words, "-o", "json").stdout)["schema"] == schema


def test_several_machines_are_drained_and_a_dry_run_drains_none() -> None:
    def shown(node: str) -> Any:
        return {"id": node, "name": "ws07" if node == NODE_A else "n02", "running": 0, "state": "held"}

    node = node_with(**{"node.drain": {}, "node.show": shown})
    result = run(node, "node", "drain", NODE_A, NODE_B, "--wait", "-q")
    assert (result.exit_code, result.stdout.split()) == (0, [NODE_A, NODE_B]), result.stderr
    assert [asked["node"] for asked in node.asked("node.drain")] == [NODE_A, NODE_B]
    tried = node_with(**{"node.show": shown})
    assert run(tried, "node", "drain", NODE_A, NODE_B, "--wait", "--dry-run").exit_code == 0
    assert tried.asked("node.drain") == []


def test_times_of_day_are_the_next_ones_and_dates_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    now_ms = int(time.mktime((2026, 3, 28, 17, 30, 0, 0, 0, -1))) * 1000

    def told(text: str) -> tuple[int, ...]:
        return tuple(time.localtime(parse_moment(text, now_ms) / 1000)[:5])

    assert told("18:00") == (2026, 3, 28, 18, 0)
    assert told("9:15") == (2026, 3, 29, 9, 15)
    assert told("2026-04-01") == (2026, 4, 1, 0, 0)
    assert told("2026-04-01 08:30") == (2026, 4, 1, 8, 30)
    for wrong in ("25:00", "2026-02-30", "soon", "", "18"):
        with pytest.raises(UsageError):
            parse_moment(wrong, now_ms)
    monkeypatch.undo()
    time.tzset()
