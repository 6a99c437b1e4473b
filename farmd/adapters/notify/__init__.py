"""Carries notices to hooks: one request to an address, or one program that reads it, for each `Notify`.

Tries once; whether and when it is tried again is the core's to decide. Every try ends within its limit, whatever the
other side does: a connection that trickles is closed, a program that hangs is killed with its whole group. A few of
each kind are under way at once, the others wait their turn; a try begins when it is its turn, so that its limit is its
own. A thread that looks up a name cannot be ended: it counts until it returns, and then sends nothing any more.

A program is started without a shell, and reads the notice as JSON from its standard input. How an address is told:
`request`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from farmd.adapters.notify.attempt import Attempt, told
from farmd.core.events import Notified
from protocol.hooks import COMMAND, body_for, words_of
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from farmd.core.effects import Notify
    from farmd.core.events import Event
    from protocol.bodies import HookBody

URL_S: Final = 10.0
COMMAND_S: Final = 60.0
AT_ONCE: Final = 4
"""Programs that run."""
THREADS: Final = 16
"""Threads with a request; more than programs, for a name server that is away holds some of them for a while."""
_SAID_BYTES: Final = 300
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "TMPDIR")


class Notifier:
    """Carries notices out.

    Args:
        post: Takes the outcomes.
        version: Of this program, for the header User-Agent.
        url_s: Longest time of a request.
        command_s: Longest life of a program.
    """

    def __init__(
        self,
        post: Callable[[Event], None],
        version: str,
        *,
        url_s: float = URL_S,
        command_s: float = COMMAND_S,
    ) -> None:
        self._post = post
        self._version = version
        self._url_s = url_s
        self._command_s = command_s
        self._threads = asyncio.Semaphore(THREADS)
        self._programs = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[asyncio.Task[None], None] = {}

    def notify(self, effect: Notify) -> None:
        """Begin one try; its outcome is posted."""
        task = asyncio.get_running_loop().create_task(self._carry(effect))
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def close(self) -> None:
        """End what is under way; nothing more is posted."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, effect: Notify) -> None:
        if effect.hook.kind == COMMAND:
            async with self._programs:
                try:
                    error = await self._run(effect.hook, effect.notice)
                except (OSError, ValueError) as fault:
                    error = told(fault)
        else:
            error = await self._send(effect.hook, effect.notice)
        self._post(Notified(effect.ask, error))

    # -- addresses -----------------------------------------------------------------------------------------------------

    async def _send(self, hook: HookBody, notice: Mapping[str, Any]) -> str:
        def work(attempt: Attempt) -> str:
            from farmd.adapters.notify.request import send  # what speaks http takes memory: not where nobody is told

            return send(attempt, hook, notice, self._version)

        await self._threads.acquire()
        attempt = Attempt(self._url_s)
        try:
            answered = attempt.start(work, freed=self._threads.release)
        except RuntimeError as error:  # this machine has no thread left
            self._threads.release()
            return told(error)
        try:
            async with asyncio.timeout(self._url_s):
                return await answered
        except TimeoutError:
            return f"no answer within {self._url_s:g} s"
        finally:
            attempt.end()

    # -- programs ------------------------------------------------------------------------------------------------------

    async def _run(self, hook: HookBody, notice: Mapping[str, Any]) -> str:
        import tempfile  # few farms have programs to tell

        with tempfile.TemporaryFile() as said:
            process = await asyncio.create_subprocess_exec(
                *words_of(hook.target),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env=_environ(notice),
                cwd="/",
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(self._command_s):
                    await process.communicate(body_for(hook.style, notice))
            except TimeoutError:
                return f"it did not end within {self._command_s:g} s" + _tail(said)
            finally:
                with suppress(ProcessLookupError):  # what it left running ends with it
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            return f"it ended with {process.returncode}" + _tail(said) if process.returncode else ""


def _environ(notice: Mapping[str, Any]) -> dict[str, str]:
    """Give a program what it most likely needs, so that a line of shell is enough."""
    job = notice["job"] or {}
    told = {
        "ID": notice["id"],
        "EVENT": notice["event"],
        "TEXT": notice["text"],
        "FARM": notice["farm"],
        "RESOLVED": "1" if notice["resolved"] else "",
        "JOB": job.get("id", ""),
        "JOB_NAME": job.get("name", ""),
        "JOB_OWNER": job.get("owner", ""),
    }
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # Names of jobs are an artist's words: none of them may begin a line of its own in whatever a program writes.
    return kept | {f"FARM_NOTICE_{name}": printable(str(value)) for name, value in told.items()}


def _tail(said: IO[bytes]) -> str:
    """Return the last line that a program printed."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SAID_BYTES))
    lines = said.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last}" if last else ""
