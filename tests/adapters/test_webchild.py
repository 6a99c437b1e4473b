"""The child that serves HTTP: kept, started again, and ended with whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from farmd.adapters import webchild
from farmd.adapters.webchild import WebChild

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Fact = Callable[[], object]


class Scripted(WebChild):
    """Runs a script instead of the door."""

    def __init__(self, script: str, on_fault: Callable[[str], None] = lambda _text: None) -> None:
        super().__init__((), on_fault)
        self._words = (sys.executable, "-c", script)


async def until(fact: Fact, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not fact():  # noqa: ASYNC110  # facts about processes have no event
            await asyncio.sleep(0.02)


def run(scenario: Awaitable[None]) -> None:
    async def whole() -> None:
        await scenario

    asyncio.run(whole())


def test_a_child_that_dies_is_started_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webchild, "FIRST_PAUSE_S", 0.05)

    async def scenario() -> None:
        async with Scripted("import sys; sys.stdin.read()") as child:
            await until(lambda: child.pid)
            first = child.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda: child.pid not in (None, first))
            second = child.pid
        assert second is not None
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)

    run(scenario())


def test_a_child_that_dies_at_once_is_tried_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(webchild, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(webchild, "LONGEST_PAUSE_S", 0.4)
    times = tmp_path / "times"
    script = f"import time, pathlib; pathlib.Path({str(times)!r}).open('a').write(f'{{time.monotonic()}}\\n'); exit(1)"

    async def scenario() -> None:
        async with Scripted(script):
            await until(lambda: times.exists() and len(times.read_text().split()) >= 4)

    run(scenario())
    began = [float(line) for line in times.read_text().split()]
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses[0] >= 0.1
    assert pauses[1] >= 0.2
    assert pauses[2] >= 0.4


def test_what_another_try_does_not_mend_is_not_tried_again(tmp_path: Path) -> None:
    times = tmp_path / "times"
    script = f"import pathlib, sys; pathlib.Path({str(times)!r}).open('a').write('x'); sys.exit(2)"

    told: list[str] = []

    async def scenario() -> None:
        async with Scripted(script, told.append) as child:
            assert child._task is not None
            await asyncio.wait_for(child._task, 10)

    run(scenario())
    assert times.read_text() == "x"
    assert told == ["its process refuses to start; the log of farmd says why"]


def test_a_child_that_does_not_listen_is_ended_hard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(webchild, "GOODBYE_S", 0.2)
    ready = tmp_path / "ready"
    script = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(ready)!r}).write_text('')\n"
        "sys.stdin.read()\nsignal.pause()\n"
    )

    async def scenario() -> None:
        child = Scripted(script)
        async with child:
            await until(ready.exists)
            pid = child.pid
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(scenario())
