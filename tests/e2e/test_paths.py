r"""Path rules on a real farm: added on one machine, followed on another, and `--map` from submission to the renderer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.farm import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Farm


def test_a_rule_of_one_machine_is_followed_by_the_other_and_a_jobs_own_comes_first(farm: Farm, tmp_path: Path) -> None:
    a, b = farm.start("a", "b")
    share, own = tmp_path / "share", tmp_path / "own"
    for folder, text in ((share, "of the farm"), (own, "of the job")):
        folder.mkdir()
        (folder / "a.txt").write_text(text)
    assert a.ctl("path", "add", r"Y:\tex", str(share), "--note", "a share that all have").returncode == 0
    until(lambda: b.ctl("path", "list", "-q").stdout == "Y:\\tex\n", "b knows the rule")
    tested = b.ctl("path", "test", r"y:\TEX\a.txt")
    assert tested.returncode == 0
    assert f"{share}/a.txt" in tested.stdout
    words = ["--command", "cp {text} {output}", "--param", r"text=Y:\tex\a.txt", "--output-name", "out.txt", "--wait"]
    for more, text in (((), "of the farm"), (("--map", f"Y:/tex={own}", "--input", str(own)), "of the job")):
        scene = tmp_path / f"scene of {len(more)}.txt"
        scene.write_text("a scene")
        out = tmp_path / f"out{len(more)}"
        done = b.ctl("submit", str(scene), *words, *more, "--frames", "1", "--output", str(out))
        assert done.returncode == 0, done.stderr
        assert (out / "out.txt").read_text() == text
    assert b.ctl("path", "remove", "Y:/tex").returncode == 0
    until(lambda: a.ctl("path", "list", "-q").stdout == "", "a knows that it is gone")
    assert "a share that all have" in a.ctl("events", "--tail", "50").stdout
