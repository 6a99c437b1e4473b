"""Starts a Blender that opens one scene in the background and writes down what it says about itself.

The command line keeps the artist's settings and add-ons out (`--factory-startup`) and the scene's scripts and drivers
from running (`--disable-autoexec`, before the file, since Blender takes its words in order); `in_blender_start` ends it
before the scene would be evaluated. All that Blender says, its
temporary files and its answer go to a folder of ours that is gone afterwards; after the time limit the process and all
it started are killed.

What went wrong is told apart here, by exit code and log, and judged by `blend`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

SCRIPT_EXIT: Final = 9
"""Of an uncaught exception in our scripts."""
LIMIT_S: Final = 300.0
LOG_BYTES: Final = 1 << 18
"""Of the end of the log; a scene with a million warnings shall not fill the memory."""
BUILT_IN_OCIO: Final = "ocio://"
"""Begins the names of configurations that OpenColorIO itself brings along."""
_START: Final = Path(__file__).with_name("in_blender_start.py")
_ERROR: Final = re.compile(r"^Error: (.*)$", re.MULTILINE)
_VERSION: Final = re.compile(r"^Blender (\d+)\.(\d+)", re.MULTILINE)
_LOST_ENGINE: Final = re.compile(r"^Error: Engine '([^']+)' not available for scene '(.*)' \(", re.MULTILINE)


class Fault(StrEnum):
    """Why Blender gave no answer."""

    UNKNOWN_FORMAT = "unknown_format"
    """It does not know the file format: mostly a file of a newer Blender."""
    DAMAGED = "damaged"
    CRASHED = "crashed"
    TIME = "time"
    NOT_STARTED = "not_started"
    OTHER = "other"


class NoAnswer(Exception):
    """A program did not open the scene.

    Attributes:
        fault: The kind of reason.
        text: The reason in one line.
        version: Major and minor of the Blender that was asked; None if it did not even say that.
    """

    def __init__(self, fault: Fault, text: str, version: tuple[int, int] | None = None) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.version = version


@dataclass(frozen=True, slots=True)
class Answer:
    """What the two scripts wrote.

    Attributes:
        facts: Of `in_blender`.
        files: Of `in_blender_files`.
        lost_engines: Per scene, the engine it was saved with, where this Blender lacks it and took another.
    """

    facts: dict[str, Any]
    files: dict[str, Any]
    lost_engines: dict[str, str]


def find_blenders() -> tuple[Path, ...]:
    """Find Blender: in PATH, then what FARM_BLENDER names, as a path or a name."""
    names = ("blender", os.environ.get("FARM_BLENDER", ""))
    found = [shutil.which(name) for name in names if name]
    return tuple(dict.fromkeys(Path(path) for path in found if path))


def ask_blender(program: Path, scene: Path, *, limit_s: float = LIMIT_S) -> Answer:
    """Let Blender open a scene and tell what is in it; how it ends when both answers are written does not matter.

    Raises:
        NoAnswer: It did not.
    """
    with tempfile.TemporaryDirectory(prefix="farmd-blend-") as name:
        folder = Path(name)
        code = run_limited(_argv(program, scene, folder), folder, limit_s=limit_s)
        log = log_tail(folder)
        try:
            facts, files = (json.loads((folder / part).read_bytes()) for part in ("facts.json", "files.json"))
        except (OSError, ValueError):
            raise _no_answer(code, log, limit_s) from None
        if not _is_same(facts["file"], scene):
            raise _no_answer(code, log, limit_s)
    lost = {name: engine for engine, name in _LOST_ENGINE.findall(log)}
    return Answer(facts, files, lost)


def run_limited(argv: list[str], folder: Path, *, limit_s: float) -> int | None:
    """Run a program in a folder that takes its log and its temporary files; return its exit code, None after the limit.

    Raises:
        NoAnswer: It cannot be started.
    """
    environment = {**os.environ, "TMPDIR": str(folder), "TMP": str(folder), "TEMP": str(folder)}
    ocio = environment.get("OCIO", "")
    if not ocio.startswith(BUILT_IN_OCIO) and not Path(ocio).is_file():
        environment.pop("OCIO", None)  # Blender aborts where this names nothing; that it is missing is found by others
    with (folder / "log").open("wb") as log:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise NoAnswer(Fault.NOT_STARTED, f"{argv[0]}: {error.strerror or error}") from None
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def log_tail(folder: Path) -> str:
    """Return the end of what a program said."""
    with (folder / "log").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return file.read().decode("utf-8", "replace")


def _argv(program: Path, scene: Path, folder: Path) -> list[str]:
    argv = [str(program), "--background", "--factory-startup", "--disable-autoexec"]
    argv += ["--python-exit-code", str(SCRIPT_EXIT), "--python", str(_START)]
    return [*argv, str(scene.absolute()), "--", str(folder)]


def _is_same(opened: str, scene: Path) -> bool:
    try:
        return Path(opened).samefile(scene)
    except OSError:
        return False


def _no_answer(code: int | None, log: str, limit_s: float) -> NoAnswer:
    found = _VERSION.search(log)
    fault, text = _fault_of(code, log, limit_s)
    return NoAnswer(fault, text, (int(found[1]), int(found[2])) if found is not None else None)


def _fault_of(code: int | None, log: str, limit_s: float) -> tuple[Fault, str]:
    if code is None:
        return Fault.TIME, f"it did not finish within {limit_s:g} s and was killed"
    if code < 0:
        return Fault.CRASHED, f"it was killed by signal {-code}"
    errors = _ERROR.findall(log)
    text = errors[-1] if errors else _last_line(log) or f"it ended with exit code {code} and said nothing"
    if "not a blend file" in text or "format is not supported" in text:
        return Fault.UNKNOWN_FORMAT, text
    return (Fault.DAMAGED if "Failed to read blend file" in text else Fault.OTHER), text


def _last_line(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("Blender ")]
    return lines[-1] if lines else ""
