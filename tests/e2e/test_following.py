"""A viewer of a real farm whose node is killed: another is taken, and none at all is said and overcome."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from protocol.following import Answer, Following, JobAnswer, Link, Standing
from protocol.states import TASK_STATES, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.farm import Farm

pytestmark = pytest.mark.e2e


class Viewer:
    """Follows a farm and notes when which state was said."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self.said: list[tuple[float, Link, str]] = []
        self.answers = 0
        self.states = b""

    async def run(self) -> None:
        """Follow until cancelled."""
        async for event in self.following.run():
            match event:
                case Standing(state, name, _):
                    self.said.append((time.monotonic(), state, name))
                case Answer():
                    self.answers += 1
                case JobAnswer(picture):
                    self.states = picture.states

    async def until(self, fact: Callable[[], bool], what: str, within_s: float = 20.0) -> float:
        """Wait for a fact; returns when it was seen."""
        deadline = time.monotonic() + within_s
        while not fact():
            assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}; said {self.said}"
            await asyncio.sleep(0.02)
        return time.monotonic()

    def is_at(self, state: Link, name: str = "") -> bool:
        """Tell whether this was said last."""
        return bool(self.said) and self.said[-1][1] is state and (not name or self.said[-1][2] == name)


def test_a_viewer_goes_on_at_another_node_when_its_own_is_killed_and_says_when_none_is_left(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in farm.environ.items():
        monkeypatch.setenv(name, value)
    a, b = farm.start("a", "b")
    job = a.submit("--command", "sleep 0.05", "--frames", "1-30", "--gate", "off")

    async def scene() -> None:
        viewer = Viewer(Following(a.data_dir))
        watching = asyncio.create_task(viewer.run())
        await viewer.until(lambda: viewer.is_at(Link.CONNECTED, "a"), "a answers")
        viewer.following.watch_job(job)
        await viewer.until(lambda: len(viewer.states) == 30, "the tasks are told")
        a.kill()
        killed_at = time.monotonic()
        seen_at = await viewer.until(lambda: viewer.said[1:] != [], "the loss is said")
        assert viewer.said[1][1] is Link.RECONNECTING
        assert seen_at - killed_at < 1.0
        assert await viewer.until(lambda: viewer.is_at(Link.CONNECTED, "b"), "b answers") - killed_at < 5.0
        done = TASK_STATES.index(TaskState.DONE)
        await viewer.until(lambda: viewer.states == bytes([done]) * 30, "the job is seen to its end", 60.0)
        jobs = viewer.following.picture.jobs
        await viewer.until(lambda: jobs[job]["state"] == "completed", "the farm's own feed says so, too")
        b.kill()
        await viewer.until(lambda: viewer.is_at(Link.DISCONNECTED), "no node is left", 25.0)
        assert job in viewer.following.picture.jobs
        await asyncio.to_thread(lambda: b.launch().ready())
        await viewer.until(lambda: viewer.is_at(Link.CONNECTED, "b"), "b is found again")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(scene())
