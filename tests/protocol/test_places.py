"""Where a daemon and its clients meet on one machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from protocol.places import MAX_SOCKET_PATH_BYTES, SOCKET_NAME, socket_path

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_socket_is_in_the_data_dir_where_its_path_is_short(tmp_path: Path) -> None:
    assert socket_path(tmp_path) == tmp_path / SOCKET_NAME


def test_a_long_data_dir_has_its_socket_in_the_runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    one, other = (socket_path(tmp_path / ("x" * MAX_SOCKET_PATH_BYTES) / name) for name in ("one", "other"))
    assert one.parent == other.parent == tmp_path / "farmd"
    assert one != other


def test_a_runtime_dir_in_which_no_socket_could_be_bound_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * MAX_SOCKET_PATH_BYTES)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    path = socket_path(long / "data")
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert not path.is_relative_to(long)
