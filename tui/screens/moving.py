"""What every screen with a table can do: move, mark, sort, filter. What it orders is added by `tui.screens.base`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.screen import Screen

from protocol.errors import UserError
from tui.filters import Filterable, parse_filter
from tui.looks import Run, Runs
from tui.widgets.prompt import Prompt
from tui.widgets.table import Table

if TYPE_CHECKING:
    from tui.columns import Row
    from tui.model import TableModel


class TableScreen(Screen[None]):
    """A screen with a table, or without one: then nothing moves.

    Attributes:
        FIELDS: What its table can be filtered by.
        is_made: All widgets are there; a screen may be told something before.
    """

    FIELDS: ClassVar[Filterable | None] = None
    AUTO_FOCUS = ""
    _filter_before = ""
    is_made = False

    # -- for the screens ------------------------------------------------------------------------------------------

    def told(self) -> None:
        """Something is different: draw it."""

    def draw(self) -> None:
        """Draw what is not a table."""

    def tell_edges(self) -> None:
        """Draw the lines at the edges."""

    def tell(self, message: Runs) -> None:
        """Show a message for a while."""

    def action_open(self) -> None:
        """Open what the cursor is on."""

    @property
    def table(self) -> Table | None:
        """The table of this screen."""
        return next(iter(self.query(Table)), None) if self.is_made else None

    @property
    def model(self) -> TableModel[Any] | None:
        """What the table shows."""
        table = self.table
        return table.model if table is not None else None

    @property
    def prompt(self) -> Prompt:
        """The line in which a person types."""
        return self.query_one(Prompt)

    def row_at_cursor(self) -> Row | None:
        """Return the row that the cursor is on."""
        model = self.model
        return None if model is None or model.cursor is None else model.row(model.cursor)

    # -- moving ---------------------------------------------------------------------------------------------------

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        table = self.table
        if table is not None:
            table.model.move(lines)
            table.cursor_moved()

    def action_page(self, pages: int) -> None:
        """Move the cursor by what is on the screen."""
        table = self.table
        if table is not None:
            self.action_move(pages * max(1, table.page_lines - 1))

    def action_go(self, line: int) -> None:
        """Move the cursor to the first row, or the last."""
        table = self.table
        if table is not None:
            table.model.go(line if line >= 0 else len(table.model) - 1)
            table.cursor_moved()

    def on_table_moved(self) -> None:
        """The cursor is on another row."""
        self.draw()
        self.tell_edges()

    def on_table_opened(self) -> None:
        """A row was clicked twice."""
        self.action_open()

    def on_key(self, event: Any) -> None:
        """Sort by the column whose letter was pressed with shift."""
        model = self.model
        if model is None or self.focused is not None or event.character is None or not event.character.isupper():
            return
        column = next((one for one in model.columns if one.letter == event.character), None)
        if column is not None:
            event.stop()
            self.sort_by(column.id)

    def sort_by(self, column: str) -> None:
        """Sort the table."""
        table = self.table
        if table is not None:
            table.model.sort_by(column)
            table.rows_changed()
            self.tell_edges()

    # -- choosing -------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the row and go on to the next one."""
        table = self.table
        if table is not None:
            table.model.toggle_mark()
            table.model.move(1)
            table.cursor_moved()

    def action_mark_range(self) -> None:
        """Mark up to the cursor."""
        table = self.table
        if table is not None:
            table.model.mark_range()
            table.cursor_moved()

    def action_mark_all(self) -> None:
        """Mark all that is shown."""
        table = self.table
        if table is not None:
            table.model.mark_all()
            table.cursor_moved()

    def action_filter(self) -> None:
        """Ask for a filter."""
        model = self.model
        if model is not None and self.FIELDS is not None:
            self._filter_before = model.filter.text
            self.prompt.ask("filter", "/", model.filter.text, self._complete_filter)

    def _complete_filter(self, text: str) -> list[str]:
        head, sep, last = text.rpartition(" " if " " in text else ",")
        return [f"{head}{sep}{part}" for part in self.complete_part(last)]

    def complete_part(self, begun: str) -> list[str]:
        """Return what one part of a filter could become."""
        inverse = "!" if begun.startswith("!") else ""
        parts = self.FIELDS.completions(begun.removeprefix("!")) if self.FIELDS is not None else []
        return [inverse + part for part in parts]

    def set_filter(self, text: str) -> bool:
        """Filter the table and tell whether the filter could be read; if not, say why and leave the table as it is."""
        table = self.table
        if table is None or self.FIELDS is None:
            return True
        try:
            table.model.set_filter(parse_filter(text, self.FIELDS))
        except UserError as error:
            self.tell((Run(f"{error.what}: ", "failed"), Run(error.hint or error.why, "muted")))
            return False
        table.rows_changed()
        self.draw()
        self.tell(())
        self.tell_edges()
        return True

    def _restore_filter(self) -> None:
        """Take the filter back that held before one was typed; a message stays."""
        model = self.model
        if model is not None and self.FIELDS is not None:
            model.set_filter(parse_filter(self._filter_before, self.FIELDS))
            self.told()

    def action_details(self) -> None:
        """Show details beside the table, or hide them."""
        self.toggle_class("with-details")
        self.call_after_refresh(self.told)

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        """Filter while it is typed."""
        if event.kind == "filter":
            self.set_filter(event.text)
