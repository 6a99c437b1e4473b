"""What all screens share: the lines at the edges, moving, choosing, filtering, ordering. A screen adds its body.

Keys come from `tui.keymap` and lead to the actions here; what an order does is known by `tui.orders` and carried out by
the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Container

from protocol.human import counted
from protocol.jobwords import EDIT_WORDS, LABEL_WORD
from tui.commands import completions
from tui.filters import EVERYTHING, Filterable
from tui.keymap import INHERITED, Keymap, Place
from tui.looks import Run, Runs
from tui.orders import ORDERS, Chosen, priority_order
from tui.screens.moving import TableScreen
from tui.tables import EVENTS, JOBS, NODES
from tui.widgets.bars import BottomBar, StatusLine, TopBar
from tui.widgets.painting import RunBox
from tui.widgets.prompt import Prompt
from tui.words import details_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult

    from tui.app import Dashboard
    from tui.console import Console


def bindings_of(*places: Place) -> list[Binding]:
    """Make Textual's bindings of some places; the bar at the bottom and the help are our own, so none is shown."""
    keymap = Keymap()
    return [
        Binding(",".join(key.keys), key.action, key.text, show=False, id=key.id)
        for place in places
        for key in keymap.at(place)
    ]


class FarmScreen(TableScreen):
    """A screen of the dashboard.

    Attributes:
        PLACE: Which one.
    """

    PLACE: ClassVar[Place]
    _typed_for = Chosen([], [])

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Bind the keys of the place."""
        place = cls.__dict__.get("PLACE")
        if place is not None:
            cls.BINDINGS = [*bindings_of(*reversed(INHERITED.get(place, ())), place)]
        super().__init_subclass__(**kwargs)

    def compose(self) -> ComposeResult:
        """Make the edges, and the body between them."""
        yield TopBar()
        with Container(id="body"):
            yield from self.body()
            yield RunBox(id="details")
        yield StatusLine()
        yield Prompt()
        yield BottomBar()

    def body(self) -> Iterable[Any]:
        """Make what is between the edges."""
        return ()

    # -- what there is --------------------------------------------------------------------------------------------

    @property
    def dashboard(self) -> Dashboard:
        """The application."""
        from tui.app import Dashboard

        assert isinstance(self.app, Dashboard)
        return self.app

    @property
    def console(self) -> Console:
        """Everything that is shown."""
        return self.dashboard.console_model

    def chosen_jobs(self) -> list[str]:
        """Return the jobs that an order from here is about."""
        return []

    def chosen_nodes(self) -> list[str]:
        """Return the machines that an order from here is about."""
        return []

    def chosen(self) -> Chosen:
        """Return what an order from here is about."""
        return Chosen(self.chosen_jobs(), self.chosen_nodes())

    # -- drawing --------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Draw for the first time."""
        self.is_made = True
        self.told()

    def on_screen_resume(self) -> None:
        """Draw what has changed meanwhile."""
        self.told()

    def on_resize(self) -> None:
        """Draw for another width."""
        self.set_class(self.size.width < 110, "narrow")
        self.set_class(self.size.height < 34, "low")
        self.call_after_refresh(self.told)

    def told(self) -> None:
        """Something is different: draw it."""
        if not self.is_made or self.dashboard.front is not self:
            return
        table = self.table
        if table is not None:
            table.rows_changed()
        self.draw()
        self.tell_edges()

    def draw(self) -> None:
        """Draw what is not a table."""

    def tell_edges(self) -> None:
        """Draw the lines at the edges."""
        if not self.is_made:
            return
        console, now = self.console, self.console.mono()
        name = str(console.farm.get("farm") or console.farm.get("name") or "")
        self.query_one(TopBar).say(self.view, name, console.standing.runs(now), read_only=console.read_only)
        self.set_class(console.standing.is_stale(now), "stale")
        self.query_one(StatusLine).say(self.status(), now)
        self.query_one(BottomBar).say(self.dashboard.keymap.bar(self.PLACE))
        if self.has_class("with-details"):
            self.query_one("#details", RunBox).show(self.details())

    @property
    def view(self) -> Place:
        """The view that the top line shows as the present one."""
        return self.PLACE

    def details(self) -> list[Runs]:
        """Return what the details say of the row at the cursor."""
        row = self.row_at_cursor()
        return details_of(row, self.console.moment()) if row is not None else [(Run("nothing chosen", "muted"),)]

    def status(self) -> Runs:
        """Say what the table shows."""
        model = self.model
        if model is None:
            return ()
        runs: list[Run] = []
        if model.filter and model is not self.console.active:
            runs += [Run(f"/{model.filter.text}", "accent"), Run(f"  {len(model)} of {len(model.rows)}   ", "muted")]
        elif len(model):
            runs.append(Run(f"{model.cursor_line + 1} of {len(model)}   ", "muted"))
        if len(model.marks):
            runs += [Run(f"✓ {len(model.marks)} marked", "accent"), Run(", order stands still   ", "muted")]
        if len(self.console.pending):
            runs.append(Run(f"◷ {counted(len(self.console.pending), 'order')} on the way", "warning"))
        return tuple(runs)

    def tell(self, message: Runs) -> None:
        """Show a message for a while."""
        if self.is_made:
            now = self.console.mono()
            self.query_one(StatusLine).tell(message, now)
            self.query_one(StatusLine).say(self.status(), now)

    # -- typing --------------------------------------------------------------------------------------------------

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """Take what was typed."""
        if event.kind == "filter":
            if not self.set_filter(event.text):
                self._restore_filter()
        elif event.kind == "command" and event.text.strip():
            self.dashboard.run_command(event.text, self._typed_for)

    def action_command(self) -> None:
        """Ask for a command."""
        self.ask_command("")

    def ask_command(self, begun: str, chosen: Chosen | None = None) -> None:
        """Ask for a command.

        Args:
            begun: What is there already.
            chosen: What it will be about; else what is chosen now.
        """
        console, self._typed_for = self.console, chosen or self.chosen()

        def complete(text: str) -> list[str]:
            return completions(text, self._known, read_only=console.read_only)

        self.prompt.ask("command", ":", begun, complete)

    def on_table_moved(self) -> None:
        """Who clicks on another row while a command is typed means that one; a cursor that moves by itself does not count."""
        if self.prompt.is_open:
            self._typed_for = self.chosen()

    def _known(self, kind: str) -> Iterable[str]:
        console, model = self.console, self.model
        match kind:
            case "job":
                return list(console.jobs.rows)[-200:]
            case "node":
                return [str(row.get("name")) for row in console.nodes.rows.values()]
            case "column":
                return [column.id for column in model.columns] if model is not None else []
            case "edit":
                return [*(f"{word}=" for word in EDIT_WORDS), LABEL_WORD]
            case "filter":
                return _parts_of(self.FIELDS)
            case "job filter" | "machine filter" | "event filter":
                return _parts_of({"job": JOBS, "machine": NODES, "event": EVENTS}[kind.removesuffix(" filter")])
            case _:
                return []

    def action_back(self) -> None:
        """Close the line, take marks away, clear the filter, or go back; one at a time, and never quit."""
        model = self.model
        if self.prompt.is_open:
            kind = self.prompt.kind
            self.prompt.close()
            if kind == "filter":
                self._restore_filter()
        elif model is not None and len(model.marks):
            model.clear_marks()
            self.told()
        elif model is not None and model.filter and model is not self.console.active:
            model.set_filter(EVERYTHING)
            self.told()
        elif self.has_class("with-details"):
            self.action_details()
        else:
            self.dashboard.go_back()

    # -- looking --------------------------------------------------------------------------------------------------

    def action_copy(self, what: str) -> None:
        """Copy the id or the path by OSC 52, which works over SSH."""
        row = self.row_at_cursor()
        if row is not None:
            self.dashboard.copy(row, what)

    def action_why(self) -> None:
        """Say why it does not run."""
        for job in self.chosen_jobs()[:1]:
            self.dashboard.asking.why(job, None)

    def action_log(self) -> None:
        """Show what the renderer printed."""
        for job in self.chosen_jobs()[:1]:
            self.dashboard.show_log(job)

    def action_thumbnail(self) -> None:
        """Show the pictures of the test frames."""
        for job in self.chosen_jobs()[:1]:
            self.dashboard.open_job(job, pictures=True)

    # -- ordering -------------------------------------------------------------------------------------------------

    def action_order(self, name: str) -> None:
        """Order something for the chosen jobs, or machines."""
        self.order_for(self.chosen(), name)

    def order_for(self, chosen: Chosen, name: str, why: str = "") -> None:
        """Order something for what was chosen, by a key or typed."""
        order = ORDERS[name]
        self.dashboard.ordering.order(order, chosen.of(order.subject), why)

    def action_edit(self) -> None:
        """Ask what of the chosen jobs shall be otherwise."""
        if self.chosen_jobs():
            self.ask_command("edit ")

    def action_toggle_pause(self) -> None:
        """Pause, or resume."""
        jobs = self.chosen_jobs()
        self.dashboard.ordering.order(self.console.toggled(jobs), jobs)

    def action_toggle_hold(self) -> None:
        """Hold, or release."""
        nodes = self.chosen_nodes()
        self.dashboard.ordering.order(self.console.hold_toggled(nodes), nodes)

    def action_priority(self, by: int) -> None:
        """Raise or lower the priority; all chosen jobs get that of the first, changed."""
        jobs = self.chosen_jobs()
        row = self.console.job_row(jobs[0]) if jobs else None
        if row is not None:
            priority = row.get("priority")
            self.dashboard.ordering.order(priority_order((50 if priority is None else int(priority)) + by), jobs)


def _parts_of(rows: Filterable | None) -> list[str]:
    return [] if rows is None else [*rows.completions(""), *rows.completions("state=")]
