"""Columns: what a table shows of a row, how rows are ordered by it, and what is dropped when the screen is narrow.

A column has a least width and says how much of the room that is left it would like. `fitting` drops columns by their
rank until the rest fits, then shares out the room: the same list serves 80, 120 and 200 cells. Rows are plain data of a
node of any version, so every cell stands a missing field.

Called by the table models and their widget; must not import textual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tui.looks import Runs

Row = dict[str, Any]
Order = tuple[float, str]
"""What rows are sorted by: numbers first, then words; one of them is constant in most columns."""
GAP = 1


class Moment(NamedTuple):
    """What cells may know besides their row.

    Attributes:
        now_ms: For ages.
        user: Who looks, for `owner=me`.
        ordered: Ids with an order that is not confirmed yet, and the word for it ("cancelling…").
    """

    now_ms: int
    user: str
    ordered: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        id: What `:sort` and scripts call it.
        title: Its heading.
        cell: Draws it: row, moment, width.
        order: What its rows are sorted by.
        width: Cells that it needs.
        rank: 0 is never dropped; the largest is dropped first.
        grow: Its share of the room that is left.
        most: It never gets wider than this.
        right: Aligned to the right.
        letter: Shift with this letter sorts by it.
        downward: The first sort by it begins with the largest.
    """

    id: str
    title: str
    cell: Callable[[Row, Moment, int], Runs]
    order: Callable[[Row], Order]
    width: int
    rank: int = 0
    grow: int = 0
    most: int = 200
    right: bool = False
    letter: str = ""
    downward: bool = False


class Placed(NamedTuple):
    """A column with the cells that it got on this screen."""

    column: Column
    width: int


def fitting(columns: Sequence[Column], room: int) -> list[Placed]:
    """Choose the columns that fit into a room and share it out among them.

    Args:
        columns: In the order in which they are shown.
        room: Cells, gaps between columns included.
    """
    kept = list(columns)
    while len(kept) > 1 and _needed(kept) > room:
        worst = max(kept, key=lambda column: column.rank)
        if worst.rank == 0:
            break
        kept.remove(worst)
    widths = {column.id: column.width for column in kept}
    left = room - _needed(kept)
    while left > 0:
        growing = [column for column in kept if column.grow and widths[column.id] < column.most]
        shares = sum(column.grow for column in growing)
        if not growing:
            break
        for column in growing:
            given = min(max(1, left * column.grow // shares), column.most - widths[column.id], left)
            widths[column.id] += given
            left -= given
            shares -= column.grow
    return [Placed(column, widths[column.id]) for column in kept]


def _needed(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def column_at(placed: Sequence[Placed], x: int) -> Column | None:
    """Return the column below a cell of the heading."""
    begin = 0
    for column, width in placed:
        if begin <= x < begin + width:
            return column
        begin += width + GAP
    return None


def by_number(name: str) -> Callable[[Row], Order]:
    """Sort by a number; rows without it come first."""
    return lambda row: (float(row.get(name) or 0), "")


def by_word(name: str) -> Callable[[Row], Order]:
    """Sort by a word, letters of both sizes alike."""
    return lambda row: (0.0, str(row.get(name) or "").casefold())
