"""The dashboard on a recorded farm, without a clock and without a network."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.tui.recorded import RecordedSource, flight_job, flight_states, gate_job, job_answer
from tui.app import Dashboard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from textual.pilot import Pilot

LIMIT_S = 10.0
IDLE_S = 0.003
"""How long textual's pilot looks whether nothing is done any more; its own 20 ms, twice a key, would be minutes in all."""
GATE_STATES = bytes([4, 4, 4] + [1] * 45)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Session:
    """One dashboard at one size, with the farm that it shows."""

    def __init__(self, source: RecordedSource, app: Dashboard, pilot: Pilot[int], clock: Clock) -> None:
        self.source = source
        self.app = app
        self.pilot = pilot
        self.clock = clock

    async def press(self, *keys: str) -> None:
        """Press keys, and let what follows from them happen."""
        for key in keys:
            await self.pilot.press(key)
        await self.settle()

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.press(
            *[{" ": "space", "=": "equals_sign", "!": "exclamation_mark", "_": "underscore"}.get(c, c) for c in text]
        )

    async def settle(self) -> None:
        """Let all that is under way be handled."""
        for _ in range(4):
            await self.pilot.pause()

    async def until(self, fact: Callable[[], Any], what: str) -> None:
        """Let things be handled until a fact holds."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if fact():
                return
            await self.pilot.pause()
        raise AssertionError(f"{what}\n{self.screen()}")

    async def shows(self, text: str) -> None:
        """Wait until a text is on the screen."""
        await self.until(lambda: text in self.screen(), f"{text!r} is not on the screen")

    def screen(self) -> str:
        """Return what is on the screen, as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@asynccontextmanager
async def dashboard(size: tuple[int, int] = (80, 24), **options: Any) -> AsyncIterator[Session]:
    """Open the dashboard on a recorded farm that has told of itself once."""
    source, clock = options.pop("source", None) or RecordedSource(), Clock()
    source.has_job(job_answer(gate_job(), GATE_STATES, tests=[1, 24, 48], rest="2-23,25-47"))
    source.has_job(job_answer(flight_job(), flight_states(), tests=[], rest="1-240"))
    app = Dashboard(source, user="anna", mono=clock, **options)
    async with app.run_test(size=size) as pilot:
        session = Session(source, app, pilot, clock)
        source.tell_farm()
        await session.shows("city_fly")
        await session.settle()
        yield session


@pytest.fixture(autouse=True)
def _hurried_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", IDLE_S)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", IDLE_S / 2)


@pytest.fixture(autouse=True)
def _same_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
