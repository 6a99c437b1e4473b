"""What keys do, on a recorded farm: moving, choosing, ordering, looking; and what they must never do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from textual.events import Key

from protocol.errors import NotAllowed
from protocol.following import Link
from tests.tui.conftest import dashboard
from tests.tui.recorded import JOBS, NODES, RecordedSource, job
from tui.screens.job import JobScreen
from tui.screens.overview import OverviewScreen
from tui.screens.sheet import Question
from tui.source import LinkTold

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HERO, SMOKE, CITY = "j0000048", "j0000047", "j0000050"


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def changed(job_id: str, **more: Any) -> dict[str, Any]:
    return next(row for row in JOBS if row["id"] == job_id) | more


# -- moving and leaving -----------------------------------------------------------------------------------------------


def test_new_job_above_leaves_the_cursor_on_its_job() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "j", "j")
            assert session.app.console_model.jobs.cursor == SMOKE
            session.source.tell_changes(job(55, "brand_new", "queued"))
            await session.shows("brand_new")
            assert session.app.console_model.jobs.cursor == SMOKE
            assert any(line.startswith("▌") and "fx_smoke" in line for line in session.screen().splitlines())

    play(story)


def test_escape_goes_back_step_by_step_and_never_quits() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "enter")
            assert isinstance(session.app.screen, JobScreen)
            await session.press("escape", "escape", "escape", "escape")
            assert isinstance(session.app.screen, OverviewScreen)
            assert session.app.is_running
            assert session.app.return_value is None
            await session.shows("q quits")

    play(story)


def test_q_in_an_opened_job_goes_back_and_quits_from_the_overview() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "enter", "q")
            assert not isinstance(session.app.screen, JobScreen)
            assert session.app.return_value is None
            await session.press("q")
            assert session.app.return_value == 0

    play(story)


def test_q_with_an_order_on_its_way_asks_first() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rendering"})
        async with dashboard(source=source) as session:
            await session.press("2", "p")
            await session.shows("pausing…")
            await session.press("q")
            assert isinstance(session.app.screen, Question)
            await session.press("q")
            assert session.app.return_value is None
            await session.press("q", "y")
            assert session.app.return_value == 0

    play(story)


def test_numbers_lead_to_the_five_views() -> None:
    async def story() -> None:
        async with dashboard() as session:
            for key, text in (
                ("2", "title_sequ"),
                ("3", "render01"),
                ("4", "node-held"),
                ("5", "What ws01 checked"),
            ):
                await session.press(key)
                await session.shows(text)
            await session.press("1")
            await session.shows("Not over yet")

    play(story)


def test_first_last_and_pages_move_the_cursor() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "G")
            assert session.app.console_model.jobs.cursor == "j0000012"
            await session.press("g", "pagedown")
            assert session.app.console_model.jobs.cursor == "j0000012"
            await session.press("pageup")
            assert session.app.console_model.jobs.cursor == CITY

    play(story)


# -- choosing ---------------------------------------------------------------------------------------------------------


def test_filter_holds_while_it_is_typed_and_escape_takes_it_away() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "slash")
            await session.type("owner=ben")
            assert session.app.console_model.jobs.shown() == [HERO, "j0000041"]
            await session.press("enter")
            await session.shows("/owner=ben  2 of 8")
            await session.press("escape")
            assert len(session.app.console_model.jobs) == 8

    play(story)


def test_inverse_filter_shows_the_others() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "slash")
            await session.type("!owner=ben")
            await session.press("enter")
            assert len(session.app.console_model.jobs) == 6

    play(story)


def test_filter_that_cannot_be_read_says_why_and_changes_nothing() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "slash")
            await session.type("ownr=ben")
            await session.press("enter")
            await session.shows("did you mean owner?")
            assert len(session.app.console_model.jobs) == 8

    play(story)


def test_shift_letter_sorts_and_again_turns_round() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "A")
            assert session.app.console_model.jobs.shown()[0] == "j0000022"
            await session.shows("NAME▲")
            await session.press("A")
            assert session.app.console_model.jobs.shown()[-1] == "j0000022"

    play(story)


def test_click_on_a_header_sorts() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2")
            await session.pilot.click("#jobs", offset=(18, 0))
            await session.shows("NAME▲")

    play(story)


def test_click_on_a_card_shows_the_jobs_that_it_counts() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.pilot.click("CardBox:last-of-type", offset=(3, 0))
            await session.shows("/state=failed")
            assert session.app.console_model.jobs.shown() == ["j0000022"]

    play(story)


def test_range_is_marked_and_all_orders_leave_at_once() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda job, **_: {"job": job, "state": "paused", "changed": True})
        async with dashboard(source=source) as session:
            await session.press("2", "space", "j", "ctrl+@")
            await session.shows("3 marked")
            await session.press("p")
            await session.until(lambda: len(source.orders()) == 3, "three orders")
            assert {args["job"] for _, args in source.orders()} == {CITY, HERO, SMOKE}
            assert {args["action"] for _, args in source.orders()} == {"pause"}

    play(story)


def test_refused_job_stays_marked_and_the_others_do_not() -> None:
    def answer(job: str, **_: Any) -> dict[str, Any]:
        if job == HERO:
            raise NotAllowed("anna may not pause it", "it belongs to ben", "ask ben")
        return {"job": job, "state": "paused"}

    async def story() -> None:
        async with dashboard(source=RecordedSource(job_control=answer)) as session:
            await session.press("2", "space", "space", "p")
            await session.shows("✖ anna may not pause it")
            await session.shows("◷ pausing… job city_flyover_v012")
            assert list(session.app.console_model.jobs.marks) == [HERO]

    play(story)


# -- ordering ---------------------------------------------------------------------------------------------------------


def test_cancel_asks_and_any_key_but_y_leaves_it() -> None:
    async def story() -> None:
        async with dashboard() as session:
            for key in ("enter", "n", "escape", "X", "space"):
                await session.press("2", "X")
                await session.shows("Cancel job city_flyover_v012 for ever?")
                await session.press(key)
                assert not isinstance(session.app.screen, Question)
            assert session.source.orders() == []

    play(story)


def test_cancel_shows_its_word_at_once_and_the_feed_confirms_it() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rendering"})
        async with dashboard(source=source) as session:
            await session.press("2", "X", "y")
            await session.shows("◷ cancelling…")
            await session.shows("◷ cancelling… job city_flyover_v012")
            assert source.orders() == [("job.control", {"job": CITY, "action": "cancel", "why": ""})]
            source.tell_changes(changed(CITY, state="cancelled"))
            await session.shows("● job city_flyover_v012 cancelled")
            assert len(session.app.console_model.pending) == 0

    play(story)


def test_order_that_is_never_confirmed_is_said_to_be_on_its_way() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rendering"})
        async with dashboard(source=source) as session:
            await session.press("2", "p")
            await session.shows("pausing…")
            session.clock.now += 16
            session.app._tick()
            await session.shows("not confirmed yet")
            assert len(session.app.console_model.pending) == 0

    play(story)


def test_order_that_makes_no_sense_is_not_sent() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "a")
            await session.shows("waits for no decision")
            await session.press("D")
            await session.shows("only a job that is over can be deleted")
            assert session.source.orders() == []

    play(story)


def test_reject_asks_for_a_reason_that_others_read() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rejected"})
        async with dashboard(source=source) as session:
            await session.press("2", "j", "x")
            await session.shows("Reject the test frames of job lookdev_hero?")
            await session.type("too dark")
            await session.press("enter")
            assert source.orders() == [("job.control", {"job": HERO, "action": "reject", "why": "too dark"})]

    play(story)


def test_priority_is_raised_by_ten() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rendering"})
        async with dashboard(source=source) as session:
            await session.press("2", "plus")
            assert source.orders()[0][1]["value"] == 70

    play(story)


def test_machine_is_held_with_a_reason_and_released() -> None:
    async def story() -> None:
        source = RecordedSource(node_hold=lambda **_: {}, node_release=lambda **_: {})
        async with dashboard(source=source) as session:
            await session.press("3", "h")
            await session.type("mine")
            await session.press("enter")
            await session.shows("holding…")
            source.tell_changes(nodes=[NODES[3] | {"state": "held", "reason": "held by anna: mine"}])
            await session.shows("held by anna: mine")
            await session.press("h")
            await session.until(lambda: len(source.orders()) == 2, "the release")
            assert source.orders()[0] == ("node.hold", {"node": "n-render01", "why": "mine"})
            assert source.orders()[1] == ("node.release", {"node": "n-render01", "why": ""})

    play(story)


def test_read_only_orders_nothing_whatever_is_pressed_or_typed() -> None:
    async def story() -> None:
        async with dashboard(read_only=True) as session:
            await session.shows("read-only")
            await session.press("2", "X", "y", "p", "r", "plus", "D", "y", "3", "h", "enter")
            await session.press("2", "colon")
            await session.type("cancel")
            await session.press("enter")
            await session.shows("--read-only")
            assert session.source.orders() == []

    play(story)


# -- all at once ------------------------------------------------------------------------------------------------------


def test_tick_and_news_while_the_screens_are_taken_apart_do_nothing() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2", "enter")
        # What a timer and the feed do that come a moment too late.
        session.app._tick()
        session.app._take(LinkTold(Link.DISCONNECTED, "", "nobody answers"))

    play(story)


def test_what_is_typed_right_behind_the_slash_is_the_filter() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("2")
            for character in "/fx":  # as a terminal sends what is pasted, or typed fast: all at once
                session.app.post_message(Key("slash" if character == "/" else character, character))
            await session.settle()
            assert session.app.front.prompt.line.value == "fx"
            await session.press("enter")
            await session.shows("1 of 8")

    play(story)
