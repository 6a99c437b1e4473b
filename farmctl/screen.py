"""Show one thing and show it anew when it changes: in its place on a terminal, below one another elsewhere.

On a terminal the alternate screen is used, so that what stood there before comes back, and the last view is printed
below it at the end. Elsewhere a view is printed only when it says something else than the last one: a log file of a
night's watching stays readable. JSON is a line for each change, whatever the terminal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Self

import click

from farmctl.forms import Format
from farmctl.output import Printer, print_json
from farmctl.progress import is_terminal, shorten, terminal_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from farmctl.context import Session
    from farmctl.output import View

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_LINE_END: Final = "\x1b[K\n"
_BELOW: Final = "\x1b[J"


class Screen:
    """Shows views of one kind; a context manager, so that the terminal is given back however it ends.

    Args:
        session: How to print.
        lines: Makes the text for people of a view and of now in milliseconds.
    """

    def __init__(self, session: Session, lines: Callable[[View, int], Iterable[str]]) -> None:
        self._session = session
        self._lines = lines
        self._printer: Printer = session.printer
        self._last: tuple[str, ...] = ()
        self.in_place = self._printer.is_for_people and is_terminal(sys.stdout)

    def __enter__(self) -> Self:
        if self.in_place:
            self._write(_ENTER)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.in_place:
            self._write(_LEAVE)
            for line in self._last:
                click.echo(line)

    def show(self, view: View) -> None:
        """Show a view."""
        if self._printer.form in (Format.JSON, Format.JSONL):
            print_json(view, one_line=True)
            sys.stdout.flush()
            return
        shown = tuple(self._lines(view, self._session.now_ms()))
        if self.in_place:
            self._draw(shown)
        elif shown != self._last:
            if self._last:
                click.echo()
            for line in shown:
                click.echo(line)
        self._last = shown

    def _draw(self, shown: tuple[str, ...]) -> None:
        from shutil import get_terminal_size

        rows, cells = get_terminal_size().lines, terminal_cells()
        fitting = shown if len(shown) < rows else (*shown[: rows - 2], f"… {len(shown) - rows + 2} more lines")
        self._write(_HOME + "".join(_fit(line, cells) + _LINE_END for line in fitting) + _BELOW)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _fit(line: str, cells: int) -> str:
    """Cut a line to the terminal; one with colours in it is cut only where its plain text is too long."""
    plain = click.unstyle(line)
    return line if len(plain) <= cells else shorten(plain, cells)
