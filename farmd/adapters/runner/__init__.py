"""Runs renderers: effects `StartAttempt` and `StopAttempt` in, events `AttemptProgressed` and `AttemptEnded` out.

Invariants: every started attempt ends in exactly one `AttemptEnded`, whatever happens; when it is sent, no process of
the attempt runs; a process that runs is recorded on disk, so that the daemon's next life can end it.

A frame that does nothing must cost next to nothing (the budget is a thousand starts a second): one vfork, a pidfd in
the event loop, output straight into the log file, no thread, no pipe. What runs longer is looked at about once a
second, all attempts in one pass over /proc.

PR_SET_CHILD_SUBREAPER is left alone: the daemon kills whole sessions, and would otherwise have to reap strangers.

Decides nothing: what to run is the core's, how to start and judge it is the renderers'.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from farmd.adapters.runner.attempt import Attempt, Host
from farmd.adapters.runner.leftovers import OWNER, Records, end_leftovers
from farmd.adapters.runner.logtail import SpareLogs
from farmd.adapters.runner.ports import Laid, Tools
from farmd.adapters.runner.process import oom_kills, usage_of
from farmd.adapters.runner.room import Rooms, public_environ, remove
from farmd.core.effects import StopAttempt
from farmd.core.events import AttemptEnded
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from farmd.core.effects import StartAttempt
    from farmd.core.events import AttemptProgressed
    from protocol.ids import AttemptRef

__all__ = ["Laid", "Runner", "RunnerSettings", "Tools"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """Where and how often.

    Attributes:
        data_dir: Holds `attempts/` (records) and `work/` (folders of attempts in flight).
        node: Name of this node, for the processes.
        look_every_s: Pause between looks at what runs.
    """

    data_dir: Path
    node: str
    look_every_s: float = 1.0


class Runner:
    """Everything that renders on this node."""

    def __init__(
        self, settings: RunnerSettings, tools: Tools, on_event: Callable[[AttemptProgressed | AttemptEnded], None]
    ) -> None:
        """Prepare; call `reap_leftovers` before the first start."""
        self._settings = settings
        self._tools = tools
        self._on_event = on_event
        records = Records(settings.data_dir / "attempts")
        self._owner = str(settings.data_dir.resolve())
        environ = {**public_environ(os.environ), OWNER: self._owner}
        self._host = Host(settings.node, environ, records, SpareLogs())
        self._work_dir = settings.data_dir / "work"
        self._rooms = Rooms(self._work_dir)
        self._attempts: dict[AttemptRef, Attempt] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Future[None]] = set()

    @property
    def running(self) -> tuple[AttemptRef, ...]:
        """Attempts in flight."""
        return tuple(self._attempts)

    def start(self, effect: StartAttempt) -> None:
        """Begin an attempt; one that is in flight already is not started twice."""
        if effect.ref in self._attempts:
            return
        attempt = Attempt(effect, self._tools, self._host)
        self._attempts[effect.ref] = attempt
        loop = asyncio.get_running_loop()
        attempt.began_at = loop.time()
        folder = self._rooms.take(effect.ref, promised=self._tools.renderers.promises(effect.spec))
        attempt.task = loop.create_task(attempt.run(folder))
        attempt.task.add_done_callback(partial(self._over, attempt, folder))
        if self._timer is None:
            self._host.oom_kills_before = oom_kills()
            self._timer = loop.call_later(self._settings.look_every_s, self._look)

    def stop(self, effect: StopAttempt) -> None:
        """End an attempt; of one that is not in flight the end was reported before."""
        attempt = self._attempts.get(effect.ref)
        if attempt is not None:
            attempt.stop(effect)

    async def reap_leftovers(self, grace_s: float = 5.0) -> tuple[str, ...]:
        """End what a former life of this daemon left running, and clear its folders; await it before advertising.

        Returns:
            Names of the attempts that were recorded as running.
        """
        records = self._host.records.read()
        stuck = await end_leftovers(records, self._owner, grace_s)
        if stuck:
            _LOG.error("processes %s of a former life cannot be ended; a file system hangs?", stuck)
        self._host.records.clear()
        await asyncio.to_thread(shutil.rmtree, self._work_dir, ignore_errors=True)
        return tuple(record.mark for record in records)

    async def close(self, grace_s: float = 3.0) -> None:
        """End everything and wait for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for ref, attempt in list(self._attempts.items()):
            attempt.stop(StopAttempt(ref, FailureClass.NODE_LOST, "the daemon stops", grace_s))
        tasks = [attempt.task for attempt in self._attempts.values() if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # done callbacks run in the loop's next turn
        if self._closing:
            await asyncio.wait(self._closing)
        self._host.logs.close()

    def _over(self, attempt: Attempt, folder: Path, task: asyncio.Task[AttemptEnded]) -> None:
        """Report the one end, even of an attempt that met a bug of ours or of somebody's renderer."""
        del self._attempts[attempt.ref]
        if task.cancelled():
            event = attempt.stopped_event()
        elif (error := task.exception()) is not None:
            _LOG.error("attempt %s met a bug", attempt.ref, exc_info=error)
            event = AttemptEnded(attempt.ref, FailureClass.ERROR, text=f"bug in farmd or its renderer: {error!r}")
        else:
            event = task.result()
        self._give_back(folder)
        self._on_event(event)

    def _give_back(self, folder: Path) -> None:
        """Remove an attempt's folders: at once if they are empty, on a thread if they are not."""
        if not self._rooms.give_back(folder):
            removal = asyncio.get_running_loop().run_in_executor(None, remove, folder)
            self._closing.add(removal)
            removal.add_done_callback(self._closing.discard)

    def _look(self) -> None:
        """Look at everything that has run for a while, then come back while anything runs."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = loop.call_later(self._settings.look_every_s, self._look) if self._attempts else None
        self._host.oom_kills_before = oom_kills()
        long = [item for item in self._attempts.values() if now - item.began_at >= self._settings.look_every_s / 2]
        watched = {item.child.pid: item for item in long if item.child is not None}
        if not watched:
            return
        for pid, usage in usage_of(watched).items():
            progressed = watched[pid].look(usage, now)
            if progressed is not None:
                self._on_event(progressed)
