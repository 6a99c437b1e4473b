"""A filter of tasks by what the feed does not tell of them: it is asked for, so that what is shown is true of all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.tui.conftest import dashboard
from tests.tui.recorded import RecordedSource, flight_states
from tui.grid import STATES
from tui.screens import job

if TYPE_CHECKING:
    import pytest

    from tests.tui.conftest import Session


def task_list(offset: int, limit: int, **_: Any) -> dict[str, Any]:
    states = flight_states()
    return {
        "tasks": [
            {"index": task, "state": STATES[states[task]].value, "node_name": f"ws0{task % 3}", "attempts": 1}
            for task in range(offset, min(offset + limit, len(states)))
        ]
    }


async def filtered(session: Session, text: str) -> list[int]:
    await session.press("2", "enter")
    session.app.front.set_filter(text)
    screen = session.app.front
    assert isinstance(screen, job.JobScreen)
    await session.until(lambda: not screen._reading, "all is read")
    return screen.opened.table.shown()


def test_filter_by_machine_finds_tasks_that_were_never_on_the_screen() -> None:
    async def story() -> None:
        source = RecordedSource(task_list=task_list)
        async with dashboard(source=source) as session:
            shown = await filtered(session, "node=ws02,state=done|failed")
            assert shown == [task for task in range(133) if task % 3 == 2]

    asyncio.run(story())


def test_filter_by_what_is_told_of_all_asks_for_nothing_more() -> None:
    async def story() -> None:
        source = RecordedSource(task_list=task_list)
        async with dashboard(source=source) as session:
            assert len(await filtered(session, "state=failed,frame<100")) == 2
            assert all(args["limit"] < 100 for op, args in source.asked if op == "task.list")

    asyncio.run(story())


def test_filter_of_a_job_that_is_too_large_says_what_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MOST_READ", 200)

    async def story() -> None:
        async with dashboard(source=RecordedSource(task_list=task_list)) as session:
            await filtered(session, "node=ws02")
            await session.shows("only of tasks that were on the screen")

    asyncio.run(story())
