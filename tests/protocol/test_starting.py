"""A daemon that comes up is told apart from one that is not there: by the process that it noted in its data dir."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from protocol.errors import Starting, Unreachable
from protocol.places import START_NAME, note_start
from protocol.targets import find_target

if TYPE_CHECKING:
    from pathlib import Path


def test_daemon_whose_process_lives_and_serves_nobody_yet_is_starting(tmp_path: Path) -> None:
    note_start(tmp_path)
    with pytest.raises(Starting) as caught:
        find_target(tmp_path, lambda *_: None)
    assert (caught.value.code, caught.value.what) == (7, f"the daemon of {tmp_path} does not answer yet")


@pytest.mark.parametrize(
    "note", [f"{os.getpid()} 1", "4194304 77", "", "x y"], ids=["another process", "gone", "empty", "damaged"]
)
def test_process_that_is_gone_or_another_one_is_no_daemon(tmp_path: Path, note: str) -> None:
    (tmp_path / START_NAME).write_text(note)
    with pytest.raises(Unreachable, match="no daemon answers") as caught:
        find_target(tmp_path, lambda *_: None)
    assert not isinstance(caught.value, Starting)


def test_start_in_a_folder_that_is_not_there_is_noted_nowhere(tmp_path: Path) -> None:
    note_start(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
