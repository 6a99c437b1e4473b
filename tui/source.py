"""Where the dashboard's data comes from, as little as it needs to know of that: things that are told, and questions.

`tui.live` follows a farm; tests play recorded answers. Must not import textual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from protocol.feed import Changes, FarmPicture, JobPicture
    from protocol.following import Link


@dataclass(frozen=True, slots=True)
class FarmTold:
    """The feed told something of the farm."""

    picture: FarmPicture
    changes: Changes


@dataclass(frozen=True, slots=True)
class JobTold:
    """The feed told something of the opened job; `anew` if its tasks are others than before."""

    picture: JobPicture
    anew: bool


@dataclass(frozen=True, slots=True)
class JobLost:
    """The opened job cannot be followed: it was deleted, or never was."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class LinkTold:
    """The connection is another one, or none."""

    link: Link
    node_name: str
    why: str


Told = FarmTold | JobTold | JobLost | LinkTold


class Source(Protocol):
    """A farm, or a recording of one."""

    def told(self) -> AsyncGenerator[Told, None]:
        """Yield what happens, for ever; a node that is lost is replaced by another. Closed with its generator."""
        ...

    async def call(self, op: str, /, **args: Any) -> Any:
        """Ask the node that is connected now.

        Raises:
            UserError: What it says, or that nobody answers.
        """
        ...

    def watch_job(self, job: str | None) -> None:
        """Follow this job too, or none."""
        ...
