"""Whole screens as text, at two sizes, of a recorded farm with a clock that stands still.

They show at a glance what a change does to the looks. After a change that is meant, write them anew and read them:

    FARM_WRITE_SCREENS=1 .venv/bin/python -m pytest tests/tui/test_pictures_of_screens.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tui.conftest import dashboard
from tests.tui.recorded import RecordedSource
from tests.tui.test_looking import log_answer

FOLDER = Path(__file__).with_name("screens")
SCREENS: dict[str, tuple[tuple[int, int], tuple[str, ...], str]] = {
    "overview-80": ((80, 24), (), "render02 does not answer"),
    "overview-120": ((120, 40), (), "render02 does not answer"),
    "jobs-80": ((80, 24), ("2", "j", "space", "j", "space"), "2 marked"),
    "jobs-120": ((120, 40), ("2", "d"), "submitted  10m ago"),
    "job-that-waits-80": ((80, 24), ("2", "j", "enter"), "ws02  1m 3s"),
    "job-that-renders-120": ((120, 40), ("2", "enter", "e"), "41 of 240"),
    "nodes-120": ((120, 40), ("3",), "held by ben"),
    "events-80": ((80, 24), ("4",), "node-held"),
    "log-80": ((80, 24), ("2", "enter", "l"), "line 100"),
    "help-120": ((120, 40), ("2", "question_mark"), "esc closes"),
}


@pytest.mark.parametrize("name", SCREENS)
def test_screen_looks_as_it_did(name: str) -> None:
    size, keys, fact = SCREENS[name]

    async def story() -> str:
        source = RecordedSource(log_tail=log_answer)
        async with dashboard(size, source=source) as session:
            await session.press(*keys)
            await session.shows(fact)
            # Layout and late answers take a few drawings; what is compared is the screen that they end with.
            with suppress(AssertionError):
                await session.until(lambda: session.screen() + "\n" == expected, "the screen is as it was")
            await session.settle()
            return session.screen()

    file = FOLDER / f"{name}.txt"
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    shown = asyncio.run(story())
    if os.environ.get("FARM_WRITE_SCREENS"):
        file.write_text(shown + "\n", encoding="utf-8")
    assert shown + "\n" == file.read_text(encoding="utf-8")


def test_no_line_is_wider_than_its_screen() -> None:
    from protocol.human import cell_width

    files = sorted(FOLDER.glob("*.txt"))
    assert {file.stem for file in files} == set(SCREENS)
    for file in files:
        width = SCREENS[file.stem][0][0]
        assert all(cell_width(line) <= width for line in file.read_text(encoding="utf-8").splitlines())
