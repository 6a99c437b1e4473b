"""One job: how far it is, its frames as a grid, its tasks, the pictures of its test frames with approve and reject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.containers import Vertical

from protocol.human import counted, format_duration, format_percent, printable
from protocol.states import TaskState
from tui.grid import STATES, next_in_state
from tui.keymap import Place
from tui.looks import Run, Runs, job_look, plain, state_runs, task_look
from tui.screens.base import FarmScreen
from tui.screens.gallery import Gallery
from tui.tables import TASKS, TOLD_OF_ALL_TASKS, job_bar, reason_text
from tui.widgets.grid import GridView
from tui.widgets.painting import RunBox, split_line
from tui.widgets.pictures import Pictures
from tui.widgets.table import Table
from tui.words import job_lines, task_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.timer import Timer

    from protocol.frames import FrameSet
    from tui.columns import Row
    from tui.console import OpenJob
    from tui.orders import Chosen

_DECIDING: Final = ("testing", "awaiting_approval", "rejected")
MOST_READ: Final = 20_000
"""Of jobs with more tasks, a filter asks only what is told of all of them."""
REST_S: Final = 0.25
"""The cursor stays on a frame."""


class JobScreen(FarmScreen):
    """The opened job."""

    PLACE: ClassVar[Place] = Place.JOB
    FIELDS = TASKS

    def __init__(self, opened: OpenJob, *, pictures: bool) -> None:
        super().__init__()
        self.opened = opened
        self.lost = ""
        self._wants_pictures: bool | None = True if pictures else None
        self._gallery = Gallery()
        self._resting: Timer | None = None
        self._rests_on: int | None = None
        self._reading: list[int] = []

    def body(self) -> Iterable[Any]:
        """Make head, grid, pictures and tasks."""
        with Vertical(id="job"):
            yield RunBox([(), (), ()], id="head")
            yield GridView(id="grid")
            yield Pictures(id="pictures")
            yield Table(self.opened.table, empty="asking for the tasks …", id="tasks")

    @property
    def view(self) -> Place:
        """Belongs to the jobs."""
        return Place.JOBS

    @property
    def job(self) -> str:
        """The id of the job."""
        return self.opened.picture.id

    def chosen_jobs(self) -> list[str]:
        """Return the job."""
        return [self.job]

    def chosen_frames(self) -> FrameSet:
        """Return all frames of the marked tasks, or of the one at the cursor."""
        return self.opened.rows.frames_of(self.opened.table.chosen())

    # -- drawing --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the job."""
        opened = self.opened
        row = self.console.job_row(self.job)
        width = max(20, self.query_one("#head").content_size.width)
        self.query_one("#head", RunBox).show(
            self._head(row, width) if row else [(Run(self.lost or "asking …", "muted"),), (), ()]
        )
        deciding = opened.picture.job.get("state") in _DECIDING and bool(opened.test_frames)
        pictures = deciding if self._wants_pictures is None else self._wants_pictures
        self.set_class(pictures, "with-pictures")
        states, firsts = opened.rows.states(), opened.rows.firsts
        place = opened.rows.place_of(opened.table.cursor)
        grid = self.query_one("#grid", GridView)
        grid.most_lines = 3 if self.has_class("low") else 10
        grid.show(states, firsts, place)
        if pictures:
            self._draw_pictures()
        self._reading = self._untold()
        self.dashboard.asking.tasks(self, self._reading or (self.table.visible_ids() if self.table else []))

    def _untold(self) -> list[int]:
        """Return the tasks that must be known better before a filter, or an order of the rows, is true of all of them."""
        table = self.opened.table
        if len(self.opened.rows) > MOST_READ or (table.filter.names | {table.sort.column}) <= TOLD_OF_ALL_TASKS:
            return []
        return self.opened.rows.lacking(self.opened.rows)

    def status(self) -> Runs:
        """Say besides what a filter does not know yet."""
        table = self.opened.table
        if self._reading:
            return (*super().status(), Run(f"◷ reading {counted(len(self._reading), 'task')}", "warning"))
        if len(self.opened.rows) > MOST_READ and not table.filter.names <= TOLD_OF_ALL_TASKS:
            return (*super().status(), Run("only of tasks that were on the screen", "warning"))
        return super().status()

    def _head(self, row: Row, width: int) -> list[Runs]:
        console = self.console
        word = console.pending.words.get(self.job)
        state = (
            (Run(f"◷ {word}", "warning"),)
            if word
            else state_runs(job_look(str(row.get("state"))), str(row.get("state")))
        )
        done, total = int(row.get("done") or 0), int(row.get("total") or 0)
        name = (Run(f" {printable(str(row.get('name') or ''))}", "title"), Run("  "), *state)
        right = (
            Run(f"{row.get('owner') or ''}  ", "plain"),
            Run(f"priority {row.get('priority')}  {self.job} ", "muted"),
        )
        counts: list[Run] = [
            Run(f" {format_percent(done, total):>6} ", "strong"),
            Run(f"{done} of {total} done", "plain"),
        ]
        for field, style in (("running", "running"), ("failed", "failed"), ("waiting", "muted")):
            if row.get(field):
                counts.append(Run(f"  {row[field]} {field}", style))
        if row.get("eta_s") is not None:
            counts.append(Run(f"  {format_duration(float(row['eta_s']))} left", "muted"))
        bar = max(10, width - sum(len(run.text) for run in counts) - 3)
        reason = reason_text(row)
        hint = str((row.get("reason") or {}).get("hint") or "") if isinstance(row.get("reason"), dict) else ""
        if row.get("state") == "awaiting_approval" and not console.read_only:
            told: Runs = (
                Run(" a", "strong"),
                Run(" approve   ", "muted"),
                Run("x", "strong"),
                Run(" reject   ", "muted"),
            )
            told = (*told, Run(reason, "warning"))
        else:
            told = (Run(f" {reason}", "warning"), Run(f"   {hint}", "muted")) if reason else ()
        return [split_line(name, right, width), (*counts, Run("  "), *job_bar(row, bar)), told]

    def _draw_pictures(self) -> None:
        gallery, now = self._gallery, self.console.mono()
        shown = []
        for frame in self.opened.test_frames:
            states, task = self.opened.picture.states, int(frame.get("task") or 0)
            done = task < len(states) and states[task] == STATES.index(TaskState.DONE)
            shown.append(gallery.show(int(frame["frame"]), _test_words(frame), _result_of(frame) if done else None))
            if gallery.lacks(shown[-1].frame, now):
                self._ask_picture(shown[-1].frame)
        row = self.row_at_cursor()
        first = int(row["first"]) if row is not None else 0
        if row is not None and not row.get("test"):
            done, turn = row.get("state") == TaskState.DONE.value, self.opened.rows.turn(int(row["task"]))
            shown.append(gallery.show(first, _words_at_cursor(row), turn if done else None))
            if gallery.lacks(first, now):
                self._ask_when_resting(first)
        frames = [one.frame for one in shown]
        self.query_one("#pictures", Pictures).show(shown, frames.index(first) if first in frames else 0)
        gallery.forget(frames)

    def _ask_picture(self, frame: int) -> None:
        result = self._gallery.asks(frame, self.console.mono())
        self.dashboard.asking.picture(self, frame, result)

    def _ask_when_resting(self, frame: int) -> None:
        """Ask once the cursor stays: who runs through a job must not have all of its pictures fetched."""
        if self._rests_on == frame:
            return
        if self._resting is not None:
            self._resting.stop()
        self._rests_on = frame
        self._resting = self.set_timer(REST_S, self._rested)

    def _rested(self) -> None:
        frame, self._rests_on = self._rests_on, None
        row = self.row_at_cursor()
        if frame is not None and row is not None and row["first"] == frame and self.has_class("with-pictures"):
            self._ask_picture(frame)
            self.draw()

    def picture_came(self, frame: int, result: Any, data: bytes | None, note: str) -> None:
        """The answer to `Asking.picture`."""
        self._gallery.came(frame, result, data, note)
        for pictures in self.query("#pictures").results(Pictures):  # none once the page was left
            pictures.refresh()

    def details(self) -> list[Runs]:
        """Describe the task at the cursor and the job."""
        row = self.row_at_cursor()
        job = self.console.job_row(self.job) or {}
        task = [*task_lines(row), ()] if row is not None else []
        return [*task, *job_lines(job, self.console.moment())]

    # -- doing ----------------------------------------------------------------------------------------------------

    def on_grid_view_chosen(self, event: GridView.Chosen) -> None:
        """Put the cursor on the task of a cell."""
        order = self.opened.rows.order
        if event.place < len(order) and self.opened.table.go_to(order[event.place]) and self.table is not None:
            self.table.cursor_moved()

    def action_next_failed(self, direction: int) -> None:
        """Go to the next failed task."""
        opened = self.opened
        order, place = opened.rows.order, max(0, opened.rows.place_of(opened.table.cursor))
        found = next_in_state(opened.rows.states(), TaskState.FAILED, place, direction)
        if found is None:
            self.tell((Run("no task has failed", "muted"),))
        elif opened.table.go_to(order[found]) and self.table is not None:
            self.table.cursor_moved()

    def action_thumbnail(self) -> None:
        """Show pictures, or hide them."""
        self._wants_pictures = not self.has_class("with-pictures")
        self.call_after_refresh(self.told)

    def action_back(self) -> None:
        """Close pictures that were asked for before the page itself."""
        is_busy = self.prompt.is_open or len(self.opened.table.marks) or self.opened.table.filter
        if self._wants_pictures and not is_busy and not self.has_class("with-details"):
            self._wants_pictures = False
            self.told()
        else:
            super().action_back()

    def action_open(self) -> None:
        """Show the log of the task at the cursor."""
        self.action_log()

    def action_log(self) -> None:
        """Show the log of the task at the cursor."""
        cursor = self.opened.table.cursor
        self.dashboard.show_log(self.job, task=cursor)

    def action_why(self) -> None:
        """Say why the task at the cursor does not run; the job, if the task is one of many."""
        row = self.row_at_cursor()
        waits = row is not None and row.get("state") in ("waiting", "held")
        self.dashboard.asking.why(self.job, int(row["first"]) if row is not None and waits else None)

    def action_copy(self, what: str) -> None:
        """Copy the id or the output folder of the job."""
        self.dashboard.copy(self.console.job_row(self.job) or {"id": self.job}, what)

    def order_for(self, chosen: Chosen, name: str, why: str = "") -> None:
        """Order something for the job; a retry with marked tasks is about their frames."""
        if name == "retry" and len(self.opened.table.marks):
            self.dashboard.ordering.retry_frames(self.job, self.chosen_frames())
            return
        super().order_for(chosen, name, why)


def _test_words(frame: Row) -> list[Runs]:
    """Write what stands below the picture of a test frame: number and state; machine and time."""
    state = str(frame.get("state"))
    seconds = f"  {format_duration(float(frame['seconds']))}" if frame.get("seconds") else ""
    first: Runs = (Run(f"{frame.get('frame')} ", "strong"), *state_runs(task_look(state), state))
    return [first, (Run(f"{printable(str(frame.get('node_name') or ''))}{seconds}", "muted"),)]


def _words_at_cursor(row: Row) -> list[Runs]:
    state = str(row.get("state"))
    first: Runs = (Run(f"{row['frames']} ", "strong"), *state_runs(task_look(state), state))
    return [first, (Run("at the cursor", "accent"), *plain(f"  {row.get('node_name') or ''}"))]


def _result_of(frame: Row) -> Any:
    """Return what makes the result of a test frame another one: who rendered it, how long, and which files it has."""
    outputs = [(output.get("name"), output.get("digest")) for output in frame.get("outputs") or []]
    return frame.get("node"), frame.get("seconds"), outputs
