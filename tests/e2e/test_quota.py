"""Stores with a quota on real daemons: what is over leaves, what is needed stays, and what left comes again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Member

pytestmark = pytest.mark.timeout(150)
MB = 1 << 20
QUOTA, FILE = 50 * MB, 30 * MB


def stored(member: Member) -> int:
    """Bytes of the blobs on a node's disk."""
    return sum(path.stat().st_size for path in (member.data_dir / "blobs" / "blobs").glob("*/*"))


def sizes(member: Member) -> list[int]:
    """Sizes of the large files on a node's disk."""
    found = (path.stat().st_size for path in (member.data_dir / "blobs" / "blobs").glob("*/*"))
    return sorted(size for size in found if size > MB)


class Work:
    """Jobs of one large file each."""

    def __init__(self, at: Member, folder: Path) -> None:
        self._at = at
        self._folder = folder

    def submit(self, number: int, *more: str) -> str:
        """Submit a job whose only frame tells the size of its file."""
        path = self._folder / f"{number}.bin"
        if not path.exists():
            path.write_bytes(Random(number).randbytes(FILE + number))
        words: tuple[str, ...] = (
            "--command",
            f"sh -c 'wc -c < {number}.bin > {{output}}'",
            "--output-name",
            "{frame}.txt",
        )
        words += ("--frames", "1", "--input", str(path), "--output", str(self._folder / f"out{number}"), *more)
        return self._at.submit(*words)

    def render(self, number: int) -> None:
        """Submit such a job and wait until its result is at home."""
        job = self.submit(number, "--gate", "off")
        until(lambda: self._at.state(job) == "completed", f"job {number} is completed", 40)
        told = self._folder / f"out{number}" / "1.txt"
        until(told.exists, f"the result of job {number} is delivered", 20)
        assert int(told.read_text()) == FILE + number


@pytest.mark.slow
def test_files_of_jobs_that_are_over_leave_and_those_of_others_stay(farm: Farm, tmp_path: Path) -> None:
    farm.add("a", "--store-quota", "50M")
    farm.add("b", "--store-quota", "50M")
    a, b = farm.start("a", "b")
    a.ctl_json("node", "hold", "a")
    work = Work(a, tmp_path)

    for number in (1, 2):
        work.render(number)
    for member in (a, b):
        until(lambda m=member: sizes(m) == [FILE + 2], f"{member.name} has dropped the file of the first job", 40)  # type: ignore[misc]
        assert stored(member) <= QUOTA

    live = work.submit(3, "--gate", "hold", "--test-frames", "1")
    until(lambda: a.state(live) == "awaiting_approval", "the third job waits for a person", 40)
    for member in (a, b):
        until(lambda m=member: sizes(m) == [FILE + 3], f"{member.name} keeps the file of the job that waits", 40)  # type: ignore[misc]

    trees = b.data_dir / "checkouts"
    until(lambda: [found.name for found in trees.iterdir() if found.is_dir()] == [live], "only one tree is left", 60)

    work.render(1)
    until(lambda: sizes(a) == [FILE + 3], "the file that was sent again has left again", 40)
    a.control(live, "approve")
    until(lambda: a.state(live) == "completed", "the job that waited is completed", 40)
    shown = next(node for node in a.status()["nodes"] if node["name"] == "a")
    assert (shown["store_quota_bytes"], shown["store_bytes"] <= QUOTA) == (QUOTA, True)


def test_store_that_may_drop_nothing_says_so_and_drops_nothing(farm: Farm, tmp_path: Path) -> None:
    farm.add("a", "--store-quota", "50M")
    (a,) = farm.start("a")
    work = Work(a, tmp_path)
    jobs = [work.submit(number, "--gate", "hold", "--test-frames", "1") for number in (1, 2)]

    until(lambda: any(event["what"] == "store-full" for event in a.events()), "the node says that it is too full", 40)
    check = next(check for check in a.ask("doctor")["checks"] if check["name"] == "store")
    assert not check["ok"]
    assert "nothing may be dropped" in check["text"]
    assert "nothing may be dropped" in a.ctl("node", "show", "a").stdout
    assert sizes(a) == [FILE + 1, FILE + 2]

    until(lambda: a.state(jobs[0]) == "awaiting_approval", "its test frame was rendered all the same", 40)
    a.control(jobs[0], "cancel")
    until(lambda: sizes(a) == [FILE + 2], "the file of the cancelled job has left", 90)
    until(lambda: a.ask("node.show", node=a.id)["store_fault"] == "", "all is well again", 20)
