"""What follows from a failure: try again or give up, how soon, where not, and with how much memory.

Theory (numbers from the field): a task is tried `limits.retries` more times after its first failure, so with 3
retries the *fourth* failure that counts is final. What does not count: a licence, a hold, a lost node, a newer
result; and running out of memory, which raises the need instead, but at most `FREE_OOMS` times per task, so that a
frame that eats all memory ends one day. Three failures of one node on one job: avoid it there for five hours.
Failures on two different jobs with no success in between: the node is sick, whatever the jobs say. A task that failed
waits up to five minutes for a node where it did not: on a busy farm the node that has room first is the one where it
just failed, and all its retries would be spent there.

A node whose renderer lacks a feature that the scene needs is *barred* from the job: at once, since no second try can
end better, and without end, since only a person changes what is installed. It is no fault of the node and costs the
task nothing. A person who retries anything of the job says by that: look again; what was found before no longer bars.

Everything durable here is a fold over attempt rows and does not depend on their order. Times of rows are wall clocks
of other machines: where one begins a wait it is cut off at `now`, once, when its row is folded; the wait for another
node is reckoned anew in each pass, and there a time that is ahead begins none. So a clock that is ahead cannot make the
farm wait longer.
Called by the folds of tasks and jobs. Never decides where a task runs: that is the scheduler's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.clock import MAX_AHEAD_MS
from protocol.states import FAILURE_RULES, AttemptState, FailureClass, FailureRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmd.core.attempts import Attempt
    from farmd.core.turn import Instant
    from protocol.ids import AttemptId, JobId, NodeId, TaskIndex

RETRY_DELAYS_S = (0.0, 5.0, 30.0)
"""Wait after the first, second and every further failure of a task."""
LICENSE_DELAY_S = 60.0
ELSEWHERE_S = 300.0
"""Time after a failure in which a task goes to no node where it failed, while there are others that could take it."""
AVOID_AFTER = 3
"""Failures of a node on a job after which the job avoids it."""
FORGIVE_MS = 5 * 3_600_000
FREE_OOMS = 5
"""Times that a task may run out of memory before that counts as a failure."""
RAM_STEP_BYTES = 2 << 30
_KNOWN = {int(cause): rule for cause, rule in FAILURE_RULES.items()}


def rule_of(cause: int) -> FailureRule:
    """Return the rule of a failure class; one that a newer node made up counts, so that retries stay finite."""
    return _KNOWN.get(cause) or FAILURE_RULES[FailureClass.ERROR]


def is_failure(attempt: Attempt) -> bool:
    """Tell whether an attempt failed in a way that counts."""
    return attempt.state == AttemptState.FAILED and rule_of(attempt.cause).counts


def is_oom(attempt: Attempt) -> bool:
    """Tell whether an attempt ran out of memory."""
    return attempt.state == AttemptState.FAILED and attempt.cause == FailureClass.OOM


def failures_of(attempts: Iterable[Attempt]) -> int:
    """Count the failures that count among a task's attempts of one generation."""
    counted = ooms = 0
    for attempt in attempts:
        counted += is_failure(attempt)
        ooms += is_oom(attempt)
    return counted + max(0, ooms - FREE_OOMS)


def is_final(failures: int, retries: int) -> bool:
    """Tell whether so many failures end a task for good."""
    return failures > retries


def nodes_failed_on(attempts: Iterable[Attempt]) -> tuple[NodeId, ...]:
    """List the nodes on which a task failed, memory included: try it elsewhere first."""
    return tuple(sorted({attempt.node for attempt in attempts if is_failure(attempt) or is_oom(attempt)}))


def elsewhere_until(attempts: Iterable[Attempt], now: Instant) -> float:
    """Return until when, on the local clock, a task is kept for nodes where it has not failed; 0 if it is not."""
    ended_ms = max((attempt.ended_ms for attempt in attempts if is_failure(attempt) or is_oom(attempt)), default=None)
    if ended_ms is None or ended_ms > now.wall_ms + MAX_AHEAD_MS:  # cut off at `now` in each pass, it would never end
        return 0.0
    return due_at(ended_ms, ELSEWHERE_S, now)


def delay_s(failures: int) -> float:
    """Return how long a task waits after so many failures."""
    return RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S)) - 1] if failures else 0.0


def due_at(ended_ms: int, wait_s: float, now: Instant) -> float:
    """Return when a wait that began at `ended_ms` (wall clock) is over, on the local clock, at most `wait_s` ahead."""
    passed_s = (now.wall_ms - ended_ms) / 1000
    return now.mono + wait_s - min(max(passed_s, 0.0), wait_s)


class JobRetries:
    """What the failures of one job say about nodes, licences and memory."""

    __slots__ = ("_barring", "_blamed", "_ooms", "license_until")

    def __init__(self) -> None:
        self._blamed: dict[NodeId, dict[tuple[TaskIndex, AttemptId], int]] = {}
        self._ooms: dict[TaskIndex, dict[AttemptId, int]] = {}
        self._barring: dict[NodeId, dict[tuple[TaskIndex, AttemptId], Attempt]] = {}
        self.license_until = 0.0
        """Local time before which no task of the job starts, since no licence was free."""

    def replace(self, old: Attempt | None, new: Attempt, now: Instant) -> None:
        """Take a new version of an attempt in place of the old one."""
        if old is not None:
            self._blamed.get(old.node, {}).pop((old.task, old.id), None)
            self._barring.get(old.node, {}).pop((old.task, old.id), None)
            self._ooms.get(old.task, {}).pop(old.id, None)
        if new.state != AttemptState.FAILED:
            return
        if rule_of(new.cause).blames_node:
            at = min(new.ended_ms, now.wall_ms)
            self._blamed.setdefault(new.node, {})[new.task, new.id] = at
        if rule_of(new.cause).bars_node:
            self._barring.setdefault(new.node, {})[new.task, new.id] = new
        if new.cause == FailureClass.OOM:
            self._ooms.setdefault(new.task, {})[new.id] = new.peak_ram_bytes
        if new.cause == FailureClass.LICENSE:
            self.license_until = max(self.license_until, due_at(new.ended_ms, LICENSE_DELAY_S, now))

    def avoided(self, now: Instant) -> tuple[NodeId, ...]:
        """List the nodes that failed on this job three times within the last five hours."""
        since = now.wall_ms - FORGIVE_MS
        counts = {node: sum([at > since for at in times.values()]) for node, times in self._blamed.items()}
        return tuple(sorted(node for node, count in counts.items() if count >= AVOID_AFTER))

    @property
    def bars_any(self) -> bool:
        """Tell whether any attempt ever barred its node."""
        return any(self._barring.values())

    def barred(self, since_hlc: int) -> dict[NodeId, Attempt]:
        """Return the nodes barred by failures after a stamp, in order, each with the last of these."""
        found: dict[NodeId, Attempt] = {}
        for node in sorted(self._barring):
            fresh = [attempt for attempt in self._barring[node].values() if attempt.hlc > since_hlc]
            if fresh:
                found[node] = max(fresh, key=_written)
        return found

    def ram_floor_bytes(self, asked_bytes: int) -> int:
        """Return the memory that a task of this job needs at least, or 0 if none ran out of memory so far."""
        ooms = max(map(len, self._ooms.values()), default=0)
        if not ooms:
            return 0
        peak = max([peak for peaks in self._ooms.values() for peak in peaks.values()])
        return max(peak * 5 // 4, asked_bytes + ooms * RAM_STEP_BYTES)


def _written(attempt: Attempt) -> tuple[int, AttemptId]:
    return attempt.hlc, attempt.id


class NodeHealth:
    """Which nodes are sick: failed on two different jobs since they last finished anything."""

    __slots__ = ("_done", "_failed", "_sick")

    def __init__(self) -> None:
        self._done: dict[NodeId, dict[JobId, int]] = {}
        self._failed: dict[NodeId, dict[JobId, dict[tuple[TaskIndex, AttemptId], int]]] = {}
        self._sick: dict[NodeId, bool] = {}

    def replace(self, job: JobId, old: Attempt | None, new: Attempt) -> None:
        """Take a new version of an attempt in place of the old one; stamps are those of the node itself."""
        if old is not None:
            self._failed.get(old.node, {}).get(job, {}).pop((old.task, old.id), None)
            self._sick.pop(old.node, None)
        self._sick.pop(new.node, None)
        if new.state == AttemptState.DONE:
            done = self._done.setdefault(new.node, {})
            done[job] = max(done.get(job, 0), new.hlc)
        elif new.state == AttemptState.FAILED and rule_of(new.cause).blames_node:
            self._failed.setdefault(new.node, {}).setdefault(job, {})[new.task, new.id] = new.hlc

    def forget(self, job: JobId) -> None:
        """Drop what a deleted job said."""
        for facts in (self._done, self._failed):
            for node in facts:
                if facts[node].pop(job, None) is not None:
                    self._sick.pop(node, None)

    def is_sick(self, node: NodeId) -> bool:
        """Tell whether a node is sick; a canary that it finishes cures it."""
        sick = self._sick.get(node)
        if sick is None:
            since = self.done_hlc(node)
            failed = [job for job in self._failed.get(node, {}).values() if max(job.values(), default=0) > since]
            sick = self._sick[node] = len(failed) >= 2
        return sick

    def done_hlc(self, node: NodeId) -> int:
        """Return when a node finished a task last; a sick one has not since it became so."""
        return max(self._done.get(node, {}).values(), default=0)

    def sick(self) -> tuple[NodeId, ...]:
        """List the sick nodes."""
        return tuple(sorted(node for node in self._failed if self.is_sick(node)))
