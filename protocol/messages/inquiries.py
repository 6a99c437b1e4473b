"""What one node asks another for its clients: logs, events, whether it can be switched off."""

from __future__ import annotations

from typing import NamedTuple

from protocol.ids import AttemptRef
from protocol.logquery import LogExcerpt, LogQuery


class LogAsk(NamedTuple):
    """Read an attempt's log where it ran; a negative `offset` counts from the end."""

    ask: int
    ref: AttemptRef
    offset: int
    limit: int


class LogIs(NamedTuple):
    """Bytes of a log from `offset`, and its size now; `found` is False when there is none here."""

    ask: int
    found: bool
    offset: int
    size: int
    data: bytes


class LogSeek(NamedTuple):
    """Look into an attempt's log where it ran; answered by `LogSought`, at once or when there is news."""

    ask: int
    ref: AttemptRef
    query: LogQuery


class LogSought(NamedTuple):
    """What was found there."""

    ask: int
    excerpt: LogExcerpt


class LogLeave(NamedTuple):
    """Nobody waits any more for the answer to this `LogSeek`."""

    ask: int


class EventLine(NamedTuple):
    """One event, as every node's log tells it (`farmd.core.effects.Note`)."""

    key: str
    at_ms: int
    what: str
    text: str
    why: str
    actor: str
    job: str
    task: int
    node: str


class EventsAsk(NamedTuple):
    """Which events since then does your log hold, the last `limit` of them? Answered by `EventsAre`."""

    ask: int
    since_ms: int
    limit: int


class EventsAre(NamedTuple):
    """Events that every node tells, oldest first."""

    ask: int
    events: tuple[EventLine, ...]


class Finding(NamedTuple):
    """One thing that a machine alone has or does.

    Attributes:
        what: "running", "records", "results", "assets", or a kind of remark.
        blocks: It should not be switched off while this holds.
        number: How many of them; 0 where that says nothing.
        text: For people.
        hint: What to do; may be empty.
        job: Which job, or empty.
        frames: Which frames of it, or empty; the list may be cut off.
    """

    what: str
    blocks: bool
    number: int
    text: str
    hint: str
    job: str = ""
    frames: str = ""


class SafeAsk(NamedTuple):
    """Can you be switched off?"""

    ask: int


class SafeIs(NamedTuple):
    """What this machine alone has or does."""

    ask: int
    findings: tuple[Finding, ...] = ()
