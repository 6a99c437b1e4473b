"""How lines of a log are printed: number, time, the text, what was searched for in colour.

The node has made the text harmless; what an old or a strange one sends is made so again here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from farmctl.forms import Format
from farmctl.output import print_json, wants_colour
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmctl.context import Session
    from farmctl.output import View

_COLOURS: Final = {"error": "red", "warning": "yellow", "farm": "bright_black"}
PREFIX_COLOURS: Final = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_GAP: Final = "--"


@dataclass(frozen=True, slots=True)
class Looks:
    """What is shown of a line besides its text."""

    numbers: bool = False
    times: bool = False


class LinePrinter:
    """Prints lines of one log after the other; of several logs, each behind its prefix."""

    def __init__(self, session: Session, looks: Looks) -> None:
        self._session = session
        self._looks = looks
        self._held: dict[str, View] = {}
        self._colours: dict[str, str] = {}
        self._width = 0
        self._next: object = None

    @property
    def is_json(self) -> bool:
        """Lines are printed as JSON."""
        return self._session.format in (Format.JSON, Format.JSONL)

    def lines(self, lines: Iterable[View], prefix: str = "", *, gaps: bool = False) -> None:
        """Print lines.

        Args:
            lines: As a node sends them.
            prefix: Whose they are.
            gaps: Mark where lines were left out in between, here and since the last lines.
        """
        for line in lines:
            if gaps and self._next is not None and line.get("offset") != self._next and not self.is_json:
                click.echo(_GAP)
            self._next = line.get("next")
            self._line(line, prefix)

    def answer(self, answer: View, prefix: str = "") -> None:
        """Print what is new; a last line that is not at its end is held back, since it comes again."""
        lines: list[View] = answer.get("lines", [])
        if lines:
            self._held.pop(prefix, None)
        if answer.get("partial") and lines and not answer.get("ended"):
            self._held[prefix] = lines[-1]
            lines = lines[:-1]
        self.lines(lines, prefix)

    def end(self, prefix: str = "") -> None:
        """Print what is held back: no more comes."""
        if prefix in self._held:
            self.lines([self._held.pop(prefix)], prefix)

    def _line(self, line: View, prefix: str) -> None:
        if self.is_json:
            print_json(({"of": prefix} if prefix else {}) | line, one_line=True)
            return
        head = self._prefix(prefix) if prefix else ""
        if self._looks.numbers:
            number = line.get("number")
            head += f"{number if number is not None else '?':>7}  "
        if self._looks.times:
            head += f"{_clock(line.get('at_ms'))}  "
        click.echo(head + self._text(line))

    def _prefix(self, prefix: str) -> str:
        colour = self._colours.setdefault(prefix, PREFIX_COLOURS[len(self._colours) % len(PREFIX_COLOURS)])
        self._width = max(self._width, len(prefix))
        shown = f"{printable(prefix):<{self._width}} | "
        return click.style(shown, fg=colour) if wants_colour() else shown

    def _text(self, line: View) -> str:
        text = safe(str(line.get("text", "")))
        if line.get("cut"):
            text += f" … ({line['cut']} more bytes)"
        if not wants_colour():
            return text
        spans = [span for span in line.get("spans", []) if span[0] < span[1]]
        if spans:
            return _marked(text, spans)
        colour = _COLOURS.get(str(line.get("level")))
        return click.style(text, fg=colour) if colour else text


def _marked(text: str, spans: list[list[int]]) -> str:
    parts, at = [], 0
    for begin, end in spans:
        parts += [text[at:begin], click.style(text[begin:end], fg="red", bold=True)]
        at = end
    return "".join([*parts, text[at:]])


def safe(text: str) -> str:
    """Make a text harmless, tabs kept."""
    return "\t".join(map(printable, text.split("\t"))) if "\t" in text else printable(text)


def _clock(at_ms: object) -> str:
    if not isinstance(at_ms, int):
        return f"{'?':<19}"
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
