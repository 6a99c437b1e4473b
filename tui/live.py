"""The farm as it is: what `protocol.following` tells, in the words of the dashboard."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, assert_never

from protocol.following import Answer, Following, JobAnswer, Standing
from tui.source import FarmTold, JobLost, JobTold, LinkTold, Told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from protocol.following import Event


class LiveSource:
    """Follows a farm through one of its nodes after another.

    Args:
        target: The node to ask first; see `protocol.targets.find_target`.
    """

    def __init__(self, target: str | None = None) -> None:
        self._following = Following(target)

    async def told(self) -> AsyncGenerator[Told, None]:
        """Yield what happens, for ever."""
        async with aclosing(self._following.run()) as events:
            async for event in events:
                yield self._translated(event)

    def _translated(self, event: Event) -> Told:
        match event:
            case Answer():
                return FarmTold(self._following.picture, event.changes)
            case JobAnswer() if event.error is not None:
                return JobLost(event.picture.id, event.error.what)
            case JobAnswer():
                return JobTold(event.picture, event.is_new)
            case Standing():
                return LinkTold(event.state, event.node_name, event.why)
            case _:
                assert_never(event)

    async def call(self, op: str, /, **args: Any) -> Any:
        """Ask the node that answers now.

        Raises:
            UserError: What it says, or that nobody answers.
        """
        return await self._following.call(op, **args)

    def watch_job(self, job: str | None) -> None:
        """Follow this job too, or none."""
        self._following.watch_job(job)
