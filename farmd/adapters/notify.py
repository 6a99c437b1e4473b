"""Carries notices to hooks: one request to an address, or one program that reads it, for each `Notify`.

Tries once; whether and when it is tried again is the core's to decide. Every try ends within its limit, whatever the
other side does: a connection that trickles is closed, a program that hangs is killed with its whole group. A few of
each kind are under way at once, the others wait their turn.

A redirect is an error that names where it leads: what a hook is sent may be secret, so it goes nowhere but to the
address that an admin wrote down. A program is started without a shell, and reads the notice as JSON from its standard
input. Only http and https are spoken; proxies are those of the daemon's environment.

Signature: `X-Farm-Signature: sha256=` and the HMAC-SHA256 (RFC 2104) of the body by the hook's secret, in hex.
"""

from __future__ import annotations

import asyncio
import hmac
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from farmd.core.events import Notified
from protocol.hooks import COMMAND, KINDS, body_for, words_of
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
        self._threads: ThreadPoolExecutor | None = None
        self._free = {kind: asyncio.Semaphore(AT_ONCE) for kind in KINDS}
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
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _carry(self, effect: Notify) -> None:
        async with self._free[effect.hook.kind]:
            try:
                if effect.hook.kind == COMMAND:
                    error = await self._run(effect.hook, effect.notice)
                else:
                    error = await self._send(effect.hook, effect.notice)
            except (OSError, ValueError) as fault:
                error = _told(fault)
        self._post(Notified(effect.ask, error))

    # -- addresses -----------------------------------------------------------------------------------------------------

    async def _send(self, hook: HookBody, notice: Mapping[str, Any]) -> str:
        request = self._request(hook, notice)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, "notify")
        opened: list[socket.socket] = []
        work = asyncio.get_running_loop().run_in_executor(self._threads, _ask, request, self._url_s, opened)
        try:
            async with asyncio.timeout(self._url_s):
                return await asyncio.shield(work)
        except TimeoutError:
            return f"no answer within {self._url_s:g} s"
        finally:  # whatever still reads or writes there ends now
            for connection in opened:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _request(self, hook: HookBody, notice: Mapping[str, Any]) -> urllib.request.Request:
        body = body_for(hook.style, notice)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": f"farmd/{self._version}",
            "X-Farm-Notice": str(notice["id"]),
            "X-Farm-Event": str(notice["event"]),
        }
        if hook.secret:
            headers["X-Farm-Signature"] = "sha256=" + hmac.digest(hook.secret.encode(), body, "sha256").hex()
        return urllib.request.Request(hook.target, body, headers, method="POST")  # noqa: S310  # only http(s) is opened

    # -- programs ------------------------------------------------------------------------------------------------------

    async def _run(self, hook: HookBody, notice: Mapping[str, Any]) -> str:
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


# -- one request, in a thread ------------------------------------------------------------------------------------------


def _ask(request: urllib.request.Request, timeout_s: float, opened: list[socket.socket]) -> str:
    """Send a request and say what was wrong, or nothing; connections are named in `opened` as they are made."""
    try:
        with _opener(opened).open(request, timeout=timeout_s) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(error)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _told(error)
    return "" if 200 <= status < 300 else f"it answers {status}"


def _refusal(error: urllib.error.HTTPError) -> str:
    where = error.headers.get("Location") if 300 <= error.code < 400 else None
    if where is not None:
        return f"it answers {error.code} and leads to {where[:200]}: name that address itself"
    with suppress(OSError, http.client.HTTPException):
        said = error.read(_SAID_BYTES).decode(errors="replace").strip().partition("\n")[0]
        return f"it answers {error.code} {error.reason}" + (f": {said}" if said.isprintable() and said else "")
    return f"it answers {error.code} {error.reason}"


def _told(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return (str(reason) or type(error).__name__)[:_SAID_BYTES]


def _opener(opened: list[socket.socket]) -> urllib.request.OpenerDirector:
    """Make an opener that speaks http and https, follows no redirect, and tells its connections."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(opened),
        _Https(opened),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        director.add_handler(handler)
    return director


class _Http(urllib.request.HTTPHandler):
    def __init__(self, opened: list[socket.socket]) -> None:
        super().__init__()
        self._opened = opened

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **args: Any) -> http.client.HTTPConnection:
            return _telling(http.client.HTTPConnection(host, **args), self._opened)

        return self.do_open(connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, opened: list[socket.socket]) -> None:
        super().__init__()
        self._opened = opened

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **args: Any) -> http.client.HTTPConnection:
            return _telling(http.client.HTTPSConnection(host, **args), self._opened)

        return self.do_open(connection, req)


def _telling(connection: http.client.HTTPConnection, opened: list[socket.socket]) -> http.client.HTTPConnection:
    """Have a connection name its socket as soon as there is one."""
    connect = connection.connect

    def told() -> None:
        connect()
        opened.append(connection.sock)

    connection.connect = told  # type: ignore[method-assign]  # the one place where the socket is known before it is used
    return connection
