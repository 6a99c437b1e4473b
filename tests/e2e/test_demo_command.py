"""`farmctl demo`, as somebody who has just installed it runs it: pictures stay, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.e2e.farm import FARMCTL, ROOT
from tests.e2e.test_demo import environ_in, listed_in, processes_in

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 5


def environ(folder: Path) -> dict[str, str]:
    return environ_in(folder) | {"PYTHONPATH": str(ROOT), "HOME": str(folder)}


@pytest.mark.timeout(120)
def test_demo_command_leaves_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    scratch, pictures = tmp_path / "tmp", tmp_path / "pictures"
    scratch.mkdir()
    words = [*FARMCTL, "demo", "--frames", str(FRAMES), "--output", str(pictures)]
    done = subprocess.run(
        words, env=environ(scratch), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{FRAMES} frames in " in done.stdout
    found = sorted(path.name for path in pictures.iterdir())
    assert found == [f"sunrise.{frame:04d}.png" for frame in range(1, FRAMES + 1)]
    with Image.open(pictures / found[-1]) as picture:
        assert (picture.format, picture.size) == ("PNG", (480, 270))
    assert list(scratch.glob("farmd-demo-*")) == []
    assert processes_in(scratch) == []
    assert listed_in(scratch) == []


@pytest.mark.timeout(120)
def test_demo_command_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    words = [*FARMCTL, "demo", "--frames", "200", "--output", str(tmp_path / "pictures")]
    running = subprocess.Popen(
        words,
        env=environ(tmp_path) | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "farmctl job wait" in line:
            break
    os.kill(running.pid, signal.SIGTERM)
    for _ in range(40):  # as when its terminal is closed: the end of it must not be broken off half-way
        with suppress(subprocess.TimeoutExpired):
            running.wait(0.02)
        running.send_signal(signal.SIGHUP)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert list(tmp_path.glob("farmd-demo-*")) == []
    assert processes_in(tmp_path) == []


def test_demo_command_that_cannot_write_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = [*FARMCTL, "demo", "--output", str(tmp_path / "file" / "pictures")]
    done = subprocess.run(words, env=environ(tmp_path), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "another folder: --output DIR" in done.stderr
    assert list(tmp_path.glob("farmd-demo-*")) == []
