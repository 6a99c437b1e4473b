"""What the screen says of the connection, and in which colours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from protocol.following import Link
from tests.tui.conftest import dashboard
from tui.screens.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SMOKE = "j0000047"


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_lost_node_is_shown_and_another_leaves_cursor_and_screen_as_they_were() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "j", "j")
            session.source.tell_link(Link.RECONNECTING, "ws01 does not answer")
            await session.shows("Reconnecting")
            session.clock.now += 2
            farm = {"farm": session.source.farm.farm | {"node_name": "ws02", "node": "n-ws02"}, "life": "n-ws02/4"}
            session.source.tell_farm(**farm)
            await session.shows("● ws02")
            assert session.app.console_model.jobs.cursor == SMOKE

    play(story)


def test_silence_dims_what_is_shown_and_never_clears_it() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2")
            session.source.tell_link(Link.RECONNECTING)
            session.clock.now += 20
            session.app._tick()
            await session.shows("✖ DISCONNECTED 20s")
            assert session.app.front.has_class("stale")
            assert "city_flyover" in session.screen()
            session.source.tell_farm()
            await session.shows("as of now")
            assert not session.app.front.has_class("stale")

    play(story)


def test_no_color_gets_a_theme_that_can_be_read() -> None:
    async def story() -> None:
        import os

        os.environ["NO_COLOR"] = "1"
        async with dashboard() as session:
            assert session.app.theme == "textual-dark"
            assert "✖" in session.screen()

    play(story)


def test_remapped_key_does_what_the_old_one_did() -> None:
    async def story() -> None:
        async with dashboard(keys={"joblike.why": "ctrl+y"}) as session:
            await session.press("2", "w")
            assert not isinstance(session.app.screen, Sheet)
            await session.press("ctrl+y")
            assert isinstance(session.app.screen, Sheet)

    play(story)
