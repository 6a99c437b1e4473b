"""The screens that are one table: jobs, machines, events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tui.keymap import Place
from tui.screens.base import FarmScreen
from tui.tables import EVENTS, JOBS, NODES
from tui.widgets.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable


class JobsScreen(FarmScreen):
    """All jobs."""

    PLACE: ClassVar[Place] = Place.JOBS
    FIELDS = JOBS

    def body(self) -> Iterable[Any]:
        """Make the table."""
        yield Table(self.console.jobs, empty="no jobs match; esc shows all", id="jobs")

    def chosen_jobs(self) -> list[str]:
        """Return the marked jobs, or the one at the cursor."""
        return self.console.jobs.chosen()

    def action_open(self) -> None:
        """Open the job at the cursor."""
        for job in [self.console.jobs.cursor] if self.console.jobs.cursor else []:
            self.dashboard.open_job(job)


class NodesScreen(FarmScreen):
    """All machines."""

    PLACE: ClassVar[Place] = Place.NODES
    FIELDS = NODES

    def body(self) -> Iterable[Any]:
        """Make the table."""
        yield Table(self.console.nodes, empty="no machines match; esc shows all", id="nodes")

    def chosen_nodes(self) -> list[str]:
        """Return the marked machines, or the one at the cursor."""
        return self.console.nodes.chosen()

    def action_open(self) -> None:
        """Show the details of the machine."""
        self.action_details()


class EventsScreen(FarmScreen):
    """Who did what, and when."""

    PLACE: ClassVar[Place] = Place.EVENTS
    FIELDS = EVENTS

    def body(self) -> Iterable[Any]:
        """Make the table."""
        yield Table(self.console.events, empty="nothing has happened that matches", id="events")

    def action_open(self) -> None:
        """Open the job that the event is about, or the details."""
        row = self.row_at_cursor() or {}
        if row.get("job") in self.console.jobs.rows:
            self.dashboard.open_job(str(row["job"]))
        else:
            self.action_details()
