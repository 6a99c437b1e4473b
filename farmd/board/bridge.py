"""The farm on a board: its jobs as groups with their counts, and the frames of those that somebody opens.

A client of the daemon like any other: follows the live feed from one node to the next, and asks for the tasks of a job
only while a page has it open. When no node answers the board keeps what it knows and says so.

`farm_app` is what `farmd web` serves for `farmd run --board`. Programs of the same user join that board, too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from farmd.board.access import secret
from farmd.board.herald import tell
from farmd.board.jobtasks import counts_of, facts_of, group_key, job_id_of
from farmd.board.model import BoardModel
from farmd.board.openjob import OpenJob
from farmd.board.server import Board, make_app
from farmd.board.serving import url_of
from protocol.following import Answer, Following, Link, Standing

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from protocol.feed import Changes

OWNER: Final = "farm"
LOOK_S: Final = 0.25
MAX_OPEN: Final = 32
"""Jobs that are followed task by task at once, for all pages together; those that were opened first."""
CROWDED: Final = f"its frames are not shown while {MAX_OPEN} other jobs are open"
HINT: Final = "They appear here as soon as somebody submits one: farmctl submit SCENE"
STOPPED: Final = "The farm is not followed at the moment. Its jobs are shown as they were."


class FarmBridge:
    """Keeps the jobs of a farm on a board."""

    def __init__(self, model: BoardModel, following: Following) -> None:
        self._model = model
        self._following = following
        self._open: dict[str, asyncio.Task[None]] = {}
        self._crowded: set[str] = set()

    async def run(self) -> None:
        """Follow the farm until cancelled; may be called again after it has failed by a bug."""
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._follow())
                parts.create_task(self._look())
        finally:
            self._model.say(note=STOPPED)
            opened = list(self._open.values())
            self._open.clear()
            for task in opened:
                task.cancel()
            await asyncio.gather(*opened, return_exceptions=True)

    async def _follow(self) -> None:
        async for event in self._following.run():
            match event:
                case Answer(changes):
                    self._take_or_say(changes)
                case Standing():
                    self._model.say(note=_note(event))

    def _take_or_say(self, changes: Changes) -> None:
        try:
            self._take(changes)
        except (KeyError, TypeError, ValueError) as error:
            self._model.say(note=f"{self._following.node_name} answers with what this board does not know: {error!r}")
        else:
            self._model.say(note="")

    def _take(self, changes: Changes) -> None:
        picture = self._following.picture
        if picture.farm.get("name"):
            self._model.say(title=str(picture.farm["name"]))
        for job_id in changes.removed:
            self._model.remove_group(group_key(job_id))
        for job_id in changes.jobs:
            self._put(job_id)
        if picture.is_whole:
            self._forget_others(set(map(group_key, picture.jobs)))

    def _put(self, job_id: str) -> None:
        job, key = self._following.picture.jobs.get(job_id), group_key(job_id)
        if job is not None:
            facts = facts_of(job) | ({"tasks": CROWDED} if key in self._crowded else {})
            self._model.put_group(key, job["name"], OWNER, counts_of(job), facts)

    def _forget_others(self, known: set[str]) -> None:
        """Take jobs off that another node, or a later life of it, does not know."""
        for key in self._model.groups_of(OWNER) - known:
            self._model.remove_group(key)

    # -- the jobs that somebody has open --------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            watched = [key for key in self._model.watched if job_id_of(key) is not None]
            self._say_crowded(set(watched[MAX_OPEN:]))
            watched = watched[:MAX_OPEN]
            for key in set(watched) - self._open.keys():
                job = OpenJob(str(job_id_of(key)), self._model, self._following)
                self._open[key] = asyncio.create_task(job.follow())
            for key in self._open.keys() - set(watched):
                self._open.pop(key).cancel()
                self._model.drop_tasks(key)
            for task in self._open.values():
                if task.done():
                    task.result()  # a bug: raised here, where it is seen
            await asyncio.sleep(LOOK_S)

    def _say_crowded(self, crowded: set[str]) -> None:
        """Say of the jobs that are open beyond what is followed why their frames do not come."""
        changed, self._crowded = crowded ^ self._crowded, crowded
        for key in changed:
            self._put(str(job_id_of(key)))


def _note(standing: Standing) -> str:
    if standing.state is Link.CONNECTED:
        return ""
    if standing.state is Link.CONNECTING:
        return "Looking for a node of the farm…"
    last = f"; the last that did was {standing.node_name}" if standing.node_name else ""
    return f"No node of the farm answers{last}. Its jobs are shown as they were."


def farm_app(data_dir: Path | None, address: str) -> ASGIApp:
    """Make the board of a farm.

    Args:
        data_dir: Of the daemon to ask first; None = the one of this machine.
        address: HOST:PORT where it is served; the caller listens there.
    """
    model = BoardModel("Render farm", hint=HINT)
    host, _, port = address.strip("/").rpartition(":")
    board = Board(model, host.strip("[]") or "127.0.0.1", secret())
    bridge = FarmBridge(model, Following(data_dir))

    url = url_of(board.host, int(port))
    return make_app(board, bridge.run, lambda: tell(board, url, data_dir))
