"""Mitsuba 3, one process for all frames of a task, in the Python that has the package.

Scenes are Mitsuba's XML; each frame is loaded with `-D frame=N` and the job's parameters, so that `$frame` may stand
wherever a number may. `scalar_rgb` is the variant that runs everywhere; the LLVM variants are faster and need a libLLVM
that many machines lack, so they are for the job to ask.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.renderers import Command, Problem, classify_tail, parse_said, require_number
from protocol.bodies import RendererFact
from protocol.errors import NotFound
from protocol.states import FailureClass

if TYPE_CHECKING:
    from farmd.renderers import RenderTask, Said

PROBE_TIMEOUT_S: Final = 20.0
DEFAULT_VARIANT: Final = "scalar_rgb"
_OWN: Final = frozenset({"variant", "samples"})
_SCRIPT: Final = Path(__file__).parent / "mitsuba_frame.py"
_ASK_VERSION: Final = "import importlib.metadata as m; print(m.version('mitsuba'))"


class Mitsuba:
    """Mitsuba of this interpreter, or of the one that FARMD_MITSUBA_PYTHON names."""

    name = "mitsuba"
    default_output = "{frame:04d}.png"

    def __init__(self, python: str | None = None) -> None:
        self.python = python or os.environ.get("FARMD_MITSUBA_PYTHON") or sys.executable

    def executable(self) -> Path | None:
        """The package's folder stands for the program: it changes when another version is installed."""
        if self.python != sys.executable:
            return Path(self.python) if Path(self.python).exists() else None
        found = importlib.util.find_spec("mitsuba")
        return Path(found.origin) if found is not None and found.origin else None

    def probe(self) -> RendererFact | None:
        """Read the version of the package; it is never imported into the daemon."""
        if self.executable() is None:
            return None
        version = self._version()
        return RendererFact(self.name, version, (DEFAULT_VARIANT,)) if version else None

    def _version(self) -> str:
        """Ask another Python: the answer is remembered, `importlib.metadata` would stay in the daemon (3 MiB)."""
        argv = [self.python, "-P", "-c", _ASK_VERSION]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False, text=True)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def commands(self, task: RenderTask) -> tuple[Command, ...]:
        """One process for all frames.

        Raises:
            UserError: A parameter is wrong, or the package is not there.
        """
        if self.executable() is None:
            raise NotFound(
                "Mitsuba is not installed on this node", "its Python has no package mitsuba", "pip install mitsuba"
            )
        settings = {
            "scene_file": str(task.scene),
            "checkout": str(task.checkout),
            "frames": task.frames,
            "outputs": [str(path) for path in task.outputs],
            "threads": task.threads,
            "variant": task.params.get("variant", DEFAULT_VARIANT),
            "samples": require_number("mitsuba", task.params, "samples"),
            "params": {name: value for name, value in task.params.items() if name not in _OWN},
        }
        file = task.scratch / "mitsuba_frame.json"
        # -P: neither this folder (it holds a mitsuba.py) nor the checkout may shadow the package.
        argv = (self.python, "-P", str(_SCRIPT), str(file))
        return (Command(argv, task.frames, files=((file, json.dumps(settings, indent=1).encode()),)),)

    def parse(self, line: str) -> Said | None:
        """Understand the lines of `mitsuba_frame`, and errors of the scene."""
        if line.startswith("@farmd "):
            return parse_said(line)
        found = re.search(r"(?:file|texture|image)[^\n]* (?:does not exist|not found).*", line, re.IGNORECASE)
        return Problem(FailureClass.MISSING_ASSET, line.strip()[:300]) if found else None

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        """Judge a failed process that named no problem."""
        return classify_tail(exit_code, tail)
