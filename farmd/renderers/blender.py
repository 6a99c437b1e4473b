"""Blender, one process for all frames of a task.

A cold process costs a second, a further frame in it milliseconds; so a chunk is one process, driven by
`blender_frames` inside it. The command line keeps the artist's settings out (`--factory-startup`) and scripts of the
scene from running (`--disable-autoexec`): what a scene may run is a decision of the node, never of the scene.

What Blender cannot say for itself is decided here: a file that a newer Blender wrote is recognised by its first bytes
and refused with the version it needs, where Blender would call it "not supported".
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.renderers import (
    Command,
    Problem,
    Progress,
    classify_tail,
    parse_said,
    require_known,
    require_number,
)
from protocol import pathrules
from protocol.bodies import RendererFact
from protocol.errors import MissingFeature, NotFound, UsageError
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.renderers import RenderTask, Said

PROBE_TIMEOUT_S: Final = 60.0
ERROR_EXIT: Final = 4
"""Of an uncaught exception in the script; `blender_frames` itself ends with 3 after it has named its problem."""
PARAMS: Final = frozenset(
    {
        "allow_missing",
        "camera",
        "denoise",
        "engine",
        "format",
        "resolution",
        "samples",
        "scene_name",
        "view_layers",
    }
)
_HERE: Final = Path(__file__).parent
_SAMPLE: Final = re.compile(r"(?:Sample |Rendering +)(\d+) ?/ ?(\d+)")
_SIGNS: Final = (
    (re.compile(r"Build without OpenImageDenoiser"), FailureClass.MISSING_FEATURE),
    (re.compile(r"(?:System is out of GPU|Out of) memory.*", re.IGNORECASE), FailureClass.OOM),
    (re.compile(r"(?:Malloc|Calloc|Realloc) returns null.*", re.IGNORECASE), FailureClass.OOM),
    (re.compile(r"Error: File format is not supported.*"), FailureClass.START_FAILED),
    (re.compile(r"Error: Failed to read blend file.*"), FailureClass.ERROR),
    (re.compile(r"Error: Cannot read file.*"), FailureClass.MISSING_ASSET),
    (re.compile(r"Error: Cannot render, no camera"), FailureClass.ERROR),
    (re.compile(r"Error: Engine .* not available.*"), FailureClass.MISSING_FEATURE),
    (re.compile(r"A graphics card and driver with support for .* is required.*"), FailureClass.MISSING_FEATURE),
)
_NO_DISPLAY: Final = re.compile(r"Unable to open a display|Error creating OpenGL context")
"""Said in passing by a Blender that goes on with Cycles; the reason only where it is killed by a signal right then."""
_OLD_HEADER: Final = re.compile(rb"BLENDER[-_][vV](\d)(\d\d)")
_NEW_HEADER: Final = re.compile(rb"BLENDER\d\d[-_]\d\d[vV](\d\d)(\d\d)")
READS_NEW_HEADER: Final = (4, 5)
"""The first Blender that reads the header which Blender 5 writes."""


class Blender:
    """Blender of this machine.

    Attributes:
        program: Name or path of the executable.
    """

    name = "blender"
    default_output = "{frame:04d}.png"

    def __init__(self, program: str = "blender") -> None:
        self.program = program

    def executable(self) -> Path | None:
        """Find the program."""
        found = shutil.which(self.program)
        return Path(found) if found else None

    def probe(self) -> RendererFact | None:
        """Start it once and ask what it can do; None if it is not there or does not work."""
        program = self.executable()
        if program is None:
            return None
        argv = [str(program), "-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", str(ERROR_EXIT)]
        argv += ["--python", str(_HERE / "blender_probe.py")]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False, text=True)
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
            return None
        found = re.search(r"^@farmd probe (.*)$", done.stdout, re.MULTILINE)
        if found is None:
            return None
        facts = json.loads(found[1])
        return RendererFact(self.name, facts["version"], tuple(facts["features"]))

    def commands(self, task: RenderTask) -> tuple[Command, ...]:
        """One process for all frames.

        Raises:
            UserError: A parameter is wrong, or the scene needs another Blender.
        """
        program = self.executable()
        if program is None:
            raise NotFound("Blender is not installed on this node", f"no program {self.program!r} in PATH")
        settings = _settings_of(task)
        if task.installed is not None:
            require_readable(task.scene, task.installed.version)
        file = task.scratch / "blender_frames.json"
        paths = ("--python", str(_HERE / "blender_paths.py")) if task.paths is not None else ()
        argv = (
            *(str(program), "-b", "--factory-startup", "--disable-autoexec"),
            *("--python-exit-code", str(ERROR_EXIT), "-t", str(task.threads), str(task.scene)),
            *paths,
            *("--python", str(_HERE / "blender_frames.py"), "--", str(file)),
        )
        return (Command(argv, task.frames, files=((file, json.dumps(settings, indent=1).encode()),)),)

    def parse(self, line: str) -> Said | None:
        """Understand samples of Cycles and EEVEE, Blender's own errors, and the lines of `blender_frames`."""
        if line.startswith("Fra:"):
            found = _SAMPLE.search(line)
            if found is not None:
                return Progress(int(found[1]) / max(1, int(found[2])))
        if line.startswith("@farmd "):
            return parse_said(line)
        for pattern, cause in _SIGNS:
            found = pattern.search(line)
            if found is not None:
                return Problem(cause, found[0])
        return None

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        """Judge a failed process that named no problem; EEVEE without display or driver just aborts."""
        cause = classify_tail(exit_code, tail)
        no_display = cause is FailureClass.CRASH and _NO_DISPLAY.search(tail) is not None
        return FailureClass.MISSING_FEATURE if no_display else cause


def _settings_of(task: RenderTask) -> dict[str, object]:
    """Check the parameters and lay down what `blender_frames` reads."""
    params = task.params
    require_known("blender", params, PARAMS)
    _require_word(params, "denoise", ("on", "off"))
    _require_word(params, "allow_missing", ("0", "1"))
    return {
        "scene_file": str(task.scene),
        "frames": task.frames,
        "outputs": [str(path) for path in task.outputs],
        "output_dir": str(task.output_dir),
        "gpus": task.gpus,
        "paths": None if task.paths is None else {**task.paths._asdict(), "module": pathrules.__file__},
        "allow_missing": params.get("allow_missing") == "1",
        "samples": require_number("blender", params, "samples"),
        "resolution": require_number("blender", params, "resolution"),
        **{name: params.get(name) for name in ("camera", "denoise", "engine", "format", "scene_name", "view_layers")},
    }


def _require_word(params: Mapping[str, str], name: str, words: tuple[str, ...]) -> None:
    if params.get(name, words[0]) not in words:
        raise UsageError(
            f"blender: {name}={params[name]} is no good", "it is " + " or ".join(words), f"{name}={words[0]}"
        )


def file_version(scene: Path) -> tuple[tuple[int, int], bool] | None:
    """Read which Blender wrote a file, and whether with the header of Blender 5; None if the file does not tell."""
    try:
        with scene.open("rb") as file:
            head = file.read(32)
        if head[:2] == b"\x1f\x8b":
            import gzip

            with gzip.open(scene) as unpacked:
                head = unpacked.read(32)
    except (OSError, EOFError):
        return None
    for pattern, is_new in ((_OLD_HEADER, False), (_NEW_HEADER, True)):
        found = pattern.match(head)
        if found is not None:
            return (int(found[1]), int(found[2])), is_new
    return None


def require_readable(scene: Path, installed: str) -> None:
    """Refuse a file whose header the Blender of this node cannot read.

    Args:
        scene: The .blend file.
        installed: Version of the Blender that is installed.

    Raises:
        MissingFeature: The file needs a newer Blender.
    """
    found = file_version(scene)
    have = tuple(int(part) for part in installed.split(".") if part.isdigit())
    if found is None or not found[1] or have[:2] >= READS_NEW_HEADER:
        return
    needs = ".".join(map(str, found[0]))
    raise MissingFeature(
        f"{scene.name} was saved by Blender {needs}; this node has {installed}, which cannot open it",
        "Blender 5 writes another file header",
        f"require the version: renderer_version={found[0][0]}",
    )
