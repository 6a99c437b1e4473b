"""What a client is told about a job: a frozen snapshot, cheap enough to make for every question.

Counts and percentages are read from counters; lists of frames cost what their runs cost, not what their frames cost.
Called by `farmd.core.jobs`. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmd.core.bitmap import Mark
from farmd.core.gate import GateState
from farmd.core.job import WAITING
from farmd.core.tasks import FINISHED
from protocol.ids import TaskIndex
from protocol.reasons import ReasonCode, because
from protocol.records import JobField
from protocol.states import TASK_STATES, AttemptState, JobState, TaskState

if TYPE_CHECKING:
    from farmd.core.attempts import Attempt
    from farmd.core.job import Job
    from farmd.core.turn import Instant
    from protocol.bodies import ControlBody, OutputFact
    from protocol.ids import AttemptId, JobId, NodeId
    from protocol.reasons import Reason

_TASK_STATES = {
    Mark.GRANTED: TaskState.GRANTED,
    Mark.RUNNING: TaskState.RUNNING,
    Mark.FAILED: TaskState.FAILED,
    Mark.DONE: TaskState.DONE,
    Mark.SAFE: TaskState.DONE,
}


@dataclass(frozen=True, slots=True)
class GateFrame:
    """One test frame: what a person looks at before approving.

    Attributes:
        frame: Its number.
        task: Its task.
        state: Where it stands.
        generation: Of its task.
        attempt: Its result, or the attempt made last; None if there was none.
        node: Where that ran.
        outputs: What it left.
        peak_ram_bytes: Its largest memory.
        seconds: How long it took, 0 while it runs.
        text: What went wrong, or empty.
    """

    frame: int
    task: TaskIndex
    state: TaskState
    generation: int
    attempt: AttemptId | None = None
    node: NodeId | None = None
    outputs: tuple[OutputFact, ...] = ()
    peak_ram_bytes: int = 0
    seconds: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at one instant.

    Attributes:
        progress: Percentage of frames that are done, 0 to 100.
        total_frames: Test frames outside the range included.
        done, failed, running, waiting: Tasks; they sum to `total_tasks`.
        safe: Done tasks whose outputs are on two nodes or more.
        delivered: Tasks whose outputs stand in the output folder.
        completed_frames, failed_frames: In the farm's own dialect: "1-10,12".
        reason: Why the job as a whole waits, or None.
        nodes: Every node that ran or runs an attempt.
        mean_task_s: Mean time of the attempts that were done, 0 while there are none.
        gate_generation: What an approval has to name.
    """

    id: JobId
    name: str
    owner: str
    state: JobState
    priority: int
    paused_by_failures: bool
    progress: float
    total_frames: int
    done_frames: int
    total_tasks: int
    done: int
    failed: int
    running: int
    waiting: int
    safe: int
    delivered: int
    completed_frames: str
    failed_frames: str
    reason: Reason | None
    gate: GateState
    gate_generation: int
    test_frames: tuple[GateFrame, ...]
    nodes: tuple[NodeId, ...]
    submitted_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    mean_task_s: float
    peak_ram_bytes: int


def status_of(job: Job, now: Instant, blocked_by: tuple[JobId, ...] = (), *, frames: bool = True) -> JobStatus:
    """Make the snapshot of a job; without `frames`, the lists of frames and the test frames are left empty."""
    marks, plan, state = job.tasks.marks, job.plan, job.state
    over = state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.REJECTED)
    return JobStatus(
        id=job.id,
        name=job.spec.name,
        owner=job.spec.owner,
        state=state,
        priority=job.priority,
        paused_by_failures=job.paused_by_failures,
        progress=100 * job.tasks.done_frames / plan.frame_count,
        total_frames=plan.frame_count,
        done_frames=job.tasks.done_frames,
        total_tasks=plan.task_count,
        done=job.done_count,
        failed=job.failed_count,
        running=job.count(Mark.RUNNING),
        waiting=0 if job.given_up else job.count(*WAITING),
        safe=job.count(Mark.SAFE),
        delivered=job.copies.delivered_count(),
        completed_frames=str(plan.frames_of_runs(marks.done_runs())) if frames else "",
        failed_frames=str(plan.frames_of_runs(job.failed_runs())) if frames else "",
        reason=job_reason(job, now, blocked_by),
        gate=job.gate,
        gate_generation=job.gate_facts.generation,
        test_frames=gate_frames_of(job) if frames else (),
        nodes=tuple(sorted(job.nodes)),
        submitted_at_ms=job.spec.submitted_at_ms,
        started_at_ms=job.started_ms,
        ended_at_ms=job.ended_ms if over else 0,
        mean_task_s=job.rendered_ms / 1000 / job.rendered if job.rendered else 0.0,
        peak_ram_bytes=job.peak_ram_bytes,
    )


def gate_frames_of(job: Job) -> tuple[GateFrame, ...]:
    """Sum up the test frames, in the order in which the gate names them."""
    return tuple([_gate_frame(job, TaskIndex(task)) for task in range(job.plan.test_count)])


def _gate_frame(job: Job, task: TaskIndex) -> GateFrame:
    frame, state, generation = job.plan.frames_of(task)[0], task_state(job, task), job.generation_of(task)
    shown = job.result_of(task) or max(job.tasks.current_of(task), key=_made, default=None)
    if shown is None:
        return GateFrame(frame, task, state, generation)
    body = shown.body
    return GateFrame(
        frame=frame,
        task=task,
        state=state,
        generation=generation,
        attempt=shown.id,
        node=shown.node,
        outputs=body.outputs if shown.state == AttemptState.DONE else (),
        peak_ram_bytes=body.peak_ram_bytes,
        seconds=max(0, body.ended_ms - body.started_ms) / 1000 if body.ended_ms else 0.0,
        text=body.text,
    )


def _made(attempt: Attempt) -> tuple[int, AttemptId]:
    return attempt.started_ms, attempt.id


def task_state(job: Job, task: TaskIndex) -> TaskState:
    """Return where a task stands, in the words of clients."""
    mark = job.tasks.marks[task]
    if mark in FINISHED or mark in (Mark.FAILED, Mark.RUNNING):
        return _TASK_STATES[mark]
    if job.cancelled or job.gate is GateState.REJECTED:
        return TaskState.CANCELLED
    if job.given_up:
        return TaskState.FAILED
    if mark is Mark.GRANTED:
        return TaskState.GRANTED
    return TaskState.HELD if mark is Mark.HELD or task >= job.grantable_below else TaskState.WAITING


def task_states(job: Job) -> bytes:
    """Return `task_state` of every task as one byte each, an index into `TASK_STATES`; costs little for any number."""
    over = job.cancelled or job.gate is GateState.REJECTED
    idle = TaskState.CANCELLED if over else TaskState.FAILED if job.given_up else None
    low, high = (_table(idle or TaskState.WAITING, idle), _table(idle or TaskState.HELD, idle))
    return job.tasks.marks.translated(job.grantable_below, low, high)


def _table(waiting: TaskState, idle: TaskState | None) -> bytes:
    """Translate marks to numbers of task states, if waiting tasks are `waiting` and a job is over as `idle`, or not."""
    table = bytearray([TASK_STATES.index(waiting)]) * 256
    table[Mark.HELD] = TASK_STATES.index(idle or TaskState.HELD)
    table[Mark.GRANTED] = TASK_STATES.index(idle or TaskState.GRANTED)
    for mark in (Mark.RUNNING, Mark.FAILED, Mark.DONE, Mark.SAFE):
        table[mark] = TASK_STATES.index(_TASK_STATES[mark])
    return bytes(table)


def task_reason(job: Job, task: TaskIndex, now: Instant, blocked_by: tuple[JobId, ...] = ()) -> Reason | None:
    """Say why a waiting task waits, as far as its job knows; None if only the nodes are in the way."""
    mark = job.tasks.marks[task]
    if mark not in WAITING or mark is Mark.GRANTED:
        return None
    if mark is Mark.HELD:
        nodes = {attempt.node for attempt in job.tasks.current_of(task)}
        return because(ReasonCode.POISON, count=len(nodes), job=job.id)
    of_job = None if task < job.grantable_below and not blocked_by else job_reason(job, now, blocked_by)
    wait_s = job.tasks.due_of(task) - now.mono
    if of_job is None and job.retries.license_until > now.mono:
        return _license(job, now)
    return because(ReasonCode.RETRY_DELAY, wait=wait_s, job=job.id) if of_job is None and wait_s > 0 else of_job


def job_reason(job: Job, now: Instant, blocked_by: tuple[JobId, ...] = ()) -> Reason | None:
    """Say why a job as a whole gets no grants beyond what runs, or None; a finished job has none."""
    cancel, pause = job.control(JobField.CANCELLED), job.control(JobField.PAUSED)
    if job.cancelled:
        return _ordered(ReasonCode.CANCELLED, job, cancel)
    if job.state is JobState.COMPLETED:
        return None
    if job.given_up:
        return because(ReasonCode.MISSING_FEATURE, what=job.given_up, job=job.id)
    if job.paused_by_person:
        return _ordered(ReasonCode.PAUSED, job, pause)
    if job.paused_by_failures:
        return because(ReasonCode.JOB_PAUSED_ITSELF, failed=job.count(Mark.FAILED), job=job.id)
    if blocked_by:
        return because(ReasonCode.AFTER_JOB, other=blocked_by[0], job=job.id)
    if job.retries.license_until > now.mono and job.state is not JobState.FAILED:
        return _license(job, now)
    return _gate_reason(job)


def _ordered(code: ReasonCode, job: Job, order: ControlBody | None) -> Reason:
    """Name who gave an order, and why."""
    if order is None:
        return because(code, actor="?", job=job.id)
    return because(code, actor=order.actor, why=order.why, job=job.id)


def _license(job: Job, now: Instant) -> Reason:
    return because(
        ReasonCode.LICENSE, renderer=job.spec.renderer, wait=job.retries.license_until - now.mono, job=job.id
    )


def _gate_reason(job: Job) -> Reason | None:
    facts, decision = job.gate_facts, job.control(JobField.GATE)
    match job.gate:
        case GateState.TESTING:
            return because(ReasonCode.GATE_TESTING, done=facts.done, total=facts.tests, job=job.id)
        case GateState.AWAITING_APPROVAL:
            return because(ReasonCode.GATE_APPROVAL, job=job.id)
        case GateState.REJECTED:
            return _ordered(ReasonCode.GATE_REJECTED, job, decision)
        case GateState.FAILED:
            frame = job.plan.frames_of(facts.failed)[0] if facts.failed is not None else 0
            return because(ReasonCode.GATE_FAILED, frame=frame, job=job.id)
        case GateState.OPEN:
            return None
