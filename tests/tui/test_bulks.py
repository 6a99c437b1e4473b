"""Orders for several rows, and typed ones: which rows they are about, when they count as done, what is said of the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from protocol.errors import NotAllowed
from tests.tui.conftest import dashboard
from tests.tui.recorded import JOBS, RecordedSource
from tui.orders import PendingOrders, edit_order

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.tui.conftest import Session

CITY, HERO, SMOKE, CHAIR, TITLES, PLATES = "j0000050", "j0000048", "j0000047", "j0000044", "j0000030", "j0000022"


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def known(job: str) -> dict[str, Any]:
    return next(row for row in JOBS if row["id"] == job)


async def type_in(session: Session, text: str) -> None:
    await session.press("colon")
    session.app.front.prompt.line.value = text
    await session.press("enter")


# -- for which rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["key", "palette"])
def test_row_that_leaves_while_a_command_is_typed_hands_the_order_to_no_other(way: str) -> None:
    async def story() -> None:
        source = RecordedSource(job_edit=lambda **_: {})
        async with dashboard(source=source) as session:
            await session.press("j")
            assert session.app.front.chosen_jobs() == [HERO]
            if way == "key":
                await session.press("i")
            else:
                await session.press("ctrl+p", *"edit", "enter")
                await session.until(lambda: session.app.front.prompt.is_open, "the line is open")
            await session.type("ram=16G")
            source.tell_changes(known(HERO) | {"state": "completed"})
            await session.until(lambda: session.app.front.chosen_jobs() != [HERO], "the cursor is on another row")
            await session.press("enter")
            assert [args["job"] for op, args in source.asked if op == "job.edit"] == [HERO]

    play(story)


def test_row_that_is_clicked_while_a_command_is_typed_is_meant() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {})
        async with dashboard(source=source) as session:
            await session.press("2", "colon")
            await session.type("pause")
            await session.pilot.click("#jobs", offset=(10, 3))
            await session.press("enter")
            assert [args["job"] for _, args in source.orders()] == [SMOKE]

    play(story)


def test_typed_retry_of_a_job_page_is_about_the_marked_tasks() -> None:
    async def story() -> None:
        async with dashboard(source=RecordedSource(job_control=lambda **_: {})) as session:
            await session.press("2", "enter", "e", "space", "e", "space")
            await type_in(session, "retry")
            await session.shows("Render frames 41,78 of job city_flyover_v012 again?")

    play(story)


def test_typed_retry_of_frames_is_for_all_marked_jobs() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {})
        async with dashboard((120, 40), source=source) as session:
            await session.press("2", "space", "space")
            await type_in(session, "retry 1-5")
            await session.shows("Render frames 1-5 of 2 jobs again?")
            await session.press("y")
            assert {args["job"] for _, args in source.orders()} == {CITY, HERO}
            await session.shows("● 2 jobs asked for frames 1-5 again")

    play(story)


def test_priority_that_does_not_exist_is_refused() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {})
        async with dashboard((120, 40), source=source) as session:
            await session.press("2")
            await type_in(session, "priority 999")
            await session.shows("it goes from 0 to 100")
            assert source.orders() == []

    play(story)


def test_filter_behind_the_name_of_a_list_is_completed_with_the_words_of_that_list() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("3", "colon")
            offered = []
            for text in ("jobs state=ren", "nodes state=dr", "events ac", "filter state=dr"):
                session.app.front.prompt.line.value = text
                await session.press("tab")
                offered.append(session.app.front.prompt.line.value)
            assert offered == ["jobs state=rendering", "nodes state=draining", "events actor=", "filter state=draining"]

    play(story)


# -- when it is done --------------------------------------------------------------------------------------------------


def test_order_that_no_node_has_taken_does_not_come_true_whatever_the_feed_shows() -> None:
    pending, order = PendingOrders(), edit_order({"ram_bytes": 1}, "ram=1")
    for key in "ab":
        pending.began(key, order)
    assert pending.review(["a", "b"], {"a": {}, "b": {}}.get) == []
    assert pending.unsent == 2
    pending.sent("a", now=1.0)
    assert pending.review(["a", "b"], {"a": {}, "b": {}}.get) == [("a", order)]
    assert pending.unsent == 1


def test_edit_that_the_node_refuses_late_was_not_told_to_be_done_and_stays_marked() -> None:
    async def story() -> None:
        refuses = asyncio.Event()

        async def edit(job: str, **_: Any) -> dict[str, Any]:
            if job == HERO:
                await refuses.wait()
                raise NotAllowed("ben owns lookdev_hero", "you are anna", "")
            return {}

        source = RecordedSource(job_edit=edit)
        async with dashboard((120, 40), source=source) as session:
            console = session.app.console_model
            await session.press("2", "space", "space")
            await type_in(session, "edit ram=16G")
            await session.shows("● 1 of 2 jobs now with ram=16G")
            source.tell_changes(known(HERO) | {"done": 4})
            source.tell_changes(known(HERO) | {"done": 5})
            await session.until(lambda: console.jobs.rows[HERO]["done"] == 5, "its row has changed")
            assert console.pending.unsent == 1
            refuses.set()
            await session.shows("● 1 job now with ram=16G   ✖ ben owns lookdev_hero")
            assert list(console.jobs.marks) == [HERO]
            assert len(console.pending) == 0

    play(story)


# -- what is left out -------------------------------------------------------------------------------------------------


def test_rows_for_which_an_order_makes_no_sense_are_counted_with_the_reason() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {})
        async with dashboard((120, 40), source=source) as session:
            await session.press("2", "space", *"jjjj", "space")
            assert list(session.app.console_model.jobs.marks) == [CITY, TITLES]
            await session.press("p")
            source.tell_changes(known(CITY) | {"state": "paused"})
            await session.shows("● job city_flyover_v012 paused   1 of 2 left out: nothing to pause: it is completed")
            assert list(session.app.console_model.jobs.marks) == [TITLES]

    play(story)


def test_question_says_how_many_rows_are_left_out() -> None:
    async def story() -> None:
        async with dashboard((120, 40)) as session:
            await session.press("2", "space", *"jjjj", "space", "X")
            await session.shows("Cancel job city_flyover_v012 for ever?")
            await session.shows("1 of 2 left out: nothing to cancel")

    play(story)


def test_orders_of_one_kind_with_other_words_are_told_each_with_its_own() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {})
        async with dashboard((120, 40), source=source) as session:
            await session.press("2")
            await type_in(session, "priority 80")
            await session.press("j", "j")
            await type_in(session, "priority 20")
            source.tell_changes(known(CITY) | {"priority": 80}, known(SMOKE) | {"priority": 20})
            await session.shows("● job city_flyover_v012 now of priority 80   ● job fx_smoke_wide now of priority 20")

    play(story)
