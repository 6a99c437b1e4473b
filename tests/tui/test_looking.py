"""What can be looked at: why, pictures, logs, help, details, the palette, the farm."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.tui.conftest import dashboard
from tests.tui.recorded import RecordedSource
from tui.screens.job import JobScreen
from tui.screens.log import LogScreen
from tui.screens.overview import OverviewScreen
from tui.screens.sheet import Sheet
from tui.widgets.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

HERO, CITY = "j0000048", "j0000050"


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def log_lines(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"offset": 50 * n, "next": 50 * n + 50, "number": n + 1, "at_ms": None, "text": f"sample {n} of 128",
         "level": "error" if n == 7 else ""}
        for n in range(first, last)
    ]  # fmt: skip


def log_answer(**_: Any) -> dict[str, Any]:
    return {"found": True, "complete": True, "ended": True, "state": "failed", "frames": "12", "attempt": "3.1.4",
            "node_name": "ws02", "task": 11, "size": 5000, "next": 5000, "lines": log_lines(0, 100)}  # fmt: skip


def test_why_says_reason_hint_and_nearest_machine() -> None:
    reasons = [{"code": "no_node_fits_ram", "text": "no machine has 96G", "hint": "buy some", "frames": "1-120",
                "nearest": [{"text": "ws01: ram 64G, needs 96G"}]}]  # fmt: skip

    async def story() -> None:
        source = RecordedSource(why=lambda **_: {"state": "queued", "reasons": reasons})
        async with dashboard(source=source) as session:
            await session.press("2", "j", "j", "w")
            for text in ("✖ frames 1-120: no machine has 96G", "try: buy some", "ws01: ram 64G, needs 96G"):
                await session.shows(text)
            await session.press("escape")
            assert not isinstance(session.app.screen, Sheet)

    play(story)


def test_job_that_waits_shows_pictures_and_is_approved_there() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rendering"})
        async with dashboard(source=source) as session:
            await session.press("2", "j", "enter")
            await session.shows("▀▀▀▀▀▀")
            await session.shows("a approve   x reject")
            frames = {args["frame"] for op, args in source.asked if op == "task.thumbnail"}
            assert frames == {1, 24, 48}
            await session.press("a")
            assert source.orders() == [("job.control", {"job": HERO, "action": "approve", "why": ""})]

    play(story)


def test_log_is_read_searched_and_left() -> None:
    def find(errors: bool = False, backwards: bool = False, **args: Any) -> dict[str, Any]:
        hits = [7] if errors else [n for n in (42, 43) if 50 * n >= args["from"]]
        lines = [log_lines(n, n + 1)[0] | {"match": True, "spans": [[0, 6]]} for n in hits[:1]]
        return {"lines": lines, "complete": True, "next": 5000}

    async def story() -> None:
        source = RecordedSource(log_tail=log_answer, log_find=find)
        async with dashboard(source=source) as session:
            await session.press("2", "enter", "l")
            assert isinstance(session.app.screen, LogScreen)
            await session.shows("sample 99 of 128")
            await session.shows("frame 12  on ws02  failed")
            await session.press("g", "slash")
            await session.type("sample 4")
            await session.press("enter")
            await session.shows("line 43")
            await session.press("n")
            await session.shows("line 44")
            await session.press("E")
            await session.shows("line 8")
            await session.press("escape")
            assert isinstance(session.app.screen, JobScreen)

    play(story)


def test_help_lists_the_keys_of_this_screen_only() -> None:
    async def story() -> None:
        async with dashboard((120, 50)) as session:
            await session.press("3", "question_mark")
            await session.shows("hold: no more work; or release")
            assert "approve the test frames" not in session.screen()

    play(story)


def test_copied_id_goes_to_the_clipboard_of_the_terminal() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "c")
            assert session.app.clipboard == CITY
            await session.press("enter", "y")
            assert session.app.clipboard == "/home/anna/renders/city"

    play(story)


def test_details_follow_the_cursor() -> None:
    async def story() -> None:
        async with dashboard((120, 40)) as session:
            await session.press("3", "d")
            await session.shows("render01.studio:7000")
            await session.press("j")
            await session.shows("render02.studio:7000")

    play(story)


def test_palette_finds_a_job_by_name() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("ctrl+p")
            await session.type("lookdev")
            await session.shows("job lookdev_hero")
            await session.press("escape", "escape")
            assert isinstance(session.app.screen, OverviewScreen)

    play(story)


def test_page_of_the_farm_begins_with_what_needs_somebody_and_is_scrolled_to_its_end() -> None:
    checks = [{"name": f"check{n}", "ok": True, "text": "well", "hint": ""} for n in range(40)]

    async def story() -> None:
        source = RecordedSource(doctor=lambda **_: {"checks": checks})
        async with dashboard(source=source) as session:
            await session.press("5")
            await session.shows("check5")
            assert session.screen().splitlines()[1].strip() == "What needs somebody"
            await session.press("G")
            await session.shows("check39")
            await session.press("g", "pagedown")
            await session.until(lambda: "What needs" not in session.screen(), "a page further down")

    play(story)


def test_machine_comes_into_a_filter_by_absence_when_it_has_been_away_for_so_long() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("3")
            session.app.front.set_filter("seen>10m")
            assert len(session.app.console_model.nodes) == 0
            session.clock.now += 400
            session.app._tick()
            await session.shows("render02")
            assert session.app.console_model.nodes.shown() == ["n-render02"]

    play(story)


def test_columns_fit_beside_details_before_the_table_hears_of_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with dashboard((120, 40)) as session:
            await session.press("2")
            await session.shows("▼AGE")
            monkeypatch.setattr(Table, "on_resize", lambda _table: None)  # the event is late
            await session.press("d")
            await session.shows("│ job ")
            header = next(line for line in session.screen().splitlines() if "STATE" in line)
            assert "▼AGE │" in header

    play(story)
