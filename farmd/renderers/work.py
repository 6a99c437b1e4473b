"""One attempt's work with one renderer.

`Work` knows everything about an attempt but how to run a process: which commands, what their log says, whether what they
left is what was promised. The runner knows nothing but how to run them. Opened by `farmd.renderers.registry`.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from farmd.renderers import Problem, Progress, Promise, RenderTask, Saved
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from farmd.renderers import Command, Inspected, Renderer
    from protocol.pathrules import PathMap

MAX_EXTRA_OUTPUTS: Final = 10_000
LIGHT_BYTES: Final = 64 << 10
MAX_PROBLEM: Final = 400
"""Letters of a problem that a renderer told on several lines."""
_TELLING: Final = re.compile(r"error|fail|cannot|could not|exception|unable|denied|not found|missing", re.IGNORECASE)


class Room(Protocol):
    """The place that the runner gives to an attempt."""

    @property
    def checkout(self) -> Path:
        """Root of the job's files."""
        ...

    @property
    def output_dir(self) -> Path:
        """Empty folder for what it renders."""
        ...

    @property
    def scratch(self) -> Path:
        """Folder for helper files."""
        ...

    @property
    def cores(self) -> int:
        """Processors that it may use."""
        ...

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that it may use."""
        ...

    @property
    def paths(self) -> PathMap | None:
        """What is read instead of the paths that the scene names."""
        ...


class Checked(NamedTuple):
    """What an attempt left: cause 0 and its outputs as (name, path), or what is wrong with them.

    `promised` are those that the frames had to leave, in the order of the frames.
    """

    cause: int
    text: str = ""
    outputs: tuple[tuple[str, Path], ...] = ()
    promised: tuple[Path, ...] = ()


class Work:
    """One attempt's work with one renderer; the runner feeds it log lines and asks it for the verdict."""

    def __init__(
        self,
        renderer: Renderer,
        task: RenderTask,
        inspect: Callable[[Sequence[Promise], Sequence[float]], Inspected],
        luminances: deque[float],
    ) -> None:
        """Plan the processes.

        Raises:
            UserError: The task cannot be started with this renderer.
        """
        self._renderer = renderer
        self._task = task
        self._inspect = inspect
        self._luminances = luminances
        self._saved: dict[str, Saved] = {}
        self._frames_done = 0
        self._fraction = 0.0
        self._problem: Problem | None = None
        self._goes_on = False  # the line before told of the problem, and the next one may belong to it
        self.commands: tuple[Command, ...] = renderer.commands(task)

    @property
    def progress(self) -> float:
        """How much of the task is done, 0..1."""
        return min(1.0, (self._frames_done + self._fraction) / max(1, len(self._task.frames)))

    def read(self, line: str) -> None:
        """Take one line of the log into account."""
        continues = getattr(self._renderer, "continues", None)
        if self._goes_on and self._problem is not None and continues is not None and continues(line):
            joined = f"{self._problem.text} {line.strip()}"[:MAX_PROBLEM]
            cause = self._problem.cause
            self._problem = Problem(
                self._renderer.classify(1, joined) if cause == FailureClass.ERROR else cause, joined
            )
            return
        self._goes_on = False
        match self._renderer.parse(line):
            case Progress(fraction):
                self._fraction = fraction
            case Saved() as saved:
                self._saved[saved.path] = saved
                self._frames_done = max(self._frames_done, len(self._saved))
                self._fraction = 0.0
            case Problem() as problem:
                # The farm's own words come from a script that looked closely; of others the first is the cause.
                if self._problem is None or line.startswith("@farmd "):
                    self._problem, self._goes_on = problem, True
            case None:
                pass

    def command_done(self, index: int) -> None:
        """Take into account that a process ended well."""
        self._frames_done = max(self._frames_done, sum(len(item.frames) for item in self.commands[: index + 1]))
        self._fraction = 0.0

    def verdict(self, exit_code: int, tail: str) -> tuple[FailureClass, str]:
        """Judge a process that ended with another code than 0; the text is one line."""
        if self._problem is not None:
            return self._problem.cause, self._problem.text
        ended = f"exit code {exit_code}" if exit_code >= 0 else f"killed by {_signal_name(-exit_code)}"
        lines = [line.strip() for line in tail.splitlines() if line.strip() and not line.startswith("[farmd]")]
        telling = [line for line in lines if _TELLING.search(line)] or lines
        text = f"{self._renderer.name}: {ended}" + (f": {telling[-1][:300]}" if telling else "")
        return self._renderer.classify(exit_code, tail), text

    @property
    def is_light(self) -> bool:
        """True if `check` has so little to read that it may run on the event loop."""
        try:
            return sum(path.stat().st_size for path in set(self._task.outputs)) <= LIGHT_BYTES
        except OSError:
            return True

    def check(self) -> Checked:
        """Look whether the promised files are there and good; may take long for large pictures.

        A job that promises nothing leaves nothing: give it an output name to have its files collected.
        """
        promised = dict.fromkeys(self._task.outputs)
        if not promised:
            return Checked(0)
        seen = self._inspect([self._promise(path) for path in promised], tuple(self._luminances))
        if seen.fault:
            if self._problem is not None:
                return Checked(self._problem.cause, f"{seen.fault}; {self._problem.text}")
            return Checked(FailureClass.BAD_OUTPUT, seen.fault)
        self._luminances.extend(seen.luminances)
        names = {path.relative_to(self._task.output_dir).as_posix(): path for path in (*promised, *self._extras())}
        return Checked(0, seen.remark, tuple(sorted(names.items())), tuple(promised))

    def _promise(self, path: Path) -> Promise:
        saved = self._saved.get(str(path))
        width, height = (saved.width, saved.height) if saved is not None else (0, 0)
        return Promise(path, width, height, any_content=getattr(self._renderer, "any_content", False))

    def _extras(self) -> list[Path]:
        """Files that nobody promised and the renderer left: passes, caches; no links, and not without end."""
        found: list[Path] = []
        for folder, _, names in os.walk(self._task.output_dir):
            paths = [Path(folder, name) for name in names]
            found += [path for path in paths if not path.is_symlink()]
            if len(found) > MAX_EXTRA_OUTPUTS:
                break
        return found[:MAX_EXTRA_OUTPUTS]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
