"""Bytes of a log as they are, from the node where it stands: for programs, and for people who want them raw.

Called by `farmd.core.logs`. Keeps nothing but who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmd.core.arguments import number_of
from farmd.core.effects import ReadLog, Reply
from farmd.core.logasks import LIMIT_BYTES, find_attempt
from farmd.core.questions import first_number
from protocol.errors import NotFound
from protocol.ids import pack_job, pack_node
from protocol.messages import LogAsk, LogIs
from protocol.states import AttemptState

if TYPE_CHECKING:
    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked, LogRead
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

PATIENCE_S = 5.0


@dataclass(slots=True)
class _Read:
    """An open question: of a client here, or of another node, by its number of it."""

    client: int | None
    peer: tuple[NodeId, int] | None
    attempt: Attempt | None
    due: float


class LogBytes:
    """Routes questions for bytes of logs; answers `logs`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._reads: dict[int, _Read] = {}
        self._number = first_number(node.epoch)

    def ask(self, turn: Turn, event: ClientAsked) -> None:
        """Answer a client with bytes of a log.

        Raises:
            NotFound: Nothing has run yet, or the machine that has the log is away.
        """
        _, attempt = find_attempt(self._node, event)
        offset, limit = number_of(event, "offset", 0), number_of(event, "limit", LIMIT_BYTES)
        limit = max(0, min(limit, LIMIT_BYTES))
        self._number += 1
        asked = _Read(event.client, None, attempt, turn.now.mono + PATIENCE_S)
        if attempt.node == self._node.id:
            turn.effects.append(ReadLog(self._number, attempt.ref, offset, limit))
        elif self._node.membership.is_alive(attempt.node):
            turn.send(attempt.node, LogAsk(self._number, attempt.ref, offset, limit))
        else:
            where = self._node.registry.name_of(attempt.node)
            raise NotFound(
                f"the log is on {where}, which does not answer",
                attempt.body.last_lines[-200:] or "logs stay where a frame ran",
                f"try again when {where} is back",
            )
        self._reads[self._number] = asked

    def on_ask(self, turn: Turn, sender: NodeId, message: LogAsk) -> None:
        """Another node asks for bytes of a log that should be here.

        Raises:
            PeerError: It names no attempt; the name becomes a path, which must not lead out of the logs.
        """
        pack_job(message.ref.job)
        pack_node(message.ref.attempt.leader)
        self._number += 1
        self._reads[self._number] = _Read(None, (sender, message.ask), None, turn.now.mono + PATIENCE_S)
        limit = max(0, min(message.limit, LIMIT_BYTES))
        turn.effects.append(ReadLog(self._number, message.ref, message.offset, limit))

    def on_read(self, turn: Turn, event: LogRead) -> None:
        """The log was read here."""
        asked = self._reads.pop(event.ask, None)
        if asked is None:
            return
        if asked.peer is not None:
            sender, ask = asked.peer
            turn.send(sender, LogIs(ask, event.found, event.offset, event.size, event.data), volatile=True)
        else:
            self._answer(turn, asked, event)

    def on_is(self, turn: Turn, sender: NodeId, message: LogIs) -> None:
        """Another node answers."""
        asked = self._reads.get(message.ask)
        if asked is not None and asked.attempt is not None and asked.attempt.node == sender:
            del self._reads[message.ask]
            self._answer(turn, asked, message)

    def _answer(self, turn: Turn, asked: _Read, read: LogRead | LogIs) -> None:
        attempt = asked.attempt
        assert asked.client is not None
        assert attempt is not None
        data = {
            "found": read.found,
            "node": attempt.node,
            "node_name": self._node.registry.name_of(attempt.node),
            "attempt": str(attempt.id),
            "task": attempt.task,
            "offset": read.offset,
            "size": read.size,
            "data": read.data,
            "ended": attempt.state != AttemptState.RUNNING,  # as it was when asked: what came later is in the log
        }
        turn.effects.append(Reply(asked.client, data))

    def next_deadline(self) -> float | None:
        """When the first asker has waited long enough."""
        return min([asked.due for asked in self._reads.values()], default=None)

    def on_timer(self, turn: Turn) -> None:
        """Tell those who have waited long enough."""
        for number, asked in list(self._reads.items()):
            if asked.due > turn.now.mono:
                continue
            del self._reads[number]
            if asked.client is not None and asked.attempt is not None:
                where = self._node.registry.name_of(asked.attempt.node)
                turn.effects.append(Reply(asked.client, error=silence(where)))


def silence(where: str) -> tuple[int, str, str, str]:
    """Say that a node did not answer."""
    return 7, "the log did not arrive", f"{where} did not answer in time", "try again"
