"""What a renderer is: how to start it, how to read what it says, how to judge its end.

A renderer is a plain object that knows one program. It never starts a process, never waits, never looks at the farm:
the runner does that, the same for all of them. So a studio adds its own by writing one class and naming it in the
entry point group `farmd.renderers`; it may import this module and `protocol`, nothing else of ours.

Invariants: `commands` depends on the task alone; whatever a renderer promises as outputs is checked afterwards, file
by file, because an exit code of 0 proves nothing (a missing texture, a frame out of range and a missing camera all
end well somewhere). Scripts speak to the farm in lines that begin with `@farmd `:

    @farmd progress 0.25
    @farmd saved {"frame": 3, "path": "/…/0003.png", "width": 1920, "height": 1080}
    @farmd problem missing_asset 2 files are missing: //tex/wood.png, //lib/tree.blend

The modules beside this one never import one another; `registry` loads them by name, and opens `work` with them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from protocol.errors import UsageError
from protocol.human import nearest_word
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from protocol.bodies import RendererFact
    from protocol.pathrules import PathMap


@dataclass(frozen=True, slots=True)
class RenderTask:
    """One attempt's work, as a renderer sees it.

    Attributes:
        scene: Absolute path of the scene in the checkout; the checkout itself if the job names no scene.
        checkout: Root of the job's files; commands run here.
        frames: Ascending.
        outputs: The file that each frame must leave, in the order of `frames`; empty if none is promised.
        output_dir: Where everything that the renderer writes belongs; exists, is empty.
        scratch: For helper files; exists, removed afterwards.
        threads: Processors that may be used.
        gpus: UUIDs of the GPUs that may be used.
        params: The job's parameters for this renderer.
        template: The job's command line (renderer `command`).
        installed: What the probe of the renderer found on this node, if it has run.
        paths: What is read instead of the paths that the scene names; None if nothing is. `params` are mapped already.
    """

    scene: Path
    checkout: Path
    frames: tuple[int, ...]
    outputs: tuple[Path, ...]
    output_dir: Path
    scratch: Path
    threads: int = 1
    gpus: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    installed: RendererFact | None = None
    paths: PathMap | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run.

    Attributes:
        argv: Program and arguments; never goes through a shell.
        frames: Frames that it renders: its time limit is that of a frame times their number.
        env: Variables beside those of the runner.
        files: Helper files to write first, as (path, content).
    """

    argv: tuple[str, ...]
    frames: tuple[int, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[Path, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the present frame is done, 0..1."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Saved:
    """A frame's file was written; size in pixels where the renderer says it, else 0."""

    path: str
    frame: int | None = None
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """The renderer says what is wrong. Counts only if the attempt fails: a warning alone ends nothing."""

    cause: FailureClass
    text: str


Said = Progress | Saved | Problem


@dataclass(frozen=True, slots=True)
class Promise:
    """A file that a frame must leave.

    Attributes:
        path: Where.
        width: Pixels where it is known, else 0.
        height: Pixels where it is known, else 0.
        any_content: Its name says nothing of its content: it is checked as a picture only if it begins like one.
    """

    path: Path
    width: int = 0
    height: int = 0
    any_content: bool = False


@dataclass(frozen=True, slots=True)
class Inspected:
    """What became of the promises.

    Attributes:
        fault: Why they are not kept, one line; empty if they are.
        remark: What a person should look at although they are kept.
        luminances: Mean luminance, 0..1, of each picture that was measured.
    """

    fault: str = ""
    remark: str = ""
    luminances: tuple[float, ...] = ()


class Renderer(Protocol):
    """One program that renders."""

    @property
    def name(self) -> str:
        """The word that jobs use."""
        ...

    @property
    def default_output(self) -> str:
        """Template of output names for jobs that give none; empty if then no output is promised."""
        ...

    def probe(self) -> RendererFact | None:
        """Say what is installed here, or None; may start the program once (cached by the registry)."""
        ...

    def executable(self) -> Path | None:
        """Find the program; its path and mtime are the key of the cached probe."""
        ...

    def commands(self, task: RenderTask) -> tuple[Command, ...]:
        """Say which processes to run, one after the other.

        Raises:
            UserError: The task cannot be started with this program.
        """
        ...

    def parse(self, line: str) -> Said | None:
        """Understand one line of the log."""
        ...

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        """Judge a process that failed without naming its problem."""
        ...


_SAID: Final = re.compile(r"@farmd (progress|saved|problem) (.*)")
_CLASSES: Final = {cause.name.lower(): cause for cause in FailureClass}


def parse_said(line: str) -> Said | None:
    """Understand a line of the farm's own form; a malformed one is only a log line."""
    found = _SAID.match(line)
    if found is None:
        return None
    kind, rest = found.groups()
    try:
        if kind == "progress":
            return Progress(min(1.0, max(0.0, float(rest))))
        if kind == "saved":
            facts = json.loads(rest)
            return Saved(
                str(facts["path"]),
                frame=int(facts["frame"]),
                width=int(facts.get("width", 0)),
                height=int(facts.get("height", 0)),
            )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    word, _, text = rest.partition(" ")
    cause = _CLASSES.get(word)
    return None if cause is None else Problem(cause, text)


# Order matters: what is more specific comes first. Read from the last lines of a failed process only, so a scene
# that merely mentions a licence in a warning does not count.
_PATTERNS: Final = tuple(
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        (FailureClass.DISK_FULL, r"no space left on device|disk quota exceeded|disk (is )?full|ENOSPC"),
        (
            FailureClass.LICENSE,
            (
                r"licen[sc]e[^\n]{0,60}(fail|error|denied|not (found|available|authori)|unavailable|could not|cannot|expired)"
                r"|(fail|could not|cannot|unable|no|error)[^\n]{0,60}\blicen[sc]e|all licen[sc]es (are )?in use"
            ),
        ),
        (
            FailureClass.OOM,
            (
                r"out of (gpu |host |device |video )?memory|cannot allocate memory|bad_alloc|MemoryError\b"
                r"|memory allocation failed|calloc returns null|malloc returns null|CUDA_ERROR_OUT_OF_MEMORY"
            ),
        ),
        (
            FailureClass.MISSING_ASSET,
            (
                r"no such file or directory|cannot (find|open|load) [^\n]{0,40}(file|texture|image|library)"
                r"|(file|texture|image|library)[^\n]{0,80}(not found|does not exist|is missing)|FileNotFoundError"
            ),
        ),
    )
)
_CRASH_CODES: Final = range(128 + 1, 128 + 65)


def classify_tail(exit_code: int, tail: str) -> FailureClass:
    """Judge a failed process by what its last lines say, then by how it ended; what most renderers need."""
    for cause, pattern in _PATTERNS:
        if pattern.search(tail):
            return cause
    if exit_code < 0 or exit_code in _CRASH_CODES:
        return FailureClass.CRASH
    return FailureClass.ERROR


def require_known(renderer: str, params: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse parameters that the renderer does not know: a typo must not render a thousand wrong frames.

    Raises:
        UsageError: There is one.
    """
    for name in params:
        if name not in known:
            meant = nearest_word(name, known)
            hint = f"did you mean {meant}?" if meant else f"it knows: {', '.join(sorted(known))}"
            raise UsageError(f"{renderer} knows no parameter {name!r}", "the job was not started", hint)


def require_number(renderer: str, params: Mapping[str, str], name: str, least: int = 1) -> int | None:
    """Read a whole-number parameter, or None if it is not given.

    Raises:
        UsageError: It is not a whole number, or below `least`.
    """
    text = params.get(name)
    if text is None:
        return None
    try:
        value = int(text)
    except (ValueError, TypeError):
        value = least - 1
    if value < least:
        raise UsageError(
            f"{renderer}: {name}={text} is no good", f"it is a whole number from {least}", f"{name}={least}"
        )
    return value
