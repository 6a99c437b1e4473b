"""One job: how far it is, its frames as a grid, its tasks, the pictures of its test frames with approve and reject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.containers import Vertical

from protocol.human import format_duration, format_percent, printable
from protocol.states import TaskState
from tui.grid import next_in_state
from tui.keymap import Place
from tui.looks import Run, Runs, job_look, plain, state_runs, task_look
from tui.screens.base import FarmScreen
from tui.tables import TASK_FIELDS, job_bar, reason_text
from tui.widgets.grid import GridView
from tui.widgets.painting import RunBox, split_line
from tui.widgets.pictures import Pictures, Shown
from tui.widgets.table import Table
from tui.words import job_lines, task_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.columns import Row
    from tui.console import OpenJob

_DECIDING: Final = ("testing", "awaiting_approval", "rejected")
_GONE: Final = "this job is no more"


class JobScreen(FarmScreen):
    """The opened job."""

    PLACE: ClassVar[Place] = Place.JOB
    FIELDS = TASK_FIELDS

    def __init__(self, opened: OpenJob, *, pictures: bool) -> None:
        super().__init__()
        self.opened = opened
        self.lost = ""
        self._wants_pictures: bool | None = True if pictures else None
        self._shown: dict[int, Shown] = {}

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

    def chosen_frames(self) -> list[int]:
        """Return the first frames of the marked tasks, or of the one at the cursor."""
        table = self.opened.table
        return [self.opened.picture.first[task] for task in table.chosen()]

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
        self.dashboard.asking.tasks(self, self.table.visible_ids() if self.table else [])

    def _head(self, row: Row, width: int) -> list[Runs]:
        console = self.console
        word = console.pending.words.get(self.job)
        state = (
            (Run(f"⧗ {word}", "warning"),)
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
        opened = self.opened
        wanted: dict[int, tuple[int, list[Runs]]] = {}
        for frame in opened.test_frames:
            state = str(frame.get("state"))
            where = printable(str(frame.get("node_name") or ""))
            seconds = f"  {format_duration(float(frame['seconds']))}" if frame.get("seconds") else ""
            first: Runs = (Run(f"{frame.get('frame')} ", "strong"), *state_runs(task_look(state), state))
            wanted[int(frame["frame"])] = int(frame.get("task") or 0), [first, (Run(f"{where}{seconds}", "muted"),)]
        row = self.row_at_cursor()
        if row is not None and not row.get("test"):
            state = str(row.get("state"))
            words: list[Runs] = [(Run(f"{row['frames']} ", "strong"), *state_runs(task_look(state), state))]
            words.append((Run("at the cursor", "accent"), *plain(f"  {row.get('node_name') or ''}")))
            wanted[int(row["first"])] = int(row["task"]), words
        for number, (task, words) in wanted.items():
            shown = self._shown.setdefault(number, Shown(number, words))
            shown.words = words
            done = task < len(opened.picture.states) and opened.rows[task]["state"] == TaskState.DONE.value
            if done and shown.data is None and not shown.note:
                shown.note = "asking …"
                self.dashboard.asking.picture(self, number)
            elif not done:
                shown.data, shown.note = None, ""
        self.query_one("#pictures", Pictures).show([self._shown[number] for number in wanted])

    def picture_came(self, frame: int, data: bytes | None, note: str) -> None:
        """The answer to `ask_picture`."""
        shown = self._shown.get(frame)
        if shown is not None:
            shown.data, shown.note = data, note
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

    def action_order(self, name: str) -> None:
        """Order something for the job; a retry with marked tasks is about their frames."""
        if name == "retry" and len(self.opened.table.marks):
            self.dashboard.ordering.retry_frames(self.job, self.chosen_frames())
            return
        super().action_order(name)
