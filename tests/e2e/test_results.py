"""Results come home from any node, whoever has died meanwhile, and what cannot be had is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, until
from tests.renderers.pictures import png

if TYPE_CHECKING:
    from pathlib import Path

JPEG_MARK = b"\xff\xd8\xff"


def test_frames_are_fetched_from_another_node_after_the_one_that_rendered_them_was_killed(
    farm: Farm, tmp_path: Path
) -> None:
    a, b, c = farm.start("a", "b", "c")
    for member in (a, c):
        assert a.ctl("node", "hold", member.name).returncode == 0
    scene, out = tmp_path / "in.png", tmp_path / "out"
    scene.write_bytes(png(1280, 720))
    words = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.png", "--test-frames", "1")
    job = a.submit(*words, str(scene), "--frames", "1-8")
    until(lambda: c.state(job) == "completed" and c.job(job)["safe"] == 8, "all frames are on two nodes", 60)
    assert [node["name"] for node in c.job(job)["nodes"]] == ["b"]
    assert {task["result"] for task in c.tasks(job)} == {"available"}
    assert c.ctl("task", "thumbnail", job, "1", "-o", str(tmp_path / "1.jpg")).returncode == 0
    assert (tmp_path / "1.jpg").read_bytes().startswith(JPEG_MARK)

    b.kill()
    until(lambda: "b" not in c.alive(), "b is missed")
    out.mkdir()
    (out / "f.0004.png").write_bytes(b"painted by somebody")
    done = c.ctl("job", "download", job, "--frames", "3-5", "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(out / f"f.{frame:04d}.png") for frame in (3, 4, 5)]
    assert all((out / f"f.{frame:04d}.png").read_bytes() == scene.read_bytes() for frame in (3, 4, 5))
    assert (out / "f.0004.png.~1~").read_bytes() == b"painted by somebody"
    # Frame 6 looks like the test frame, and one content is one blob: its thumbnail outlived its machine.
    assert c.ctl("task", "thumbnail", job, "6", "-o", str(tmp_path / "6.jpg")).returncode == 0

    a.kill()
    until(lambda: c.alive() == {"c"}, "a is missed")
    done = c.ctl("job", "download", job, "-o", str(out))
    assert done.returncode in (1, 10), done.stderr
    assert "which are off" in done.stderr
    assert f"farmctl job retry {job} --frames" in done.stderr
    away = c.ctl("why", job, "--frame", "7").stdout
    assert "done, but copies only on" in away
