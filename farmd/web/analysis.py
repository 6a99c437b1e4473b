"""Looks at scenes in a process of its own: a scene that somebody sends may be made to harm, or to take for ever.

The process gets one scene, the rules by which written paths are read, and the folders that it may tell of; it has so much
time and so much memory, and two run at a time. Whatever an analysis needs on the disk is made in its turn, so that what
waits takes no room. It knows nothing of tokens and of the daemon.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from farmd.web.errors import Refusal
from protocol.errors import NotFound, UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
    from pathlib import Path

AT_ONCE: Final = 2
LIMIT_S: Final = 180.0
MAX_WAITING: Final = 32
MAX_EACH: Final = 8
"""Of one user, so that the scenes of one who means harm leave places for the others."""
_MAX_ANSWER_BYTES: Final = 64 << 20


class Analyst:
    """Starts the processes."""

    def __init__(self) -> None:
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, user: str) -> AsyncIterator[Analysis]:
        """Wait until an analysis for a user may begin; gives what does one.

        Raises:
            Refusal: Too many wait.
        """
        if self._waiting.total() >= MAX_WAITING or self._waiting[user] >= MAX_EACH:
            why = f"{MAX_EACH} of yours are waited for" if self._waiting[user] >= MAX_EACH else ""
            raise Refusal(
                429, "many scenes are looked at already", why, "try again soon", headers={"Retry-After": "10"}
            )
        self._waiting[user] += 1
        try:
            async with self._at_once:
                yield _analyse
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user]

    async def analyse(
        self, user: str, scene: Path, inside: Sequence[Path], rules: Sequence[tuple[str, str]] = ()
    ) -> dict[str, Any]:
        """Return the asset.json of a scene that lies on this machine, for a user; see `_analyse`.

        Raises:
            UserError: The scene cannot be read, takes too long, or too many wait.
        """
        async with self.turn(user) as analyse:
            return await analyse(scene, inside, rules)


class Analysis(Protocol):
    """One analysis, in its turn."""

    def __call__(
        self,
        scene: Path,
        inside: Sequence[Path],
        rules: Sequence[tuple[str, str]] = (),
        shown: Mapping[str, str] | None = None,
    ) -> Awaitable[dict[str, Any]]:
        """See `_analyse`."""


async def _analyse(
    scene: Path,
    inside: Sequence[Path],
    rules: Sequence[tuple[str, str]] = (),
    shown: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the asset.json of a scene.

    Args:
        scene: The file.
        inside: Folders that may be told of; what a scene names elsewhere is missing.
        rules: Prefix as written -> what is read instead.
        shown: Prefix of a path here -> what it is called in the answer.

    Raises:
        UserError: The scene cannot be read, or takes too long.
    """
    asked = {
        "scene": str(scene),
        "inside": [str(folder) for folder in inside],
        "rules": [list(rule) for rule in rules],
        "shown": dict(shown or {}),
    }
    return _told(await _run(json.dumps(asked).encode()))


async def _run(asked: bytes) -> bytes:
    words = (sys.executable, "-P", "-m", "farmd.web.analysis_process")
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=_MAX_ANSWER_BYTES,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            told, _ = await process.communicate(asked)
    except TimeoutError:
        raise UserError("the scene cannot be analysed", f"it took longer than {LIMIT_S:.0f} s", "") from None
    finally:
        if process.returncode != 0:  # it may have left a Blender behind; one that ended well has not
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return told


def _told(answer: bytes) -> dict[str, Any]:
    """Read what the process said.

    Raises:
        UserError: It refused, or ended without a word.
    """
    try:
        found = json.loads(answer)
    except ValueError:
        raise UserError("the scene cannot be analysed", "it is damaged, or needs more memory than allowed") from None
    error = found.get("error")
    if error is None:
        return dict(found["document"])
    kind = {NotFound.code: NotFound, UsageError.code: UsageError}.get(error["code"], UserError)
    raise kind(str(error["what"]), str(error["why"]), str(error["hint"]))
