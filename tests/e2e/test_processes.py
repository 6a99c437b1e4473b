"""Processes of renderers: ended with a pause, a cancel, and by the next life of a daemon that was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, copy_scene, free_port, until

if TYPE_CHECKING:
    from pathlib import Path

LONG = ("--command", "sleep 600", "--gate", "off")
STUBBORN = ("--command", "sh -c 'trap : TERM; while :; do sleep 1; done'", "--gate", "off")
GRACE_S = 10.0


def test_pause_now_and_cancel_end_processes_within_ten_seconds(farm: Farm) -> None:
    a, b = farm.start("a", "b")
    job = a.submit(*LONG, "--frames", "1-2", "--priority", "80")
    until(lambda: a.job(job)["running"] == 2, "the job runs")
    stubborn = b.submit(*STUBBORN, "--frames", "1-2")
    until(lambda: a.job(stubborn)["running"] == 2, "the other job runs beside it")

    b.control(job, "pause", now=True)
    a.control(stubborn, "cancel")

    until(lambda: not a.renders() and not b.renders(), "no process is left", GRACE_S + 5)
    until(lambda: (a.state(job), b.state(stubborn)) == ("paused", "cancelled"), "the jobs are paused and cancelled")
    assert [a.job(each)["failed"] for each in (job, stubborn)] == [0, 0]
    a.control(job, "resume")
    until(lambda: len(a.renders()) + len(b.renders()) == 2, "what was paused runs again")
    until(lambda: [task["state"] for task in a.tasks(job)] == ["running"] * 2, "and is said to run")


def test_paused_without_now_lets_running_frames_finish(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    go = tmp_path / "go"
    waits = "sh -c 'while ! test -e {go}; do sleep 0.1; done; cp {scene} {output}'"
    words = ("--param", f"go={go}", "--output-name", "f.{frame}.txt", "--gate", "off", "--frames", "1-8")
    job = a.submit("--command", waits, str(copy_scene(tmp_path)), *words)
    until(lambda: a.job(job)["running"] == 2, "both slots are busy")

    a.control(job, "pause")
    go.touch()

    until(lambda: a.job(job)["running"] == 0, "what ran is finished")
    assert (a.state(job), a.job(job)["done"]) == ("paused", 2)
    a.control(job, "resume")
    until(lambda: a.state(job) == "completed", "the rest follows")


def test_daemon_killed_while_it_renders_ends_its_leftover_before_it_serves_again(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    runs = tmp_path / "runs"
    script = "sh -c 'echo $$ >> {runs}; test $(wc -l < {runs}) -gt 1 || exec sleep 600; cp {scene} {output}'"
    words = ("--param", f"runs={runs}", "--output-name", "f.txt", "--frames", "1", "--gate", "off")
    job = a.submit("--command", script, str(copy_scene(tmp_path)), *words)
    until(lambda: a.renders() and runs.exists() and runs.read_text(), "the frame runs")
    (leftover,) = a.renders()

    a.kill()
    assert a.renders() == [leftover], "a killed daemon takes no render with it"
    a.start()

    assert leftover not in a.renders(), "the daemon serves while its former life still renders"
    until(lambda: a.state(job) == "completed", "the frame runs again")
    assert len(runs.read_text().split()) == 2, "it ran exactly once more"
    (task,) = a.tasks(job)
    assert (task["attempts"], task["state"]) == (2, "done")
    assert any(event["what"] == "leftover" for event in a.events())


def test_leader_that_sleeps_and_wakes_leads_nobody_and_loses_nothing(farm: Farm, tmp_path: Path) -> None:
    farm.start("a", "b", "c")
    leader = farm.leader()
    awake = [member for member in farm if member is not leader]
    out = tmp_path / "out"
    words = ("--output-name", "f.{frame}.txt", "--output", str(out), "--gate", "off")
    writes = "sh -c 'sleep 0.3; echo {frame} > {output}'"
    job = awake[0].submit("--command", writes, "--frames", "1-120", *words)
    until(lambda: awake[0].job(job)["done"] > 5, "the job is under way")

    leader.freeze()
    until(lambda: {member.leader() for member in awake} <= {member.name for member in awake}, "another one leads")
    until(lambda: awake[0].job(job)["done"] > 30, "the work goes on")
    leader.thaw()

    assert farm.settle(60) in {member.name for member in farm}
    until(lambda: all(member.state(job) == "completed" for member in farm), "the job is completed", 60)
    until(lambda: awake[0].job(job)["delivered"] == 120, "all results are delivered")
    assert {path.name: path.read_text() for path in out.iterdir()} == {f"f.{n}.txt": f"{n}\n" for n in range(1, 121)}
    assert leader.job(job)["failed"] == 0


def test_node_that_comes_back_at_another_address_is_found_again(farm: Farm) -> None:
    a, b, c = farm.start("a", "b", "c")
    b.stop()
    b.address = f"127.0.0.1:{free_port()}"
    b.start()
    farm.settle()
    assert {node["name"]: node["address"] for node in c.status()["nodes"]}["b"] == b.address
    a.kill()
    c.kill()
    c.start()
    a.address = f"127.0.0.1:{free_port()}"
    a.start()
    farm.settle()
