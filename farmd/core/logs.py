"""Logs read where a frame ran, from any node, without a shared drive.

A client's question goes to the node that ran the attempt (or is answered here) and comes back in pieces of at most
`LIMIT_BYTES`. Nothing is kept but who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmd.core.effects import ReadLog, Reply
from protocol.errors import NotFound
from protocol.frames import FrameSet
from protocol.ids import TaskIndex, pack_job, pack_node
from protocol.messages import LogAsk, LogIs
from protocol.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked, LogRead
    from farmd.core.job import Job
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

LIMIT_BYTES = 256 << 10
PATIENCE_S = 5.0
SHOWN_LETTERS = 80
"""So much of a list of frames is told to a person."""


@dataclass(slots=True)
class _Asked:
    """Somebody waits for a part of a log: a client here, or another node."""

    client: int | None
    peer: NodeId | None
    peer_ask: int
    attempt: Attempt | None
    due: float


class Logs:
    """Routes questions for logs."""

    def __init__(self, node: NodeId, *, is_alive: Callable[[NodeId], bool], name_of: Callable[[NodeId], str]) -> None:
        self._node = node
        self._is_alive = is_alive
        self._name_of = name_of
        self._asked: dict[int, _Asked] = {}
        self._number = 0

    def ask(self, turn: Turn, event: ClientAsked, job: Job, task: int | None) -> None:
        """Answer a client: the newest attempt of the task, or of the job's most telling task.

        Raises:
            NotFound: Nothing has run yet, or the machine that has the log is away.
        """
        attempt = _attempt_of(job, task, event.args.get("attempt"))
        if attempt is None:
            raise _nothing_yet(job, task)
        offset, limit = _int(event.args.get("offset"), 0), _int(event.args.get("limit"), LIMIT_BYTES)
        limit = max(1, min(limit, LIMIT_BYTES))
        self._number += 1
        asked = _Asked(event.client, None, 0, attempt, turn.now.mono + PATIENCE_S)
        if attempt.node == self._node:
            turn.effects.append(ReadLog(self._number, attempt.ref, offset, limit))
        elif self._is_alive(attempt.node):
            turn.send(attempt.node, LogAsk(self._number, attempt.ref, offset, limit))
        else:
            where = self._name_of(attempt.node)
            raise NotFound(
                f"the log is on {where}, which does not answer",
                attempt.body.last_lines[-200:] or "logs stay where a frame ran",
                f"try again when {where} is back",
            )
        self._asked[self._number] = asked

    def on_ask(self, turn: Turn, sender: NodeId, message: LogAsk) -> None:
        """Another node asks for a log that should be here.

        Raises:
            PeerError: It names no attempt; the name becomes a path, which must not lead out of the logs.
        """
        pack_job(message.ref.job)
        pack_node(message.ref.attempt.leader)
        self._number += 1
        self._asked[self._number] = _Asked(None, sender, message.ask, None, turn.now.mono + PATIENCE_S)
        limit = max(1, min(message.limit, LIMIT_BYTES))
        turn.effects.append(ReadLog(self._number, message.ref, message.offset, limit))

    def on_read(self, turn: Turn, event: LogRead) -> None:
        """The log was read here."""
        asked = self._asked.pop(event.ask, None)
        if asked is None:
            return
        if asked.peer is not None:
            answer = LogIs(asked.peer_ask, event.found, event.offset, event.size, event.data)
            turn.send(asked.peer, answer, volatile=True)
        else:
            self._answer(turn, asked, event)

    def on_is(self, turn: Turn, sender: NodeId, message: LogIs) -> None:
        """Another node answers."""
        asked = self._asked.get(message.ask)
        if asked is not None and asked.attempt is not None and asked.attempt.node == sender:
            del self._asked[message.ask]
            self._answer(turn, asked, message)

    def _answer(self, turn: Turn, asked: _Asked, read: LogRead | LogIs) -> None:
        attempt = asked.attempt
        assert asked.client is not None
        assert attempt is not None
        data = {
            "found": read.found,
            "node": attempt.node,
            "node_name": self._name_of(attempt.node),
            "attempt": str(attempt.id),
            "task": attempt.task,
            "offset": read.offset,
            "size": read.size,
            "data": read.data,
            "ended": attempt.state != AttemptState.RUNNING,
        }
        turn.effects.append(Reply(asked.client, data))

    def next_deadline(self) -> float | None:
        """When the first asker has waited long enough."""
        if not self._asked:
            return None
        return min((asked.due for asked in self._asked.values()), default=None)

    def on_timer(self, turn: Turn) -> None:
        """Tell those who have waited long enough."""
        for number, asked in list(self._asked.items()):
            if asked.due > turn.now.mono:
                continue
            del self._asked[number]
            if asked.client is not None and asked.attempt is not None:
                where = self._name_of(asked.attempt.node)
                fault = (7, "the log did not arrive", f"{where} did not answer in {PATIENCE_S:.0f} s", "try again")
                turn.effects.append(Reply(asked.client, error=fault))


def _attempt_of(job: Job, task: int | None, wanted: object) -> Attempt | None:
    """Choose the attempt whose log is meant: as named, else the newest; of a job, running and failed ones first."""
    tasks = [TaskIndex(task)] if task is not None else list(job.tasks.touched())
    attempts = [attempt for index in tasks for attempt in job.tasks.attempts_of(index)]
    if isinstance(wanted, str) and wanted:
        attempts = [attempt for attempt in attempts if str(attempt.id) == wanted]
    urgent = (AttemptState.FAILED, AttemptState.RUNNING)
    return max(attempts, key=lambda attempt: (attempt.state in urgent, attempt.started_ms, attempt.id), default=None)


def _nothing_yet(job: Job, task: int | None) -> NotFound:
    """Say that a task has not run yet, and which have."""
    ran = [index for index in job.tasks.touched() if job.tasks.attempts_of(index)]
    if task is None or task in ran or not ran:
        return NotFound(f"job {job.id} has no log yet", "nothing of it has run", f"farmctl why {job.id}")
    frames = FrameSet.of(job.plan.frames_of(TaskIndex(task)))
    name = f"frame {frames} has" if len(frames) == 1 else f"frames {frames} have"
    shown = str(FrameSet.of(frame for index in ran for frame in job.plan.frames_of(index)))
    if len(shown) > SHOWN_LETTERS:
        shown = shown[:SHOWN_LETTERS].rpartition(",")[0] + " and more"
    why = f"these have: {shown}"
    return NotFound(f"{name} not run yet", why, f"farmctl why {job.id} --frame {frames.first}")


def _int(value: object, default: int) -> int:
    return value if type(value) is int else default
