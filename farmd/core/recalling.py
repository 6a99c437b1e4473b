"""Asks another node for events that rows no longer tell: what was ordered and overruled while this one was away.

A register keeps its last version only. A node that was off or cut off while a job was paused and resumed learns from the
rows that it was resumed, and nothing of the pause. The others have both in their event logs. So a node that has started,
or that hears again of nodes which it believed dead, asks one of them for the events of that time; events have a key that
is the same everywhere, and of each a log keeps one line.

One question, of at most `MAX_EVENTS` lines, to the next node in the order of ids: after a partition each asks another
one. Without an answer the next is asked. Called by `farmd.core.following`, `dispatch` and `timers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.effects import Note, ReadNotes
from farmd.core.eventlog import TOLD_MS
from farmd.core.turn import MAX_TEXT
from protocol.errors import PeerError
from protocol.messages import EventLine, EventsAre, EventsAsk
from protocol.states import MemberState

if TYPE_CHECKING:
    from farmd.core.events import NotesRead
    from farmd.core.node import Node
    from farmd.core.roster import MemberChange
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

MAX_EVENTS = 1_000
MAX_MS = (1 << 63) - 1
"""Latest time that a database can hold; a peer may name any number."""
SETTLE_S = 3.0
"""After the first sign of the others: so that more of them, and their rows, have come."""
PATIENCE_S = 10.0
TRIES = 3
NEW_S = 60.0
"""For so long after its start whoever a node hears of may know what it missed."""
MARGIN_MS = 60_000
"""A node is believed dead some time after it was cut off, and clocks differ."""


class Recalling:
    """Fills the gaps of this node's event log."""

    def __init__(self, node: Node, started_mono: float) -> None:
        self._node = node
        self._started = started_mono
        self._since_ms = 0
        self._due: float | None = None
        self._candidates: dict[NodeId, None] = {}
        self._tries = 0
        self._number = 0
        self._asked: tuple[NodeId, int] | None = None
        self._serving: dict[int, tuple[NodeId, int]] = {}

    def on_member(self, turn: Turn, change: MemberChange) -> None:
        """Somebody is here: was it this node that had been away?"""
        if change.new is not MemberState.ALIVE or change.node == self._node.id:
            return
        is_new = turn.now.mono - self._started < NEW_S
        was_cut_off = change.old is MemberState.DEAD and not change.restarted
        if not (is_new or was_cut_off):
            return
        away_ms = int(1000 * min(turn.now.mono - change.seen_at, TOLD_MS / 1000))
        since_ms = turn.now.wall_ms - (TOLD_MS if is_new else away_ms + MARGIN_MS)
        self._since_ms = since_ms if self._due is None else min(self._since_ms, since_ms)
        self._candidates[change.node] = None
        if self._due is None:
            self._due, self._tries = turn.now.mono + SETTLE_S, TRIES

    def next_deadline(self) -> float | None:
        """When to ask, or to ask another one."""
        return self._due

    def on_timer(self, turn: Turn) -> None:
        """Ask the next one that has come, if there is one left."""
        if self._due is None or self._due > turn.now.mono:
            return
        self._due = None
        there = [node for node in self._candidates if self._node.membership.is_alive(node)]
        if not there or not self._tries:
            self._candidates.clear()
            return
        asked = min(there, key=lambda node: (node <= self._node.id, node))
        del self._candidates[asked]
        self._tries -= 1
        self._number += 1
        self._asked, self._due = (asked, self._number), turn.now.mono + PATIENCE_S
        turn.send(asked, EventsAsk(self._number, self._since_ms, MAX_EVENTS), volatile=True)

    def on_ask(self, turn: Turn, sender: NodeId, message: EventsAsk) -> None:
        """Another node was away.

        Raises:
            PeerError: It asks again before it has been answered.
        """
        if any(node == sender for node, _ in self._serving.values()):
            raise PeerError(f"{sender} asks for events again and again")
        self._number += 1
        self._serving[self._number] = (sender, message.ask)
        limit = max(1, min(message.limit, MAX_EVENTS))
        turn.effects.append(ReadNotes(self._number, min(max(0, message.since_ms), MAX_MS), limit))

    def on_read(self, turn: Turn, event: NotesRead) -> None:
        """The event log was read here."""
        asked = self._serving.pop(event.ask, None)
        if asked is not None:
            turn.send(asked[0], EventsAre(asked[1], tuple(map(_line_of, event.notes))), volatile=True)

    def on_are(self, turn: Turn, sender: NodeId, message: EventsAre) -> None:
        """Take what another node remembers; the store drops what is known."""
        if (sender, message.ask) != self._asked:  # questions that are served here meanwhile have numbers, too
            return
        self._asked, self._due = None, None
        self._candidates.clear()
        now_ms = turn.now.wall_ms
        for line in message.events[:MAX_EVENTS]:
            if line.key and line.at_ms <= now_ms:
                turn.effects.append(_note_of(line, now_ms))


def _line_of(note: Note) -> EventLine:
    return EventLine(note.key, note.at_ms, note.what, note.text, note.why, note.actor, note.job, note.task, note.node)


def _note_of(line: EventLine, noted_ms: int) -> Note:
    return Note(
        line.at_ms,
        line.what[:MAX_TEXT],
        line.text[:MAX_TEXT],
        line.node[:MAX_TEXT],
        line.job[:MAX_TEXT],
        line.actor[:MAX_TEXT],
        task=max(-1, min(line.task, 1 << 32)),
        why=line.why[:MAX_TEXT],
        key=line.key[:MAX_TEXT],
        noted_ms=noted_ms,
    )
