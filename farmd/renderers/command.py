"""Any program: the job brings the command line as a template, such as `render {scene} -f {frame} -o {output}`.

The template is split into words *before* it is filled in, and no shell ever sees it: a blank, a quote or a semicolon
in a path stays inside its word. With `{frame}` in it, or with an `{output}` that differs from frame to frame,
there is one process per frame; else one for the whole task, with `{start}` and `{end}`.

`{output}` is the file that the frame must leave. A job without an output name promises nothing: nothing is checked and
nothing is kept, and `{output}` is a folder that goes with the attempt.
"""

from __future__ import annotations

import re
import shlex
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from farmd.renderers import Command, Progress, classify_tail, parse_said
from protocol.bodies import RendererFact
from protocol.errors import UsageError
from protocol.templates import render_template

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.renderers import RenderTask, Said
    from protocol.states import FailureClass

_PROGRESS: Final = re.compile(r"(?:TR_PROGRESS|\bprogress\b)[^\d%\n]{0,20}(\d{1,3}(?:\.\d+)?) ?%", re.IGNORECASE)
_PER_FRAME: Final = re.compile(r"(?<!\{)\{(frame|output)(:[^{}]*)?\}")


class AnyCommand:
    """The renderer `command`: every node has it."""

    name = "command"
    default_output = ""
    any_content = True
    """What a command writes under a picture's name need not be a picture."""

    def executable(self) -> Path | None:
        """There is no single program."""
        return None

    def probe(self) -> RendererFact | None:
        """Every POSIX machine starts programs; the version is the system's name."""
        return RendererFact(self.name, sys.platform)

    def commands(self, task: RenderTask) -> tuple[Command, ...]:
        """One process per frame, or one for all.

        Raises:
            UserError: The template cannot be read.
        """
        words = split_template(task.template)
        differ = len(set(task.outputs)) > 1
        if any(is_per_frame(word, outputs_differ=differ) for word in words):
            paths = task.outputs or (task.output_dir,) * len(task.frames)
            commands = [
                self._command(task, words, (frame,), path) for frame, path in zip(task.frames, paths, strict=True)
            ]
        else:
            commands = [self._command(task, words, task.frames, (*task.outputs, task.output_dir)[0])]
        return tuple(commands)

    def _command(self, task: RenderTask, words: tuple[str, ...], frames: tuple[int, ...], output: Path) -> Command:
        values: dict[str, str | int] = {
            **task.params,
            "scene": str(task.scene),
            "output": str(output),
            "frame": frames[0],
            "start": frames[0],
            "end": frames[-1],
            "threads": task.threads,
        }
        return Command(tuple(render_template(word, values) for word in words), frames)

    def parse(self, line: str) -> Said | None:
        """Understand the farm's own lines, and `progress … 45%` as many programs print it."""
        if line.startswith("@farmd "):
            return parse_said(line)
        if "%" not in line:
            return None
        found = _PROGRESS.search(line)
        return Progress(min(1.0, float(found[1]) / 100)) if found else None

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        """Judge by the last lines, then by the exit."""
        return classify_tail(exit_code, tail)


@lru_cache(maxsize=256)
def split_template(template: str) -> tuple[str, ...]:
    """Split a command line into words as a shell would, without anything else that a shell does.

    Raises:
        UsageError: It is empty or has an open quote.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise UsageError("the command cannot be read", str(error).lower(), "close the quote") from error
    if not words:
        raise UsageError("the command is empty", "there is no program to start", "give the job a command")
    return tuple(words)


def is_per_frame(word: str, *, outputs_differ: bool) -> bool:
    """Tell whether a word of the template differs from frame to frame."""
    return any(found[1] == "frame" or outputs_differ for found in _PER_FRAME.finditer(word.replace("{{", "")))
