"""Logs looked into where a frame ran, from any node, without a shared drive.

A question for the log of an attempt goes to the node that ran it (or is answered here), is answered there from its
disk, and only the lines that were asked for come back (`farmd.core.logasks` tells what can be asked). Nothing of a log
is kept: only who asked. A question that waits for news waits at the node that has the log, which looks four times a
second; so one question and one answer cross the network for each piece of news, however far the viewer is.

Whoever leaves is forgotten at both ends. A node that goes away while somebody waits for it is noticed within a second.
Called by `farmd.core.node` and its door. Never reads: the adapter does, when told by `SeekLog`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from farmd.core.effects import LeaveLog, Reply, SeekLog
from farmd.core.logasks import away_view, excerpt_view, find_attempt, query_of
from farmd.core.logbytes import LogBytes, silence
from farmd.core.loglists import LogLists
from farmd.core.questions import first_number
from protocol.errors import PeerError
from protocol.ids import pack_job, pack_node
from protocol.logquery import LogExcerpt
from protocol.messages import LogLeave, LogSeek, LogSought

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked, LogFound
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import AttemptRef, NodeId
    from protocol.logquery import LogQuery

PATIENCE_S = 5.0
SEARCH_PATIENCE_S = 12.0
"""A search answers after 2 s; before it there may be others."""
LOOK_S = 0.25
"""Looks for news are at multiples of this: a viewer gets four answers a second at most, whatever is printed, and all who
wait for news of one log are served by one look."""
PEER_LOOK_S = 1.0
"""Pause between two looks whether the node that has the log is still there."""
MAX_WAIT_S = 30.0
MAX_OF_PEER = 256
"""Open questions of one node; more are not answered."""


@dataclass(slots=True)
class _Seek:
    """An open question for lines.

    Attributes:
        ref: Whose log.
        query: What is asked.
        tell: Takes the answer, None if none came.
        due: When patience ends.
        client: Who waits here, or None.
        peer: Who waits at another node, by its number of the question, or None.
        at: Who has the log.
        until: When waiting for news ends; before it an answer without news is none.
        look_at: When the next look is due, if one is.
        running: The attempt was running when the log was looked into last.
    """

    ref: AttemptRef
    query: LogQuery
    tell: Callable[[Turn, LogExcerpt | None], None]
    due: float
    client: int | None = None
    peer: tuple[NodeId, int] | None = None
    at: NodeId | None = None
    until: float = 0.0
    look_at: float | None = None
    running: bool = False


class Logs:
    """Routes questions for lines of logs; answers `log.*`.

    Attributes:
        bytes: Routes questions for their bytes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seeks: dict[int, _Seek] = {}
        self._number = first_number(node.epoch)
        self._company: dict[int, list[int]] = {}
        self.bytes = LogBytes(node)
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "logs": self.bytes.ask,
            **dict.fromkeys(("log.tail", "log.read", "log.find", "log.follow"), self._lines),
            "log.list": LogLists(node, self).answer,
        }

    # -- lines ----------------------------------------------------------------------------------------------------

    def _lines(self, turn: Turn, event: ClientAsked) -> None:
        """Answer a client with lines of the log of an attempt."""
        job, attempt = find_attempt(self._node, event)
        query = query_of(event, job.spec.renderer)
        if not self._is_there(attempt.node):
            turn.effects.append(Reply(event.client, away_view(self._node, job, attempt, turn.now)))
            return

        def tell(turn: Turn, excerpt: LogExcerpt | None) -> None:
            self._answer(turn, event.client, attempt, excerpt)

        self.seek(turn, attempt, query, tell, client=event.client)

    def _answer(self, turn: Turn, client: int, attempt: Attempt, excerpt: LogExcerpt | None) -> None:
        job = self._node.jobs.get(attempt.ref.job)
        if job is None:
            turn.effects.append(Reply(client, error=(5, "the job is no more", "it was deleted", "")))
        elif excerpt is None and not self._is_there(attempt.node):
            turn.effects.append(Reply(client, away_view(self._node, job, attempt, turn.now)))
        elif excerpt is None:
            turn.effects.append(Reply(client, error=silence(self._node.registry.name_of(attempt.node))))
        elif excerpt.fault:
            fault = (1, "the log gives no answer", excerpt.fault, "")
            turn.effects.append(Reply(client, error=fault))
        else:
            turn.effects.append(Reply(client, excerpt_view(self._node, job, attempt, excerpt)))

    def seek(
        self,
        turn: Turn,
        attempt: Attempt,
        query: LogQuery,
        tell: Callable[[Turn, LogExcerpt | None], None],
        *,
        client: int | None = None,
        patience_s: float = 0.0,
    ) -> None:
        """Ask the node that has a log; `tell` is called once, in a later turn.

        Args:
            turn: The present turn.
            attempt: Whose log.
            query: What is asked.
            tell: Takes the answer, or None.
            client: Whose leaving ends it.
            patience_s: When it ends in any case; 0 = as usual for the question.
        """
        now = turn.now.mono
        wait_s = min(query.wait_ms / 1000, MAX_WAIT_S) if query.size >= 0 else 0.0
        usual_s = SEARCH_PATIENCE_S if query.pattern or query.how else PATIENCE_S
        asked = _Seek(attempt.ref, query, tell, now + wait_s + (patience_s or usual_s), client, at=attempt.node)
        number = self._open(asked)
        if attempt.node == self._node.id:
            self._begin(turn, number, asked, wait_s)
        else:
            asked.look_at = now + PEER_LOOK_S
            turn.send(attempt.node, LogSeek(number, attempt.ref, query), volatile=True)

    def _open(self, asked: _Seek) -> int:
        self._number += 1
        self._seeks[self._number] = asked
        return self._number

    def _look(self, turn: Turn, number: int, asked: _Seek) -> None:
        asked.running = asked.ref in self._node.worker.live
        asked.look_at = None
        turn.effects.append(SeekLog(number, asked.ref, asked.query))

    def _look_for_all(self, turn: Turn, numbers: list[int]) -> None:
        """Look once for all who wait for news of one log: for the one who has seen least of it."""
        first = min(numbers, key=lambda number: (self._seeks[number].query.size, number))
        self._look(turn, first, self._seeks[first])
        company = [number for number in numbers if number != first]
        for number in company:
            self._seeks[number].running, self._seeks[number].look_at = self._seeks[first].running, None
        if company:
            self._company[first] = company

    def on_seek(self, turn: Turn, sender: NodeId, message: LogSeek) -> None:
        """Another node asks for lines of a log that should be here.

        Raises:
            PeerError: It names no attempt (the name becomes a path, which must not lead out of the logs), or has more
                questions open than it should.
        """
        pack_job(message.ref.job)
        pack_node(message.ref.attempt.leader)
        if sum(asked.peer is not None and asked.peer[0] == sender for asked in self._seeks.values()) >= MAX_OF_PEER:
            raise PeerError(f"{sender} has {MAX_OF_PEER} questions for logs open")

        def tell(turn: Turn, excerpt: LogExcerpt | None) -> None:
            turn.send(sender, LogSought(message.ask, excerpt or LogExcerpt(found=False, complete=True)), volatile=True)

        now, query = turn.now.mono, message.query
        wait_s = min(max(0, query.wait_ms) / 1000, MAX_WAIT_S) if query.size >= 0 else 0.0
        asked = _Seek(message.ref, query, tell, now + wait_s + SEARCH_PATIENCE_S, peer=(sender, message.ask))
        self._begin(turn, self._open(asked), asked, wait_s)

    def _begin(self, turn: Turn, number: int, asked: _Seek, wait_s: float) -> None:
        """Look now, or, for who waits for news, in a moment: it has just been told of all that was there."""
        asked.until = turn.now.mono + wait_s
        if wait_s:
            asked.look_at = _next_look(turn.now.mono, asked.until)
        else:
            self._look(turn, number, asked)

    def on_found(self, turn: Turn, event: LogFound) -> None:
        """The log was looked into here."""
        for number in self._company.pop(event.ask, ()):
            other = self._seeks.get(number)
            if other is not None and not self._goes_on_waiting(turn, other, event.excerpt):
                self._look(turn, number, other)
        asked = self._seeks.get(event.ask)
        if asked is not None and not self._goes_on_waiting(turn, asked, event.excerpt):
            del self._seeks[event.ask]
            asked.tell(turn, event.excerpt._replace(running=asked.running))

    def _goes_on_waiting(self, turn: Turn, asked: _Seek, excerpt: LogExcerpt) -> bool:
        """Tell whether this is no news for somebody who waits for news; it is then looked again."""
        waits = asked.query.size >= 0 and asked.running and not excerpt.fault and turn.now.mono < asked.until
        if not waits or (excerpt.found and excerpt.size > asked.query.size):
            return False
        asked.look_at = _next_look(turn.now.mono, asked.until)
        return True

    def on_sought(self, turn: Turn, sender: NodeId, message: LogSought) -> None:
        """Another node answers."""
        asked = self._seeks.get(message.ask)
        if asked is not None and asked.at == sender:
            del self._seeks[message.ask]
            asked.tell(turn, message.excerpt)

    def on_leave(self, turn: Turn, sender: NodeId, message: LogLeave) -> None:
        """At another node nobody waits any more."""
        for number, asked in list(self._seeks.items()):
            if asked.peer == (sender, message.ask):
                self._drop(turn, number, asked)

    def left(self, turn: Turn, client: int) -> None:
        """A client no longer waits."""
        for number, asked in list(self._seeks.items()):
            if asked.client == client:
                self._drop(turn, number, asked)

    def _drop(self, turn: Turn, number: int, asked: _Seek) -> None:
        del self._seeks[number]
        if asked.at is not None and asked.at != self._node.id:
            turn.send(asked.at, LogLeave(number), volatile=True)
        else:
            turn.effects.append(LeaveLog(number))
            for other in self._company.pop(number, ()):
                if other in self._seeks:
                    self._look(turn, other, self._seeks[other])

    def _is_there(self, node: NodeId) -> bool:
        return node == self._node.id or self._node.membership.is_alive(node)

    # -- time -----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When the first of those who wait has waited long enough, or a look is due."""
        reads_due = self.bytes.next_deadline()
        if not self._seeks:
            return reads_due
        times = [
            asked.due if asked.look_at is None else min(asked.due, asked.look_at) for asked in self._seeks.values()
        ]
        return min(times) if reads_due is None else min(reads_due, *times)

    def on_timer(self, turn: Turn) -> None:
        """Look again, and tell those who have waited long enough."""
        now = turn.now.mono
        due: dict[AttemptRef, list[int]] = {}
        for number, asked in list(self._seeks.items()):
            is_gone = asked.at is not None and not self._is_there(asked.at)
            if asked.due <= now or (is_gone and asked.look_at is not None and asked.look_at <= now):
                self._drop(turn, number, asked)
                asked.tell(turn, None)
            elif asked.look_at is not None and asked.look_at <= now:
                if asked.at is None or asked.at == self._node.id:
                    due.setdefault(asked.ref, []).append(number)
                else:
                    asked.look_at = now + PEER_LOOK_S
        for numbers in due.values():
            self._look_for_all(turn, numbers)
        self.bytes.on_timer(turn)


def _next_look(now: float, until: float) -> float:
    return min((floor(now / LOOK_S) + 1) * LOOK_S, max(now, until))
