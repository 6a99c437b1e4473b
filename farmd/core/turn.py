"""One turn of the core: an event goes in, effects come out, and nothing else happens.

Rules that every machine of `farmd.core` keeps, so that one seed gives one history:
- no await, no clock, no randomness of its own: `now` and `rng` are handed in;
- no iteration over a set or over anything ordered by `hash()`: use dicts, which keep insertion order, or sort;
- a machine changes only its own state and speaks through `Turn`; it never calls the outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.effects import Note, Send

if TYPE_CHECKING:
    from farmd.core.effects import Effect
    from protocol.ids import NodeId
    from protocol.messages import Message

MAX_TEXT = 400
"""So many characters of a text stand in a line of the event log, since a list of frames alone may be 256 KB long."""


@dataclass(frozen=True, slots=True)
class Instant:
    """When an event is handled.

    Attributes:
        mono: Seconds of CLOCK_BOOTTIME: the only time that leases, time-outs and liveness may use.
        wall_ms: Milliseconds since the Unix epoch by this machine's clock: for stamps and for people.
    """

    mono: float
    wall_ms: int


@dataclass(slots=True)
class Turn:
    """Collects the effects of one event.

    Attributes:
        now: The instant of the event.
        cause: Number of the event that started this turn; copied into every note.
        effects: In the order in which the driver must carry them out.
    """

    now: Instant
    cause: int = 0
    effects: list[Effect] = field(default_factory=list)

    def send(self, to: NodeId, message: Message, *, volatile: bool = False) -> None:
        """Send a message after everything saved so far; a volatile one waits for no save and promises nothing."""
        self.effects.append(Send(to, message, volatile))

    def note(  # noqa: PLR0913  # each is a column of the event log
        self,
        what: str,
        text: str,
        *,
        node: str = "",
        job: str = "",
        actor: str = "",
        task: int = -1,
        why: str = "",
        key: str = "",
    ) -> None:
        """Add a line to the event log: who did what, when and why (see `farmd.core.effects.Note`)."""
        text, actor, why = _cut(text), _cut(actor), _cut(why)
        self.effects.append(Note(self.now.wall_ms, what, text, node, job, actor, self.cause, task, why, key))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
