"""Carries orders out: asks where that is due, sends them, some at a time, and says what became of each.

What makes no sense for a row is not sent. A row that was refused stays marked, so that one sees which; the others lose
their mark when the node has taken the order, and the message of what has come true waits for the feed to show it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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

AT_ONCE: Final = 8
"""So many orders of one bulk wait for their answers together: each may take two seconds while a machine is away."""
_ARGUMENT: Final = {Subject.JOB: "job", Subject.NODE: "node"}


@dataclass(slots=True)
class _Tally:
    """How much of what was ordered together has come true: the feed tells it in several parts."""

    what: str
    wanted: int
    done: int = 0


class Ordering:
    """Orders of one dashboard."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._tallies: dict[str, _Tally] = {}

    def order(self, order: Order, keys: list[str], why: str = "") -> None:
        """Order something, after asking where that is due; what makes no sense is not sent, and says why.

        Args:
            order: What.
            keys: Ids of jobs or machines.
            why: A reason that was given with it; it can still be changed where one is asked for.
        """
        dashboard, console = self._dashboard, self._dashboard.console_model
        if console.read_only:
            dashboard.tell((Run("read-only: ", "warning"), Run("nothing was ordered", "muted")))
            return
        sensible, refusal = console.subjects(order, keys)
        if not sensible:
            dashboard.tell((Run(refusal or "nothing is chosen", "warning"),))
        elif not order.asks:
            self._send(order, sensible, why)
        else:
            rows = console.rows_of(order, sensible)
            question = Question(
                order.question(rows),
                order.loses,
                wants_why=order.wants_why,
                why=why,
                must_type=order.must_type(rows),
            )
            dashboard.push_screen(question, lambda answer: self._answered(order, sensible, answer))

    def _answered(self, order: Order, keys: list[str], answer: str | None) -> None:
        if answer is None:
            self._dashboard.tell((Run("nothing was ordered", "muted"),))
        else:
            self._send(order, keys, answer)

    def retry_frames(self, job: str, frames: Iterable[int]) -> None:
        """Render chosen frames again, after asking."""
        self.order(retry_order(frames_text(frames)), [job])

    def confirm(self, done: list[tuple[str, Order]]) -> None:
        """Say what has come true, and take the marks away that stood for it."""
        told: list[Run] = []
        for order in {order.id: order for _, order in done}.values():
            count = sum(one.id == order.id for _, one in done)
            told += [Run("● ", "completed"), Run(f"{self._counted(order, count)} {order.done}   ")]
        if told:
            self._dashboard.tell(tuple(told))
            self._dashboard.console_model.unmark([key for key, _ in done])
        self.tidy()

    def _counted(self, order: Order, count: int) -> str:
        tally = self._tallies.get(order.id)
        if tally is None:
            return counted(count, order.subject.value)
        tally.done += count
        return tally.what if tally.done >= tally.wanted else f"{tally.done} of {tally.what}"

    def tidy(self) -> None:
        """Begin to count anew what nothing is on its way of any more."""
        under_way = self._dashboard.console_model.pending.order_ids
        self._tallies = {order: tally for order, tally in self._tallies.items() if order in under_way}

    def _add(self, order: Order, keys: list[str]) -> None:
        tally = self._tallies.get(order.id)
        if tally is None:
            rows = self._dashboard.console_model.rows_of(order, keys)
            self._tallies[order.id] = _Tally(what_of(order.subject, rows), len(keys))
        else:
            tally.wanted += len(keys)
            tally.what = counted(tally.wanted, order.subject.value)

    def _refuse(self, order: Order, key: str) -> None:
        self._dashboard.console_model.pending.refused(key)
        tally = self._tallies.get(order.id)
        if tally is not None and tally.wanted > 1:
            tally.wanted -= 1
            tally.what = counted(tally.wanted, order.subject.value)

    def _send(self, order: Order, keys: list[str], why: str) -> None:
        dashboard, console = self._dashboard, self._dashboard.console_model
        self._add(order, keys)
        for key in keys:
            console.pending.began(key, order)
        dashboard.draw()
        dashboard.run_worker(self._sent(order, keys, why), group="orders", exit_on_error=False)

    async def _sent(self, order: Order, keys: list[str], why: str) -> None:
        dashboard, console = self._dashboard, self._dashboard.console_model
        taken: list[str] = []
        refused: list[UserError] = []
        left = iter(keys)

        async def send_one_after_another() -> None:
            for key in left:
                try:
                    await dashboard.source.call(order.op, **{_ARGUMENT[order.subject]: key}, **order.args, why=why)
                except UserError as error:
                    refused.append(error)
                    self._refuse(order, key)
                else:
                    taken.append(key)
                    console.pending.sent(key, console.mono())

        await asyncio.gather(*(send_one_after_another() for _ in range(min(AT_ONCE, len(keys)))))
        console.unmark(taken)
        self.confirm(console.pending.review(taken, console.row_anywhere))
        self._tell(order, [key for key in taken if key in console.pending], refused)
        dashboard.draw()

    def _tell(self, order: Order, waiting: list[str], refused: list[UserError]) -> None:
        """Say what is on its way, and what was refused."""
        told: list[Run] = []
        if waiting:
            rows = self._dashboard.console_model.rows_of(order, waiting)
            told = [Run(f"◷ {order.word} ", "warning"), Run(what_of(order.subject, rows)), Run("   ")]
        if refused:
            many = f" ({len(refused)} refused)" if len(refused) > 1 else ""
            told += [Run(f"✖ {refused[0].what}{many}", "failed"), Run(f"  {refused[0].why}", "muted")]
        if told:
            self._dashboard.tell(tuple(told))
