"""Programs that show their work on a board of this machine, as the node tells of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from farmd.core.programs import HEARD_S, MAX_BOARDS
from tests.core.small_farm import Farm, play

LOADER = {"key": "p1", "name": "loader", "total": 441, "pending": 400, "running": 16, "completed": 20, "failed": 5}


def test_a_board_is_seen_by_who_watches_the_farm_until_it_falls_silent() -> None:
    async def scene(farm: Farm) -> None:
        url = "http://127.0.0.1:8765"
        await farm.data("board.publish", board="b1", url=url, programs=[LOADER])
        told = {"board": "b1", "url": url, "programs": [LOADER]}
        assert (await farm.data("board.list"))["boards"] == [told]
        assert (await farm.data("farm.feed", patience_s=0))["farm"]["boards"] == [told]
        await asyncio.sleep(HEARD_S + 1)
        assert (await farm.data("board.list"))["boards"] == []

    play(scene)


def test_what_a_board_says_last_holds_and_the_oldest_of_too_many_is_forgotten() -> None:
    async def scene(farm: Farm) -> None:
        for number in range(MAX_BOARDS + 1):
            await farm.data("board.publish", board=f"b{number}", programs=[])
        await farm.data("board.publish", board="b5", programs=[LOADER])
        boards = {board["board"]: board["programs"] for board in (await farm.data("board.list"))["boards"]}
        assert len(boards) == MAX_BOARDS
        assert "b0" not in boards
        assert boards["b5"] == [LOADER]

    play(scene)


@pytest.mark.parametrize(
    "programs",
    [None, "x", [1], [{}], [LOADER | {"total": -1}], [LOADER | {"failed": "many"}], [LOADER | {"name": None}]],
)
def test_nonsense_is_refused_and_changes_nothing(programs: Any) -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.ask("board.publish", board="b1", programs=programs)
        assert answer.error is not None
        assert answer.error[0] == 2
        assert (await farm.data("board.list"))["boards"] == []

    play(scene)
