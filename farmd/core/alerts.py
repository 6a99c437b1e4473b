"""What a person should look at: a machine that is lost or sick, a job that waits for a decision, a result out of reach.

Theory. An alert is a fact of the present, named by (code, job, node): it is there while its cause is, and gone with
it, so that whoever looks late sees the same as who looked all the time. What is true of a job is looked at again when
the job or the membership has changed, at most once a second and a bounded number of jobs in one turn; what is true of
the farm is read when it is asked for.

Called by `farmd.core.node`; read by `farmd.core.feed` and `farmd.core.notices`. Never changes anything.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from farmd.core.bitmap import Mark
from farmd.core.gate import GateState
from farmd.core.resultviews import away_tasks
from protocol.frames import FrameSet
from protocol.human import counted
from protocol.states import JOB_TERMINAL, MemberState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import JobId, NodeId, TaskIndex

REVIEW_S = 1.0
"""Pause between two looks at what has changed."""
JOBS_PER_TURN = 100
SHOWN = 100
"""Most alerts that are told at once; what is more is counted."""


class Alert(NamedTuple):
    """One thing to look at.

    Attributes:
        code: What it is; the text is what scripts match and never changes.
        level: `error` (work stands still or may be lost), `warning`, or `info` (waits for a person).
        text: One line.
        hint: What to try.
        job, node: What it is about, or None.
    """

    code: str
    level: str
    text: str
    hint: str = ""
    job: JobId | None = None
    node: NodeId | None = None

    @property
    def name(self) -> tuple[str, JobId | None, NodeId | None]:
        """What makes it the same alert."""
        return self.code, self.job, self.node


LEVELS = ("error", "warning", "info")


class Alerts:
    """Alerts of jobs, kept; alerts of machines, read.

    Attributes:
        version: Grows with each change of the alerts of jobs.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.version = 0
        self._of_jobs: dict[JobId, tuple[Alert, ...]] = {}
        self._dirty: dict[JobId, None] = {}
        self._due = inf

    def load(self) -> None:
        """Look at all jobs of an earlier life, soon."""
        self._dirty = {job.id: None for job in self._node.jobs}
        self._due = 0.0

    def on_jobs_changed(self, turn: Turn, changed: dict[JobId, None]) -> None:
        """Look at these jobs again soon."""
        self._dirty |= changed
        self._due = min(self._due, turn.now.mono + REVIEW_S)

    def on_members_changed(self, turn: Turn) -> None:
        """Results may have come into reach or gone out of it: look at every job again."""
        self.on_jobs_changed(turn, {job.id: None for job in self._node.jobs})

    def next_deadline(self) -> float | None:
        """When there is something to look at."""
        return self._due if self._dirty else None

    def on_timer(self, turn: Turn) -> None:
        """Look at some of the jobs that have changed."""
        for _ in range(min(JOBS_PER_TURN, len(self._dirty))):
            job_id = next(iter(self._dirty))
            del self._dirty[job_id]
            self._review(job_id)
        self._due = turn.now.mono + (0 if self._dirty else REVIEW_S)

    def _review(self, job_id: JobId) -> None:
        job = self._node.jobs.get(job_id)
        found = tuple(_of_job(self._node, job)) if job is not None else ()
        if found == self._of_jobs.get(job_id, ()):
            return
        self.version += 1
        if found:
            self._of_jobs[job_id] = found
        else:
            self._of_jobs.pop(job_id, None)

    def all(self, turn: Turn) -> list[Alert]:
        """List what there is to look at, errors first."""
        alerts = [*_of_farm(self._node, turn)]
        alerts += [alert for of_job in self._of_jobs.values() for alert in of_job]
        return sorted(alerts, key=lambda alert: LEVELS.index(alert.level))


def _of_farm(node: Node, turn: Turn) -> Iterator[Alert]:
    fault, store = node.condition.disk_fault(), node.room.quota.fault
    name = node.registry.name_of(node.id)
    if fault:
        yield Alert("disk", "error", f"{name}: {fault}", "free space under its data dir", node=node.id)
    if store:
        yield Alert("store", "warning", f"{name}: {store}", "raise --store-quota, or delete jobs", node=node.id)
    if node.election.leader_at(turn.now.mono) is None:
        yield Alert("no_leader", "error", "no leader is known: nothing new starts", "farmctl doctor")
    for which, member in node.membership.members().items():
        if not node.registry.is_admitted(which) or which not in node.registry.bodies:
            continue
        name = node.registry.name_of(which)
        if member.state is MemberState.DEAD and member.seen_at > -inf:
            text = f"{name} is lost: it did not say goodbye"
            yield Alert("node_lost", "warning", text, f"farmctl node show {name}", node=which)
        elif member.is_here and node.jobs.health.is_sick(which):
            text = f"{name} is sick: what it rendered last failed"
            yield Alert("node_sick", "warning", text, f"farmctl node show {name}", node=which)


def _of_job(node: Node, job: Job) -> Iterator[Alert]:
    state = node.jobs.state_of(job.id)
    if state not in JOB_TERMINAL:
        yield from _of_open_job(job)
    away = away_tasks(node, job)
    if away:
        away = [task for task in away if not job.copies.is_delivered(task)]
    if away:
        yield _away(node, job, away)


def _of_open_job(job: Job) -> Iterator[Alert]:
    name = job.spec.name
    if job.paused_by_failures and not job.paused_by_person:
        text = f"{name} paused itself: {counted(job.count(Mark.FAILED), 'task')} failed for good"
        yield Alert("job_paused_itself", "error", text, f"farmctl logs {job.id}", job=job.id)
    if job.gate is GateState.AWAITING_APPROVAL:
        text = f"{name} waits for its test frames to be approved"
        yield Alert("gate_approval", "info", text, f"farmctl job approve {job.id}", job=job.id)
    held = job.count(Mark.HELD)
    if held:
        text = f"{name}: {counted(held, 'task')} brought two machines down and wait for a person"
        yield Alert("poison", "error", text, f"farmctl why {job.id}", job=job.id)


def _away(node: Node, job: Job, away: list[TaskIndex]) -> Alert:
    holders = {node.registry.name_of(which) for task in away for which in job.copies_of(task)}
    frames = FrameSet.of(frame for task in away for frame in job.plan.frames_of(task))
    shown = f"frames {frames}" if 1 < len(frames) <= SHOWN else counted(len(frames), "frame")
    if len(frames) == 1:
        shown = f"frame {frames}"
    text, hint = away_words(sorted(holders), shown, f"farmctl job retry {job.id} --frames …")
    return Alert("only_copy", "error", f"{job.spec.name}: {text}", hint, job=job.id)


def away_words(names: Sequence[str], shown: str, again: str) -> tuple[str, str]:
    """Say which machines are off and have the only copies of something, and what can be done about it."""
    if not names:
        return f"no machine has {shown} any more", again
    if len(names) == 1:
        return f"{names[0]} is off and has the only copy of {shown}", f"switch {names[0]} on, or {again}"
    where = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{where} are off and have the only copies of {shown}", f"switch them on, or {again}"
