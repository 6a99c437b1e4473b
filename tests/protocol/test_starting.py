"""A daemon that comes up is told apart from one that is not there: by the lock of its data dir."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.store.sqlite import hold
from protocol.errors import Starting, Unreachable
from protocol.targets import find_target

if TYPE_CHECKING:
    from pathlib import Path


def test_daemon_that_has_locked_its_data_dir_and_serves_nobody_yet_is_starting(tmp_path: Path) -> None:
    lock = hold(tmp_path)
    with pytest.raises(Starting) as caught:
        find_target(tmp_path, lambda *_: None)
    assert (caught.value.code, caught.value.what) == (7, f"the daemon of {tmp_path} does not answer yet")
    os.close(lock)


def test_lock_that_nobody_holds_any_more_is_of_no_daemon(tmp_path: Path) -> None:
    os.close(hold(tmp_path))
    with pytest.raises(Unreachable, match="no daemon answers") as caught:
        find_target(tmp_path, lambda *_: None)
    assert not isinstance(caught.value, Starting)
