"""What every program that is timed while it brings files has in common; see `benchmarks.carriers`."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Final, Protocol, Self

from benchmarks.harness import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.02


class Carrier(Protocol):
    """Brings folders, one after the other."""

    def __enter__(self) -> Self:
        """Start what it needs."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        ...

    def carry(self, source: Path, target: Path) -> float:
        """Bring the files of `source` to the empty folder `target`; return seconds from *go* until all is done."""
        ...


def files_of(folder: Path) -> list[Path]:
    """List the files of a folder, in order."""
    return sorted(path for path in folder.iterdir() if path.is_file())


class Cleanup(AbstractContextManager["Cleanup"]):
    """Base of those that start processes."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def __exit__(self, *_: object) -> None:
        """End everything that was started, the last first."""
        self.stack.close()

    def run(self, *argv: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a process that ends with this carrier."""
        with log.open("ab") as sink:
            process = subprocess.Popen(argv, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
        self.stack.callback(end, process)
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and end it if it does not."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    if process.returncode is None:
        process.kill()
        process.wait()


def until_there(fact: Callable[[], bool]) -> None:
    """Wait until everything is there."""
    until("everything is there", fact, PATIENCE_S, LOOK_S)
