"""Tasks of an opened job as rows: in the order of their frames, changed ones found, details forgotten with their state."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from protocol.feed import JobPicture
from tests.tui.conftest import dashboard
from tests.tui.recorded import RecordedSource, flight_job, gate_job, job_answer
from tui.screens.job import JobScreen
from tui.tasks import TaskRows

WAITING, RUNNING, DONE, FAILED = 0, 3, 4, 5


def rows_of(states: bytes, *, tests: list[int], rest: str) -> TaskRows:
    picture = JobPicture("j0000048")
    picture.apply(job_answer(gate_job(), states, tests=tests, rest=rest))
    return TaskRows(picture)


def test_test_frames_stand_among_the_others() -> None:
    rows = rows_of(bytes([DONE, DONE, DONE, WAITING, RUNNING]), tests=[1, 3, 5], rest="2,4")
    assert [rows[task]["frames"] for task in rows.order] == ["1", "2", "3", "4", "5"]
    assert rows.firsts == [1, 2, 3, 4, 5]
    assert rows.states() == bytes([DONE, WAITING, DONE, RUNNING, DONE])
    assert [rows.place_of(task) for task in range(5)] == [0, 2, 4, 1, 3]
    assert rows.place_of(None) == rows.place_of(9) == -1


@given(st.binary(max_size=3000).map(lambda data: bytes(byte % 7 for byte in data)), st.data())
def test_exactly_the_tasks_with_another_state_have_changed(before: bytes, data: st.DataObject) -> None:
    places = data.draw(st.sets(st.integers(0, max(0, len(before) - 1)), max_size=8)) if before else set()
    after = bytearray(before)
    for place in places:
        after[place] = (after[place] + 1) % 7
    rows = rows_of(before, tests=[], rest=f"1-{len(before)}" if before else "")
    rows.picture.states = bytes(after)
    assert rows.changed() == sorted(places)
    assert rows.changed() == []


def test_details_are_kept_until_the_state_changes() -> None:
    rows = rows_of(bytes([DONE, FAILED, WAITING]), tests=[], rest="1-3")
    assert rows.lacking([0, 1, 2]) == [0, 1]
    told = [{"index": 0, "state": "done", "node_name": "ws01"}, {"index": 1, "state": "done", "node_name": "old news"}]
    assert rows.learn(told) == [0]
    assert rows[0]["node_name"] == "ws01"
    assert rows.lacking([0, 1, 2]) == [1]
    rows.picture.states = bytes([RUNNING, FAILED, WAITING])
    assert rows.changed() == [0]
    assert "node_name" not in rows[0]


def test_question_whose_answer_is_ahead_of_the_feed_teaches_nothing_twice() -> None:
    rows = rows_of(bytes([RUNNING, DONE, RUNNING]), tests=[], rest="1-3")
    ahead = [{"index": task, "state": "done", "seconds": 3.0} for task in range(3)]
    assert rows.learn(ahead) == [1]
    assert rows.lacking([0, 1, 2]) == [0, 2]
    assert rows.learn(ahead) == []
    rows.picture.states = bytes([DONE, DONE, DONE])
    assert rows.changed() == [0, 2]
    assert rows.learn(ahead) == [0, 2]


def test_turn_of_a_task_is_another_after_each_change_of_its_state_and_in_each_plan() -> None:
    rows = rows_of(bytes([DONE, DONE]), tests=[], rest="1-2")
    turns = [rows.turn(task) for task in (0, 1)]
    for state in (RUNNING, DONE):
        rows.picture.states = bytes([state, DONE])
        rows.changed()
    assert rows.turn(0) != turns[0]
    assert rows.turn(1) == turns[1]
    rows.begin_anew()
    assert rows.turn(1) != turns[1]


def test_node_that_is_ahead_of_its_feed_is_not_asked_without_a_pause() -> None:
    async def story() -> None:
        source = RecordedSource(task_list=lambda **_: {"tasks": [{"index": n, "state": "done"} for n in range(5)]})
        async with dashboard(source=source) as session:
            source.has_job(job_answer(flight_job(), bytes([RUNNING, DONE, DONE, DONE, RUNNING]), tests=[], rest="1-5"))
            await session.press("2", "enter")
            screen = session.app.screen
            assert isinstance(screen, JobScreen)
            await session.until(lambda: screen.opened.rows.lacking(range(5)) == [0, 4], "the others are known")
            for _ in range(5):
                await session.settle()
            # One for each thing that opening the page draws.
            assert [op for op, _ in source.asked].count("task.list") < 6

    asyncio.run(story())
