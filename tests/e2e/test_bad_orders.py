"""What people get wrong is refused in three lines with the right exit code, and the farm goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import FARMCTL, Farm, Member, copy_scene, until
from tests.e2e.scenes import make_blend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COPY = ("--command", "cp {scene} {output}", "--output-name", "f.{frame:04d}.txt")


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Farm(tmp_path_factory.mktemp("orders") / "farm") as farm:
        yield farm.start("a")[0]


def refused(member: Member, *words: str) -> tuple[int, str]:
    """Return exit code and message of a refused command; nothing may have been ordered by it."""
    before = member.status()["jobs"]["total"]
    done = member.ctl(*words)
    lines = done.stderr.splitlines()[-3:]
    assert [line.partition(":")[0].strip() for line in lines] == ["error", "why", "try"], done.stderr
    assert done.stdout == ""
    assert member.status()["jobs"]["total"] == before
    return done.returncode, lines[0] + lines[1]


@pytest.mark.parametrize("frames", ["", "abc", "10-1x0", "1-", "1--", "1-10x0", "1 5", "99999999999", "1-10@2", "-"])
def test_frames_that_cannot_be_are_refused(member: Member, tmp_path: Path, frames: str) -> None:
    code, _ = refused(member, "submit", *COPY, str(copy_scene(tmp_path)), f"--frames={frames}")
    assert code == 2


def test_scene_that_does_not_exist_is_refused(member: Member, tmp_path: Path) -> None:
    code, said = refused(member, "submit", str(tmp_path / "no.blend"), "--frames", "1-3")
    assert code == 5
    assert "no.blend" in said
    assert refused(member, "submit", str(tmp_path), "--renderer", "blender", "--frames", "1")[0] != 0


def test_unknown_renderer_is_refused(member: Member, tmp_path: Path) -> None:
    scene = copy_scene(tmp_path)
    assert refused(member, "submit", str(scene), "--frames", "1")[0] == 2
    code, said = refused(member, "submit", str(scene), "--renderer", "nonesuch", "--frames", "1")
    assert (code, "nonesuch" in said) == (1, True)


def test_template_that_cannot_be_filled_in_is_refused(member: Member, tmp_path: Path) -> None:
    scene = str(copy_scene(tmp_path))
    for command in ("cp {scen} {output}", "cp 'open {output}", "", "cp {scene.__class__}"):
        assert refused(member, "submit", "--command", command, scene, "--frames", "1")[0] == 2
    outside = ("--output-name", "../../f.{frame}.txt", "--frames", "1-3")
    assert refused(member, "submit", "--command", "cp {scene} {output}", scene, *outside)[0] == 2


def test_output_folder_that_cannot_be_written_is_refused_before_anything_is_sent(
    member: Member, tmp_path: Path
) -> None:
    scene = copy_scene(tmp_path)
    code, said = refused(member, "submit", *COPY, str(scene), "--frames", "1-3", "--output", str(scene))
    assert (code, str(scene) in said) == (1, True)
    assert refused(member, "submit", *COPY, str(scene), "--frames", "1", "--output", "/proc/nowhere")[0] == 1


def test_output_folder_that_vanishes_later_is_told_and_used_when_it_is_back(member: Member, tmp_path: Path) -> None:
    scene, out = copy_scene(tmp_path), tmp_path / "out"
    waits = "sh -c 'while ! test -e {go}; do sleep 0.1; done; cp {scene} {output}'"
    words = ("--param", f"go={tmp_path / 'go'}", "--output-name", "f.{frame}.txt", "--frames", "1-3", "--gate", "off")
    job = member.submit("--command", waits, str(scene), *words, "--output", str(out))
    until(lambda: member.job(job)["running"], "it runs")
    out.rmdir()
    out.write_text("a file stands where the folder was")
    (tmp_path / "go").touch()

    until(lambda: member.job(job)["delivery_error"], "the job tells what is wrong")

    assert str(out) in member.job(job)["delivery_error"]
    until(lambda: member.state(job) == "completed", "the results are there all the same")
    out.unlink()
    until(lambda: member.job(job)["delivered"] == 3, "they are delivered once they can be")
    assert len(list(out.iterdir())) == 3


@pytest.mark.blender
def test_blend_file_that_is_damaged_fails_with_the_renderer_s_words(member: Member, tmp_path: Path) -> None:
    whole = make_blend(tmp_path / "whole.blend").read_bytes()
    broken = tmp_path / "broken.blend"
    broken.write_bytes(whole[: len(whole) // 3])
    garbage = tmp_path / "garbage.blend"
    garbage.write_bytes(b"this is no blend file" * 100)

    assert refused(member, "submit", str(garbage), "--frames", "1")[0] != 0
    done = member.ctl("submit", "-q", str(broken), "--frames", "1-2", "--retries", "0", "--wait", timeout_s=100)

    assert done.returncode in (1, 2, 3), done.stderr
    if done.returncode == 3:
        job = done.stdout.strip()
        assert member.job(job)["failed_frames"]
        assert any(task.get("text") or task.get("last_lines") for task in member.tasks(job))


def test_names_of_nothing_are_not_found(member: Member) -> None:
    for words in (("job", "show", "nonesuch"), ("why", "nonesuch"), ("logs", "nonesuch"), ("node", "show", "nonesuch")):
        assert refused(member, *words)[0] == 5
    assert member.ctl("nonesuch").returncode == 2
    gone = member.farm.run([*FARMCTL, "status"], FARM_NODE=str(member.farm.folder / "nowhere"))
    assert gone.returncode == 7
