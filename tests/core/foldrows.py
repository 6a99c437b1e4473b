"""Rows for tests of the folds, made as nodes make them but with every stamp in the hand of the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.bitmap import Mark
from farmd.core.jobs import Jobs
from farmd.core.turn import Instant
from protocol.bodies import AttemptBody, ControlBody, HoldingBody, OutputFact, pack_body
from protocol.ids import AttemptId, AttemptRef, BlobAddress, JobId, NodeId, TaskIndex
from protocol.jobspec import GateMode, GateSpec, JobSpec, Limits, spec_to_bytes
from protocol.records import (
    HoldingWhat,
    JobField,
    Kind,
    Rank,
    Rec,
    attempt_pk,
    holding_pk,
    job_control_pk,
    job_pk,
)
from protocol.states import AttemptState, FailureClass

if TYPE_CHECKING:
    from farmd.core.job import Job

WALL_MS = 1_800_000_000_000
NODES = tuple(NodeId(f"{number:016x}") for number in range(1, 6))
A, B, C, D, E = NODES
LEADER = NodeId("f" * 16)
JOB = JobId("0" * 15 + "1")
OTHER = JobId("0" * 15 + "2")
BLOB = BlobAddress(1, 2, b"m" * 16)
RANKS = {
    AttemptState.RUNNING: Rank.NORMAL,
    AttemptState.STOPPED: Rank.ENDED,
    AttemptState.FAILED: Rank.ENDED,
    AttemptState.DONE: Rank.FINAL,
}


def at(seconds: float = 0.0) -> Instant:
    """An instant: the local clock began with the wall clock of these tests."""
    return Instant(seconds, WALL_MS + int(seconds * 1000))


def spec(frames: str = "1-10", *, tests: tuple[int, ...] = (), mode: GateMode | None = None, **more: Any) -> JobSpec:
    """A job; with test frames the gate is auto, else off, unless `mode` says otherwise."""
    gate = GateSpec(mode or (GateMode.AUTO if tests else GateMode.OFF), tests)
    retries = more.pop("retries", 3)
    return JobSpec(
        name="shot",
        owner="anna",
        submitted_at_ms=WALL_MS,
        submit_node=A,
        renderer="mitsuba",
        frames=frames,
        gate=gate,
        limits=Limits(retries=retries),
        **more,
    )


def job_row(what: JobSpec, job: JobId = JOB, hlc: int = 1) -> Rec:
    return Rec(Kind.JOB, job_pk(job), 1, hlc, 1, 1, Rank.NORMAL, spec_to_bytes(what))


def attempt_id(n: int, term: int = 1) -> AttemptId:
    return AttemptId(term, LEADER, n)


def ref(task: int, n: int, job: JobId = JOB) -> AttemptRef:
    return AttemptRef(job, TaskIndex(task), attempt_id(n))


def attempt_row(
    task: int,
    n: int,
    node: NodeId = A,
    state: AttemptState = AttemptState.RUNNING,
    *,
    cause: int = 0,
    generation: int = 0,
    hlc: int | None = None,
    job: JobId = JOB,
    epoch: int = 1,
    ended_s: float = 0.0,
    peak: int = 0,
    price: int = 0,
    outputs: tuple[OutputFact, ...] = (),
) -> Rec:
    """One version of an attempt; an ended one is the second version."""
    ended = state is not AttemptState.RUNNING
    if state is AttemptState.FAILED and not cause:
        cause = FailureClass.ERROR
    body = AttemptBody(
        node=node,
        epoch=epoch,
        generation=generation,
        state=state,
        cause=cause,
        started_ms=WALL_MS - 60_000,
        ended_ms=WALL_MS + int(ended_s * 1000) if ended else 0,
        peak_ram_bytes=peak,
        outputs=outputs,
        price=price,
    )
    stamp_hlc = hlc if hlc is not None else 10 + n
    return Rec(Kind.ATTEMPT, attempt_pk(ref(task, n, job)), 1 + ended, stamp_hlc, 1, 1, RANKS[state], pack_body(body))


def done_row(task: int, n: int, node: NodeId = A, **more: Any) -> Rec:
    return attempt_row(task, n, node, AttemptState.DONE, **more)


def failed_row(task: int, n: int, node: NodeId = A, cause: int = FailureClass.ERROR, **more: Any) -> Rec:
    return attempt_row(task, n, node, AttemptState.FAILED, cause=cause, **more)


def stopped_row(task: int, n: int, node: NodeId = A, cause: int = FailureClass.PREEMPTED, **more: Any) -> Rec:
    return attempt_row(task, n, node, AttemptState.STOPPED, cause=cause, **more)


def control_row(
    field: JobField,
    value: int,
    *,
    ver: int = 1,
    hlc: int = 100,
    generation: int = 0,
    sub: bytes = b"",
    job: JobId = JOB,
) -> Rec:
    rank = {JobField.CANCELLED: Rank.ENDED, JobField.DELETED: Rank.FINAL}.get(field, Rank.NORMAL)
    body = ControlBody(value, "anna@ws07", "because", generation)
    return Rec(Kind.JOB_CONTROL, job_control_pk(job, field, sub), ver, hlc, 1, 1, rank, pack_body(body))


def requeue_row(first: int, last: int, value: int, *, ver: int = 1, hlc: int = 100, job: JobId = JOB) -> Rec:
    sub = first.to_bytes(4, "big") + last.to_bytes(4, "big")
    return control_row(JobField.REQUEUE, value, ver=ver, hlc=hlc, sub=sub, job=job)


def holding_row(
    node: NodeId,
    what: HoldingWhat,
    runs: tuple[tuple[int, int], ...] = (),
    *,
    ver: int = 1,
    complete: bool = True,
    job: JobId = JOB,
) -> Rec:
    body = pack_body(HoldingBody(runs, complete))
    return Rec(Kind.HOLDING, holding_pk(node, what, job), ver, 100 + ver, 1, 1, Rank.NORMAL, body)


def fold(*rows: Rec, now: Instant | None = None) -> Jobs:
    return Jobs.from_scratch(rows, now or at())


def folded(*rows: Rec, now: Instant | None = None) -> Job:
    """The job that these rows make."""
    job = fold(*rows, now=now).get(JOB)
    assert job is not None
    return job


def marks(job: Job) -> list[str]:
    """Where each task stands, leaving out what is only of the moment."""
    return [_LASTING[job.tasks.marks[TaskIndex(task)]] for task in range(job.plan.task_count)]


_LASTING = {mark: "waiting" if mark < Mark.HELD else mark.name.lower() for mark in Mark}
