"""A scene that is not there, or cannot be read, is refused in the same words by every reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.scenes.houdini import read_houdini
from farmd.scenes.maya_ascii import read_maya_ascii
from farmd.scenes.maya_binary import read_maya_binary
from farmd.scenes.mitsuba_xml import read_mitsuba_xml
from farmd.scenes.povray import read_povray
from farmd.scenes.usd import read_usd
from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READERS = (read_houdini, read_maya_ascii, read_maya_binary, read_mitsuba_xml, read_povray, read_usd)


@pytest.mark.parametrize("read", READERS)
def test_a_scene_that_is_not_there_is_not_found(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        read(tmp_path / "gone")
    assert (refused.value.what, refused.value.hint) == (f"there is no file {tmp_path / 'gone'}", "check the path")


@pytest.mark.parametrize("read", READERS)
def test_a_folder_in_place_of_a_scene_cannot_be_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read") as refused:
        read(tmp_path)
    assert (refused.value.why, refused.value.hint) == ("Is a directory", "check the permissions of the file")
