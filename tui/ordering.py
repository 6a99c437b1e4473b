"""Carries orders out: asks where that is due, sends them, some at a time, and says what became of each.

What makes no sense for a row is not sent. A row that was refused stays marked, so that one sees which; the others lose
their mark when the node has taken the order, and the message of what has come true waits for the feed to show it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from protocol.errors import UserError
from protocol.human import counted
from tui.console import frames_text
from tui.looks import Run, Runs
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
    """How much of what was ordered together has come true: the feed tells it in several parts.

    Attributes:
        what: Names it.
        wanted: How many rows it is about.
        done: For how many of them it has come true.
        left_out: Says for how many rows it was not ordered, and why.
        refused: What nodes said that did not take it.
    """

    what: str
    wanted: int
    done: int = 0
    left_out: str = ""
    refused: list[UserError] = field(default_factory=list)

    def come_true(self, order: Order) -> Runs:
        """Say for how much of it the order has come true."""
        what = self.what if self.done >= self.wanted else f"{self.done} of {self.what}"
        return Run("● ", "completed"), Run(f"{what} {order.done}   ")

    def without(self) -> Runs:
        """Say for what it will not come true: it stands behind each message, since the next one covers this."""
        told = [Run(f"{self.left_out}   ", "warning")] if self.left_out else []
        if self.refused:
            many = f" ({len(self.refused)} refused)" if len(self.refused) > 1 else ""
            told += [Run(f"✖ {self.refused[0].what}{many}", "failed"), Run(f"  {self.refused[0].why}   ", "muted")]
        return tuple(told)


class Ordering:
    """Orders of one dashboard."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._tallies: dict[tuple[str, str], _Tally] = {}

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
        left_out = f"{len(keys) - len(sensible)} of {len(keys)} left out: {refusal}" if refusal else ""
        if not sensible:
            dashboard.tell((Run(refusal or "nothing is chosen", "warning"),))
        elif not order.asks:
            self._send(order, sensible, why, left_out)
        else:
            rows = console.rows_of(order, sensible)
            question = Question(
                order.question(rows),
                f"{order.loses} {left_out}".rstrip(),
                wants_why=order.wants_why,
                why=why,
                must_type=order.must_type(rows),
            )
            dashboard.push_screen(question, lambda answer: self._answered(order, sensible, answer, left_out))

    def _answered(self, order: Order, keys: list[str], answer: str | None, left_out: str) -> None:
        if answer is None:
            self._dashboard.tell((Run("nothing was ordered", "muted"),))
        else:
            self._send(order, keys, answer, left_out)

    def retry_frames(self, job: str, frames: Iterable[int]) -> None:
        """Render chosen frames again, after asking."""
        self.order(retry_order(frames_text(frames)), [job])

    def confirm(self, done: list[tuple[str, Order]]) -> None:
        """Say what has come true, and take the marks away that stood for it."""
        told: list[Run] = []
        for order in {order.kind: order for _, order in done}.values():
            count = sum(one.kind == order.kind for _, one in done)
            tally = self._tallies.get(order.kind) or _Tally(counted(count, order.subject.value), count)
            tally.done += count
            told += [*tally.come_true(order), *tally.without()]
        if told:
            self._dashboard.tell(tuple(told))
            self._dashboard.console_model.unmark([key for key, _ in done])
        self.tidy()

    def tidy(self) -> None:
        """Begin to count anew what nothing is on its way of any more."""
        under_way = self._dashboard.console_model.pending.kinds
        self._tallies = {kind: tally for kind, tally in self._tallies.items() if kind in under_way}

    def _add(self, order: Order, keys: list[str], left_out: str) -> _Tally:
        tally = self._tallies.get(order.kind)
        if tally is None:
            rows = self._dashboard.console_model.rows_of(order, keys)
            tally = self._tallies[order.kind] = _Tally(what_of(order.subject, rows), len(keys))
        else:
            tally.wanted += len(keys)
            tally.what = counted(tally.wanted, order.subject.value)
        tally.left_out = left_out or tally.left_out
        return tally

    def _refuse(self, order: Order, key: str, tally: _Tally, error: UserError) -> None:
        self._dashboard.console_model.pending.refused(key)
        tally.refused.append(error)
        if tally.wanted > 1:
            tally.wanted -= 1
            tally.what = counted(tally.wanted, order.subject.value)

    def _send(self, order: Order, keys: list[str], why: str, left_out: str) -> None:
        dashboard, console = self._dashboard, self._dashboard.console_model
        tally = self._add(order, keys, left_out)
        for key in keys:
            console.pending.began(key, order)
        dashboard.draw()
        dashboard.run_worker(self._sent(order, keys, why, tally), group="orders", exit_on_error=False)

    async def _sent(self, order: Order, keys: list[str], why: str, tally: _Tally) -> None:
        dashboard, console = self._dashboard, self._dashboard.console_model
        taken: list[str] = []
        left = iter(keys)

        async def send_one_after_another() -> None:
            for key in left:
                try:
                    await dashboard.source.call(order.op, **{_ARGUMENT[order.subject]: key}, **order.args, why=why)
                except UserError as error:
                    self._refuse(order, key, tally, error)
                else:
                    taken.append(key)
                    console.pending.sent(key, console.mono())
                    self.confirm(console.pending.review([key], console.row_anywhere))  # the feed may have been faster

        await asyncio.gather(*(send_one_after_another() for _ in range(min(AT_ONCE, len(keys)))))
        console.unmark(taken)
        self.tidy()
        self._tell(order, [key for key in taken if key in console.pending], tally)
        dashboard.draw()

    def _tell(self, order: Order, waiting: list[str], tally: _Tally) -> None:
        """Say what is on its way, or has come true, and what was refused."""
        told: Runs = ()
        if waiting:
            rows = self._dashboard.console_model.rows_of(order, waiting)
            told = (Run(f"◷ {order.word} ", "warning"), Run(what_of(order.subject, rows)), Run("   "))
        elif tally.done:
            told = tally.come_true(order)
        if waiting or tally.refused:
            self._dashboard.tell((*told, *tally.without()))
