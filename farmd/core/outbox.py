"""Notices on their way to hooks: one for each thing and hook, a few at once, tried again, and given up in the end.

Theory. A hook is told what *is*, so of one thing (a job, an alert) at most one notice is kept for each hook: a newer one
takes the place of one that waits, and starts anew with its tries. One that is under way is left alone until its outcome
is here. What waits is bounded; where that is too little, alerts give way first, the oldest before others, since jobs
are remembered by their rows and can be asked for again.

Called by `farmd.core.notices`. Knows nothing of jobs, alerts or who leads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from farmd.core.effects import Notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.turn import Turn
    from protocol.bodies import HookBody

RETRIES_S = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Pauses between tries of one notice; after the last of them it is given up."""
AT_ONCE = 2
"""Notices of one hook that are under way at the same time."""
WAITING = 1000
"""Most notices that are kept for one hook."""


@dataclass(slots=True)
class Letter:
    """One notice for one hook.

    Attributes:
        about: What it tells of: a newer one about the same replaces it.
        notice: What is said.
        is_alert: It may be dropped where there is no room.
        mark: What the caller wants to know again when it is delivered.
        due: When it may be tried (again).
        tries: How often it was tried.
        ask: Names the try that is under way; 0 = none is.
    """

    about: str
    notice: Mapping[str, Any]
    is_alert: bool = False
    mark: Any = None
    due: float = 0.0
    tries: int = 0
    ask: int = 0


@dataclass(slots=True)
class Tally:
    """How telling one hook went in this life of this node."""

    told: int = 0
    lost: int = 0
    last_error: str = ""


@dataclass(slots=True)
class _Line:
    letters: dict[str, Letter] = field(default_factory=dict)
    under_way: int = 0
    tally: Tally = field(default_factory=Tally)


class Outbox:
    """What waits for each hook."""

    def __init__(self, next_ask: Callable[[], int]) -> None:
        self._next_ask = next_ask
        self._lines: dict[bytes, _Line] = {}
        self._asks: dict[int, tuple[bytes, Letter]] = {}
        self._due: float | None = inf

    def put(self, hook: bytes, letter: Letter, now: float) -> bool:
        """Keep a notice for a hook; False if there is no room, or an older one about the same is under way."""
        line = self._lines.setdefault(hook, _Line())
        known = line.letters.get(letter.about)
        if known is not None:
            if known.ask:
                return False
            if known.mark == letter.mark:
                return True
            del line.letters[letter.about]
        elif len(line.letters) >= WAITING and not _make_room(line):
            if letter.is_alert:
                line.tally.lost += 1
            return False
        letter.due = now
        line.letters[letter.about] = letter
        self._due = None
        return True

    def find(self, hook: bytes, about: str) -> Letter | None:
        """Return what is kept for a hook about something."""
        line = self._lines.get(hook)
        return None if line is None else line.letters.get(about)

    def drop(self, hook: bytes, about: str) -> None:
        """Forget a notice that waits; one that is under way is left alone."""
        letter = self.find(hook, about)
        if letter is not None and not letter.ask:
            del self._lines[hook].letters[about]
            self._due = None

    def drop_all(self, hook: bytes, *, but_alerts: bool = False) -> None:
        """Forget all that waits for a hook: another node tells it of jobs, or nobody tells it any more."""
        line = self._lines.get(hook)
        for letter in list(line.letters.values() if line is not None else ()):
            if not (but_alerts and letter.is_alert):
                self.drop(hook, letter.about)

    def next_due(self) -> float:
        """Return when something may be sent."""
        if self._due is None:
            waits = [
                letter.due
                for line in self._lines.values()
                if line.under_way < AT_ONCE
                for letter in line.letters.values()
                if not letter.ask
            ]
            self._due = min(waits, default=inf)
        return self._due

    def send(self, turn: Turn, hooks: Mapping[bytes, HookBody]) -> None:
        """Send what is due and may go out."""
        if self.next_due() > turn.now.mono:
            return
        for hook, line in self._lines.items():
            body = hooks.get(hook)
            for letter in list(line.letters.values()) if body is not None else ():
                if line.under_way >= AT_ONCE:
                    break
                if not letter.ask and letter.due <= turn.now.mono:
                    assert body is not None
                    self._send(turn, (hook, body), line, letter)
        self._due = None

    def _send(self, turn: Turn, hook: tuple[bytes, HookBody], line: _Line, letter: Letter) -> None:
        letter.ask = self._next_ask()
        letter.tries += 1
        line.under_way += 1
        self._asks[letter.ask] = hook[0], letter
        turn.effects.append(Notify(letter.ask, hook[1], letter.notice, volatile=letter.is_alert))

    def settle(self, ask: int, now: float, error: str) -> tuple[bytes, Letter, bool] | None:
        """Take the outcome of a try.

        Returns:
            The hook, its notice, and whether that is over: delivered, or given up. None if nobody asked.
        """
        found = self._asks.pop(ask, None)
        if found is None:
            return None
        hook, letter = found
        line, letter.ask, self._due = self._lines[hook], 0, None
        line.under_way -= 1
        if error:
            line.tally.last_error = error
        over = not error or letter.tries > len(RETRIES_S)
        if over:
            line.letters.pop(letter.about, None)
            line.tally.told += not error
            line.tally.lost += bool(error)
        else:
            letter.due = now + RETRIES_S[letter.tries - 1]
        return hook, letter, over

    def tally(self, hook: bytes) -> Tally:
        """Return how telling a hook went."""
        line = self._lines.get(hook)
        return line.tally if line is not None else Tally()

    def waiting(self, hook: bytes) -> int:
        """Count what is kept for a hook."""
        line = self._lines.get(hook)
        return len(line.letters) if line is not None else 0


def _make_room(line: _Line) -> bool:
    """Drop the oldest alert that waits; False if there is none."""
    oldest = next((about for about, letter in line.letters.items() if letter.is_alert and not letter.ask), None)
    if oldest is None:
        return False
    del line.letters[oldest]
    line.tally.lost += 1
    return True
