"""Reads a .blend file by letting Blender open it; where none can, by asking blender-asset-tracer.

Blender is the one program that understands all of its files, old versions included, so it comes first: those in PATH
and FARM_BLENDER in turn, until one opens the file. Where there is none, or the file is from a newer one, a tracer that
somebody installed lists the files, and a remark says that the facts are few. A damaged file ends the search: what
Blender opens by half would be an analysis by half.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.scenes.blend_content import content_of
from farmd.scenes.blend_header import read_header
from farmd.scenes.blend_process import LIMIT_S, Fault, NoAnswer, ask_blender, find_blenders
from farmd.scenes.tracer import find_tracer, trace
from protocol.errors import MissingFeature, NotFound, UserError

if TYPE_CHECKING:
    from farmd.scenes.blend_header import Header
    from farmd.scenes.content import Content

HINTS: Final = {
    Fault.UNKNOWN_FORMAT: "install a Blender as new as the file, and name it in FARM_BLENDER",
    Fault.CRASHED: "open it in Blender and save it again",
    Fault.TIME: "is the scene very large, or the disk very slow?",
    Fault.NOT_STARTED: "does FARM_BLENDER name the program itself?",
    Fault.OTHER: "open it in Blender and see what it says",
}


def read_blend(path: Path, *, blender: str | None = None, limit_s: float = LIMIT_S) -> Content:
    """Read a .blend file of any Blender from 2.5 on.

    Args:
        path: The scene.
        blender: Name or path of the one Blender to use; None = PATH, then FARM_BLENDER.
        limit_s: How long a program may take, in seconds; then it is killed.

    Raises:
        UserError: It is no .blend file, or is damaged.
        MissingFeature: Nothing here can open it; another machine may.
    """
    header = read_header(path)
    programs = _programs(blender)
    failures = []
    for program in programs:
        try:
            return content_of(ask_blender(program, path, limit_s=limit_s), header)
        except NoAnswer as failure:
            if failure.fault is Fault.DAMAGED:
                raise UserError(f"{path.name} is damaged", failure.text, "copy or save it again") from None
            failures.append(failure)
    tracer = find_tracer()
    if tracer is not None:
        return trace(tracer, path, header, because=_reason(failures), limit_s=limit_s)
    raise _unopened(path, header, failures)


def _programs(chosen: str | None) -> tuple[Path, ...]:
    if chosen is None:
        return find_blenders()
    found = shutil.which(chosen)
    if found is None:
        raise NotFound(f"there is no Blender {chosen}", "it is not a program, and not in PATH", "is the path right?")
    return (Path(found),)


def _reason(failures: list[NoAnswer]) -> str:
    if not failures:
        return "no Blender is installed here"
    return f"Blender {_text(failures[-1])} did not open it ({failures[-1].text})"


def _unopened(path: Path, header: Header, failures: list[NoAnswer]) -> MissingFeature:
    if not failures:
        what = f"{path.name} cannot be read here: no Blender is installed"
        hint = "install Blender, name one in FARM_BLENDER, or put the program bat of blender-asset-tracer into PATH"
        return MissingFeature(what, "a .blend file is read by Blender itself", hint)
    failure = failures[-1]
    if header.version is not None and failure.version is not None and header.version > failure.version:
        what = f"{path.name} was saved by Blender {header.version_text}, which the Blender {_text(failure)} here is too old for"
        return MissingFeature(what, failure.text, HINTS[Fault.UNKNOWN_FORMAT])
    return MissingFeature(f"Blender {_text(failure)} did not open {path.name}", failure.text, HINTS[failure.fault])


def _text(failure: NoAnswer) -> str:
    return ".".join(map(str, failure.version)) if failure.version is not None else "(version unknown)"
