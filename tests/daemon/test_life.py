"""What runs beside the loop of a daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from farmd.adapters.identity import init_farm
from farmd.daemon.life import Daemon
from farmd.daemon.settings import RunSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_fails_beside_the_loop_is_told_at_once_and_what_is_cancelled_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("no pulse")

    async def run() -> None:
        daemon = Daemon(RunSettings(tmp_path / "own", "127.0.0.1:0"), init_farm(tmp_path / "own", "studio"))
        daemon._beside("the pulse", fail())
        daemon._beside("discovery", asyncio.sleep(60))
        failed, cancelled = daemon._tasks
        cancelled.cancel()
        await asyncio.wait([failed, cancelled])
        await asyncio.sleep(0)
        daemon._zap.close()

    asyncio.run(run())
    (record,) = caplog.records
    assert record.getMessage() == "a bug of farmd ended the pulse"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no pulse"
