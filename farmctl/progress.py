"""How far something is: a bar that is redrawn on a terminal, one line per change elsewhere, or nothing.

A log file or a CI job gets a line when a state changes or a step is gained, never a line per frame and never
a control character. Everything goes to stderr; stdout is for data.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self, TextIO

from farmctl.forms import ProgressMode
from protocol.human import cell_width, printable

if TYPE_CHECKING:
    from collections.abc import Callable

_BAR_CELLS: Final = 24
_REDRAW_S: Final = 0.1
CLEAR: Final = "\r\x1b[2K"
"""Takes away what stands on the line."""


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person looks at this stream, on something that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def terminal_cells() -> int:
    """Return how many cells a line of the terminal has."""
    from shutil import get_terminal_size  # brings the compressors, which nothing here needs

    return get_terminal_size().columns


class Progress:
    """Shows one thing at a time; use it as a context manager, so that a bar is gone when it ends."""

    def __init__(self, mode: ProgressMode, stream: TextIO, clock: Callable[[], float]) -> None:
        if mode is ProgressMode.AUTO:
            mode = ProgressMode.TTY if is_terminal(stream) else ProgressMode.PLAIN
        self.mode = mode
        self._stream = stream
        self._clock = clock
        self._said: object = None
        self._drawn_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()

    def update(self, done: int, total: int, text: str, *, change: object = None, steps: int = 100) -> None:
        """Show how far it is.

        Args:
            done: Of `total`.
            total: 0 if it is not known.
            text: One line; made harmless here.
            change: Besides a step, what makes a plain line worth printing when it differs from last time.
            steps: Into how many steps the whole is divided; each is worth a plain line.
        """
        if self.mode is ProgressMode.TTY:
            self._draw(done, total, text, now=done >= total or change != self._said)
            self._said = change
        elif self.mode is ProgressMode.PLAIN and (change, step := steps * done // total if total else 0) != self._said:
            self._said = (change, step)
            self._write(printable(text) + "\n")

    def began(self, text: str) -> None:
        """Show on a terminal, at once, what is about to take time; elsewhere it is no change worth a line."""
        if self.mode is ProgressMode.TTY:
            self.update(0, 0, text, change=text)

    def line(self, text: str) -> None:
        """Say something that stays."""
        if self.mode is not ProgressMode.NONE:
            self.clear()
            self._write(printable(text) + "\n")

    def final(self, text: str) -> None:
        """Leave a line where the bar was; elsewhere it was printed already."""
        if self.mode is ProgressMode.TTY:
            self.line(text)

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn_at is not None:
            self._drawn_at = None
            self._write(CLEAR)

    def _draw(self, done: int, total: int, text: str, *, now: bool) -> None:
        at = self._clock()
        if not now and self._drawn_at is not None and at - self._drawn_at < _REDRAW_S:
            return
        self._drawn_at = at
        full = _BAR_CELLS * done // total if total else 0
        bar = "█" * full + "░" * (_BAR_CELLS - full)
        room = terminal_cells() - _BAR_CELLS - 2
        self._write(f"{CLEAR}{bar} {shorten(printable(text), room)}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def shorten(text: str, cells: int) -> str:
    """Cut a line to so many cells, with an ellipsis where something is missing."""
    if cell_width(text) <= cells:
        return text
    while text and cell_width(text) > cells - 1:
        text = text[:-1]
    return text + "…"
