"""Lists the attempts of a job or of a task, with what their logs weigh at the nodes that have them.

Sizes are asked of all nodes at once and told together, without those that did not come in time: a list is better with
a gap than late. Called by `farmd.core.logs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from farmd.core.arguments import job_of, number_of, text_of
from farmd.core.effects import Reply
from farmd.core.logasks import attempt_view, named_task
from protocol.logquery import LogQuery
from protocol.states import AttemptState, FailureClass, word_of

if TYPE_CHECKING:
    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.logs import Logs
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import TaskIndex
    from protocol.logquery import LogExcerpt

DEFAULT_ATTEMPTS = 200
MAX_ATTEMPTS = 1000
MAX_SIZES = 64
"""Logs of one list whose size is asked for: those of the newest attempts."""
SIZE_PATIENCE_S = 1.0
_STARTED_MS = attrgetter("started_ms")
_NEWEST = attrgetter("started_ms", "id")
_CAUSES = {int(cause): word_of(cause) for cause in FailureClass}


@dataclass(slots=True)
class _Gathering:
    """A list whose sizes are on their way."""

    client: int
    data: dict[str, Any]
    open: int = 0


class LogLists:
    """Answers `log.list`."""

    def __init__(self, node: Node, logs: Logs) -> None:
        self._node = node
        self._logs = logs

    def answer(self, turn: Turn, event: ClientAsked) -> None:
        """Answer with attempts, the newest first."""
        job = job_of(self._node, event)
        state, task = text_of(event, "state", ""), named_task(job, event)
        attempts = _attempts_of(job, task, state)
        limit = max(0, min(number_of(event, "limit", DEFAULT_ATTEMPTS), MAX_ATTEMPTS))
        latest = newest(attempts, limit)
        views = [self._view(job, attempt) for attempt in latest]
        data = {"schema": "farm.loglist.v1", "job": job.id, "total": len(attempts), "attempts": views}
        gathering = _Gathering(event.client, data)
        if event.args.get("sizes", True):
            self._ask_sizes(turn, gathering, latest[:MAX_SIZES])
        if not gathering.open:
            _reply(turn, gathering)

    def _ask_sizes(self, turn: Turn, gathering: _Gathering, attempts: list[Attempt]) -> None:
        for attempt, view in zip(attempts, gathering.data["attempts"], strict=False):
            if not view["here"]:
                continue
            gathering.open += 1

            def tell(turn: Turn, excerpt: LogExcerpt | None, view: dict[str, Any] = view) -> None:
                gathering.open -= 1
                if excerpt is not None and excerpt.found:
                    view["size"] = excerpt.size
                if not gathering.open:
                    _reply(turn, gathering)

            query = LogQuery(lines=0)
            self._logs.seek(turn, attempt, query, tell, client=gathering.client, patience_s=SIZE_PATIENCE_S)

    def _view(self, job: Job, attempt: Attempt) -> dict[str, Any]:
        node = self._node
        is_here = attempt.node == node.id or node.membership.is_alive(attempt.node)
        return attempt_view(node, job, attempt) | {
            "generation": attempt.generation,
            "here": is_here,
            "cause": _CAUSES.get(attempt.cause, "") if attempt.state != AttemptState.DONE else "",
            "text": attempt.body.text,
            "started_ms": attempt.started_ms,
            "ended_ms": attempt.ended_ms or None,
            "size": None,
        }


def _attempts_of(job: Job, task: TaskIndex | None, state: str) -> list[Attempt]:
    if task is None and state == word_of(AttemptState.RUNNING):
        return list(job.running.values())  # asked again and again of jobs with many attempts
    attempts = list(job.tasks.attempts() if task is None else job.tasks.attempts_of(task))
    if not state:
        return attempts
    wanted = [each for each in AttemptState if word_of(each) == state]
    return [attempt for attempt in attempts if attempt.state in wanted]


def newest(attempts: list[Attempt], limit: int) -> list[Attempt]:
    """Return so many, the newest first; of a large job most are passed over by one look at a number.

    Rows come about in the order of time, so the last ones first: the rest is then below what is wanted.
    """
    if len(attempts) > limit:
        oldest_ms = min(nlargest(limit, map(_STARTED_MS, reversed(attempts))), default=0)
        attempts = [attempt for attempt in attempts if attempt.started_ms >= oldest_ms]
    return nlargest(limit, attempts, key=_NEWEST)


def _reply(turn: Turn, gathering: _Gathering) -> None:
    turn.effects.append(Reply(gathering.client, gathering.data))
