"""The frame grid on the screen; the cell of the chosen task is shown, and a click chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from tui.grid import Grid, layout, legend
from tui.looks import Run
from tui.widgets.painting import Painting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.strip import Strip


class GridView(Painting):
    """Frames of a job, and a line that says what the glyphs mean."""

    class Chosen(Message):
        """A cell was clicked.

        Args:
            place: Place in the order of the frames.
        """

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._states = b""
        self._firsts: Sequence[int] = ()
        self._place = -1
        self._grid = Grid([], [], 1, 1)
        self.most_lines = 10

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002  # Textual's
        """Be as high as the frames need, up to a limit, and a line for the legend."""
        return len(layout(self._states, self._firsts, width, self.most_lines).lines) + 1

    def show(self, states: bytes, firsts: Sequence[int], place: int) -> None:
        """Show frames.

        Args:
            states: A byte a task, in the order of the frames.
            firsts: First frame of each.
            place: Which one the cursor is on.
        """
        if states == self._states and firsts is self._firsts:
            if place != self._place:
                self._place = place
                self.refresh()
            return
        grown = len(states) != len(self._states)
        self._states, self._firsts, self._place = states, firsts, place
        self._lay_out()
        self.refresh(layout=grown)

    def on_resize(self) -> None:
        """Use the room that there is."""
        self._lay_out()
        self.refresh()

    def _lay_out(self) -> None:
        size = self.content_size
        self._grid = layout(self._states, self._firsts, size.width, max(0, size.height - 1))

    def render_line(self, y: int) -> Strip:
        """Draw a line of cells, or the legend at the end."""
        grid, width = self._grid, self.content_size.width
        if y == min(len(grid.lines), self.content_size.height - 1):
            return self.line((Run(" " * grid.gutter), *legend(self._states, grid.per_cell)), width)
        if y >= len(grid.lines):
            return self.line((), width)
        runs = [Run(grid.labels[y] + " ", "muted")]
        for cell in grid.lines[y]:
            chosen = cell.begin <= self._place < cell.end
            runs.append(Run(cell.glyph, "chosen" if chosen else cell.style))
            if grid.step > 1:
                runs.append(Run(" "))
        return self.line(tuple(runs), width)

    def on_click(self, event: events.Click) -> None:
        """Choose the frame below the pointer."""
        at = event.get_content_offset(self)
        place = None if at is None else self._grid.place_at(at.x, at.y)
        if place is not None:
            event.stop()
            self.post_message(self.Chosen(place))
