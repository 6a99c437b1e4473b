"""A farm as a whole: found, elect, render, deliver; stop all, kill all, and lose nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.farm import Farm, Member, copy_scene, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FRAMES = 40
COPY = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.txt")
HALF_SLOW = "sh -c 'test $FARM_FRAME -le 4 || test -e {gate} || sleep 1; cp {scene} {output}'"


def all_delivered(member: Member, job: str) -> bool:
    view = member.job(job)
    return bool(view["state"] == "completed" and view["delivered"] == view["total_tasks"])


def what_matters(member: Member, job: str) -> dict[str, Any]:
    view = member.job(job)
    names = ("state", "done", "failed", "total", "completed_frames", "failed_frames", "delivered", "safe")
    return {name: view[name] for name in names}


def test_three_daemons_elect_render_deliver_and_keep_second_copies(farm: Farm, tmp_path: Path) -> None:
    a, b, c = farm.start("a", "b", "c")
    scene, out = copy_scene(tmp_path), tmp_path / "out"

    job = b.submit(*COPY, str(scene), "--frames", f"1-{FRAMES}", "--output", str(out))

    until(lambda: all_delivered(b, job), "the job is completed and delivered", 60)
    assert sorted(path.name for path in out.iterdir()) == [f"f.{frame:04d}.txt" for frame in range(1, FRAMES + 1)]
    assert {path.read_text() for path in out.iterdir()} == {scene.read_text()}
    until(lambda: all(what_matters(m, job)["safe"] == FRAMES for m in (a, b, c)), "every result is on two nodes")
    until(lambda: what_matters(a, job) == what_matters(b, job) == what_matters(c, job), "all nodes agree on the job")
    assert all(task["copies"] >= 2 for task in c.tasks(job))
    farm.settle()
    assert a.job(job)["completed_frames"] == f"1-{FRAMES}"
    assert sum(node["frames"] for node in a.job(job)["nodes"]) == FRAMES


def test_stopping_or_killing_all_nodes_loses_nothing(farm: Farm, tmp_path: Path) -> None:
    a, b, c = farm.start("a", "b", "c")
    scene, gate = copy_scene(tmp_path), tmp_path / "gate"
    gated = ("--param", f"gate={gate}", "--output-name", "f.{frame:04d}.txt", "--command", HALF_SLOW)
    done = b.submit(*COPY, str(scene), "--frames", "1-10")
    held = c.submit(*COPY, str(scene), "--frames", "1-10", "--gate", "hold")
    paused = a.submit(*gated, str(scene), "--frames", "1-30", "--gate", "off")
    ids = (done, held, paused)
    until(lambda: b.state(done) == "completed", "the first job is completed")
    until(lambda: a.state(held) == "awaiting_approval", "the second job waits for approval")
    until(lambda: a.job(paused)["done"] >= 4, "some frames of the third are done")
    a.control(paused, "pause")
    until(lambda: a.job(paused)["running"] == 0 and a.state(paused) == "paused", "the third job stands still")
    until(lambda: all(a.job(job)["safe"] == a.job(job)["done"] for job in ids), "every result is on two nodes")
    before = {job: what_matters(a, job) for job in ids}

    for member in farm:
        assert member.stop() == 0
    farm.checked()
    assert {job: what_matters(m, job) for m in farm.start("a", "b", "c")[:1] for job in ids} == before

    for member in farm:
        member.kill()
    a, b, c = farm.start("a", "b", "c")
    until(lambda: _same(before, farm), "all nodes know everything again")
    gate.touch()
    c.control(paused, "resume")
    a.control(held, "approve")
    until(lambda: {b.state(job) for job in ids} == {"completed"}, "what was open is finished after it", 60)
    assert b.job(paused)["completed_frames"] == "1-30"
    c.ctl("job", "download", done, "--output", str(tmp_path / "done"))
    assert len(list((tmp_path / "done").iterdir())) == 10

    for member in farm:
        member.kill()
    farm.checked()


def _same(before: dict[str, dict[str, Any]], members: Sequence[Member] | Farm) -> bool:
    return all(what_matters(member, job) == facts for member in members for job, facts in before.items())
