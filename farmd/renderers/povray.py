"""POV-Ray, one process per frame; the frame number is the scene's `clock`.

POV-Ray takes neither a list of frames nor a scratch place of its own: each frame is one cold start of some 0.2 s.
Width and height come from the parameters; POV-Ray's own default is too small to be meant.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.renderers import Command, Problem, Progress, classify_tail, require_known, require_number
from protocol.bodies import RendererFact
from protocol.errors import MissingFeature, NotFound, UsageError
from protocol.states import FailureClass

if TYPE_CHECKING:
    from farmd.renderers import RenderTask, Said

PROBE_TIMEOUT_S: Final = 20.0
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1280, 720
PARAMS: Final = frozenset({"antialias", "clock", "height", "quality", "width"})
FORMATS: Final = {".png": "N", ".jpg": "J", ".jpeg": "J", ".exr": "E", ".tga": "T", ".ppm": "P", ".hdr": "H"}
LIBRARIES: Final = {"N": "png", "J": "jpeg", "E": "openexr"}
"""What POV-Ray may be built without, by the letter of the format; the other formats are its own."""
_VERSION: Final = re.compile(r"(?:POV-Ray|Version) (\d+\.\d+(?:\.\d+)*)")
_RENDERED: Final = re.compile(r"Rendered (\d+) of (\d+) pixels")
_CANNOT: Final = re.compile(r"((?:Possible )?(?:Parse|Fatal) error.*|Cannot (?:find|open) .*)", re.IGNORECASE)
_MISSING: Final = re.compile(r"Cannot (?:find|open) (?:input |include |image )?file", re.IGNORECASE)


class Povray:
    """POV-Ray of this machine."""

    name = "povray"
    default_output = "{frame:04d}.png"

    def __init__(self, program: str = "povray") -> None:
        self.program = program

    def executable(self) -> Path | None:
        """Find the program."""
        found = shutil.which(self.program)
        return Path(found) if found else None

    def probe(self) -> RendererFact | None:
        """Ask for its version; None if it is not there or does not answer."""
        program = self.executable()
        if program is None:
            return None
        try:
            done = subprocess.run(
                [str(program), "--version"], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False, text=True
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
            return None
        said = done.stdout + done.stderr
        found = _VERSION.search(said)
        formats = re.search(r"Supported image formats: +([a-z0-9 ]+)", said)
        features = tuple(sorted(formats[1].split())) if formats else ()
        return RendererFact(self.name, found[1], features) if found else None

    def commands(self, task: RenderTask) -> tuple[Command, ...]:
        """One process per frame.

        Raises:
            UserError: A parameter is wrong, or the program is gone.
        """
        program = self.executable()
        if program is None:
            raise NotFound("POV-Ray is not installed on this node", f"no program {self.program!r} in PATH")
        require_known("povray", task.params, PARAMS)
        return tuple(
            Command((str(program), *_options_of(task, frame, path)), (frame,))
            for frame, path in zip(task.frames, task.outputs, strict=True)
        )

    def parse(self, line: str) -> Said | None:
        """Understand pixel counts (POV-Ray overwrites its line) and errors."""
        if line.startswith("Rendered "):
            pixels = _RENDERED.findall(line)
            return Progress(int(pixels[-1][0]) / max(1, int(pixels[-1][1]))) if pixels else None
        found = _CANNOT.search(line)
        if found is None or "user configuration" in line:
            return None
        return Problem(FailureClass.MISSING_ASSET if _MISSING.search(line) else FailureClass.ERROR, found[1])

    def continues(self, line: str) -> bool:
        """Tell whether a line goes on where the one before was broken: POV-Ray breaks after 80 columns, and indents."""
        return line.startswith(" ") and bool(line.strip())

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        """Judge a failed process; its long lines are broken, so a missing file shows only in the joined text."""
        if _MISSING.search(" ".join(tail.split())):
            return FailureClass.MISSING_ASSET
        return classify_tail(exit_code, tail)


def _options_of(task: RenderTask, frame: int, path: Path) -> list[str]:
    width = require_number("povray", task.params, "width") or DEFAULT_WIDTH
    height = require_number("povray", task.params, "height") or DEFAULT_HEIGHT
    quality = require_number("povray", task.params, "quality", least=0)
    suffix, built = path.suffix.lower(), task.installed.features if task.installed is not None else ()
    letter = FORMATS.get(suffix)
    if letter is None:
        raise UsageError(
            f"povray cannot write {path.suffix!r}", f"it writes {', '.join(FORMATS)}", "change output_name"
        )
    if built and LIBRARIES.get(letter, built[0]) not in built:
        raise MissingFeature(f"POV-Ray was built without {LIBRARIES[letter]}", f"it cannot write {suffix}")
    options = [
        f"+I{_quoted(task.scene)}",
        f"+O{_quoted(path)}",
        f"+F{letter}",
        f"+K{_clock_of(task, frame)}",
        f"+W{width}",
        f"+H{height}",
    ]
    options += [
        "-D",
        "-P",
        "-C",
        f"+WT{task.threads}",
        f"+L{_quoted(task.scene.parent)}",
        f"+L{_quoted(task.checkout)}",
    ]
    if quality is not None:
        options.append(f"+Q{quality}")
    if "antialias" in task.params:
        options.append(f"+A{task.params['antialias']}")
    return options


def _quoted(path: Path) -> str:
    """Quote a path for POV-Ray's own parser of options, which takes a blank for their end.

    Raises:
        UsageError: It holds a quote itself; there is no escape for one.
    """
    if '"' in str(path):
        raise UsageError(
            f"povray cannot read {path.name!r}", "its options have no escape for a quote", "rename the file"
        )
    return f'"{path}"'


def _clock_of(task: RenderTask, frame: int) -> str:
    """The clock is the frame's number; `clock=0.04` makes it that many per frame (1/25 s, say)."""
    try:
        return repr(frame * float(task.params.get("clock", "1")))
    except ValueError as error:
        text = task.params["clock"]
        raise UsageError(f"povray: clock={text} is no good", "it is a number per frame", "clock=0.04") from error
