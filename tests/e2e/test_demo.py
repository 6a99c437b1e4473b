"""The demo, as a new user runs it: ends with all pictures, and leaves nothing behind, not even when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from protocol.places import SYSTEM_RUNTIME_DIR

FRAMES = 9
START = [sys.executable, "-P", "-m", "scripts.demo_farm", "--headless"]


def environ_in(folder: Path) -> dict[str, str]:
    """Let the demo put its own folder where a test can look."""
    return os.environ | {"TMPDIR": str(folder)}


def processes_in(folder: Path) -> list[str]:
    """List processes that were started with a path below a folder, or work there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            if str(folder) in words or (entry / "cwd").readlink().is_relative_to(folder):
                found.append(words.replace("\0", " "))
        except OSError:
            continue
    return found


def listed_in(folder: Path) -> list[Path]:
    """List entries of the machine's list of daemons that speak of one below a folder."""
    return [entry for entry in SYSTEM_RUNTIME_DIR.glob("*.json") if str(folder) in entry.read_text()]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "renderer",
    [pytest.param("blender", marks=pytest.mark.blender), pytest.param("mitsuba", marks=pytest.mark.mitsuba)],
)
def test_demo_brings_every_picture_and_leaves_nothing_behind(renderer: str, tmp_path: Path) -> None:
    pictures, scratch = tmp_path / "pictures", tmp_path / "tmp"
    scratch.mkdir()
    words = ["--renderer", renderer, "--frames", str(FRAMES), "--output", str(pictures)]
    done = subprocess.run(
        [*START, *words], cwd=scratch, env=environ_in(scratch), capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["nodes"], summary["frames"], summary["renderer"]) == (3, FRAMES, renderer)
    assert summary["images"] == [str(pictures / f"sea.{frame:04d}.png") for frame in range(1, FRAMES + 1)]
    for image in summary["images"]:
        with Image.open(image) as picture:
            assert picture.convert("L").getextrema() != (0, 0)
    assert "KILL -9" in done.stdout
    assert list(scratch.iterdir()) == []
    assert processes_in(scratch) == []
    assert listed_in(scratch) == []


@pytest.mark.mitsuba
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_that_is_interrupted_ends_its_daemons(number: signal.Signals, tmp_path: Path) -> None:
    words = ["--renderer", "mitsuba", "--output", str(tmp_path / "pictures")]
    demo = subprocess.Popen(
        [*START, *words], env=environ_in(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if " test " in line:
            break
    demo.send_signal(number)
    _, said = demo.communicate(timeout=30)
    assert demo.returncode == 130, said
    assert list(tmp_path.glob("farmd-demo-*")) == []
    assert processes_in(tmp_path) == []
    assert listed_in(tmp_path) == []


def test_demo_that_cannot_write_says_so_in_three_lines(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    words = ["--renderer", "mitsuba", "--output", str(taken / "pictures")]
    done = subprocess.run(
        [*START, *words], env=environ_in(tmp_path), capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1
    assert [line.split(":")[0].strip() for line in done.stderr.splitlines()] == ["error", "why", "try"]
    assert list(tmp_path.glob("farmd-demo-*")) == []
