"""The story that every door must be able to tell, told with `farmctl` alone."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from protocol.exitcodes import ExitCode
from tests.e2e.story import BAD, FRAMES, HELD, RENDERED, write_shot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Farm

pytestmark = pytest.mark.povray


def test_story_of_a_shot_is_told_with_the_command_line_alone(farm: Farm, tmp_path: Path) -> None:
    a, b = farm.start("a", "b")
    scene, texture = write_shot(tmp_path)

    job = a.submit(*RENDERED, *HELD, "--output", str(tmp_path / "out"), str(scene))
    assert b.ctl("job", "wait", job, "--stop-at-gate").returncode == ExitCode.WAITS_FOR_PERSON
    tests = [task["frames"] for task in b.ctl_json("task", "list", job, "--state", "done")["tasks"]]
    assert tests == ["1", "4", "8"]
    for frame in tests:
        picture = tmp_path / f"test.{frame}"
        assert b.ctl("task", "thumbnail", job, frame, "-o", str(picture)).returncode == 0
        with Image.open(BytesIO(picture.read_bytes())) as shown:
            assert shown.size == (64, 36)
    approved = b.ctl("job", "approve", job, "--why", "colours are right")
    assert approved.returncode == 0, approved.stderr

    assert b.ctl("job", "wait", job).returncode == ExitCode.JOB_FAILED
    assert b.ctl_json("job", "show", job)["failed_frames"] == "6-7"
    printed = b.ctl("logs", job, "--frame", str(BAD[0]), "--errors")
    assert "the wood texture is not there" in printed.stdout

    waits = a.submit(*RENDERED, "--name", "too_large", "--ram", "900G", str(scene))
    assert "900G" in b.ctl("why", waits).stdout

    texture.touch()
    again = b.ctl("job", "retry", "--filter", "state=failed", "--yes", "--wait", timeout_s=90)
    assert again.returncode == 0, again.stdout + again.stderr
    assert b.ctl_json("job", "show", job)["completed_frames"] == f"1-{FRAMES}"
    assert b.ctl("node", "hold", "a", "--why", "I work here").returncode == 0
    assert b.ctl_json("node", "show", "a")["reason"].endswith("I work here")
    lines = b.ctl_json("events", "--tail", "200")["events"]
    told = {line["what"]: line["actor"] for line in lines if line["what"] in ("approve", "retry", "hold")}
    assert len(told) == 3
    assert all(told.values()), "each order names who gave it"
