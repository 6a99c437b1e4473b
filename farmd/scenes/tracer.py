"""Asks blender-asset-tracer which files a .blend file names, where no Blender can open it.

That program is under the GPL and none of ours: it is never imported here. If somebody has installed it, its own Python
runs `with_tracer` as a process of its own, which prints JSON. It is found as the program `bat` in PATH (its first line
names the Python; a namesake that shows text files is not taken for it), or by FARM_TRACER, the Python itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.blend_content import references_of
from farmd.scenes.blend_process import NoAnswer, log_tail, run_limited
from farmd.scenes.content import Content, Facts, Remark
from protocol.errors import UserError

if TYPE_CHECKING:
    from farmd.scenes.blend_header import Header

_SCRIPT: Final = Path(__file__).with_name("with_tracer.py")
_SCRIPT_BYTES: Final = 4096
_INTERPRETER: Final = re.compile(rb"#!\s*(\S+)")


def find_tracer() -> Path | None:
    """Find a Python that has blender-asset-tracer."""
    named = os.environ.get("FARM_TRACER")
    if named:
        found = shutil.which(named)
        return Path(found) if found else None
    program = shutil.which("bat")
    return _interpreter_of(Path(program)) if program else None


def trace(python: Path, scene: Path, header: Header, *, because: str, limit_s: float) -> Content:
    """Let the tracer list the files of a scene.

    Args:
        python: That has the tracer.
        scene: The .blend file.
        header: Of it.
        because: Why Blender does not do it.
        limit_s: How long it may take.

    Raises:
        UserError: It cannot read the file either.
    """
    said = _ask(python, scene, because, limit_s)
    facts = Facts(application="blender", version=header.version_text, **said["facts"])
    text = f"read by blender-asset-tracer, since {because}: the files are known, cameras, layers and settings are not"
    return Content(facts, tuple(references_of(said["files"])), (Remark("tracer", text),))


def _ask(python: Path, scene: Path, because: str, limit_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="farmd-blend-") as name:
        folder, answer = Path(name), Path(name, "answer.json")
        argv = [str(python), "-I", str(_SCRIPT), str(scene.absolute()), str(answer)]
        try:
            code = run_limited(argv, folder, limit_s=limit_s)
        except NoAnswer as failure:
            raise _cannot(scene, because, failure.text) from None
        try:
            said: dict[str, Any] = json.loads(answer.read_bytes())
        except (OSError, ValueError):
            lines = log_tail(folder).splitlines()
            text = lines[-1] if lines and code is not None else f"it did not finish within {limit_s:g} s"
            raise _cannot(scene, because, text) from None
    return said


def _cannot(scene: Path, because: str, text: str) -> UserError:
    return UserError(f"{scene.name} cannot be read: {because}", f"blender-asset-tracer: {text}", "install that Blender")


def _interpreter_of(program: Path) -> Path | None:
    try:
        with program.open("rb") as file:
            text = file.read(_SCRIPT_BYTES)
    except OSError:
        return None
    found = _INTERPRETER.match(text)
    return Path(os.fsdecode(found[1])) if found is not None and b"blender_asset_tracer" in text else None
