"""Orders as keys and commands give them: what has to be typed, many at a time, what is sent, and what quitting loses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.tui.conftest import dashboard
from tests.tui.recorded import JOBS, NODES, RecordedSource, flight_job, job, job_answer
from tui.ordering import AT_ONCE
from tui.orders import PATIENCE_S
from tui.screens.job import JobScreen
from tui.screens.sheet import Question
from tui.source import JobTold
from tui.tasks import TaskRows

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.tui.conftest import Session

TITLES, PLATES, TEST, HERO, CITY = "j0000030", "j0000022", "j0000012", "j0000048", "j0000050"
"""Three jobs that are over, one at its gate, one that renders."""


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def command(session: Session, text: str) -> None:
    await session.press("colon")
    session.app.front.prompt.line.value = text
    await session.press("enter")


def quiet(**orders: Any) -> RecordedSource:
    return RecordedSource(job_control=lambda **_: {}, job_edit=lambda **_: {}, node_drain=lambda **_: {}, **orders)


# -- danger -----------------------------------------------------------------------------------------------------------


def test_three_jobs_are_deleted_only_after_their_number() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("2", "G", "space", "k", "space", "k", "k", "space")
            for typed in ("y", "", "4"):
                await session.press("D")
                await session.shows("Delete 3 jobs for ever?")
                await session.type(typed)
                await session.press("enter")
                assert not isinstance(session.app.screen, Question)
                await session.shows("nothing was ordered")
                assert source.orders() == []
            await session.press("D", "3", "enter")
            await session.shows("deleting…")
            assert {args["job"] for _, args in source.orders()} == {TITLES, PLATES, TEST}

    play(story)


def test_one_job_is_deleted_after_a_y() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("2", "G", "D", "y")
            assert [(args["action"], args["job"]) for _, args in source.orders()] == [("delete", TEST)]

    play(story)


# -- many -------------------------------------------------------------------------------------------------------------


class Slow:
    """Answers orders when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def __call__(self, **_: Any) -> dict[str, Any]:
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]
        return {}

    def answer(self) -> None:
        for one in self.waiting:
            if not one.done():
                one.set_result(None)


def test_large_bulk_is_sent_some_at_a_time_and_none_of_it_expires_before_it_was_sent() -> None:
    many = [job(100 + n, f"shot_{n:03d}", "rendering") for n in range(3 * AT_ONCE)]

    async def story() -> None:
        slow = Slow()
        source = RecordedSource(job_control=slow)
        async with dashboard(source=source) as session:
            source.tell_farm(jobs=many)
            await session.shows("shot_020")
            await session.press("2", "asterisk", "p")
            await session.until(lambda: len(slow.waiting) == AT_ONCE, "the first few are sent")
            session.clock.now += 2 * PATIENCE_S
            session.app._tick()
            pending = session.app.console_model.pending
            assert len(pending) == pending.unsent == 3 * AT_ONCE
            await session.press("q")
            await session.shows("24 not sent yet would be lost.")
            await session.press("n")
            for sent in (2, 3):
                slow.answer()
                await session.until(lambda sent=sent: len(slow.waiting) == sent * AT_ONCE, "the next few")  # type: ignore[misc]
            slow.answer()
            await session.until(lambda: not pending.unsent, "all are sent")
            assert len({args["job"] for _, args in source.orders()}) == 3 * AT_ONCE
            session.clock.now += PATIENCE_S
            session.app._tick()
            assert len(pending) == 0
            await session.shows("24 orders: not confirmed yet")

    play(story)


def test_bulk_that_comes_true_in_parts_is_counted_to_its_whole() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("2", "G", "space", "k", "space", "k", "k", "space", "D")
            await session.type("3")
            await session.press("enter")
            source.tell_changes(removed=[TEST])
            await session.shows("● 1 of 3 jobs deleted")
            source.tell_changes(removed=[TITLES, PLATES])
            await session.shows("● 3 jobs deleted")
            await session.press("g", "p")
            source.tell_changes(next(row for row in JOBS if row["id"] == CITY) | {"state": "paused"})
            await session.shows("● job city_flyover_v012 paused")

    play(story)


# -- orders -----------------------------------------------------------------------------------------------------------


def test_reason_behind_reject_stands_in_the_question_and_is_sent() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("2", "j")
            await command(session, "reject too dark")
            await session.shows("too dark")
            await session.type("!")
            await session.press("enter")
            assert source.orders() == [("job.control", {"job": HERO, "action": "reject", "why": "too dark!"})]

    play(story)


def test_ended_job_is_archived_and_one_that_runs_is_not() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("2", "z")
            await session.shows("only a job that is over can be archived")
            await session.press("G", "z")
            await session.shows("◷ archiving…")
            assert source.orders() == [("job.control", {"job": TEST, "action": "archive", "why": ""})]
            source.tell_changes(removed=[TEST])
            await session.shows("archived")
            assert TEST not in session.app.console_model.jobs.shown()

    play(story)


def test_machine_is_drained_with_a_reason() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("3", "D")
            await session.shows("Drain machine render01?")
            await session.type("new disk")
            await session.press("enter")
            await session.shows("draining…")
            assert source.asked[-1] == ("node.drain", {"node": "n-render01", "why": "new disk"})
            source.tell_changes(nodes=[NODES[3] | {"state": "draining"}])
            await session.shows("● machine render01 draining")

    play(story)


def test_key_asks_what_of_a_job_shall_be_otherwise() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard(source=source) as session:
            await session.press("2", "i")
            assert session.app.front.prompt.line.value == "edit "
            await session.type("ra")
            await session.press("tab")
            assert session.app.front.prompt.line.value == "edit ram="
            await session.type("16G label.shot=s010 name=fly over")
            await session.press("enter")
            changes = {"ram_bytes": 16 << 30, "labels.shot": "s010", "name": "fly over"}
            assert source.asked[-1] == ("job.edit", {"job": CITY, "changes": changes, "why": ""})
            await session.shows("now with ram=16G")

    play(story)


def test_edit_that_cannot_be_read_changes_nothing_and_says_why() -> None:
    async def story() -> None:
        source = quiet()
        async with dashboard((120, 40), source=source) as session:
            await session.press("2")
            await command(session, "edit rum=16G")
            await session.shows("did you mean ram?")
            assert not [op for op, _ in source.asked if op == "job.edit"]

    play(story)


def test_retry_of_a_marked_chunk_names_all_frames_of_it_but_no_test_frame() -> None:
    source = RecordedSource()
    answer = job_answer(flight_job() | {"frames": "1-40"}, bytes([4] * 5), tests=[5], rest="1-4,6-40")
    answer["plan"]["chunk"] = 10
    source.has_job(answer)
    source.watch_job(CITY)
    told = source._told.get_nowait()
    assert isinstance(told, JobTold)
    rows = TaskRows(told.picture)
    assert str(rows.frames_of([1])) == "1-4,6-11"
    assert str(rows.frames_of([0, 2])) == "5,12-21"


def test_command_opens_a_job_by_the_begin_of_its_name_and_names_both_where_it_could_be_two() -> None:
    async def story() -> None:
        async with dashboard((120, 40)) as session:
            session.source.tell_changes(job(70, "lookdev hair wide", "queued"))
            await session.shows("lookdev hair")
            await command(session, "job lookdev")
            await session.shows("'lookdev' could be 2 jobs")
            await session.shows(HERO)
            await command(session, "job lookdev hair")
            assert session.source.watched == "j0000070"

    play(story)


# -- the command line -------------------------------------------------------------------------------------------------


def test_command_opens_a_job_by_name() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("colon")
            await session.type("job lookdev_hero")
            await session.press("enter")
            assert isinstance(session.app.screen, JobScreen)
            assert session.source.watched == HERO

    play(story)


def test_command_is_completed_by_tab_and_a_typo_gets_a_proposal() -> None:
    async def story() -> None:
        async with dashboard() as session:
            await session.press("colon")
            await session.type("prio")
            await session.press("tab")
            assert session.app.front.prompt.line.value == "priority"
            await session.press("escape", "colon")
            await session.type("prioritty 3")
            await session.press("enter")
            await session.shows("did you mean priority?")

    play(story)


def test_command_holds_a_machine_by_name() -> None:
    async def story() -> None:
        source = RecordedSource(node_hold=lambda **_: {})
        async with dashboard(source=source) as session:
            await session.press("colon")
            await session.type("hold ws02")
            await session.press("enter", "enter")
            assert source.orders() == [("node.hold", {"node": "n-ws02", "why": ""})]

    play(story)


def test_retry_of_marked_frames_asks_first() -> None:
    async def story() -> None:
        source = RecordedSource(job_control=lambda **_: {"state": "rendering"})
        async with dashboard(source=source) as session:
            await session.press("2", "enter", "e", "space", "e", "space", "r")
            await session.shows("Render frames 41,78 of job city_flyover_v012 again?")
            await session.press("y")
            assert source.orders()[0][1] == {"job": CITY, "action": "retry", "frames": "41,78", "why": ""}

    play(story)
