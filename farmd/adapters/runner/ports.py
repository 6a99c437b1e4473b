"""What the runner needs of others, with only what it uses: the checkout, the blob store, the renderers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from farmd.adapters.runner.room import Room
    from protocol.ids import AttemptRef, BlobAddress, JobId
    from protocol.jobspec import JobSpec
    from protocol.states import FailureClass


class Command(Protocol):
    """One process to run."""

    @property
    def argv(self) -> tuple[str, ...]:
        """Program and arguments."""
        ...

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that it renders."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Variables beside the runner's own."""
        ...

    @property
    def files(self) -> tuple[tuple[Path, bytes], ...]:
        """Helper files to write first."""
        ...


class Checked(Protocol):
    """Verdict over what an attempt left."""

    @property
    def cause(self) -> int:
        """Failure class, 0 = good."""
        ...

    @property
    def text(self) -> str:
        """One line, may be empty."""
        ...

    @property
    def outputs(self) -> tuple[tuple[str, Path], ...]:
        """Names and files, in name order."""
        ...

    @property
    def promised(self) -> tuple[Path, ...]:
        """Those of them that the frames had to leave, in the order of the frames."""
        ...


class Work(Protocol):
    """One attempt's work with one renderer."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """Processes to run, one after the other."""
        ...

    @property
    def progress(self) -> float:
        """How much is done, 0..1."""
        ...

    @property
    def is_light(self) -> bool:
        """`check` may run on the event loop."""
        ...

    def read(self, line: str) -> None:
        """Take a line of the log into account."""
        ...

    def command_done(self, index: int) -> None:
        """Take into account that a process ended well."""
        ...

    def verdict(self, exit_code: int, tail: str) -> tuple[FailureClass, str]:
        """Judge a process that did not end with 0."""
        ...

    def check(self) -> Checked:
        """Look whether what was promised is there."""
        ...


class Renderers(Protocol):
    """The renderers of this node."""

    def promises(self, spec: JobSpec) -> bool:
        """Tell whether each frame of this job must leave a file."""
        ...

    def open(self, job: JobId, spec: JobSpec, frames: tuple[int, ...], room: Room) -> Work:
        """Plan one attempt.

        Raises:
            UserError: It cannot be started here.
        """
        ...


class Laid(NamedTuple):
    """The job's files, laid out.

    Attributes:
        tree: Folder that they lie in; commands run there.
        root: Folder of the submitting machine that `tree` stands for; None if the job has no files.
    """

    tree: Path
    root: str | None = None


class Thumbnails(Protocol):
    """Small views of finished frames."""

    def wants(self, path: Path) -> bool:
        """Tell whether this file gets one; cheap."""
        ...

    def make(self, paths: Sequence[Path]) -> Sequence[BlobAddress | None]:
        """Draw and store thumbnails, None where there is none; takes seconds, never raises for what a file holds."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything outside that an attempt uses.

    Attributes:
        checkout: Lay the job's files out; raises FarmError or OSError if it cannot.
        ingest: Take a finished file into the blob store, by moving it if it likes; called on a thread for larger
            files; raises FarmError or OSError.
        renderers: What is installed.
        log_path: Where an attempt's log stands.
        thumbnails: Makes small views of what frames leave, if this node can; called on a thread.
    """

    checkout: Callable[[AttemptRef, JobSpec], Awaitable[Laid]]
    ingest: Callable[[Path], BlobAddress]
    renderers: Renderers
    log_path: Callable[[AttemptRef], Path]
    thumbnails: Thumbnails | None = None
