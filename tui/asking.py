"""Questions beside the feed: lines of the event log, tasks, pictures, why something waits, what the node has checked.

Each is a task of its own, so a node that takes long answers late and holds nothing up; the answer of a screen that was
left is dropped with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.errors import UserError
from protocol.human import printable
from tui.looks import Run, Runs
from tui.screens.sheet import Sheet
from tui.words import why_lines

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tui.app import Dashboard
    from tui.screens.farm import FarmViewScreen
    from tui.screens.job import JobScreen

EVENTS_PAGE: Final = 500
TASKS_PAGE: Final = 1000


class Asking:
    """Questions of one dashboard."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._notes = -1
        self._events_of = ""
        self._asking_events = False
        self._asking_tasks = False

    def _run(self, question: Coroutine[Any, Any, None], group: str, *, exclusive: bool = False) -> None:
        self._dashboard.run_worker(question, group=group, exclusive=exclusive, exit_on_error=False)

    # -- events ---------------------------------------------------------------------------------------------------

    def events(self, *, anyway: bool = False) -> None:
        """Ask for new lines of the event log when the farm says that there are some."""
        farm = self._dashboard.console_model.farm
        notes, node = int(farm.get("notes") or 0), str(farm.get("node") or "")
        if (anyway or notes != self._notes or node != self._events_of) and node and not self._asking_events:
            self._asking_events = True
            self._run(self._events(notes, node), "events")

    async def _events(self, notes: int, node: str) -> None:
        """Ask until a page is not full: what is behind the newest line that is known comes with its oldest lines first."""
        console, is_full = self._dashboard.console_model, True
        try:
            while is_full:
                anew = node != self._events_of
                after = None if anew or not console.event_rows else max(console.event_rows)
                answer = await self._dashboard.source.call("events", after=after, limit=EVENTS_PAGE)
                told = answer.get("events") or []
                console.apply_events(told, anew=anew)
                self._events_of = node
                is_full = after is not None and len(told) >= EVENTS_PAGE
                self._dashboard.draw()
            self._notes = notes
        except UserError:
            return  # the feed tells again, and the connection is shown in the top line
        finally:
            self._asking_events = False

    # -- tasks and pictures ---------------------------------------------------------------------------------------

    def tasks(self, screen: JobScreen, visible: list[int]) -> None:
        """Ask for what the feed does not tell of the tasks on the screen."""
        lacking = screen.opened.rows.lacking(visible)
        if lacking and not self._asking_tasks:
            self._asking_tasks = True
            self._run(self._tasks(screen, lacking), "tasks")

    async def _tasks(self, screen: JobScreen, lacking: list[int]) -> None:
        first, count = min(lacking), max(lacking) - min(lacking) + 1
        try:
            answer = await self._dashboard.source.call(
                "task.list", job=screen.job, offset=first, limit=min(count, TASKS_PAGE)
            )
        except UserError:
            return  # shown as unknown; asked again when something changes
        finally:
            self._asking_tasks = False
        learnt = screen.opened.rows.learn(answer.get("tasks") or [])
        if learnt:
            screen.opened.table.change(learnt)
            screen.told()

    def picture(self, screen: JobScreen, frame: int, result: Any) -> None:
        """Ask for the picture of a frame, once at a time.

        Args:
            screen: Who wants it.
            frame: Which.
            result: Given back with the answer, so that one which comes too late is known as such.
        """
        self._run(self._picture(screen, frame, result), f"picture {screen.job} {frame}", exclusive=True)

    async def _picture(self, screen: JobScreen, frame: int, result: Any) -> None:
        try:
            answer = await self._dashboard.source.call("task.thumbnail", job=screen.job, frame=frame)
            screen.picture_came(frame, result, answer["data"], "")
        except UserError as error:
            screen.picture_came(frame, result, None, error.what)

    # -- the farm, and why ----------------------------------------------------------------------------------------

    def farm(self, screen: FarmViewScreen) -> None:
        """Ask the node what it has checked, and as whom it knows us."""
        self._run(self._farm(screen), "farm", exclusive=True)

    async def _farm(self, screen: FarmViewScreen) -> None:
        source = self._dashboard.source
        try:
            screen.checks = (await source.call("doctor")).get("checks") or []
            screen.me = await source.call("user.me")
        except UserError:
            pass  # an older node does not know who asks; the page shows what came
        screen.told()

    def why(self, job: str, frame: int | None) -> None:
        """Say on a sheet why a job, or one frame of it, does not run."""
        row = self._dashboard.console_model.job_row(job) or {}
        sheet = Sheet(f"Why: {printable(str(row.get('name') or job))}", [(Run("asking …", "muted"),)])
        self._dashboard.push_screen(sheet)
        self._run(self._why(sheet, job, frame), "why", exclusive=True)

    async def _why(self, sheet: Sheet, job: str, frame: int | None) -> None:
        row = self._dashboard.console_model.job_row(job) or {}
        args = {} if frame is None else {"frame": frame}
        try:
            sheet.tell(why_lines(await self._dashboard.source.call("why", job=job, **args), row))
        except UserError as error:
            sheet.tell(_error_lines(error))


def _error_lines(error: UserError) -> list[Runs]:
    return [(Run(error.what, "failed"),), (Run(error.why, "muted"),), (Run(error.hint, "accent"),)]
