"""One job of a farm that somebody has open: its frames, as they change, and what is known of those that ended.

States and progress come with the job's feed, many thousands of frames in one answer. Where a frame ran, and why it
failed, stands in the list of tasks, which costs the node more: asked for when something ended, not oftener than every
`DETAILS_S`, and of large jobs for failed frames alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from farmd.board.jobtasks import Detail, changed_tasks, detail_of, group_key
from protocol.errors import PeerError, UserError
from protocol.feed import JobPicture

if TYPE_CHECKING:
    from farmd.board.model import BoardModel

PATIENCE_S: Final = 2.0
AGAIN_S: Final = 1.0
DETAILS_S: Final = 3.0
SMALL: Final = 1_000
"""Tasks up to which all are asked for their details."""
MAX_DETAILS: Final = 1_000
_AT_ONCE: Final = 5_000
"""Tasks that are put on the board before others get their turn."""


class Asker(Protocol):
    """Who asks the farm."""

    async def call(self, op: str, /, **args: Any) -> Any:
        """Ask for one operation."""


class OpenJob:
    """Follows one job and puts its tasks on a board."""

    def __init__(self, job_id: str, model: BoardModel, farm: Asker) -> None:
        self._picture = JobPicture(job_id)
        self._model = model
        self._farm = farm
        self._states = b""
        self._running: dict[int, dict[str, Any]] = {}
        self._details: dict[int, Detail] = {}
        self._detailed = b""
        self._details_at = float("-inf")

    async def follow(self) -> None:
        """Go on until cancelled; a node that is gone is asked again, by way of another."""
        while True:
            try:
                answer = await self._farm.call("job.feed", **self._picture.question(PATIENCE_S))
                if self._picture.apply(answer):
                    self._states, self._running = b"", {}
                changed = await self._new_details()
            except (UserError, PeerError, KeyError, TypeError, ValueError):
                # that node is gone, does not know the job, or is of another version; another may do better
                self._picture = JobPicture(self._picture.id)
                await asyncio.sleep(AGAIN_S)
                continue
            await self._show(changed)

    async def _new_details(self) -> set[int]:
        """Ask for details if something ended; returns the tasks of which more is known."""
        now, states = asyncio.get_running_loop().time(), self._picture.states
        if states == self._detailed or now < self._details_at + DETAILS_S:
            return set()
        self._details_at, self._detailed = now, states
        which = "" if len(states) <= SMALL else "failed"
        answer = await self._farm.call("task.list", job=self._picture.id, state=which, limit=MAX_DETAILS)
        found = {row["index"]: detail_of(row) for row in answer["tasks"]}
        changed = {task for task, detail in found.items() if self._details.get(task) != detail}
        self._details |= found
        return changed

    async def _show(self, detailed: set[int]) -> None:
        picture = self._picture
        tasks = list(changed_tasks(picture, self._states, self._running, self._details, detailed))
        for start in range(0, len(tasks), _AT_ONCE):
            self._model.put_tasks(group_key(picture.id), tasks[start : start + _AT_ONCE])
            await asyncio.sleep(0)
        self._states, self._running = picture.states, picture.running
