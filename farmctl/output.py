"""How data is printed: one document, six forms of it.

What a node answers is printed as JSON unchanged, so that scripts see the schema that the API documents; tables and
names are views of the same document. Data goes to stdout and nothing else does. Colour stands beside a glyph and a
word, never alone, and only on a terminal that wants it. Text from other machines is made harmless before it is shown;
JSON is written in ASCII, which cannot move a cursor.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import click

from farmctl.forms import Format
from farmctl.progress import is_terminal, shorten, terminal_cells
from protocol.human import cell_width, plain_table, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_LEAST_CELLS: Final = 8
"""What is left at least of a cell that is cut."""
_GAP_CELLS: Final = 2
View: TypeAlias = dict[str, Any]
"""Plain data as a node sends it; fields may be missing (an older node) or unknown (a newer one)."""


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: Heading.
        cell: Makes the text of a row; the second argument is now in milliseconds.
        wide: Shown with -o wide only.
        right: Numbers are aligned to the right.
        colour: Names the colour of a row's cell, or "".
        spare: The lowest is left out first where a terminal is too narrow for the last column; 0 always stays.
        cut: Its cells are cut where leaving columns out does not suffice.
        told: As the last column, a reason or a text: so many cells of it are worth more than the spare columns.
    """

    title: str
    cell: Callable[[View, int], str]
    wide: bool = False
    right: bool = False
    colour: Callable[[View], str] | None = None
    spare: int = 0
    cut: bool = False
    told: int = 32


class Listing(NamedTuple):
    """How a list is printed.

    Attributes:
        rows: Where the rows stand in the document.
        columns: Of the table.
        name: The field that is a row's id.
        nothing: What is said, not printed, when there are no rows.
    """

    rows: str
    columns: Sequence[Column]
    name: str
    nothing: str


class Printer:
    """Prints documents to stdout in one form."""

    def __init__(self, form: Format, now_ms: int) -> None:
        self.form = form
        self.now_ms = now_ms

    @property
    def is_for_people(self) -> bool:
        """Whether what is printed is read by a person."""
        return self.form in (Format.TABLE, Format.WIDE)

    def listing(self, document: View, how: Listing) -> None:
        """Print a document that holds a list."""
        rows: list[View] = document.get(how.rows, [])
        if self.form is Format.JSON:
            print_json(document)
        elif self.form is Format.JSONL:
            for row in rows:
                print_json(row, one_line=True)
        elif self.form is Format.NAME:
            for row in rows:
                click.echo(printable(str(row.get(how.name, ""))))
        elif self.form is Format.CSV:
            print_csv(rows)
        elif rows:
            self._table(rows, [column for column in how.columns if self.form is Format.WIDE or not column.wide])
        else:
            click.echo(how.nothing, err=True)

    def one(self, document: View, name: str, lines: Callable[[View, int], Iterable[str]]) -> None:
        """Print a document that is one thing.

        Args:
            document: What the node said.
            name: Its id; several, a line each.
            lines: Makes the text for people of the document and of now in milliseconds.
        """
        if self.form in (Format.JSON, Format.JSONL):
            print_json(document, one_line=self.form is Format.JSONL)
        elif self.form is Format.NAME:
            for line in name.split("\n") if name else ():
                click.echo(printable(line))
        elif self.form is Format.CSV:
            print_csv([document])
        else:
            for line in lines(document, self.now_ms):
                click.echo(line)

    def _table(self, rows: list[View], columns: Sequence[Column]) -> None:
        for line in self.table_lines(rows, columns):
            click.echo(line)

    def table_lines(self, rows: Sequence[View], columns: Sequence[Column]) -> Iterator[str]:
        """Lay rows out as a table: heading and rows, as wide as the terminal."""
        fits = self.form is Format.TABLE and is_terminal(sys.stdout)
        room = terminal_cells() if fits else 10_000
        cells = [[printable(column.cell(row, self.now_ms)) for column in columns] for row in rows]
        columns, cells = _fitted(columns, cells, room)
        right = [at for at, column in enumerate(columns) if column.right]
        head, *body = plain_table([column.title for column in columns], cells, right=right, gap=_GAP_CELLS)
        yield shorten(head, room)
        for line, row, texts in zip(body, rows, cells, strict=True):
            shown = shorten(line, room)
            for column, text in zip(columns, texts, strict=True):
                if column.colour is not None:
                    shown = shown.replace(text, paint(text, column.colour(row)), 1)
            yield shown


def _fitted(columns: Sequence[Column], cells: list[list[str]], room: int) -> tuple[Sequence[Column], list[list[str]]]:
    """Leave out spare columns, then cut long cells, until enough of the last column, which says most, can be read."""
    widths = [
        max(map(cell_width, (column.title, *texts)))
        for column, texts in zip(columns, zip(*cells, strict=True), strict=True)
    ]
    widths[-1] = min(widths[-1], columns[-1].told)
    kept = list(range(len(columns)))

    def excess() -> int:
        return sum(widths[at] + _GAP_CELLS for at in kept) - _GAP_CELLS - room

    for spare in sorted((at for at in kept if columns[at].spare), key=lambda at: columns[at].spare):
        if excess() > 0:
            kept.remove(spare)
    for at in kept:
        if columns[at].cut and (over := excess()) > 0:
            widths[at] = min(widths[at], max(_LEAST_CELLS, widths[at] - over))
            for row in cells:
                row[at] = shorten(row[at], widths[at])
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in cells]


def paint(text: str, colour: str) -> str:
    """Colour a text if stdout is a terminal that wants it."""
    return click.style(text, fg=colour) if colour and text and wants_colour() else text


def wants_colour() -> bool:
    """Tell whether stdout may be coloured: `--color` beats NO_COLOR, which beats the terminal."""
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return not os.environ.get("NO_COLOR") and is_terminal(sys.stdout)


def print_json(document: object, *, one_line: bool = False) -> None:
    """Print plain data as JSON."""
    import json

    click.echo(json.dumps(document, indent=None if one_line else 2))


def print_csv(rows: Sequence[View]) -> None:
    """Print rows as comma-separated values: raw fields, all that any row has; what is no plain value as JSON."""
    import csv
    import io
    import json

    names = list(dict.fromkeys(name for row in rows for name in row if name != "schema"))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")

    def cell(value: object) -> object:
        if isinstance(value, dict | list):
            return json.dumps(value)
        if isinstance(value, str):
            # A spreadsheet would run what begins like a formula, and names come from other people.
            return printable(f"'{value}" if value.startswith(("=", "+", "-", "@")) else value)
        return value

    if names:
        writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)
    click.echo(stream.getvalue(), nl=False)


def fields(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Lay out names and values, one pair a line; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name:{width}}  {value}" for name, value in shown]
