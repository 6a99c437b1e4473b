"""The view model of every table: which rows are shown, in which order, where the cursor is, what is marked.

Rows are known by id only; numbers of lines exist for one drawing and are never kept. The shown ids stand in a list that
is sorted by (key of the sort column, id), with the keys in a list beside it, so that a row is found by bisection. A few
changed rows are taken out and put in one by one, many are merged in one sort (which is linear on what is nearly sorted).
So 100,000 rows with thousands of changes a second cost milliseconds, and a change that moves no row costs nothing.

While anything is marked, the order is frozen: rows that are new stand at the end, none moves, none is filtered away, only
rows that are gone go. When the last mark is taken away, order and filter hold again.

Called by the console and the table widget; must not import textual.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from tui.filters import EVERYTHING, Filter
from tui.marks import Marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tui.columns import Column, Moment, Order, Row

K = TypeVar("K", str, int)
FEW = 48
"""So many changed rows are moved one by one; above, one sort of all is cheaper."""


class Sort(NamedTuple):
    """By which column, and whether the largest comes first."""

    column: str
    downward: bool = False


class TableModel(Generic[K]):
    """The rows of one table as they are shown.

    Attributes:
        rows: All rows by id; belongs to whoever feeds the model, who calls `change` and `remove`.
        columns: All columns, those that do not fit on a screen too.
        marks: The marked ids.
        filter: Which rows are shown.
        sort: In which order.
        moment: Gives what cells may know besides their row.
    """

    def __init__(
        self, columns: Sequence[Column], sort: Sort, moment: Callable[[], Moment], rows: Mapping[K, Row] | None = None
    ) -> None:
        self.rows: Mapping[K, Row] = rows if rows is not None else {}
        self.columns = tuple(columns)
        self.marks: Marks[K] = Marks()
        self.filter: Filter = EVERYTHING
        self.sort = sort
        self._cursor: K | None = None
        self.moment = moment
        self._keys: list[tuple[float, str, K]] = []
        self._key_of: dict[K, tuple[float, str, K]] = {}
        self._stale = False
        self._frozen: list[K] | None = None
        self._frozen_at: dict[K, int] = {}
        self._line = 0
        self.reset()

    # -- what is shown --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        self._refresh()
        return len(self._keys) if self._frozen is None else len(self._frozen)

    def at(self, line: int) -> K:
        """Return the id that a line shows.

        Raises:
            IndexError: There is no such line.
        """
        if not 0 <= line < len(self):
            raise IndexError(line)
        if self._frozen is not None:
            return self._frozen[line]
        return self._keys[-1 - line if self.sort.downward else line][2]

    def shown(self) -> list[K]:
        """Return all shown ids, as they are shown."""
        self._refresh()
        if self._frozen is not None:
            return list(self._frozen)
        keys = reversed(self._keys) if self.sort.downward else self._keys
        return [key for _, _, key in keys]

    def line_of(self, key: K) -> int | None:
        """Return the line of an id, or None if it is not shown."""
        self._refresh()
        if self._frozen is not None:
            return self._frozen_at.get(key)
        known = self._key_of.get(key)
        if known is None:
            return None
        at = bisect_left(self._keys, known)
        return len(self._keys) - 1 - at if self.sort.downward else at

    def row(self, key: K) -> Row | None:
        """Return a row, or None if it is gone."""
        return self.rows.get(key)

    @property
    def cursor(self) -> K | None:
        """The id that the cursor is on; None in an empty table."""
        self._refresh()
        return self._cursor

    @property
    def cursor_line(self) -> int:
        """The line that the cursor is on; the nearest one if its row is not shown."""
        line = None if self.cursor is None else self.line_of(self.cursor)
        if line is None:
            return max(0, min(self._line, len(self) - 1))
        self._line = line
        return line

    @property
    def is_frozen(self) -> bool:
        """Tell whether the order stands still because something is marked."""
        return self._frozen is not None

    # -- what changes ---------------------------------------------------------------------------------------------

    def reset(self, rows: Mapping[K, Row] | None = None) -> None:
        """Take all rows anew; they are sorted when somebody looks, so a table behind another screen costs nothing."""
        if rows is not None:
            self.rows = rows
        self.marks.drop([key for key in self.marks if key not in self.rows])
        self._stale = True

    def change(self, keys: Iterable[K]) -> None:
        """Rows are new or different."""
        if self._stale:
            return
        changed = [(key, self._new_key(key)) for key in dict.fromkeys(keys)]
        moved = [(key, new) for key, new in changed if new != self._key_of.get(key)]
        if self._frozen is not None:
            self._append_frozen([key for key, new in moved if new is not None])
        self._move(moved)
        self._settle()

    def remove(self, keys: Iterable[K]) -> None:
        """Rows are gone."""
        gone = list(keys)
        if self._stale:
            self.marks.drop(gone)
            return
        line = self.cursor_line
        self._move([(key, None) for key in gone if key in self._key_of])
        self.marks.drop(gone)
        if self._frozen is not None:
            absent = set(gone)
            self._set_frozen([key for key in self._frozen if key not in absent])
        self._line = line
        self._follow_marks()
        self._settle()

    def set_filter(self, wanted: Filter) -> None:
        """Show other rows; marks stay only on rows that are shown."""
        self.filter = wanted
        self._frozen, self._stale = None, False
        self._rebuild()
        self.marks.drop([key for key in self.marks if key not in self._key_of])
        self._follow_marks(thaw=False)

    def age(self) -> bool:
        """Time has passed: hold a filter that asks for it against the rows again; tells whether anything was done."""
        if self._stale or self._frozen is not None or not self.filter.moves:
            return False
        self._rebuild()
        return True

    def sort_by(self, column: str) -> None:
        """Sort by a column; by the same one again turns the order round."""
        known = next((one for one in self.columns if one.id == column), None)
        if known is None:
            return
        again = self.sort.column == column
        self.sort = Sort(column, not self.sort.downward if again else known.downward)
        self._frozen, self._stale = None, False
        self._rebuild()
        self._follow_marks(thaw=False)

    # -- cursor and marks -----------------------------------------------------------------------------------------

    def go(self, line: int) -> None:
        """Put the cursor on a line, or as near as there is one."""
        if len(self):
            self._line = max(0, min(line, len(self) - 1))
            self._cursor = self.at(self._line)

    def move(self, lines: int) -> None:
        """Move the cursor."""
        self.go(self.cursor_line + lines)

    def go_to(self, key: K) -> bool:
        """Put the cursor on an id and tell whether it is shown."""
        line = self.line_of(key)
        if line is not None:
            self.go(line)
        return line is not None

    def toggle_mark(self) -> None:
        """Mark the row at the cursor, or take its mark away."""
        if self.cursor is not None:
            self.marks.toggle(self.cursor)
            self._follow_marks()

    def mark_range(self) -> None:
        """Mark from the row that was marked last to the cursor."""
        if self.cursor is not None:
            self.marks.extend(self.cursor, self.shown())
            self._follow_marks()

    def mark_all(self) -> None:
        """Mark all that is shown, or none if all of it is marked."""
        self.marks.all_of(self.shown())
        self._follow_marks()

    def clear_marks(self) -> None:
        """Take all marks away."""
        self.marks.clear()
        self._follow_marks()

    def unmark(self, keys: Iterable[K]) -> None:
        """Take some marks away, since what was asked for these rows is done."""
        self.marks.drop(keys)
        self._follow_marks()

    def chosen(self) -> list[K]:
        """Return the ids that an order is about: the marked ones, else the one at the cursor."""
        self._refresh()
        if len(self.marks):
            return [key for key in self.marks if key in self.rows]
        return [self.cursor] if self.cursor is not None and self.cursor in self.rows else []

    # -- inside ---------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Sort and filter now, if all rows are new since somebody looked last."""
        if self._stale:
            self._stale = False
            self._frozen = None
            self._rebuild()
            self._follow_marks(thaw=False)

    def _new_key(self, key: K) -> tuple[float, str, K] | None:
        row = self.rows.get(key)
        if row is None or (self.filter and not self.filter.passes(row, self.moment())):
            return None
        number, word = self._order(row)
        return number, word, key

    @property
    def _order(self) -> Callable[[Row], Order]:
        return next(column.order for column in self.columns if column.id == self.sort.column)

    def _rebuild(self) -> None:
        order, wanted, moment = self._order, self.filter, self.moment()
        self._key_of = {}
        for key, row in self.rows.items():
            if not wanted or wanted.passes(row, moment):
                number, word = order(row)
                self._key_of[key] = (number, word, key)
        self._keys = sorted(self._key_of.values())
        self._settle()

    def _move(self, moved: Sequence[tuple[K, tuple[float, str, K] | None]]) -> None:
        if len(moved) > FEW:
            left = {key for key, _ in moved}
            self._keys = [pair for pair in self._keys if pair[2] not in left]
            self._keys += sorted(new for _, new in moved if new is not None)
            self._keys.sort()  # two sorted runs: merged in linear time
            for key, new in moved:
                self._set_key(key, new)
            return
        for key, new in moved:
            old = self._key_of.get(key)
            if old is not None:
                del self._keys[bisect_left(self._keys, old)]
            if new is not None:
                self._keys.insert(bisect_left(self._keys, new), new)
            self._set_key(key, new)

    def _set_key(self, key: K, new: tuple[float, str, K] | None) -> None:
        if new is None:
            self._key_of.pop(key, None)
        else:
            self._key_of[key] = new

    def _follow_marks(self, *, thaw: bool = True) -> None:
        """Freeze the order with the first mark, and let it go with the last."""
        if len(self.marks) and self._frozen is None:
            self._set_frozen(self.shown())
        elif not len(self.marks) and (self._frozen is not None or not thaw):
            self._frozen = None
            self._settle()

    def _set_frozen(self, order: list[K]) -> None:
        self._frozen = order
        self._frozen_at = {key: line for line, key in enumerate(order)}

    def _append_frozen(self, keys: Iterable[K]) -> None:
        assert self._frozen is not None
        for key in keys:
            if key not in self._frozen_at:
                self._frozen_at[key] = len(self._frozen)
                self._frozen.append(key)

    def _settle(self) -> None:
        """Keep the cursor on its id; if that is not shown, on the row that took its line."""
        if self.cursor is None or self.line_of(self.cursor) is None:
            self._cursor = self.at(max(0, min(self._line, len(self) - 1))) if len(self) else None
