"""A small view of a frame: fetched, written, and never over another file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.errors import NotFound
from tests.farmctl.fakes import JOB, FakeNode, farm, run

if TYPE_CHECKING:
    from pathlib import Path

JPEG = b"\xff\xd8\xff small \xff\xd9"


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(farm() | {"task.thumbnail": {"schema": "farm.thumbnail.v1", "data": JPEG, "node_name": "ws07"}})


def test_a_thumbnail_is_written_where_it_was_asked_for(node: FakeNode, tmp_path: Path) -> None:
    done = run(node, "task", "thumbnail", JOB, "12", "-o", str(tmp_path / "f.jpg"))
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'f.jpg'}\n")
    assert (tmp_path / "f.jpg").read_bytes() == JPEG
    assert node.asked("task.thumbnail") == [{"job": JOB, "frame": 12}]


def test_without_a_name_it_is_called_after_job_and_frame(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(node, "task", "thumbnail", JOB, "7").stdout == f"{JOB}.0007.jpg\n"
    assert (tmp_path / f"{JOB}.0007.jpg").read_bytes() == JPEG


def test_a_thumbnail_can_go_into_a_pipe(node: FakeNode) -> None:
    assert run(node, "task", "thumbnail", JOB, "7", "-o", "-").stdout_bytes == JPEG


def test_another_file_is_not_overwritten_and_an_equal_one_is_no_matter(node: FakeNode, tmp_path: Path) -> None:
    path = tmp_path / "f.jpg"
    path.write_bytes(b"mine")
    done = run(node, "task", "thumbnail", JOB, "7", "-o", str(path))
    assert done.exit_code == 1
    assert "different file" in done.stderr
    assert path.read_bytes() == b"mine"
    path.write_bytes(JPEG)
    assert run(node, "task", "thumbnail", JOB, "7", "-o", str(path)).exit_code == 0


def test_a_frame_without_a_thumbnail_is_5(node: FakeNode, tmp_path: Path) -> None:
    node.answers["task.thumbnail"] = NotFound("frame 7 has no thumbnail", "ws07 made none", "farmctl job download")
    done = run(node, "task", "thumbnail", JOB, "7", "-o", str(tmp_path / "f.jpg"))
    assert done.exit_code == 5
    assert "no thumbnail" in done.stderr
    assert list(tmp_path.iterdir()) == []
