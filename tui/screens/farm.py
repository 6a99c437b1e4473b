"""The farm as a whole: who leads, versions, disks, what the node that answers has checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import VerticalScroll

from tui.keymap import Place
from tui.looks import Run
from tui.overview import alert_runs
from tui.screens.base import FarmScreen
from tui.widgets.painting import RunBox
from tui.words import farm_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.columns import Row


class FarmViewScreen(FarmScreen):
    """Words about the farm; asked anew each time that it is opened or refreshed."""

    PLACE: ClassVar[Place] = Place.FARM

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[Any] = []
        self.me: Row = {}

    def body(self) -> Iterable[Any]:
        """Make the page."""
        with VerticalScroll(id="page", can_focus=False):
            yield RunBox(id="farm-lines")

    def on_screen_resume(self) -> None:
        """Ask what the node has checked."""
        self.dashboard.ask_farm()
        super().on_screen_resume()

    def draw(self) -> None:
        """Draw the page."""
        console = self.console
        lines = farm_lines(console.farm, console.nodes.rows.values(), self.checks, self.me)
        alerts = console.farm.get("alerts") or []
        if alerts:
            lines = [(Run("What needs somebody", "strong"),), *map(alert_runs, alerts), (), *lines]
        more = int(console.farm.get("alert_count") or 0) - len(alerts)
        if alerts and more > 0:
            lines.insert(len(alerts) + 1, (Run(f"  and {more} more: farmctl status -o json", "muted"),))
        self.query_one("#farm-lines", RunBox).show(lines)

    @property
    def _page(self) -> VerticalScroll:
        return self.query_one("#page", VerticalScroll)

    def action_move(self, lines: int) -> None:
        """Scroll."""
        self._page.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by what is on the screen."""
        self.action_move(pages * max(1, self._page.size.height - 1))

    def action_go(self, line: int) -> None:
        """Scroll to the begin, or to the end."""
        self._page.scroll_to(y=line if line >= 0 else self._page.max_scroll_y, animate=False)

    def action_details(self) -> None:
        """There is nothing to choose here."""
