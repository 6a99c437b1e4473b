"""The dashboard: takes what the feed tells, gives it to the screens, carries out what keys and commands ask for.

One task follows the feed for as long as the program runs; orders, logs and pictures are questions of their own, so that
nothing that a node takes long for stops a key from being answered. All that is shown lies in the console, which knows no
screen.
"""

from __future__ import annotations

import gc
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from protocol.errors import UserError
from protocol.feed import JobPicture
from protocol.human import counted, printable
from tui.asking import Asking
from tui.carrying import carry_out
from tui.commands import parse_command
from tui.console import Console, path_of
from tui.keymap import Keymap, Place, sort_letters
from tui.looks import Run, Runs
from tui.ordering import Ordering
from tui.palette import FarmCommands
from tui.screens.base import FarmScreen, bindings_of
from tui.screens.farm import FarmViewScreen
from tui.screens.job import JobScreen
from tui.screens.lists import EventsScreen, JobsScreen, NodesScreen
from tui.screens.log import LogScreen
from tui.screens.overview import OverviewScreen
from tui.screens.sheet import Question, Sheet
from tui.source import FarmTold, JobLost, JobTold, LinkTold
from tui.themes import FARM_DARK, FARM_LIGHT, VARIABLES, check_theme
from tui.words import help_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.events import Key

    from tui.columns import Row
    from tui.orders import Chosen
    from tui.source import Source, Told

TICK_S: Final = 0.5
_VIEWS: Final[dict[Place, type[FarmScreen]]] = {
    Place.OVERVIEW: OverviewScreen,
    Place.JOBS: JobsScreen,
    Place.NODES: NodesScreen,
    Place.EVENTS: EventsScreen,
    Place.FARM: FarmViewScreen,
}


class Dashboard(App[int]):
    """The application.

    Args:
        source: The farm.
        user: Who looks.
        read_only: Without anything that changes the farm.
        keys: Changed keys, by id.
        mono: A clock that only goes forward.
        theme: Name of a theme; empty takes the dark one.

    Raises:
        UsageError: Changed keys clash, or name what does not exist; or there is no such theme.
    """

    CSS_PATH: ClassVar[Any] = ["styles/dashboard.tcss", "styles/job.tcss", "styles/over.tcss"]
    TITLE = "farm"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Any]] = {FarmCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(Place.ANYWHERE), Binding("ctrl+q", "quit", show=False)]

    def __init__(  # each is one thing that the command line says
        self,
        source: Source,
        *,
        user: str = "",
        read_only: bool = False,
        keys: Mapping[str, str] | None = None,
        mono: Callable[[], float] = time.monotonic,
        theme: str = "",
    ) -> None:
        self.keymap = Keymap(keys, read_only=read_only)
        if theme:
            check_theme(theme)
        super().__init__()
        self.source = source
        self.console_model = Console(mono, user, read_only)
        self._changed_keys = dict(keys or {})
        self._wanted_theme = theme
        self.ordering = Ordering(self)
        self.asking = Asking(self)
        self._views: dict[Place, FarmScreen] = {}
        self._view = Place.OVERVIEW

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme the colours of the states."""
        return VARIABLES

    def on_mount(self) -> None:
        """Begin to follow the farm."""
        self.register_theme(FARM_DARK)
        self.register_theme(FARM_LIGHT)
        # Under NO_COLOR the ansi themes of Textual draw black on black.
        self.theme = "textual-dark" if self.no_color else self._wanted_theme or FARM_DARK.name
        if self._changed_keys:
            self.set_keymap({name: keys.replace(" ", ",") for name, keys in self._changed_keys.items()})
        self._views = {place: screen() for place, screen in _VIEWS.items()}
        for place, screen in self._views.items():
            self.install_screen(screen, place.value)  # else leaving a view would take it apart
        self.push_screen(self._views[Place.OVERVIEW])
        self.set_interval(TICK_S, self._tick)
        self.run_worker(self._follow(), group="feed", exit_on_error=True)

    # -- what the feed tells --------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        async with aclosing(self.source.told()) as everything:
            async for told in everything:
                self._take(told)

    def _take(self, told: Told) -> None:
        if not self.is_running:
            return
        console = self.console_model
        match told:
            case FarmTold():
                self.ordering.confirm(console.apply_farm(told.picture, told.changes))
                self.asking.events()
                if told.changes.reset:
                    # A hundred thousand rows are no garbage: looking through them took a tenth of a second each time.
                    self.call_after_refresh(gc.freeze)
            case JobTold():
                console.apply_job(told.picture, anew=told.anew)
            case JobLost():
                self._job_lost(told)
            case LinkTold():
                console.standing = console.standing.told(told.link, told.node_name, told.why)
        self.draw()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say what failed in a question that nobody waits for: a fault of ours must not pass in silence."""
        if event.state is WorkerState.ERROR:
            self.tell(
                (Run("✖ a fault of the dashboard: ", "failed"), Run(printable(repr(event.worker.error)), "muted"))
            )

    def draw(self) -> None:
        """Draw everything that is on the screen."""
        for screen in self.screen_stack:
            if isinstance(screen, FarmScreen):
                screen.told()

    def _tick(self) -> None:
        if not self.is_running:
            return  # the screens are being taken apart: a part of the front one may be gone already
        late = self.console_model.tick()
        if late:
            self.ordering.tidy()
            row = self.console_model.row_anywhere(late[0]) or {}
            what = str(row.get("name") or late[0]) if len(late) == 1 else counted(len(late), "order")
            self.tell((Run("◷ ", "warning"), Run(f"{printable(what)}: not confirmed yet, but sent and on the way")))
        if self.console_model.age():
            self.draw()
        self.front.tell_edges()

    def _job_lost(self, told: JobLost) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, JobScreen) and screen.job == told.job:
                screen.lost = told.why
        self.tell((Run(told.why, "warning"),))

    # -- where one is ---------------------------------------------------------------------------------------------

    @property
    def front(self) -> FarmScreen:
        """The screen of the dashboard that is in front, below a sheet or a question."""
        found = (screen for screen in reversed(self.screen_stack) if isinstance(screen, FarmScreen))
        return next(found, self._views[Place.OVERVIEW])

    def action_show(self, view: str) -> None:
        """Show one of the five views."""
        self.show(Place(view))

    def show(self, place: Place) -> None:
        """Show one of the five views; what was opened over it is closed."""
        self._close_opened()
        if self._view is not place:
            self._view = place
            self.switch_screen(self._views[place])

    def _close_opened(self) -> None:
        while len(self.screen_stack) > 2:  # Textual's own first screen, and the view
            self.pop_screen()
        self.console_model.close_job()
        self.source.watch_job(None)

    def _look_again_at(self, page: JobScreen | None) -> None:
        """The page of another job was closed: go on with the one below it, if there is one."""
        if page is None:
            self.console_model.close_job()
            self.source.watch_job(None)
        else:
            self.console_model.open = page.opened
            self.source.watch_job(page.job)

    def go_back(self) -> None:
        """Close what was opened last; from a view, go to the overview; from there, stay."""
        if len(self.screen_stack) > 2:
            closed = self.screen
            self.pop_screen()
            if isinstance(closed, JobScreen):
                self._look_again_at(
                    next((known for known in reversed(self.screen_stack) if isinstance(known, JobScreen)), None)
                )
        elif self._view is not Place.OVERVIEW:
            self.show(Place.OVERVIEW)
        else:
            self.tell((Run("q quits", "muted"),))

    def show_filtered(self, place: Place, text: str) -> None:
        """Show a view with a filter."""
        self.show(place)
        screen = self._views[place]
        self.call_after_refresh(screen.set_filter, text)

    def ask_filter(self) -> None:
        """Ask for a filter in the view that is coming to the front."""
        self.call_after_refresh(self._ask_filter)

    def _ask_filter(self) -> None:
        self.front.action_filter()

    def on_key(self, event: Key) -> None:
        """Give a letter to the line that is being typed although it came before that line was in front.

        A terminal sends at once what is pasted or typed fast: such letters are on their way to the screen when the
        first of them, a slash, opens the line. Letters that an open line takes never come here.
        """
        if event.is_printable and event.character and isinstance(self.focused, Input):
            event.prevent_default()
            self.focused.insert_text_at_cursor(event.character)

    async def action_back(self) -> None:
        """Go back."""
        self.front.action_back()

    def action_command(self) -> None:
        """Ask for a command."""
        self.front.action_command()

    def run_command(self, text: str, chosen: Chosen) -> None:
        """Carry out what was typed after the colon, for what was chosen when that began."""
        try:
            carry_out(self, parse_command(text, read_only=self.console_model.read_only), chosen)
        except UserError as error:
            self.tell((Run(error.what, "failed"), Run(f"  {error.why} {error.hint}".rstrip(), "muted")))

    def action_leave(self) -> None:
        """Quit, from one of the five views, with no order on its way."""
        if len(self.screen_stack) > 2:
            self.go_back()
        elif len(self.console_model.pending):
            pending = self.console_model.pending
            lost = f"{pending.unsent} not sent yet would be lost. " if pending.unsent else ""
            loses = f"{lost}What was sent stays ordered; nobody watches it."
            text = f"Quit with {counted(len(pending), 'order')} on the way?"
            question = Question(text, loses, wants_why=False)
            self.push_screen(question, lambda answer: None if answer is None else self.exit(0))
        else:
            self.exit(0)

    def action_refresh(self) -> None:
        """Draw everything, and ask for what is not told by itself."""
        self.asking.events(anyway=True)
        self.ask_farm()
        self.front.refresh(layout=True)
        self.draw()

    def action_palette(self) -> None:
        """Find a command, a job or a machine."""
        self.action_command_palette()

    def action_help(self) -> None:
        """Show the keys of this screen."""
        screen = self.front
        model = screen.model
        letters = sort_letters((column.letter, column.title) for column in model.columns) if model is not None else []
        lines = help_lines(self.keymap.help(screen.PLACE), letters, min(self.size.width - 8, 100))
        self.push_screen(Sheet(f"Keys: {screen.PLACE.value}", lines))

    def tell(self, message: Runs) -> None:
        """Show a message for a while."""
        self.front.tell(message)

    # -- looking --------------------------------------------------------------------------------------------------

    def open_job(self, job: str, *, pictures: bool = False) -> None:
        """Open a job."""
        opened = self.console_model.open_job(JobPicture(job))
        self.source.watch_job(job)
        self.push_screen(JobScreen(opened, pictures=pictures))

    def show_log(self, job: str, task: int | None = None, frame: int | None = None) -> None:
        """Show the log of a task; without one, of the attempt that tells most."""
        which: dict[str, Any] = {"job": job}
        if task is not None:
            which["task"] = task
        if frame is not None:
            which["frame"] = frame
        name = str((self.console_model.job_row(job) or {}).get("name") or job)
        self.push_screen(LogScreen(which, name))

    def ask_farm(self) -> None:
        """Ask the node what it has checked."""
        screen = self._views[Place.FARM]
        assert isinstance(screen, FarmViewScreen)
        self.asking.farm(screen)

    def go_to_node(self, node: str) -> None:
        """Show a machine among the others."""
        self.show(Place.NODES)
        self.console_model.nodes.go_to(node)
        self.draw()

    def copy(self, row: Row, what: str) -> None:
        """Copy the id or the path of a row."""
        text = path_of(row) if what == "path" else str(row.get("id") or row.get("frames") or "")
        self.copy_text(text, text)

    def copy_text(self, text: str, name: str) -> None:
        """Copy a text by OSC 52: the terminal takes it, over SSH too."""
        if text:
            self.copy_to_clipboard(text)
            self.tell((Run("copied ", "muted"), Run(printable(name), "accent")))
        else:
            self.tell((Run("there is no path to copy", "muted"),))
