"""Files that go bad in the stores of running daemons: noticed, said, fetched or rendered again; nothing wrong gets out."""

from __future__ import annotations

import shutil
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import Farm, Member, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = Random(5).randbytes((3 << 20) + 77)
COPY = ("--command", "cp data.bin {output}", "--output-name", "got.{frame}.bin", "--gate", "off")


def stored(member: Member, size: int = len(CONTENT)) -> Path | None:
    """The file in the node's store of this size."""
    found = [path for path in (member.data_dir / "blobs" / "blobs").glob("??/*") if path.stat().st_size == size]
    return found[0] if found else None


def flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(2 << 20)
        (byte,) = file.read(1)
        file.seek(2 << 20)
        file.write(bytes((byte ^ 4,)))


def truncate(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(1 << 20)


def has_content(member: Member) -> bool:
    path = stored(member)
    return path is not None and path.read_bytes() == CONTENT


def submit(member: Member, folder: Path, out: str) -> str:
    (folder / "data.bin").write_bytes(CONTENT)
    words = ("--input", str(folder / "data.bin"), "--frames", "1-2", "--output", str(folder / out))
    return member.submit(*COPY, *words)


def check_delivered(folder: Path) -> None:
    until(lambda: len(list(folder.glob("got.*"))) == 2, "the results are delivered", 20)
    assert [path.read_bytes() == CONTENT for path in folder.glob("got.*")] == [True, True]


def test_source_whose_stored_file_has_gone_bad_learns_of_it_and_repairs_it(farm: Farm, tmp_path: Path) -> None:
    a, c = farm.start("a", "c")
    a.ctl_json("node", "hold", "a")
    first = submit(a, tmp_path, "first")
    until(lambda: a.state(first) == "completed", "c has rendered it")
    until(lambda: has_content(c), "c holds the file")
    c.ctl_json("node", "hold", "c")
    c.stop()
    bad = stored(a)
    assert bad is not None
    flip(bad)
    (b,) = farm.start("b")

    second = submit(a, tmp_path, "second")

    until(lambda: list((a.data_dir / "blobs" / "aside").iterdir()), "a sets its copy aside, since b doubts it", 30)
    assert not list((tmp_path / "second").glob("got.*"))
    c.start()
    until(lambda: b.state(second) == "completed", "b got it from c", 40)
    until(lambda: has_content(a), "a has fetched it again")
    check_delivered(tmp_path / "second")
    assert b.job(second)["failed"] == 0
    assert any(event["what"] == "files-lost" for event in a.events())


@pytest.mark.parametrize("harm", [flip, truncate, lambda path: path.unlink()], ids=["flipped", "truncated", "deleted"])
def test_file_that_went_bad_on_the_rendering_node_is_fetched_again_and_never_rendered(
    farm: Farm, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    a, b = farm.start("a", "b")
    a.ctl_json("node", "hold", "a")
    first = submit(a, tmp_path, "first")
    until(lambda: a.state(first) == "completed", "b has rendered it")
    bad = stored(b)
    assert bad is not None
    harm(bad)

    second = submit(a, tmp_path, "second")

    until(lambda: a.state(second) == "completed", "the copies are made", 40)
    check_delivered(tmp_path / "second")
    assert a.job(second)["failed"] == 0
    assert has_content(b)


def test_results_that_no_store_has_any_more_are_rendered_again_for_who_waits_for_them(
    farm: Farm, tmp_path: Path
) -> None:
    a, b = farm.start("a", "b")
    a.ctl_json("node", "hold", "a")
    command = "sh -c 'until test -e {go}; do sleep 0.05; done; echo {frame} > {output}'"
    words = ("--command", command, "--output-name", "f.{frame}.txt", "--frames", "1-3", "--gate", "off")
    job = a.submit(*words, "--param", f"go={tmp_path / 'go'}", "--output", str(tmp_path / "out"))
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("a file stands where the folder should be")
    (tmp_path / "go").touch()
    until(lambda: a.job(job)["safe"] == 3, "both hold the results", 30)

    for member in (a, b):
        shutil.rmtree(member.data_dir / "blobs")
    until(lambda: any(event["what"] == "result-lost" for event in b.events()), "b notices", 20)
    (tmp_path / "out").unlink()

    until(lambda: len(list((tmp_path / "out").glob("f.*.txt"))) == 3, "all are rendered again and delivered", 40)
    assert sorted(path.read_text() for path in (tmp_path / "out").glob("f.*.txt")) == ["1\n", "2\n", "3\n"]
    assert all(task["generation"] > 0 for task in a.tasks(job))
