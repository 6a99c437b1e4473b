"""The first screen: how the farm is in one word, five cards, the pace, what needs a person, what is not over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical
from textual.message import Message

from tui.keymap import Place
from tui.looks import Run, Runs
from tui.overview import (
    Card,
    alert_runs,
    cards,
    leader_words,
    node_words,
    pace_words,
    sparkline,
    status_word,
)
from tui.screens.base import FarmScreen
from tui.tables import JOBS
from tui.widgets.painting import RunBox
from tui.widgets.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events


class CardBox(RunBox):
    """One number with its word; a click shows the jobs that it counts."""

    class Pressed(Message):
        """The card was clicked."""

        def __init__(self, wanted: str) -> None:
            super().__init__()
            self.wanted = wanted

    def __init__(self, number: int) -> None:
        super().__init__([(), ()], classes="card")
        self.number = number
        self._wanted = ""

    def say(self, card: Card) -> None:
        """Show a card."""
        self._wanted = card.filter
        style = card.style if card.count else "muted"
        glyph = f"{card.glyph} " if card.glyph else ""
        self.show([(Run(f"{glyph}{card.count}", style),), (Run(card.title, "muted"),)])

    def on_click(self, event: events.Click) -> None:
        """Tell that it was clicked."""
        event.stop()
        self.post_message(self.Pressed(self._wanted))


class OverviewScreen(FarmScreen):
    """The farm at a glance."""

    PLACE: ClassVar[Place] = Place.OVERVIEW
    FIELDS = JOBS

    def body(self) -> Iterable[Any]:
        """Make cards, pace, alerts and the jobs that are not over."""
        with Vertical(id="overview"):
            yield RunBox([()], id="word")
            with Horizontal(id="cards"):
                for number in range(5):
                    yield CardBox(number)
            yield RunBox([()], id="pace")
            yield RunBox(id="alerts")
            yield RunBox([(Run("Not over yet", "strong"),)], id="active-title")
            yield Table(
                self.console.active, empty="nothing to do: farmctl submit scene.blend --frames 1-100", id="active"
            )

    def chosen_jobs(self) -> list[str]:
        """Return the marked jobs, or the one at the cursor."""
        return self.console.active.chosen()

    def draw(self) -> None:
        """Draw the farm."""
        console = self.console
        farm, nodes = console.farm, console.nodes.rows.values()
        word = status_word(farm, nodes)
        self.query_one("#word", RunBox).show(
            [(*word, Run("   "), *node_words(nodes), Run("   "), *(leader_words(farm) if farm else ()))]
        )
        for box, card in zip(self.query(CardBox), cards(farm), strict=True):
            box.say(card)
        pace = self.query_one("#pace", RunBox)
        height = 1 if self.has_class("low") else 3
        lines = sparkline(farm, max(10, pace.content_size.width - 34), height)
        told: list[Runs] = [(Run(line, "running"),) for line in lines]
        told[-1] = (*told[-1], Run("  "), *pace_words(farm))
        pace.show(told)
        alerts = farm.get("alerts") or []
        shown = alerts[: 3 if self.has_class("low") else 6]
        lines_of_alerts = [alert_runs(alert) for alert in shown]
        more = int(farm.get("alert_count") or len(alerts)) - len(shown)
        if more > 0:
            lines_of_alerts.append((Run(f"  and {more} more: :farm", "muted"),))
        box_of_alerts = self.query_one("#alerts", RunBox)
        box_of_alerts.show(lines_of_alerts)
        box_of_alerts.set_class(not alerts, "none")

    def on_card_box_pressed(self, event: CardBox.Pressed) -> None:
        """Show the jobs that a card counts."""
        self.dashboard.show_filtered(Place.JOBS, event.wanted)

    def action_open(self) -> None:
        """Open the job at the cursor."""
        for job in [self.console.active.cursor] if self.console.active.cursor else []:
            self.dashboard.open_job(job)

    def set_filter(self, text: str) -> bool:
        """Filter in the list of all jobs: this one is a filter already."""
        self.dashboard.show_filtered(Place.JOBS, text)
        return True

    def action_filter(self) -> None:
        """Ask for a filter in the list of all jobs."""
        self.dashboard.show_filtered(Place.JOBS, "")
        self.dashboard.ask_filter()
