"""The log on the screen: draws the visible lines of a log window, wrapped or cut, with what was found in them."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, ClassVar, Final

from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView

from protocol.human import cell_width
from tui.looks import Run, Runs
from tui.widgets.painting import NOTHING, Painting

if TYPE_CHECKING:
    from textual import events
    from textual.strip import Strip

    from tui.logtext import Line, LogWindow

_LEVELS: Final = {"error": "failed", "warning": "warning", "farm": "accent"}
_TIME_CELLS: Final = 9


class LogView(Painting, ScrollView, can_focus=False, inherit_bindings=False):
    """Lines of a log window.

    Attributes:
        wrap: Long lines take several rows; else they are cut.
        times: When each line was written stands in front of it.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor"}

    class AtTop(Message):
        """The first known line is on the screen."""

    def __init__(self, window: LogWindow, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self.window = window
        self.wrap = False
        self.times = False
        self.empty = "asking …"
        self._starts: list[int] = []

    def lines_changed(self) -> None:
        """Lines, wrapping or times are different."""
        self._measure()
        self.cursor_moved()

    def cursor_moved(self) -> None:
        """Bring the cursor into view."""
        height = max(1, self.scrollable_content_region.height)
        row, top = self._row_of(self.window.cursor_index), self.scroll_offset.y
        wanted = row if row < top else row - height + 1 if row >= top + height else top
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)
        self.refresh()

    def keep_place(self, lines_before: int) -> None:
        """Lines came in front: the picture stands still."""
        rows = self._row_of(lines_before) if self.wrap else lines_before
        self._measure()
        rows = self._row_of(lines_before) if self.wrap else rows
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True, force=True)
        self.refresh()

    @property
    def page_lines(self) -> int:
        """Rows that are on the screen at once."""
        return max(1, self.scrollable_content_region.height)

    def on_resize(self) -> None:
        """Wrap anew."""
        self._measure()
        self.call_after_refresh(self.cursor_moved)

    def _measure(self) -> None:
        self._starts = []
        if self.wrap:
            width, row = max(1, self._text_width), 0
            for line in self.window.lines:
                self._starts.append(row)
                row += max(1, -(-cell_width(line.text) // width))
            self.virtual_size = Size(0, row)
        else:
            self.virtual_size = Size(0, len(self.window.lines))

    @property
    def _text_width(self) -> int:
        return self.scrollable_content_region.width - 1 - (_TIME_CELLS if self.times else 0)

    def _row_of(self, index: int) -> int:
        if not self.wrap:
            return index
        return self._starts[index] if index < len(self._starts) else 0

    # -- drawing --------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        width, row = self.scrollable_content_region.width, y + self.scroll_offset.y
        lines = self.window.lines
        if not lines:
            return self.line((Run(f"  {self.empty}", "muted"),) if y == 1 else (), width)
        index = bisect_right(self._starts, row) - 1 if self.wrap else row
        if index >= len(lines) or (self.wrap and row >= self.virtual_size.height):
            return self.line((), width)
        line, part = lines[index], row - self._row_of(index)
        chosen = line.offset == self.window.cursor or index == self.window.cursor_index
        return self.line(self._runs(line, part, chosen=chosen), width, self.look("log--cursor") if chosen else NOTHING)

    def _runs(self, line: Line, part: int, *, chosen: bool) -> Runs:
        runs = [Run("▌" if chosen else " ", "accent")]
        if self.times:
            runs.append(Run((_clock(line.at_ms) if part == 0 else "").ljust(_TIME_CELLS), "muted"))
        begin = part * self._text_width if self.wrap else 0
        text = line.text[begin : begin + self._text_width] if self.wrap else line.text
        style = _LEVELS.get(line.level, "plain")
        at = 0
        for first, last in self.window.matches.get(line.offset, ()):
            one, other = max(at, first - begin), min(len(text), last - begin)
            if one < other:
                runs += [Run(text[at:one], style), Run(text[one:other], "found")]
                at = other
        return (*runs, Run(text[at:], style))

    # -- the mouse ------------------------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for older lines when the first known one is reached."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < 1 <= old_value:
            self.post_message(self.AtTop())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a line."""
        at = event.get_content_offset(self)
        if at is None or not self.window.lines:
            return
        row = at.y + self.scroll_offset.y
        index = bisect_right(self._starts, row) - 1 if self.wrap else row
        if index < len(self.window.lines):
            self.window.following = False
            self.window.cursor = self.window.lines[index].offset
            self.refresh()


def _clock(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")
