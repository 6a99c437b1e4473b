"""Carries orders out: asks where that is due, sends them, says what became of each.

What makes no sense for a row is not sent. A row that was refused stays marked, so that one sees which; the others lose
their mark when the node has taken the order, and the message of what has come true waits for the feed to show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.errors import UserError
from protocol.human import counted
from tui.console import frames_text
from tui.looks import Run
from tui.orders import Order, Subject, retry_order, what_of
from tui.screens.sheet import Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.app import Dashboard

_ARGUMENT: Final = {Subject.JOB: "job", Subject.NODE: "node"}


class Ordering:
    """Orders of one dashboard."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def order(self, order: Order, keys: list[str]) -> None:
        """Order something, after asking where that is due; what makes no sense is not sent, and says why."""
        dashboard, console = self._dashboard, self._dashboard.console_model
        if console.read_only:
            dashboard.tell((Run("read-only: ", "warning"), Run("nothing was ordered", "muted")))
            return
        sensible, why = console.subjects(order, keys)
        if not sensible:
            dashboard.tell((Run(why or "nothing is chosen", "warning"),))
        elif not order.asks:
            self._send(order, sensible, "")
        else:
            text = order.question(console.rows_of(order, sensible))
            question = Question(text, order.loses, wants_why=order.wants_why)
            dashboard.push_screen(
                question, lambda answer: None if answer is None else self._send(order, sensible, answer)
            )

    def retry_frames(self, job: str, frames: Iterable[int]) -> None:
        """Render chosen frames again, after asking."""
        self.order(retry_order(frames_text(frames)), [job])

    def confirm(self, done: list[tuple[str, Order]]) -> None:
        """Say what has come true, and take the marks away that stood for it."""
        if not done:
            return
        console, order = self._dashboard.console_model, done[0][1]
        keys = [key for key, one in done if one is order]
        rows = console.rows_of(order, keys)
        what = what_of(order.subject, rows) if len(rows) == len(keys) else counted(len(keys), order.subject.value)
        self._dashboard.tell((Run("● ", "completed"), Run(f"{what} {order.done}")))
        console.unmark([key for key, _ in done])

    def _send(self, order: Order, keys: list[str], why: str) -> None:
        dashboard, console = self._dashboard, self._dashboard.console_model
        for key in keys:
            console.pending.began(key, order, console.mono())
        dashboard.draw()
        dashboard.run_worker(self._sent(order, keys, why), group="orders", exit_on_error=False)

    async def _sent(self, order: Order, keys: list[str], why: str) -> None:
        dashboard, console = self._dashboard, self._dashboard.console_model
        taken: list[str] = []
        refused: UserError | None = None
        for key in keys:
            try:
                await dashboard.source.call(order.op, **{_ARGUMENT[order.subject]: key}, **order.args, why=why)
                taken.append(key)
            except UserError as error:
                refused = refused or error
                console.pending.refused(key)
        console.unmark(taken)
        self.confirm(console.pending.review(taken, console.row_anywhere))
        self._tell(order, [key for key in taken if key in console.pending], refused, len(keys) - len(taken))
        dashboard.draw()

    def _tell(self, order: Order, waiting: list[str], refused: UserError | None, count: int) -> None:
        """Say what is on its way, and what was refused."""
        told: list[Run] = []
        if waiting:
            rows = self._dashboard.console_model.rows_of(order, waiting)
            told = [Run(f"⧗ {order.word} ", "warning"), Run(what_of(order.subject, rows)), Run("   ")]
        if refused is not None:
            many = f" ({count} refused)" if count > 1 else ""
            told += [Run(f"✖ {refused.what}{many}", "failed"), Run(f"  {refused.why}", "muted")]
        if told:
            self._dashboard.tell(tuple(told))
