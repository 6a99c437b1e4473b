"""The log on the screen: followed to its very end, past pages, machines that are away, and answers that fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from protocol.errors import Unreachable
from tests.tui.conftest import dashboard
from tests.tui.recorded import RecordedSource
from tui.screens import log
from tui.screens.log import LogScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.tui.conftest import Session

AWAY = {"node": "n-ws02", "node_name": "ws02", "since_ms": None, "why": "it does not answer"}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "RETRY_S", 0.001)


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def part(first: int, last: int, **more: Any) -> dict[str, Any]:
    """Return an answer with some lines of fifty bytes each."""
    told = [
        {"offset": 50 * n, "next": 50 * n + 50, "number": n + 1, "at_ms": None, "text": f"sample {n}", "level": ""}
        for n in range(first, last)
    ]
    about = {"found": True, "away": None, "state": "running", "frames": "12", "attempt": "3.1.4", "task": 11}
    return about | {"complete": True, "ended": False, "size": 50 * last, "next": 50 * last, "lines": told} | more


def gone(*texts: str) -> dict[str, Any]:
    """Return what is known of a log whose machine does not answer."""
    lines = [{"offset": None, "next": None, "number": None, "at_ms": None, "text": text, "level": ""} for text in texts]
    return part(0, 0, found=False, ended=True, away=AWAY, size=0, next=0) | {"lines": lines}


async def opened(session: Session) -> LogScreen:
    await session.press("2", "enter", "l")
    screen = session.app.screen
    assert isinstance(screen, LogScreen)
    return screen


def test_last_pages_of_a_renderer_that_died_printing_are_read_to_the_end() -> None:
    def read(offset: int, **_: Any) -> dict[str, Any]:
        first = offset // 50
        return part(first, min(first + 1000, 3100), ended=True, complete=first + 1000 >= 3100, state="failed")

    async def story() -> None:
        source = RecordedSource(
            log_tail=lambda **_: part(0, 100),
            log_follow=lambda **_: part(100, 1100, ended=True, complete=False, state="failed"),
            log_read=read,
        )
        async with dashboard(source=source) as session:
            screen = await opened(session)
            await session.shows("sample 3099")
            await session.shows("ended")
            assert len(screen.window.lines) == 3100

    play(story)


def test_log_whose_machine_is_back_is_read_and_followed_without_a_key() -> None:
    answers = [gone("its last words"), gone("its last words"), part(0, 5, ended=True)]

    async def story() -> None:
        waits = asyncio.Event()

        async def tail(**_: Any) -> dict[str, Any]:
            if len(answers) == 1:
                await waits.wait()
            return answers.pop(0)

        async with dashboard(source=RecordedSource(log_tail=tail)) as session:
            screen = await opened(session)
            await session.shows("its last words")
            await session.shows("the log is on ws02")
            await session.shows("◷ waits for ws02")
            waits.set()
            await session.shows("sample 4")
            await session.until(lambda: screen.window.is_over, "the log is whole")
            assert "its last words" not in session.screen()

    play(story)


def test_machine_that_goes_away_while_it_is_followed_leaves_the_lines_and_goes_on_where_it_was() -> None:
    answers = [gone("its last words"), part(3, 6, ended=True)]

    async def story() -> None:
        source = RecordedSource(log_tail=lambda **_: part(0, 3), log_follow=lambda **_: answers.pop(0))
        async with dashboard(source=source) as session:
            screen = await opened(session)
            await session.shows("sample 5")
            assert [line.text for line in screen.window.lines] == [f"sample {n}" for n in range(6)]
            assert [args["offset"] for op, args in source.asked if op == "log.follow"] == [150, 150]

    play(story)


def test_node_that_dies_under_the_log_leaves_lines_and_cursor_and_ends_nothing() -> None:
    async def story() -> None:
        down = asyncio.Event()
        answered = asyncio.Event()

        async def follow(**_: Any) -> dict[str, Any]:
            if not down.is_set():
                down.set()
                raise Unreachable("no node answers at the moment", "the last was ws01", "wait")
            await answered.wait()
            return part(100, 101, ended=True)

        source = RecordedSource(log_tail=lambda **_: part(0, 100), log_follow=follow)
        async with dashboard(source=source) as session:
            screen = await opened(session)
            await session.press("k", "k")
            assert screen.window.cursor == 50 * 97
            answered.set()
            await session.until(lambda: screen.window.is_over, "the log is whole")
            assert screen.window.cursor == 50 * 97
            assert len([op for op, _ in source.asked if op == "log.tail"]) == 1

    play(story)


def test_next_error_of_a_log_that_opens_at_its_end_is_the_first_one_of_it() -> None:
    def find(**wanted: Any) -> dict[str, Any]:
        hits = [7] if (wanted["from"] <= 350) != wanted["backwards"] else []
        told = part(0, 100)["lines"]
        return {"found": True, "complete": True, "lines": [told[n] | {"match": True} for n in hits]}

    async def story() -> None:
        source = RecordedSource(log_tail=lambda **_: part(0, 100, ended=True, state="failed"), log_find=find)
        async with dashboard(source=source) as session:
            screen = await opened(session)
            await session.press("e")
            await session.shows("went on from the top")
            assert screen.window.cursor == 350
            await session.press("E")
            await session.shows("went on from the end")
            assert screen.window.cursor == 350

    play(story)


@pytest.mark.parametrize(
    ("about", "why"), [({"away": AWAY}, "the log is on ws02, which does not answer"), ({}, "is not kept any more")]
)
def test_search_in_a_log_that_could_not_be_searched_says_so_and_not_that_nothing_matches(
    about: dict[str, Any], why: str
) -> None:
    async def story() -> None:
        source = RecordedSource(
            log_tail=lambda **_: part(0, 100, ended=True, state="failed"),
            log_find=lambda **_: gone("its last words") | {"away": None} | about,
        )
        async with dashboard((120, 40), source=source) as session:
            await opened(session)
            await session.press("e")
            await session.shows("the log cannot be searched: ")
            await session.shows(why)
            assert "no match" not in session.screen()

    play(story)


def test_older_lines_that_come_after_a_jump_elsewhere_are_dropped() -> None:
    top, hit = 50 * 2000, part(8000, 8001)["lines"][0] | {"match": True}

    async def story() -> None:
        comes = asyncio.Event()

        async def tail(before: int | None = None, **_: Any) -> dict[str, Any]:
            if before is None:
                return part(2000, 2100, complete=False)
            if before == top:
                await comes.wait()
            return part(before // 50 - 20, before // 50, complete=False)

        source = RecordedSource(
            log_tail=tail,
            log_follow=lambda **_: asyncio.Future(),
            log_read=lambda offset, **_: part(offset // 50, offset // 50 + 100, complete=False),
            log_find=lambda **_: {"found": True, "complete": True, "lines": [hit]},
        )
        async with dashboard(source=source) as session:
            screen = await opened(session)
            await session.press(*["pageup"] * 8)
            asked = [args.get("before") for op, args in source.asked if op == "log.tail"]
            assert asked == [None, top]
            await session.press("e")
            await session.until(lambda: screen.window.cursor == 50 * 8000, "the match is shown")
            comes.set()
            await session.until(lambda: not screen._busy, "the older lines have come")
            assert [line.offset for line in screen.window.lines] == [50 * n for n in range(7980, 8100)]

    play(story)


def test_jump_to_a_match_whose_machine_went_away_leaves_the_window_as_it_is() -> None:
    hit = part(3, 4)["lines"][0] | {"match": True}

    async def story() -> None:
        source = RecordedSource(
            log_tail=lambda before=None, **_: gone("its last words") if before else part(2000, 2100, complete=False),
            log_find=lambda **_: {"found": True, "complete": True, "lines": [hit]},
            log_read=lambda **_: gone("its last words"),
            log_follow=lambda **_: asyncio.Future(),
        )
        async with dashboard((120, 40), source=source) as session:
            screen = await opened(session)
            await session.press("e")
            await session.shows("the log cannot be searched: the log is on ws02")
            assert [line.offset for line in screen.window.lines] == [50 * n for n in range(2000, 2100)]
            assert not screen.window.at_begin

    play(story)
