"""The virtual table: draws the lines that are on the screen from a table model, whatever the number of rows.

The built-in table of Textual keeps cells for every row: with 100,000 rows it takes seconds to load and 185 MB; this one
asks the model for the ids of the visible lines. The header is drawn by the widget itself and never scrolls. The cursor
is an id: when rows come in above it, the picture stands still and the numbers move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.segment import Segment
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.columns import GAP, Placed, column_at, fitting
from tui.looks import CUT, Run, fitted
from tui.widgets.painting import NOTHING, Painting

if TYPE_CHECKING:
    from rich.style import Style
    from textual import events

    from tui.model import TableModel

GUTTER: Final = 2
"""Cells in front of each row: the bar of the cursor, and the mark."""


MARGIN: Final = 1
"""Cells behind each row."""


class Table(Painting, ScrollView, can_focus=False, inherit_bindings=False):
    """Rows of a model."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--sorted", "table--cursor", "table--marked"}

    class Opened(Message):
        """A row was clicked twice."""

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self, model: TableModel[Any], *, empty: str, id: str | None = None) -> None:  # noqa: A002  # Textual's
        super().__init__(id=id)
        self.model = model
        self.empty = empty
        self._laid_for = 0
        self._placed: list[Placed] = []
        self._cursor_line = 0

    # -- what changed ---------------------------------------------------------------------------------------------

    def use(self, model: TableModel[Any]) -> None:
        """Show another model."""
        self.model = model
        self._cursor_line = model.cursor_line
        self.scroll_to(y=0, animate=False, immediate=True, force=True)
        self._lay_out()
        self.rows_changed()

    def rows_changed(self) -> None:
        """Rows of the model are different: keep the picture where it is, as far as that is possible."""
        before, self._cursor_line = self._cursor_line, self.model.cursor_line
        if self.virtual_size.height != len(self.model) + 1:
            self.virtual_size = Size(0, len(self.model) + 1)
        shift = self._cursor_line - before
        if shift and self.scroll_offset.y > 0:
            self.scroll_to(y=self.scroll_offset.y + shift, animate=False, immediate=True, force=True)
        self._show_cursor()
        self.refresh()

    def cursor_moved(self) -> None:
        """The cursor of the model was moved: bring it into view."""
        self._cursor_line = self.model.cursor_line
        self._show_cursor()
        self.refresh()
        self.post_message(self.Moved())

    def _show_cursor(self) -> None:
        lines = self.page_lines
        top, line = self.scroll_offset.y, self._cursor_line
        wanted = line if line < top else line - lines + 1 if line >= top + lines else top
        if wanted != top and lines > 0:
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    @property
    def page_lines(self) -> int:
        """Rows that are on the screen at once."""
        return max(1, self.scrollable_content_region.height - 1)

    def visible_ids(self) -> list[Any]:
        """Return the ids that are on the screen."""
        top = self.scroll_offset.y
        return [self.model.at(line) for line in range(top, min(top + self.page_lines, len(self.model)))]

    def on_mount(self) -> None:
        """Measure the rows that are there already."""
        self.virtual_size = Size(0, len(self.model) + 1)

    def on_resize(self) -> None:
        """Choose the columns anew."""
        self._lay_out()
        self.refresh()
        self.call_after_refresh(self._show_cursor)

    def _lay_out(self) -> None:
        self._laid_for = self.scrollable_content_region.width
        self._placed = fitting(self.model.columns, max(10, self._laid_for - GUTTER - MARGIN))

    # -- drawing --------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw the header, or one row."""
        width = self.scrollable_content_region.width
        if width != self._laid_for:
            self._lay_out()  # drawn before the event that tells of another width: details were opened beside it
        if y == 0:
            return self._header(width)
        line = y - 1 + self.scroll_offset.y
        if line < len(self.model):
            return self._row(line, width)
        told = (Run(f"  {self.empty}", "muted"),) if y == 2 and not len(self.model) else ()
        return self.line(told, width)

    def _header(self, width: int) -> Strip:
        header = self.rich_style + self.look("table--header")
        segments = [Segment(" " * GUTTER, header)]
        sort = self.model.sort
        for column, size in self._placed:
            style, title = header, column.title
            if column.id == sort.column:
                style = header + self.look("table--sorted")
                arrow = "▼" if sort.downward else "▲"
                title = f"{arrow}{title}" if column.right else f"{title}{arrow}"
            if len(title) > size:
                title = title[: size - 1] + CUT if size > 1 else title[:size]
            segments.append(Segment(title.rjust(size) if column.right else title.ljust(size), style))
            segments.append(Segment(" " * GAP, header))
        return Strip(segments).adjust_cell_length(width, header)

    def _row(self, line: int, width: int) -> Strip:
        model = self.model
        key = model.at(line)
        row = model.row(key)
        under = self._under(key)
        if row is None:
            return self.line((Run("  gone", "muted"),), width, under)
        moment = model.moment()
        cursor, mark = (
            Run("▌" if key == model.cursor else " ", "accent"),
            Run("✓" if key in model.marks else " ", "accent"),
        )
        runs = [cursor, mark]
        for column, size in self._placed:
            runs += fitted(column.cell(row, moment, size), size, right=column.right)
            runs.append(Run(" " * GAP))
        return Strip(self.painted(runs, under)).adjust_cell_length(width, self.rich_style + under)

    def _under(self, key: Any) -> Style:
        if key == self.model.cursor:
            return self.look("table--cursor")
        return self.look("table--marked") if key in self.model.marks else NOTHING

    # -- the mouse ------------------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Sort by a header, move to a row, open it on the second click."""
        at = event.get_content_offset(self)
        if at is None:
            return
        event.stop()
        if at.y == 0:
            column = column_at(self._placed, at.x - GUTTER)
            if column is not None:
                self.model.sort_by(column.id)
                self.rows_changed()
            return
        line = at.y - 1 + self.scroll_offset.y
        if line < len(self.model):
            self.model.go(line)
            self.cursor_moved()
            if event.chain == 2:
                self.post_message(self.Opened())
