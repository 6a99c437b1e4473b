"""A real Blender job, while the leader, a rendering node and the submitter are killed one after the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.e2e.farm import Farm, Member, until
from tests.e2e.scenes import HEIGHT, WIDTH, make_blend

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]
FRAMES = 40


def done(member: Member, job: str) -> int:
    return int(member.job(job)["done"])


def survivor(farm: Farm) -> Member:
    return farm.running()[0]


def test_leader_renderer_and_submitter_killed_in_the_middle_lose_no_image(farm: Farm, tmp_path: Path) -> None:
    farm.slots = 1
    nodes = farm.start("a", "b", "c", "d")
    scene, out = make_blend(tmp_path / "cube.blend"), tmp_path / "out"
    leader = farm.leader()
    submitter = next(node for node in nodes if node is not leader)
    job = submitter.submit(str(scene), "--frames", f"1-{FRAMES}", "--chunk", "2", "--output", str(out))

    until(lambda: done(submitter, job) >= 4, "the job is under way", 60)
    assert submitter.state(job) == "rendering"
    leader.kill()
    until(lambda: submitter.leader() not in (None, leader.name), "another node leads")
    leader.start()

    goal = done(submitter, job) + 3
    until(lambda: done(submitter, job) >= goal, "it goes on with another leader", 60)
    others = [node for node in nodes if node not in (submitter, farm.leader())]
    rendering = until(lambda: next((node for node in others if node.renders()), None), "a third node renders")
    assert rendering is not None
    assert submitter.state(job) == "rendering"
    rendering.kill()
    rendering.start()

    goal = done(submitter, job) + 3
    until(lambda: done(submitter, job) >= goal, "it goes on without the rendering node", 60)
    assert submitter.state(job) == "rendering", "the job was over before its submitter was killed"
    submitter.kill()
    goal = done(survivor(farm), job) + 1
    until(lambda: done(survivor(farm), job) >= goal, "it goes on without its submitter", 60)
    submitter.start()

    until(lambda: all(node.state(job) == "completed" for node in nodes), "all nodes know it completed", 90)
    until(lambda: submitter.job(job)["delivered"] == submitter.job(job)["total_tasks"], "all images are delivered")
    check_images(out)
    assert submitter.job(job)["completed_frames"] == f"1-{FRAMES}"
    assert submitter.job(job)["failed_frames"] == ""
    check_events(farm, {leader.name, rendering.name, submitter.name})
    until(
        lambda: all(node.job(job)["safe"] == node.job(job)["total_tasks"] for node in nodes), "results are on two nodes"
    )


def check_images(out: Path) -> None:
    shown = [path for path in sorted(out.iterdir()) if not path.name.startswith(".")]
    assert len(shown) == FRAMES, [path.name for path in shown]
    frames, pictures = set(), set()
    for path in shown:
        frames.add(int("".join(filter(str.isdigit, path.stem))[-4:]))
        with Image.open(path) as image:
            image.load()
            assert image.size == (WIDTH, HEIGHT)
            pictures.add(hashlib.md5(image.convert("RGB").tobytes()).digest())
    assert frames == set(range(1, FRAMES + 1))
    assert len(pictures) == FRAMES, "two frames are the same picture"


def check_events(farm: Farm, killed: set[str]) -> None:
    told = [event for node in farm for event in node.events()]
    lost = {event["text"].split()[0] for event in told if event["what"] == "node" and event["text"].endswith("lost")}
    again = {event["node_name"] for event in told if event["what"] == "started" and "epoch 2" in event["text"]}
    led = {event["node_name"] for event in told if event["what"] == "leader" and "leads in term" in event["text"]}
    assert again == killed
    assert lost <= killed
    assert len(led) >= 2
