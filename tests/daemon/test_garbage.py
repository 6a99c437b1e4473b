"""What is loaded when a daemon begins is no longer looked through for garbage; what comes later still is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

from farmd import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

SCRIPT = """
import gc
import farmd.daemon.life
from farmd.daemon.garbage import keep_what_is_loaded

class Knot:
    def __init__(self):
        self.self = self

before = len(gc.get_objects())
keep_what_is_loaded()
looked_at = len(gc.get_objects())
for _ in range(50):
    Knot()
print(before, looked_at, gc.get_freeze_count(), gc.collect())
"""


def test_collector_passes_over_modules_and_finds_new_garbage() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    before, looked_at, frozen, collected = map(int, found.split())
    assert looked_at < before / 100
    assert frozen > before / 2
    assert collected >= 50


def test_program_says_what_stays_when_its_daemon_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ready:
        def __init__(self, settings: object, identity: object) -> None: ...

        def stop(self) -> None: ...

        async def run(self, on_ready: Callable[[str], None]) -> None:
            on_ready("127.0.0.1:1")

    told: list[str] = []
    identity = SimpleNamespace(node="n", farm=SimpleNamespace(name="f"))
    monkeypatch.setattr("farmd.daemon.life.Daemon", Ready)
    monkeypatch.setattr("farmd.daemon.membership.identity_for_run", lambda *_: identity)
    monkeypatch.setattr("farmd.daemon.garbage.keep_what_is_loaded", lambda: told.append("kept"))
    asyncio.run(cli._run(None))
    assert told == ["kept"]
