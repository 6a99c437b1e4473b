"""The loop around the core: events in, effects out, and the one rule that makes the farm's promises true.

**A Save completes before any later effect is carried out.** While a commit runs, further events are handled and
their effects gather behind it; when it returns, they are carried out in order and everything saved meanwhile becomes
the next commit. So nothing that is to be said or started ever waits for a timer (an idle node commits at once), and
there is never more than one commit in flight (a busy node batches by itself). Only a save that no effect waits for,
such as rows of other nodes that are merely kept, lingers `SAVES_LINGER_S` for company. Volatile sends and notices, and
answers that promise nothing, pass by, so a full disk leaves the daemon able to say so.

Notes (event log) ride along with the next commit, or get one of their own after `NOTES_LINGER_S`.

The same driver runs in the daemon and in the simulator: it knows no socket, file or clock, only its ports. It must
never make a decision about the farm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.effects import Note, Notify, Reply, Save, Send
from farmd.core.events import ClientAsked, StoreFailed, StoreHealed, TimerFired
from protocol.errors import FarmError, InvariantBroken

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.effects import Effect
    from farmd.core.events import Event
    from farmd.core.node import Node
    from farmd.ports import Clock, Hands, Store

RETRY_S = 1.0
"""Pause between tries of a commit that the disk refused."""
NOTES_LINGER_S = 1.0
"""Longest time that a line of the event log waits for a commit to ride along with."""
SAVES_LINGER_S = 0.01
"""Longest time that rows which nothing waits for wait for a commit to ride along with."""
EARLY_S = 0.1
"""A timer that would ring so much too early, since an answer came in time, is set anew: an idle node sleeps through."""
EVENTS_PER_WAKE = 256
"""Events handled before the loop gets a chance to serve sockets and timers again."""


@dataclass(slots=True)
class _Batch:
    saves: list[Save] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


class Driver:
    """Runs one `Node` on the current asyncio loop."""

    def __init__(
        self, node: Node, *, clock: Clock, store: Store, hands: Hands, on_bug: Callable[[Event, Exception], None]
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            node: The core.
            clock: This machine's time.
            store: Where saves go.
            hands: Who carries out everything else.
            on_bug: Told when the core raised on an event: a bug of ours. The event's effects are dropped, what it
                changed is saved with the next turn, and the daemon goes on; a simulation raises instead.
        """
        self.node = node
        self._clock = clock
        self._store = store
        self._hands = hands
        self._on_bug = on_bug
        self._inbox: deque[Event] = deque()
        self._next = _Batch()
        self._notes: list[Note] = []
        self._commit: asyncio.Task[None] | None = None
        self._drain_handle: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._notes_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Let the node speak first, then follow its deadlines."""
        self._route(self.node.start(self._clock.now()))
        self._arm()

    def post(self, event: Event) -> None:
        """Queue an event; it is handled in this loop, in order, soon."""
        if self._closed:
            return
        self._inbox.append(event)
        if self._drain_handle is None:
            self._drain_handle = asyncio.get_running_loop().call_soon(self._drain)

    def remark(self, note: Note) -> None:
        """Add a line to the event log that does not come from the core."""
        self._route([note])

    async def settle(self) -> None:
        """Wait until nothing is queued and nothing waits for the disk."""
        while self._inbox or self._commit is not None or self._next.saves:
            if self._commit is None:
                self._begin_commit()
            if self._commit is not None:
                await asyncio.wait({self._commit})
            else:
                await asyncio.sleep(0)
        if self._notes:
            await self._store.commit((), self._take_notes())

    def close(self) -> None:
        """Stop at once, as in a crash: what is not committed is not announced."""
        self._closed = True
        self._inbox.clear()
        for handle in (self._drain_handle, self._timer, self._notes_timer, self._linger_timer):
            if handle is not None:
                handle.cancel()
        if self._commit is not None:
            self._commit.cancel()

    def _drain(self) -> None:
        self._drain_handle = None
        for _ in range(min(len(self._inbox), EVENTS_PER_WAKE)):
            event = self._inbox.popleft()
            try:
                self._route(self.node.handle(event, self._clock.now()))
            except Exception as error:
                if isinstance(event, ClientAsked):
                    fault = (1, "the node erred", f"{type(error).__name__}: {error}", "see its log; this is a bug")
                    self._hands.perform(Reply(event.client, error=fault))
                self._on_bug(event, error)
        if self._inbox and not self._closed:
            self._drain_handle = asyncio.get_running_loop().call_soon(self._drain)
        self._arm()

    def _route(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Save():
                    self._next.saves.append(effect)
                case Note():
                    self._notes.append(effect)
                case Send(volatile=True) | Reply(promises=False) | Notify(volatile=True):
                    self._hands.perform(effect)
                case _ if self._commit is None and not self._next.saves:
                    self._hands.perform(effect)
                case _:
                    self._next.effects.append(effect)
        if self._commit is None and self._next.effects:
            self._begin_commit()
        elif self._commit is None and self._next.saves:
            self._linger()
        elif self._notes and self._notes_timer is None and self._commit is None:
            self._notes_timer = asyncio.get_running_loop().call_later(NOTES_LINGER_S, self._flush_notes)

    def _linger(self) -> None:
        """Nothing waits for these rows (they came from another node): let others join them for a moment."""
        if self._linger_timer is None:
            self._linger_timer = asyncio.get_running_loop().call_later(SAVES_LINGER_S, self._begin_commit)

    def _begin_commit(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        if self._commit is None and self._next.saves and not self._closed:
            self._commit = asyncio.get_running_loop().create_task(self._commit_loop())

    async def _commit_loop(self) -> None:
        while self._next.effects or (self._next.saves and self._linger_timer is None):
            batch, self._next = self._next, _Batch()
            if batch.saves:
                await self._commit_surely(batch)
            for effect in batch.effects:
                self._hands.perform(effect)
            if self._next.saves and not self._next.effects:
                self._linger()
        self._commit = None

    async def _commit_surely(self, batch: _Batch) -> None:
        notes, failed = self._take_notes(), False
        while True:
            try:
                await self._store.commit(batch.saves, notes)
                break
            except InvariantBroken as error:
                self._on_bug(StoreFailed(str(error)), error)
                batch.effects.clear()
                return
            except FarmError as error:
                if not failed:
                    self.post(StoreFailed(str(error)))
                failed = True
                batch.effects = self._refuse_promises(batch.effects, str(error))
                self._next.effects = self._refuse_promises(self._next.effects, str(error))
                await asyncio.sleep(RETRY_S)
        if failed:
            self.post(StoreHealed())

    def _refuse_promises(self, effects: list[Effect], why: str) -> list[Effect]:
        """Tell waiting clients that the disk refused, and drop messages, which are sent anew by whoever needs them.

        Nobody is told that something is stored before it is; and what piles up behind a full disk stays small.
        """
        kept: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Reply):
                hint = "free space under the data dir; the node keeps it in memory and tries again by itself"
                self._hands.perform(Reply(effect.client, error=(1, "not confirmed: the disk refused it", why, hint)))
            elif not isinstance(effect, Send):
                kept.append(effect)
        return kept

    def _take_notes(self) -> list[Note]:
        notes, self._notes = self._notes, []
        if self._notes_timer is not None:
            self._notes_timer.cancel()
            self._notes_timer = None
        return notes

    def _flush_notes(self) -> None:
        self._notes_timer = None
        if self._commit is None and self._notes and not self._closed:
            self._next.saves.append(Save())
            self._begin_commit()

    def _arm(self) -> None:
        """Keep one timer for the core's next deadline."""
        deadline = self.node.next_deadline()
        if self._closed or deadline is None:
            return
        if self._timer is not None:
            if self._timer_at <= deadline <= self._timer_at + EARLY_S:
                return
            self._timer.cancel()
        self._timer_at = deadline
        delay = max(0.0, deadline - self._clock.now().mono)
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        deadline = self.node.next_deadline()
        now = self._clock.now().mono
        if deadline is not None and deadline <= now:
            self.post(TimerFired(late_s=now - deadline))
        else:
            self._arm()
