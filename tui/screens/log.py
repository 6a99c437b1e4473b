"""The log of one task: followed as it is written, from whichever machine it is on; searched there, not here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

from protocol.errors import Unreachable, UserError
from protocol.human import counted, format_size, printable
from tui.keymap import Place
from tui.logtext import PAGE_LINES, LogWindow
from tui.looks import Run, Runs
from tui.screens.base import FarmScreen
from tui.widgets.log import LogView
from tui.widgets.painting import RunBox, split_line

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from tui.widgets.prompt import Prompt

PATIENCE_S: Final = 2.0
"""Shorter than the silence after which a node counts as lost."""
RETRY_S: Final = 1.0
"""Pause before a log is asked for again that could not be had."""


class LogScreen(FarmScreen):
    """A log.

    Args:
        which: Arguments that name the log: job, and task, frame or attempt.
        name: Of the job.
    """

    PLACE: ClassVar[Place] = Place.LOG

    def __init__(self, which: dict[str, Any], name: str) -> None:
        super().__init__()
        self.which = which
        self.job_name = name
        self.window = LogWindow()
        self.pattern = ""
        self._attempts: list[dict[str, Any]] = []
        self._busy = False

    def body(self) -> Iterable[Any]:
        """Make head and lines."""
        yield RunBox([()], id="log-head")
        yield LogView(self.window, id="log")

    @property
    def view(self) -> Place:
        """Belongs to the jobs."""
        return Place.JOBS

    @property
    def lines(self) -> LogView:
        """The lines on the screen."""
        return self.query_one(LogView)

    def on_mount(self) -> None:
        """Ask for the end of the log and follow it."""
        self._work(self._begin(), "log")

    def chosen_jobs(self) -> list[str]:
        """Return the job of the log."""
        return [str(self.which["job"])]

    # -- asking ---------------------------------------------------------------------------------------------------

    def _work(self, question: Coroutine[Any, Any, None], group: str, *, exclusive: bool = True) -> None:
        """Ask beside everything else; what fails in it is told (see the application) and ends nothing."""
        self.run_worker(question, group=group, exclusive=exclusive, exit_on_error=False)

    async def _ask(self, op: str, **args: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.dashboard.source.call(op, **(self.which | args))
        return answer

    async def _begin(self) -> None:
        """Read the last lines, then whatever comes, for as long as the screen is there; a machine that is away returns."""
        while not self.window.is_over:
            try:
                await self._go_on()
            except UserError as error:
                self.lines.empty = f"{error.what}: {error.why}" if error.why else error.what
                self.lines.refresh()
                self.tell((Run(self.lines.empty, "warning"),))
                await asyncio.sleep(RETRY_S)

    async def _go_on(self) -> None:
        """Ask for the end of the log as long as it is not known, else for what is behind it."""
        window = self.window
        if not window.is_placed:
            self._take_first(await self._ask("log.tail", lines=PAGE_LINES))
        elif window.at_end or window.following:
            await self._take_next()
        else:  # the person reads elsewhere in the log: nothing to follow
            await asyncio.sleep(RETRY_S)
        if not window.is_placed or window.about.get("away"):
            await asyncio.sleep(RETRY_S)

    def _take_first(self, answer: dict[str, Any]) -> None:
        self.window.begin_at_end(answer)
        if answer.get("attempt"):
            self.which = {"job": self.which["job"], "task": answer.get("task"), "attempt": answer["attempt"]}
        if not answer.get("found", True) and not self.window.lines:
            self.lines.empty = _why_none(answer)
        elif not self.window.lines:
            self.lines.empty = "nothing has been printed yet"
        self.lines.lines_changed()
        self.draw()
        self.tell_edges()

    async def _take_next(self) -> None:
        """Wait for more behind a known end; read on at once where more is there already."""
        window, begin = self.window, self.window.end
        if window.at_end:
            size = window.about.get("size") or 0
            answer = await self._ask("log.follow", offset=begin, size=size, patience_s=PATIENCE_S)
        else:
            answer = await self._ask("log.read", offset=begin, lines=PAGE_LINES)
        if window.end == begin:  # the person did not jump elsewhere meanwhile
            window.put_after(answer)
            self.lines.lines_changed()
        self.draw()
        self.tell_edges()
        if window.end == begin and not window.at_end:
            await asyncio.sleep(RETRY_S)  # more, but not now: a node that says so must not be asked without a pause

    # -- drawing --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw whose log it is."""
        about = self.window.about
        left = [Run(f" {printable(self.job_name)}", "title"), Run(f"  frame {about.get('frames', '…')}", "strong")]
        if about.get("node_name"):
            left.append(Run(f"  on {printable(str(about['node_name']))}", "accent"))
        if about.get("state"):
            style = {"failed": "failed", "done": "completed", "running": "running"}.get(str(about["state"]), "muted")
            left.append(Run(f"  {about['state']}", style))
        if about.get("away"):
            left.append(Run(f"  {_why_none(about)}", "warning"))
        size = format_size(int(about["size"])) if about.get("size") is not None else ""
        right = (Run(f"attempt {about.get('attempt') or '…'}  {size} ", "muted"),)
        head = self.query_one("#log-head", RunBox)
        head.show([split_line(tuple(left), right, max(20, head.content_size.width))])

    def status(self) -> Runs:
        """Say where one is in the log."""
        window = self.window
        runs: list[Run] = []
        if window.lines:
            line = window.lines[window.cursor_index]
            number = f"line {line.number}" if line.number else f"line {window.cursor_index + 1} of"
            runs.append(
                Run(
                    f"{number} {counted(len(window.lines), 'line')} here   " if not line.number else f"{number}   ",
                    "muted",
                )
            )
            if not window.at_begin:
                runs.append(Run("older ones above   ", "muted"))
        away = window.about.get("away")
        if away:
            runs.append(Run(f"◷ waits for {printable(str(away.get('node_name') or away.get('node')))}   ", "warning"))
        elif window.is_over:
            runs.append(Run("ended   ", "muted"))
        elif window.following:
            runs.append(Run("◐ following   ", "running"))
        if self.pattern:
            runs += [Run(f"/{printable(self.pattern)}   ", "accent")]
        return tuple(runs)

    # -- moving ---------------------------------------------------------------------------------------------------

    def action_move(self, lines: int) -> None:
        """Move the cursor; at the top, older lines are asked for."""
        self.window.move(lines)
        self.lines.cursor_moved()
        self.tell_edges()
        if self.window.cursor_index == 0:
            self.on_log_view_at_top()
        elif not self.window.at_end and self.window.cursor_index == len(self.window.lines) - 1 and not self._busy:
            self._busy = True
            self._work(self._newer(), "newer", exclusive=False)

    def action_page(self, pages: int) -> None:
        """Move by what is on the screen."""
        self.action_move(pages * max(1, self.lines.page_lines - 1))

    def action_go(self, line: int) -> None:
        """Go to the begin of the log, or to its end."""
        self._work(self._go(line), "jump")

    async def _go(self, line: int) -> None:
        window = self.window
        try:
            if line < 0 and not window.at_end:
                window.begin_at_end(await self._ask("log.tail", lines=PAGE_LINES))
            elif line == 0 and not window.at_begin:
                window.begin_at(await self._ask("log.read", offset=0, lines=PAGE_LINES))
        except UserError as error:
            self.tell((Run(error.what, "warning"),))
        if window.lines:
            window.cursor = window.lines[0 if line == 0 else -1].offset
            window.following = line < 0
        self.lines.lines_changed()
        self.tell_edges()

    def on_log_view_at_top(self) -> None:
        """Ask for older lines."""
        if not self._busy and not self.window.at_begin and self.window.lines:
            self._busy = True
            self._work(self._older(), "older", exclusive=False)

    async def _older(self) -> None:
        window, begin = self.window, self.window.lines[0].offset
        try:
            answer = await self._ask("log.tail", lines=PAGE_LINES, before=begin)
            if self.window is window and window.lines and window.lines[0].offset == begin:
                self.lines.keep_place(window.put_before(answer))
        except UserError as error:
            self.tell((Run(error.what, "warning"),))
        finally:
            self._busy = False
        self.tell_edges()

    async def _newer(self) -> None:
        window, begin = self.window, self.window.end
        try:
            answer = await self._ask("log.read", offset=begin, lines=PAGE_LINES)
            if window.end == begin:
                window.put_after(answer)
                self.lines.lines_changed()
        except UserError as error:
            self.tell((Run(error.what, "warning"),))
        finally:
            self._busy = False
        self.tell_edges()

    def action_follow(self) -> None:
        """Follow what is written, or stop to."""
        self.window.following = not self.window.following
        if self.window.following:
            self.action_go(-1)
        self.tell_edges()

    # -- finding --------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask what to look for."""
        self.prompt.ask("find", "/", self.pattern)

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """Look for what was typed."""
        if event.kind == "find":
            self.pattern = event.text
            self.window.matches.clear()
            if event.text:
                self.action_find(1, here=True)
            self.lines.refresh()
        else:
            super().on_prompt_entered(event)

    def action_find(self, direction: int, *, here: bool = False) -> None:
        """Go to the next match, or the one before."""
        if self.pattern:
            self._search({"pattern": self.pattern}, direction, here=here)
        else:
            self.action_filter()

    def action_error(self, direction: int) -> None:
        """Go to the next error, or the one before."""
        self._search({"errors": True}, direction, here=False)

    def _search(self, wanted: dict[str, Any], direction: int, *, here: bool) -> None:
        self._work(self._searched(wanted, direction, here=here), "search")

    async def _searched(self, wanted: dict[str, Any], direction: int, *, here: bool) -> None:
        window = self.window
        if not window.lines:
            return
        line = window.lines[window.cursor_index]
        begin = line.offset if direction < 0 or here else line.next
        self.tell((Run("searching …", "muted"),))
        try:
            offset = await self._found(wanted, direction, begin)
            went_round = offset is None
            if went_round:
                offset = await self._found(
                    wanted, direction, int(self.window.about.get("size") or 0) if direction < 0 else 0
                )
            if offset is not None:
                await self._show_around(offset)
        except UserError as error:
            self.tell((Run(f"{error.what}: {error.why}", "warning"),))
            return
        if offset is None:
            self.tell((Run("no match", "muted"),))
            return
        window.following = False
        window.cursor = offset
        self.tell((Run("went on from the " + ("end" if direction < 0 else "top"), "muted"),) if went_round else ())
        self.lines.lines_changed()
        self.tell_edges()

    async def _show_around(self, offset: int) -> None:
        """Have the line at an offset, and some before it, in the window.

        Raises:
            UserError: Its machine went away meanwhile.
        """
        window = self.window
        if window.index_of(offset) is None:
            after = _searched_in(await self._ask("log.read", offset=offset, lines=PAGE_LINES))
            before = await self._ask("log.tail", lines=self.lines.page_lines, before=offset)
            window.begin_at(after, cursor=offset)
            window.put_before(before)

    async def _found(self, wanted: dict[str, Any], direction: int, begin: int) -> int | None:
        while True:
            args = wanted | {"from": begin, "backwards": direction < 0, "limit": 1}
            answer = _searched_in(await self._ask("log.find", **args))
            offset = self.window.found(answer)
            if offset is not None or answer.get("complete", True):
                return offset
            begin = int(answer["next"])

    # -- showing --------------------------------------------------------------------------------------------------

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.lines.wrap = not self.lines.wrap
        self.lines.lines_changed()

    def action_times(self) -> None:
        """Show when each line was written, or not."""
        self.lines.times = not self.lines.times
        self.lines.lines_changed()

    def action_full(self) -> None:
        """Leave only the lines on the screen, so that a mouse copies nothing else."""
        self.toggle_class("full")

    def action_copy(self, what: str) -> None:
        """Copy the line at the cursor."""
        del what
        if self.window.lines:
            self.dashboard.copy_text(self.window.lines[self.window.cursor_index].text, "the line")

    def action_back(self) -> None:
        """Leave full screen first."""
        if self.has_class("full") and not self.prompt.is_open:
            self.action_full()
        else:
            super().action_back()

    def action_attempt(self, older: int) -> None:
        """Show the log of another attempt of the same task."""
        self._work(self._other_attempt(older), "attempt")

    async def _other_attempt(self, older: int) -> None:
        task = self.window.about.get("task")
        try:
            answer = await self.dashboard.source.call("log.list", job=self.which["job"], task=task, sizes=False)
        except UserError as error:
            self.tell((Run(error.what, "warning"),))
            return
        ids = [str(attempt["attempt"]) for attempt in answer.get("attempts") or []]
        at = ids.index(str(self.window.about.get("attempt"))) + older if self.window.about.get("attempt") in ids else 0
        if not 0 <= at < len(ids):
            self.tell((Run("there is no other attempt that way", "muted"),))
            return
        self.which = {"job": self.which["job"], "task": task, "attempt": ids[at]}
        self.window = self.lines.window = LogWindow()
        self._work(self._begin(), "log")


def _searched_in(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a machine that has the log: of one that does not answer, nothing found means nothing.

    Raises:
        Unreachable: It has not.
    """
    if answer.get("away") or not answer.get("found", True):
        raise Unreachable("the log cannot be searched", _why_none(answer | {"lines": []}), "")
    return answer


def _why_none(answer: dict[str, Any]) -> str:
    away = answer.get("away")
    if isinstance(away, dict):
        last = "; these are its last lines" if answer.get("lines") else ""
        return f"the log is on {away.get('node_name') or away.get('node')}, which does not answer{last}"
    return "this log is not kept any more"
