"""A board of its own for each test: the process-wide one would tell of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.board import taskboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from farmd.board import TaskBoard


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the token of these boards away from that of the person who runs the tests."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskBoard]:
    """Give the board of a process that has just begun."""
    process = taskboard._Process()
    monkeypatch.setattr(taskboard, "_process", process)
    yield process.board
    process.stop()
