"""Why jobs wait, as viewers were told last, and where that is no longer so.

Theory. A job is told of when it has changed. Why it waits may change without it: a machine is held or comes, a leader is
elected, others get in front. So what was told is remembered and held against what is true, some jobs at a time and
those that were looked at longest ago first, so that a look costs the same however many wait. A job whose reason has
become another one counts as changed. One whose words only count differently ("12 tasks are in front of it") is told
again after `WORDS_S`: numbers that move all the time are no news.

Called by `farmd.core.feed`, and only while somebody watches.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Instant
    from protocol.ids import JobId
    from protocol.reasons import Reason, ReasonCode

LOOK_S: Final = 0.25
"""Pause between two looks."""
LOOKED_AT: Final = 25
"""Jobs of one look: some milliseconds, so that nobody who waits for a grant notices."""
WORDS_S: Final = 30.0


class _Told(NamedTuple):
    """What was told of a job: in which version of it, when, and why it waits."""

    version: int
    at: float
    reason: Reason | None


class ToldReasons:
    """What viewers know of the jobs that wait."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._told: OrderedDict[JobId, _Told] = OrderedDict()
        self._looked_at = -LOOK_S

    def next_look(self) -> float | None:
        """When to look again, if anything was told."""
        return self._looked_at + LOOK_S if self._told else None

    def tell(self, job: Job, now: Instant) -> None:
        """A job is told of; who was told something else of this version of it before is told again."""
        reason = self._node.door.explain.listed(job, now)
        if self._node.jobs.state_of(job.id) in JOB_TERMINAL or (reason is None and job.running):
            self._told.pop(job.id, None)
            return
        version, known = self._node.chronicle.version_of(job.id), self._told.get(job.id)
        if known is None or known.version != version:
            self._told[job.id] = _Told(version, now.mono, reason)
        elif _code(known.reason) is not _code(reason):
            self._node.chronicle.touch(job.id)

    def look(self, now: Instant) -> None:
        """Hold some of what was told against what is true."""
        self._looked_at = now.mono
        for _ in range(min(LOOKED_AT, len(self._told))):
            job_id = next(iter(self._told))
            self._told.move_to_end(job_id)
            job, told = self._node.jobs.get(job_id), self._told[job_id]
            if job is None or job.archived:  # that is no longer told of, so what was told could never become true
                del self._told[job_id]
            elif _is_news(told, self._node.door.explain.listed(job, now), now.mono):
                self._node.chronicle.touch(job_id)


def _is_news(told: _Told, reason: Reason | None, now: float) -> bool:
    if _code(told.reason) is not _code(reason):
        return True
    return told.reason != reason and now >= told.at + WORDS_S


def _code(reason: Reason | None) -> ReasonCode | None:
    return None if reason is None else reason.code
