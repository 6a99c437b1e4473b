"""The dashboard: takes what the feed tells, gives it to the screens, carries out what keys and commands ask for.

One task follows the feed for as long as the program runs; orders, logs and pictures are questions of their own, so that
nothing that a node takes long for stops a key from being answered. All that is shown lies in the console, which knows no
screen.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerState

from protocol.errors import UserError
from protocol.feed import JobPicture
from protocol.human import counted, printable
from tui.commands import Intent, parse_command
from tui.console import Console, frames_text, path_of
from tui.keymap import Keymap, Place, sort_letters
from tui.looks import Run, Runs
from tui.orders import ORDERS, Order, Subject, priority_order, retry_order, what_of
from tui.palette import FarmCommands
from tui.screens.base import FarmScreen, bindings_of
from tui.screens.farm import FarmViewScreen
from tui.screens.job import JobScreen
from tui.screens.lists import EventsScreen, JobsScreen, NodesScreen
from tui.screens.log import LogScreen
from tui.screens.overview import OverviewScreen
from tui.screens.sheet import Question, Sheet
from tui.source import FarmTold, JobLost, JobTold, LinkTold
from tui.themes import FARM_DARK, FARM_LIGHT, VARIABLES
from tui.words import help_lines, why_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tui.columns import Row
    from tui.source import Source, Told

TICK_S: Final = 0.5
EVENTS_PAGE: Final = 500
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
        UsageError: Changed keys clash, or name what does not exist.
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
        super().__init__()
        self.source = source
        self.console_model = Console(mono, user, read_only)
        self._changed_keys = dict(keys or {})
        self._wanted_theme = theme
        self._notes = -1
        self._events_of = ""
        self._asking_events = False
        self._asked_pictures: set[tuple[str, int]] = set()
        self._asking_tasks = False
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
        self.push_screen(self._views[Place.OVERVIEW])
        self.set_interval(TICK_S, self._tick)
        self.run_worker(self._follow(), group="feed", exit_on_error=True)

    # -- what the feed tells --------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        async with aclosing(self.source.told()) as everything:
            async for told in everything:
                self._take(told)

    def _take(self, told: Told) -> None:
        console = self.console_model
        match told:
            case FarmTold():
                done = console.apply_farm(told.picture, told.changes)
                self._unmark(done)
                self._look_for_events()
            case JobTold():
                console.apply_job(told.picture, anew=told.anew)
            case JobLost():
                self._job_lost(told)
            case LinkTold():
                console.standing = console.standing.told(told.link, told.node_name, told.why)
        self._draw()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say what failed in a question that nobody waits for: a fault of ours must not pass in silence."""
        if event.state is WorkerState.ERROR:
            self.tell(
                (Run("✖ a fault of the dashboard: ", "failed"), Run(printable(repr(event.worker.error)), "muted"))
            )

    def _draw(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, FarmScreen):
                screen.told()

    def _tick(self) -> None:
        for key in self.console_model.tick():
            row = self.console_model.job_row(key) or {}
            self.tell(
                (Run("⧗ ", "warning"), Run(f"{row.get('name') or key}: not confirmed yet, the order is on its way"))
            )
        self.front.tell_edges()

    def _job_lost(self, told: JobLost) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, JobScreen) and screen.job == told.job:
                screen.lost = told.why
        self.tell((Run(told.why, "warning"),))

    def _unmark(self, keys: Iterable[str]) -> None:
        done = list(keys)
        if done:
            for table in (self.console_model.jobs, self.console_model.active, self.console_model.nodes):
                table.unmark(done)

    # -- events ---------------------------------------------------------------------------------------------------

    def _look_for_events(self) -> None:
        """Ask for new lines of the event log when the farm says that there are some."""
        farm = self.console_model.farm
        notes, node = int(farm.get("notes") or 0), str(farm.get("node") or "")
        if (notes != self._notes or node != self._events_of) and not self._asking_events:
            self._asking_events = True
            self.run_worker(self._ask_events(notes, node), group="events", exit_on_error=False)

    async def _ask_events(self, notes: int, node: str) -> None:
        anew = node != self._events_of
        after = None if anew or not self.console_model.event_rows else max(self.console_model.event_rows)
        try:
            answer = await self.source.call("events", after=after, limit=EVENTS_PAGE)
            self.console_model.apply_events(answer.get("events") or [], anew=anew)
            self._notes, self._events_of = notes, node
        except UserError:
            pass  # the feed tells again, and the connection is shown in the top line
        finally:
            self._asking_events = False
        self._draw()

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

    def go_back(self) -> None:
        """Close what was opened last; from a view, go to the overview; from there, stay."""
        if len(self.screen_stack) > 2:
            closed = self.pop_screen()
            if not any(isinstance(screen, JobScreen) for screen in self.screen_stack):
                self.console_model.close_job()
                self.source.watch_job(None)
            del closed
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

    async def action_back(self) -> None:
        """Go back."""
        self.front.action_back()

    def action_leave(self) -> None:
        """Quit, from one of the five views, with no order on its way."""
        if len(self.screen_stack) > 2:
            self.go_back()
        elif len(self.console_model.pending):
            count = counted(len(self.console_model.pending), "order")
            question = Question(
                f"Quit while {count} is on the way?", "It stays ordered; nobody watches it.", wants_why=False
            )
            self.push_screen(question, lambda answer: None if answer is None else self.exit(0))
        else:
            self.exit(0)

    def action_refresh(self) -> None:
        """Draw everything, and ask for what is not told by itself."""
        self._notes = -1
        self._look_for_events()
        self.ask_farm()
        self.front.refresh(layout=True)
        self._draw()

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

    def show_why(self, job: str, frame: int | None = None) -> None:
        """Say why a job, or one frame of it, does not run."""
        row = self.console_model.job_row(job) or {}
        sheet = Sheet(f"Why: {printable(str(row.get('name') or job))}", [(Run("asking …", "muted"),)])
        self.push_screen(sheet)

        async def ask() -> None:
            args = {} if frame is None else {"frame": frame}
            try:
                sheet.tell(why_lines(await self.source.call("why", job=job, **args), row))
            except UserError as error:
                sheet.tell(_error_lines(error))

        self.run_worker(ask(), group="why", exclusive=True, exit_on_error=False)

    def ask_tasks(self, screen: JobScreen, visible: list[int]) -> None:
        """Ask for what the feed does not tell of the tasks on the screen."""
        lacking = screen.opened.rows.lacking(visible)
        if lacking and not self._asking_tasks:
            self._asking_tasks = True
            self.run_worker(self._tasks_asked(screen, lacking), group="tasks", exit_on_error=False)

    async def _tasks_asked(self, screen: JobScreen, lacking: list[int]) -> None:
        first, count = min(lacking), max(lacking) - min(lacking) + 1
        learnt: list[int] = []
        try:
            answer = await self.source.call("task.list", job=screen.job, offset=first, limit=min(count, 1000))
            learnt = screen.opened.rows.learn(answer.get("tasks") or [])
        except UserError:
            pass  # shown as unknown; asked again when the cursor moves
        finally:
            self._asking_tasks = False
        if learnt:
            screen.opened.table.change(learnt)
            screen.told()

    def ask_picture(self, screen: JobScreen, frame: int) -> None:
        """Ask for the picture of a frame, once at a time."""
        asked = (screen.job, frame)
        if asked in self._asked_pictures:
            return
        self._asked_pictures.add(asked)

        async def ask() -> None:
            try:
                answer = await self.source.call("task.thumbnail", job=screen.job, frame=frame)
                screen.picture_came(frame, answer["data"], "")
            except UserError as error:
                screen.picture_came(frame, None, error.what)
            finally:
                self._asked_pictures.discard(asked)

        self.run_worker(ask(), group="pictures", exit_on_error=False)

    def ask_farm(self) -> None:
        """Ask the node what it has checked, and as whom it knows us."""

        async def ask() -> None:
            screen = self._views[Place.FARM]
            assert isinstance(screen, FarmViewScreen)
            try:
                screen.checks = (await self.source.call("doctor")).get("checks") or []
                screen.me = await self.source.call("user.me")
            except UserError:
                pass  # an older node does not know who asks; the page shows what came
            screen.told()

        self.run_worker(ask(), group="farm", exclusive=True, exit_on_error=False)

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

    # -- ordering -------------------------------------------------------------------------------------------------

    def order(self, order: Order, keys: list[str]) -> None:
        """Order something, after asking where that is due; what makes no sense is not sent, and says why."""
        console = self.console_model
        if console.read_only:
            self.tell((Run("read-only: ", "warning"), Run("nothing was ordered", "muted")))
            return
        sensible, why = console.subjects(order, keys)
        if not sensible:
            self.tell((Run(why or "nothing is chosen", "warning"),))
            return
        if not order.asks:
            self._send(order, sensible, "")
            return
        question = Question(order.question(console.rows_of(order, sensible)), order.loses, wants_why=order.wants_why)
        self.push_screen(question, lambda answer: None if answer is None else self._send(order, sensible, answer))

    def retry_frames(self, job: str, frames: Iterable[int]) -> None:
        """Render chosen frames again, after asking."""
        self.order(retry_order(frames_text(frames)), [job])

    def _send(self, order: Order, keys: list[str], why: str) -> None:
        for key in keys:
            self.console_model.pending.began(key, order, self.console_model.mono())
        self._draw()
        self.run_worker(self._sent(order, keys, why), group="orders", exit_on_error=False)

    async def _sent(self, order: Order, keys: list[str], why: str) -> None:
        console = self.console_model
        rows = {key: dict(row) for key, row in zip(keys, console.rows_of(order, keys), strict=False)}
        taken: list[str] = []
        refused: UserError | None = None
        for key in keys:
            try:
                await self.source.call(order.op, **{_ARGUMENT[order.subject]: key}, **order.args, why=why)
                console.pending.acknowledged(key)
                taken.append(key)
            except UserError as error:
                refused = refused or error
                console.pending.refused(key)
        self._unmark(console.pending.review(taken, console.row_anywhere))
        self._unmark(taken)
        told: list[Run] = []
        if taken:
            told = [Run("● ", "completed"), Run(f"{what_of(order.subject, [rows[key] for key in taken])} {order.done}")]
        if refused is not None:
            count = len(keys) - len(taken)
            many = f" ({count} refused)" if count > 1 else ""
            told += [
                Run("   " if taken else ""),
                Run(f"✖ {refused.what}{many}", "failed"),
                Run(f"  {refused.why}", "muted"),
            ]
        self._draw()
        self.tell(tuple(told))

    # -- the command line -----------------------------------------------------------------------------------------

    def run_command(self, text: str) -> None:
        """Carry out what was typed after the colon."""
        try:
            self.carry_out(parse_command(text, read_only=self.console_model.read_only))
        except UserError as error:
            self.tell((Run(error.what, "failed"), Run(f"  {error.why} {error.hint}".rstrip(), "muted")))

    def carry_out(self, intent: Intent) -> None:
        """Carry out an intent.

        Raises:
            UserError: What it names does not exist, or is no number.
        """
        screen, words = self.front, intent.words
        match intent.name:
            case "show":
                self.show(Place(words[0]))
                if len(words) > 1:
                    self.show_filtered(Place(words[0]), " ".join(words[1:]))
            case "job":
                self.open_job(_only(self.console_model.find_job(words[0]), "job", words[0]))
            case "node":
                self._go_to_node(words[0])
            case "log":
                frame = _number(words[0]) if words else None
                for job in screen.chosen_jobs()[:1]:
                    self.show_log(job, frame=frame)
            case "filter":
                screen.set_filter(" ".join(words))
            case "sort":
                screen.sort_by(words[0])
            case "why" | "help" | "refresh" | "leave":
                getattr(screen if intent.name == "why" else self, f"action_{intent.name}")()
            case _:
                self._carry_out_order(screen, intent)

    def _carry_out_order(self, screen: FarmScreen, intent: Intent) -> None:
        words, jobs = intent.words, screen.chosen_jobs()
        match intent.name:
            case "order":
                self.order(ORDERS[words[0]], jobs)
            case "retry" if words:
                for job in jobs[:1]:
                    self.order(retry_order(" ".join(words)), [job])
            case "retry":
                self.order(ORDERS["retry"], jobs)
            case "set_priority":
                self.order(priority_order(_number(words[0])), jobs)
            case "hold" | "release":
                named = [_only(self.console_model.find_node(word), "machine", word) for word in words]
                self.order(ORDERS[intent.name], named or screen.chosen_nodes())

    def _go_to_node(self, word: str) -> None:
        node = _only(self.console_model.find_node(word), "machine", word)
        self.show(Place.NODES)
        self.console_model.nodes.go_to(node)
        self._draw()


_ARGUMENT: Final = {Subject.JOB: "job", Subject.NODE: "node"}


def _only(found: list[str], kind: str, word: str) -> str:
    from protocol.errors import NotFound

    if len(found) != 1:
        raise NotFound(f"{'no' if not found else 'more than one'} {kind} is called {word!r}", "", "")
    return found[0]


def _number(word: str) -> int:
    from protocol.errors import UsageError

    if not word.lstrip("-").isdecimal():
        raise UsageError(f"{word!r} is no number", "", "")
    return int(word)


def _error_lines(error: UserError) -> list[Runs]:
    return [(Run(error.what, "failed"),), (Run(error.why, "muted"),), (Run(error.hint, "accent"),)]
