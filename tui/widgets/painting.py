"""Drawing runs: from words for styles to what a terminal gets, by the style sheet.

Widgets of the dashboard draw line by line and have no children for rows or cells; what is not on the screen costs
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from protocol.human import cell_width
from tui.looks import STYLES, Run, Runs, fitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTHING = Style.null()


class Painting(Widget):
    """A widget that draws runs."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"run--{style}" for style in STYLES}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id, classes=classes)
        self._run_styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        """The theme or the style sheet is another one."""
        super().notify_style_update()
        self._run_styles = {}

    def look(self, name: str) -> Style:
        """Return the style of a component, such as run--muted or row--cursor."""
        known = self._run_styles.get(name)
        if known is None:
            known = self._run_styles[name] = self.get_component_rich_style(name, partial=True)
        return known

    def painted(self, runs: Iterable[Run], under: Style = NOTHING) -> list[Segment]:
        """Turn runs into segments over a style of the whole line."""
        plain = self.rich_style + under
        return [
            Segment(run.text, plain + self.look(f"run--{run.style}") if run.style != "plain" else plain)
            for run in runs
            if run.text
        ]

    def line(self, runs: Runs, width: int, under: Style = NOTHING) -> Strip:
        """Draw one line of a width."""
        return Strip(self.painted(fitted(runs, width), under), width)


class RunBox(Painting):
    """Some lines of runs; what does not fit is cut."""

    def __init__(self, lines: Sequence[Runs] = (), *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines = list(lines)

    def show(self, lines: Sequence[Runs]) -> None:
        """Show other lines; nothing is drawn if they are the same."""
        fresh = list(lines)
        if fresh == self._lines:
            return
        grown = len(fresh) != len(self._lines) and self.styles.height is not None and self.styles.height.is_auto
        self._lines = fresh
        if grown:
            # Textual keeps a height that it measured between two requests for a layout; another style is measured anew.
            self.styles.min_height = len(fresh)
        self.refresh(layout=grown)

    @property
    def lines(self) -> list[Runs]:
        """What is shown."""
        return self._lines

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002  # Textual's
        """Be as high as there are lines."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        width = self.content_size.width
        return self.line(self._lines[y] if y < len(self._lines) else (), width)


def split_line(left: Runs, right: Runs, width: int) -> Runs:
    """Put runs at both ends of a line; the left ones give way."""
    taken = sum(cell_width(run.text) for run in right)
    return (*fitted(left, max(0, width - taken)), *right)
