"""Pictures of a job: each belongs to one result, few are kept, and who runs through a job has none of them fetched."""

from __future__ import annotations

import asyncio
from typing import Any

from protocol.errors import NotFound
from protocol.states import TaskState
from tests.tui.conftest import GATE_STATES, dashboard
from tests.tui.recorded import (
    STATES,
    RecordedSource,
    flight_job,
    flight_states,
    frames_of_gate,
    gate_job,
    job_answer,
    picture_file,
)
from tui.screens import job
from tui.screens.gallery import AGAIN_S, KEPT, Gallery
from tui.screens.job import JobScreen
from tui.source import JobTold
from tui.widgets.pictures import Pictures, Shown

RUNNING, DONE = STATES.index(TaskState.RUNNING), STATES.index(TaskState.DONE)


def test_picture_of_an_older_result_is_dropped_whenever_it_comes() -> None:
    gallery = Gallery()
    gallery.show(7, [], "first try")
    asked = gallery.asks(7, 0.0)
    shown = gallery.show(7, [], "second try")
    gallery.came(7, asked, b"old", "")
    assert shown.data is None
    assert gallery.lacks(7, 0.0)
    gallery.came(7, gallery.asks(7, 0.0), b"new", "")
    assert gallery.show(7, [], "second try").data == b"new"
    assert gallery.show(7, [], None).data is None, "it renders again"
    assert not gallery.lacks(7, 100.0)


def test_picture_that_could_not_be_had_is_asked_for_again_after_a_while() -> None:
    gallery = Gallery()
    gallery.show(7, [], "done")
    gallery.came(7, gallery.asks(7, 0.0), None, "ws02 does not answer")
    assert not gallery.lacks(7, AGAIN_S - 0.1)
    assert gallery.lacks(7, AGAIN_S)


def test_only_those_that_were_looked_at_last_are_kept() -> None:
    gallery = Gallery()
    for frame in range(200):
        gallery.show(1000, [], "done")
        gallery.show(frame, [], "done")
        gallery.forget([1000, frame])
    assert len(gallery) == KEPT + 2
    assert not gallery.lacks(0, 0.0)
    assert gallery.lacks(199, 0.0)


def asked_frames(source: RecordedSource) -> list[int]:
    return [args["frame"] for op, args in source.asked if op == "task.thumbnail"]


def test_cursor_that_runs_through_a_job_has_only_the_picture_fetched_where_it_stays(monkeypatch: Any) -> None:
    async def story() -> None:
        async with dashboard((120, 40)) as session:
            await session.press("2", "enter", "t")
            await session.until(lambda: asked_frames(session.source) == [1], "the picture where it stays")
            monkeypatch.setattr(job, "REST_S", 60.0)
            await session.press(*"jjjj")
            assert asked_frames(session.source) == [1]
            monkeypatch.setattr(job, "REST_S", 0.001)
            await session.press("j")
            await session.until(lambda: asked_frames(session.source) == [1, 6], "the picture where it stays")

    monkeypatch.setattr(job, "REST_S", 0.001)
    asyncio.run(story())


def test_retried_test_frame_whose_new_result_comes_at_once_is_looked_at_anew() -> None:
    async def story() -> None:
        source = RecordedSource(task_thumbnail=lambda **_: {"data": picture_file(9)})
        async with dashboard((120, 40), source=source) as session:
            await session.press("2", "j", "enter")
            await session.until(lambda: len(asked_frames(source)) == 3, "three pictures")
            frames = frames_of_gate()
            frames[1] |= {"node": "n-ws01", "seconds": 12.0}
            row = gate_job()
            row["gate"] |= {"test_frames": frames}
            source.has_job(job_answer(row, GATE_STATES, tests=[1, 24, 48], rest="2-23,25-47"))
            source.watch_job(str(row["id"]))
            await session.until(lambda: asked_frames(source)[3:] == [24], "the picture of the new result")

    asyncio.run(story())


def test_picture_at_the_cursor_is_asked_for_anew_after_its_frame_rendered_again(monkeypatch: Any) -> None:
    def told(state: int) -> dict[str, Any]:
        states = bytearray(flight_states())
        states[0] = state
        return job_answer(flight_job(), bytes(states), tests=[], rest="1-240") | {"plan": None}

    async def story() -> None:
        async with dashboard((120, 40)) as session:
            await session.press("2", "enter", "t")
            await session.until(lambda: asked_frames(session.source) == [1], "the picture at the cursor")
            await session.press("j")
            await session.until(lambda: asked_frames(session.source) == [1, 2], "the next picture")
            screen = session.app.screen
            assert isinstance(screen, JobScreen)
            picture = screen.opened.picture
            for state in (RUNNING, DONE):
                session.source.tell(JobTold(picture, picture.apply(told(state))))
                await session.until(lambda state=state: screen.opened.rows._seen[0] == state, "it is taken")  # type: ignore[misc]
            await session.press("k")
            await session.until(lambda: asked_frames(session.source) == [1, 2, 1], "the picture of the new result")

    monkeypatch.setattr(job, "REST_S", 0.001)
    asyncio.run(story())


def test_escape_closes_pictures_that_were_asked_for_before_the_page() -> None:
    async def story() -> None:
        async with dashboard((120, 40)) as session:
            await session.press("2", "t")
            assert isinstance(session.app.screen, JobScreen)
            assert session.app.screen.has_class("with-pictures")
            await session.press("escape")
            assert isinstance(session.app.screen, JobScreen)
            assert not session.app.screen.has_class("with-pictures")
            await session.press("escape")
            assert not isinstance(session.app.screen, JobScreen)

    asyncio.run(story())


def test_fault_of_a_picture_stands_in_its_place() -> None:
    def lost(**_: Any) -> dict[str, Any]:
        raise NotFound("there is no picture of it", "", "")

    async def story() -> None:
        async with dashboard((120, 40), source=RecordedSource(task_thumbnail=lost)) as session:
            await session.press("2", "j", "enter")
            await session.shows("there is no picture of it")

    asyncio.run(story())


def test_picture_that_the_cursor_means_is_among_those_that_fit() -> None:
    pictures, seen = Pictures(), []
    for cursor in (0, 4, 5, 2, 1):
        pictures.show([Shown(frame, []) for frame in range(6)], cursor)
        seen.append([one.frame for one in pictures.on_screen(80)])
    assert seen == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [2, 3, 4, 5], [1, 2, 3, 4]]
