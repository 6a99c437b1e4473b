"""An event loop whose clock jumps: same callbacks, same order, no waiting and no real I/O.

The loop sleeps by moving its own clock forward to the next timer, so five simulated minutes take a second or two, and
one seed gives one history. Anything that would need a real file descriptor or thread fails loudly. The first exception
that anybody lets escape ends the run: a simulation that goes on after a bug tells nothing.

It is written anew, not derived from `asyncio.BaseEventLoop`: handles without contexts make it three times faster.
"""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    _Loop = asyncio.BaseEventLoop  # which mypy does not take for abstract
else:
    _Loop = asyncio.AbstractEventLoop


MOST_STEPS = 200_000
"""Callbacks at one instant; a daemon that never lets time pass would take a whole processor."""


class _Handle(asyncio.TimerHandle):
    """A callback that can be cancelled; timers and others alike."""

    __slots__ = ()

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:  # no super: speed
        self._when = when
        self._callback: Any = callback
        self._args: Any = args
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None

    def __repr__(self) -> str:
        return f"<handle at {self._when:g}>"


class VirtualLoop(_Loop):
    """`time()` is simulated seconds since the start."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failure: BaseException | None = None
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._count = 0
        self._closed = False
        self._standing = 0

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> _Handle:  # type: ignore[override]  # TypeVarTuple
        handle = _Handle(self.now, callback, args)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> _Handle:  # type: ignore[override]  # TypeVarTuple
        return self.call_at(self.now + delay, callback, *args)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> _Handle:  # type: ignore[override]  # TypeVarTuple
        handle = _Handle(when, callback, args)
        self._count += 1
        heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # coroutines only
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name or "task")
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # a history ends with daemons running
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None and self.failure is None:
            self.failure = task.exception()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failure = self.failure or context.get("exception") or RuntimeError(str(context))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._closed

    def run_until_complete(self, future: Any) -> Any:
        """Run until a coroutine is done, or something raised."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(future)
            while self.failure is None and not task.done():
                self._step()
        finally:
            asyncio._set_running_loop(None)
        if self.failure is not None:
            raise self.failure
        return task.result()

    def _step(self) -> None:
        if self._ready:
            handle = self._ready.popleft()
            self._standing += 1
        elif self._timers:
            when, _, handle = heappop(self._timers)
            if not handle._cancelled and when > self.now:
                self.now, self._standing = when, 0
        else:
            raise RuntimeError("simulation is stuck: nothing is ready and no timer is set")
        if handle._cancelled:
            return
        if self._standing > MOST_STEPS:
            raise RuntimeError(f"time stands still at {self.now} s: somebody asks again and again for the same moment")
        try:
            handle._callback(*handle._args)
        except Exception as error:  # noqa: BLE001  # whoever runs the loop gets it
            self.failure = self.failure or error

    def close(self) -> None:
        """Let cancelled tasks end, and let go of everything that was still planned."""
        self._timers.clear()
        asyncio._set_running_loop(self)
        try:
            while self._ready:
                self._step()
        finally:
            asyncio._set_running_loop(None)
        self._closed = True
