"""Removes logs that are too old, or too many: a while after the start, then every hour, and tells people of it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from farmd.adapters.joblog import sweep
from farmd.core.effects import Note
from protocol.human import counted, format_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from farmd.adapters.joblog import JobLogs, Keep, Swept
    from farmd.adapters.runner import Runner
    from farmd.core.node import Node

_LOG = logging.getLogger("farmd")
FIRST_S: Final = 60.0
EVERY_S: Final = 3600.0


class LogKeeping:
    """Keeps the logs of one node in bounds."""

    def __init__(self, keep: Keep, logs: JobLogs, runner: Runner, node: Node, remark: Callable[[Note], None]) -> None:
        self._keep = keep
        self._logs = logs
        self._runner = runner
        self._node = node
        self._remark = remark

    async def run(self) -> None:
        """Sweep until cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                await self.sweep()
            except OSError:
                _LOG.exception("old logs could not be removed")
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> Swept:
        """Remove what need not be kept any more, on a thread, and tell of it in the event log."""
        swept = await asyncio.to_thread(
            sweep, self._logs.folder, self._keep, time.time(), spared=self._running, forgotten=self._is_deleted
        )
        if swept.logs:
            text = f"{counted(swept.logs, 'log')} of {format_size(swept.size_bytes)} removed"
            text += f"; {format_size(swept.left_bytes)} are kept"
            now_ms = time.time_ns() // 1_000_000
            self._remark(Note(now_ms, "logs-removed", text, self._node.id, why=self._why()))
        return swept

    def _why(self) -> str:
        parts = []
        if self._keep.age_s:
            parts.append(f"older than {self._keep.age_s / 86_400:g} days")
        if self._keep.limit_bytes:
            parts.append(f"the oldest of more than {format_size(self._keep.limit_bytes)}")
        return ", ".join([*parts, "of deleted jobs"])

    def _running(self) -> frozenset[Path]:
        return frozenset(map(self._logs.path, self._runner.running))

    def _is_deleted(self, job: str) -> bool:
        return self._node.jobs.is_deleted(job)  # type: ignore[arg-type]  # the name of a folder that a job made
