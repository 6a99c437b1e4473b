from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.analyse import HEAD, TAIL, measured, write_scene
from farmd.scenes.maya_ascii import read_maya_ascii

if TYPE_CHECKING:
    from pathlib import Path


def test_the_scene_that_is_made_is_read_as_it_was_meant(tmp_path: Path) -> None:
    scene = tmp_path / "scene.ma"
    named = write_scene(scene, 1_500_000)
    content = read_maya_ascii(scene)
    assert [one.written for one in content.references] == [f"tex/{at}.exr" for at in range(named)]
    assert named > 2
    assert (content.facts.renderer, content.facts.end, content.facts.width) == ("arnold", 100, 1920)
    assert content.remarks == ()


def test_both_readings_tell_time_memory_and_what_they_found(tmp_path: Path) -> None:
    scene = tmp_path / "scene.ma"
    named = write_scene(scene, 300_000)
    lines = scene.read_text().count("\n")
    assert lines > HEAD.count("\n") + TAIL.count("\n")
    for what, found in (("analyse", named), ("count", lines)):
        reading = measured(what, scene)
        assert reading.found == found
        assert 0 < reading.took_s < 20
        assert reading.peak_bytes > 1 << 20
