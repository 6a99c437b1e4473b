"""A node whose disk is full says so, takes nothing new, loses nothing, and goes on once there is room."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.root]
LARGE = "sh -c 'head -c 4000000 /dev/urandom > {output}'"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size}", "farmd-test", str(folder))
    if mounted.returncode != 0:
        pytest.skip(f"may not mount here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)


def test_full_disk_stops_new_work_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "farm" / "a", "56m"), Farm(tmp_path / "farm") as farm:
        (a,) = farm.start("a")
        small = a.submit("--command", "true", "--frames", "1-5")
        until(lambda: a.state(small) == "completed", "a first job is done")
        words = ("--output-name", "f.{frame}.bin", "--gate", "off", "--retries", "0")
        large = a.submit("--command", LARGE, "--frames", "1-30", *words)

        until(lambda: a.status()["disk_fault"], "the node says that its disk is full")
        until(lambda: a.job(large)["running"] == 0, "it starts nothing more")

        kept = a.job(large)["done"]
        assert 0 < kept < 30
        refused = a.ctl("submit", "--command", "true", "--frames", "1")
        assert refused.returncode == 1
        assert [line.split(":")[0].strip() for line in refused.stderr.splitlines()[-3:]] == ["error", "why", "try"]
        assert a.state(small) == "completed"
        assert a.ctl("job", "list").returncode == 0

        assert _run("mount", "-o", "remount,size=400m", str(a.data_dir)).returncode == 0
        until(lambda: not a.status()["disk_fault"], "the node has room again")
        if a.job(large)["failed"]:
            a.control(large, "retry")
        if a.state(large) == "paused":
            a.control(large, "resume")
        until(lambda: a.state(large) == "completed", "the job is finished", 60)
        assert len(a.ask("result.list", job=large)["outputs"]) == 30
        assert a.stop() == 0
        farm.checked()
