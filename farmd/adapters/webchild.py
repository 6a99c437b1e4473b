"""The HTTP door as a child process: started, told to end, started again when it dies.

It has its own process so that whatever clients do to it never touches the daemon's loop. Its standard input is a pipe
that nobody writes to: when the daemon is gone, however it went, the pipe is closed and the child ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOG = logging.getLogger(__name__)
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
WELL_AFTER_S: Final = 60.0
"""A child that lived so long was well: the next pause is the first again."""
GOODBYE_S: Final = 4.0
_USAGE: Final = 2
"""Exit code for what another try does not mend: a wrong option, a package that is not installed."""


class WebChild:
    """Keeps one child running until `close`.

    Args:
        words: Options of `farmd web`.
        on_fault: Told once why there is none and will be none.
    """

    def __init__(self, words: Sequence[str], on_fault: Callable[[str], None]) -> None:
        self._on_fault = on_fault
        self._words = (sys.executable, "-P", "-m", "farmd", "web", "--with-parent", *words)
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The child's process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def close(self) -> None:
        """End the child, in good order if it is quick."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                code = await self._live()
            except OSError as error:  # no memory, no processes: that passes
                _LOG.warning("the HTTP process cannot be started: %s", error)
                code = 1
            if code == _USAGE:
                _LOG.error("HTTP is not served: see above")
                self._on_fault("its process refuses to start; the log of farmd says why")
                return
            if time.monotonic() - began > WELL_AFTER_S:
                pause_s = FIRST_PAUSE_S
            _LOG.warning("the HTTP process ended with %s; it is started again in %g s", code, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    async def _live(self) -> int:
        """Run the child to its end; returns its exit code."""
        # An environment without NOTIFY_SOCKET: the service manager waits for words of the daemon alone.
        environ = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, env=environ
        )
        return await self._process.wait()
