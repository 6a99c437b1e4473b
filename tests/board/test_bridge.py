"""The farm on a board, from answers of a feed: what a page would see."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from farmd.board import bridge, server
from farmd.board.bridge import FarmBridge
from farmd.board.feed import Viewer
from farmd.board.jobtasks import counts_of, facts_of
from farmd.board.model import BoardModel
from protocol.errors import Unreachable
from protocol.feed import FarmPicture
from protocol.following import Answer, Link, Standing
from protocol.states import TASK_STATES, JobState, TaskState
from tests.board.test_model import Picture, told


def job(number: int, **facts: Any) -> dict[str, Any]:
    """Give what `job.list` gives, as far as it matters here."""
    return {
        "id": f"j{number}",
        "name": f"shot {number}",
        "state": "rendering",
        "owner": "anna",
        "renderer": "blender",
        "frames": "1-10",
        "waiting": 6,
        "running": 1,
        "done_tasks": 2,
        "failed": 1,
        "total_tasks": 10,
        "eta_s": 90,
        "reason": None,
    } | facts


def answer(*jobs: dict[str, Any], removed: tuple[str, ...] = (), reset: bool = False) -> dict[str, Any]:
    return {
        "schema": "farm.feed.v1",
        "life": "n/1",
        "after": 1,
        "reset": reset,
        "more": False,
        "as_of_ms": 1,
        "farm": {"name": "studio", "node_name": "ws1"},
        "jobs": list(jobs),
        "removed": list(removed),
        "nodes": [],
        "nodes_removed": [],
    }


class FakeFollowing:
    """Follows a feed that the test plays; answers about one job."""

    def __init__(self) -> None:
        self.picture = FarmPicture()
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.job_states = [TaskState.DONE, TaskState.DONE, TaskState.RUNNING, TaskState.WAITING]
        self.progress: float | None = 0.25
        self.asked = 0
        self.is_there = True

    def play(self, told: dict[str, Any]) -> None:
        self.events.put_nowait(Answer(self.picture.apply(told)))

    async def run(self) -> AsyncGenerator[Any, None]:
        while True:
            yield await self.events.get()

    def _row(self, index: int, state: str) -> dict[str, Any]:
        row = {"index": index, "state": state, "attempts": 2, "node_name": "ws7", "seconds": 75.0}
        return row | ({"cause": 9, "text": "the picture is black"} if state == "failed" else {})

    async def call(self, op: str, /, **args: Any) -> Any:
        if not self.is_there:
            raise Unreachable("no node answers")
        if op == "task.list":
            return {"tasks": [self._row(index, state.value) for index, state in enumerate(self.job_states)]}
        assert op == "job.feed"
        self.asked += 1
        await asyncio.sleep(0.01)  # as long as a node would take
        states = bytes(TASK_STATES.index(state) for state in self.job_states)
        plan = {"tests": [5], "rest": "1-6", "chunk": 2} if args["after"] == -1 else None
        now = {"task": 2, "frames": "3-4", "node_name": "ws7", "progress": self.progress, "started_ms": 77}
        return {
            "schema": "farm.jobfeed.v1",
            "life": "n/1",
            "after": 1,
            "reset": plan is not None,
            "as_of_ms": 1,
            "job": {},
            "count": len(states),
            "states": zlib.compress(states),
            "plan": plan,
            "running": [now] if self.job_states[2] is TaskState.RUNNING else [],
        }


Scene = Callable[[FakeFollowing, BoardModel, Viewer, Picture], Coroutine[Any, Any, None]]


def play(scene: Scene) -> None:
    """Run a bridge and one viewer beside a scene."""

    async def run() -> None:
        following, model = FakeFollowing(), BoardModel("Render farm")
        viewer = Viewer(model, "s")
        works = FarmBridge(model, following)  # type: ignore[arg-type]  # as much of it as a bridge needs
        running = asyncio.create_task(works.run())
        try:
            async with asyncio.timeout(10):
                await scene(following, model, viewer, Picture())
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(run())


async def until(viewer: Viewer, picture: Picture, fact: Callable[[], Any]) -> None:
    while True:
        told(viewer, picture)
        if fact():
            return
        await asyncio.sleep(0.01)  # the pause between two looks


def test_jobs_are_groups_with_their_counts_and_facts() -> None:
    async def scene(following: FakeFollowing, model: BoardModel, viewer: Viewer, picture: Picture) -> None:
        following.play(answer(job(1), job(2, state="completed", waiting=0, running=0, failed=0, done_tasks=10)))
        await until(viewer, picture, lambda: len(picture.groups) == 2)
        assert picture.counts == {"pending": 6, "running": 1, "completed": 12, "failed": 1}
        assert model.title == "studio"
        facts = picture.groups["job:j1"]["facts"]
        assert (facts["state"], facts["group"], facts["owner"], facts["eta"]) == (
            "rendering",
            "running",
            "anna",
            "1m 30s left",
        )
        following.play(answer(job(1, running=0, done_tasks=3), removed=("j2",)))
        await until(viewer, picture, lambda: len(picture.groups) == 1)
        assert picture.counts == {"pending": 6, "running": 0, "completed": 3, "failed": 1}

    play(scene)


@pytest.mark.slow
def test_frames_of_a_job_are_asked_for_while_somebody_has_it_open() -> None:
    async def scene(following: FakeFollowing, model: BoardModel, viewer: Viewer, picture: Picture) -> None:
        following.play(answer(job(1)))
        await until(viewer, picture, lambda: picture.groups)
        assert following.asked == 0
        viewer.asked({"kind": "open", "group": "job:j1"})
        await until(viewer, picture, lambda: len(picture.tasks) == 4)
        names = [task["name"] for task in picture.tasks.values()]
        assert names == ["Test frame 5", "Frames 1–2", "Frames 3–4", "Frames 5–6"]
        running = picture.tasks["job:j1/2"]
        assert (running["state"], running["done"], running["total"], running["about"]) == (
            "running",
            25,
            100,
            "on ws7",
        )
        assert picture.counts["completed"] == 2, "counts of the job stay those of the farm"
        following.progress = 0.5
        await until(viewer, picture, lambda: picture.tasks["job:j1/2"]["done"] == 50)
        following.job_states[2] = TaskState.FAILED
        await until(viewer, picture, lambda: picture.tasks["job:j1/2"].get("error"))
        failed = picture.tasks["job:j1/2"]
        assert failed["error"] == "bad output: the picture is black"
        assert failed["about"] == "on ws7, 1m 15s, try 2"
        viewer.asked({"kind": "close", "group": "job:j1"})
        await until(viewer, picture, lambda: not model.keys("job:j1"))
        asked = following.asked
        await asyncio.sleep(0.1)  # it could ask ten times
        assert following.asked - asked <= 1

    play(scene)


def test_another_node_that_knows_other_jobs_replaces_what_is_shown() -> None:
    async def scene(following: FakeFollowing, model: BoardModel, viewer: Viewer, picture: Picture) -> None:
        following.play(answer(job(1), job(2), reset=True))
        await until(viewer, picture, lambda: len(picture.groups) == 2)
        following.play(answer(job(2), job(3), reset=True))
        await until(viewer, picture, lambda: set(picture.groups) == {"job:j2", "job:j3"})
        assert picture.counts["pending"] == 12

    play(scene)


def test_farm_that_does_not_answer_is_said_and_what_was_known_stays() -> None:
    async def scene(following: FakeFollowing, model: BoardModel, viewer: Viewer, picture: Picture) -> None:
        following.play(answer(job(1)))
        following.events.put_nowait(Standing(Link.RECONNECTING, "ws1", "it said nothing"))
        await until(viewer, picture, lambda: model.note)
        assert "No node of the farm answers; the last that did was ws1" in model.note
        assert set(picture.groups) == {"job:j1"}
        following.events.put_nowait(Standing(Link.CONNECTED, "ws2"))
        await until(viewer, picture, lambda: not model.note)

    play(scene)


def test_job_that_is_open_is_asked_for_again_when_its_node_is_gone() -> None:
    async def scene(following: FakeFollowing, model: BoardModel, viewer: Viewer, picture: Picture) -> None:
        following.play(answer(job(1)))
        following.is_there = False
        await until(viewer, picture, lambda: picture.groups)
        viewer.asked({"kind": "open", "group": "job:j1"})
        await asyncio.sleep(0.5)  # it has asked, and was told no
        following.is_there = True
        await until(viewer, picture, lambda: len(picture.tasks) == 4)

    play(scene)


def test_jobs_that_are_open_beyond_what_is_followed_say_so_and_take_nothing_from_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge, "MAX_OPEN", 1)

    async def scene(following: FakeFollowing, model: BoardModel, viewer: Viewer, picture: Picture) -> None:
        following.play(answer(job(1), job(2)))
        await until(viewer, picture, lambda: len(picture.groups) == 2)
        viewer.asked({"kind": "open", "group": "job:j2"})
        await until(viewer, picture, lambda: len(picture.tasks) == 4)
        viewer.asked({"kind": "open", "group": "job:j1"})  # its key is the first one
        await until(viewer, picture, lambda: picture.groups["job:j1"]["facts"].get("tasks") == bridge.CROWDED)
        assert len(model.keys("job:j2")) == 4
        viewer.asked({"kind": "close", "group": "job:j2"})
        await until(viewer, picture, lambda: len(model.keys("job:j1")) == 4)
        assert "tasks" not in picture.groups["job:j1"]["facts"]

    play(scene)


def test_following_that_fails_by_a_bug_is_said_and_begun_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "ANEW_S", 0.01)

    async def scene() -> None:
        following, model = FakeFollowing(), BoardModel("Render farm")
        viewer, picture = Viewer(model, "s"), Picture()
        works = FarmBridge(model, following)  # type: ignore[arg-type]  # as much of it as a bridge needs
        keeping = asyncio.create_task(server._kept(works.run))
        following.play(answer(job(1)))
        following.events.put_nowait(Answer(None))  # type: ignore[arg-type]  # what no following gives
        await until(viewer, picture, lambda: caplog.records)
        following.play(answer(job(2)))
        await until(viewer, picture, lambda: len(picture.groups) == 2 and not model.note)
        keeping.cancel()
        await until(viewer, picture, lambda: model.note == bridge.STOPPED)

    asyncio.run(asyncio.wait_for(scene(), 10))
    assert "failed by a bug" in caplog.text


@pytest.mark.parametrize("state", JobState)
def test_every_job_counts_all_of_its_tasks_once(state: JobState) -> None:
    ended = job(1, state=state.value, waiting=3, total_tasks=12)
    assert sum(counts_of(ended).values()) == 12
    assert facts_of(ended)["group"] in {"pending", "running", "completed", "failed"}
