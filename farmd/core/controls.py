"""What people order: each control is a register, written here, valid from any node, known by its actor and reason.

Checks come before writes; asking for what already holds changes nothing and is no error (idempotent). A retry raises
the generation of the tasks that it names; an approval names the generation and the outputs that were looked at, so
that it opens nothing else. The event log hears of each from `farmd.core.orders`, on every node alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import job_of, why_of
from farmd.core.bitmap import Mark
from farmd.core.gate import GateState
from farmd.core.submitting import refuse_on_full_disk
from farmd.core.worker import PAUSE_NOW
from protocol.bodies import ControlBody, pack_body
from protocol.errors import NotFound, UsageError, UserError
from protocol.frames import parse_frames
from protocol.ids import TaskIndex
from protocol.records import JobField, Kind, Rank, job_control_pk
from protocol.states import JOB_TERMINAL, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.records import Rec

APPROVED, REJECTED = 1, 2
MAX_RUNS = 1000
"""Separate runs of tasks that one retry may name: each is a row."""


class Controls:
    """Writes the registers of jobs."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._actions: dict[str, Callable[[Turn, ClientAsked, Job], list[Rec]]] = {
            "pause": self._pause,
            "resume": self._resume,
            "cancel": self._cancel,
            "delete": self._delete,
            "approve": self._approve,
            "reject": self._reject,
            "retry": self._retry,
            "priority": self._priority,
            "archive": self._archive,
            "unarchive": self._unarchive,
        }
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"job.control": self._control}

    def _control(self, turn: Turn, event: ClientAsked) -> None:
        refuse_on_full_disk(self._node)
        self.control_job(turn, event, job_of(self._node, event))

    def control_job(self, turn: Turn, event: ClientAsked, job: Job) -> None:
        """Carry out one action on one job."""
        name = event.args.get("action")
        action = self._actions.get(name) if isinstance(name, str) else None
        if action is None:
            raise UsageError(f"a job cannot be asked to {name!r}", "", "one of " + ", ".join(self._actions))
        if job.cancelled and name not in ("cancel", "delete", "archive", "unarchive"):
            raise UserError(f"job {job.id} was cancelled", "a cancelled job stays so", "submit it again")
        before, written = job.priority, action(turn, event, job)
        self._node.fold(turn)
        known = self._node.jobs.get(job.id)
        state = self._node.jobs.state_of(job.id).value if known is not None else "deleted"
        data = {"job": job.id, "changed": bool(written), "state": state}
        if name == "priority" and written:
            data["changes"] = [{"field": "priority", "from": before, "to": event.args["value"]}]
        answer_order(self._node, turn, event, data, written)

    def _write(
        self, turn: Turn, event: ClientAsked, job: Job, field: JobField, body: ControlBody, *, rank: int = 0
    ) -> list[Rec]:
        pk = job_control_pk(job.id, field)
        body = body._replace(actor=event.actor, why=why_of(event))
        return [self._node.replica.write(turn, Kind.JOB_CONTROL, pk, pack_body(body), rank=rank)]

    def _pause(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        value = PAUSE_NOW if event.args.get("now") else 1
        self._refuse_if_over(job)
        known = job.control(JobField.PAUSED)
        if known is not None and known.value >= value:
            return []
        return self._write(turn, event, job, JobField.PAUSED, ControlBody(value, ""))

    def _resume(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        if not job.paused:
            return []
        return self._write(turn, event, job, JobField.PAUSED, ControlBody(0, ""))

    def _cancel(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        if job.cancelled:
            return []
        self._refuse_if_over(job)
        return self._write(turn, event, job, JobField.CANCELLED, ControlBody(1, ""), rank=Rank.ENDED)

    def _delete(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        if self._node.jobs.state_of(job.id) not in JOB_TERMINAL:
            raise UserError(f"job {job.id} is not over", "only a job that has ended can be deleted", "cancel it first")
        waiting = [other for other in self._node.jobs if job.id in other.spec.after and not other.nodes]
        waiting = [other for other in waiting if self._node.jobs.state_of(other.id) not in JOB_TERMINAL]
        if waiting:
            raise UserError(
                f"job {job.id} is still needed", f"{waiting[0].id} starts after it", "delete it when that has started"
            )
        return self._write(turn, event, job, JobField.DELETED, ControlBody(1, ""), rank=Rank.FINAL)

    def _archive(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        if self._node.jobs.state_of(job.id) not in JOB_TERMINAL:
            why = "only a job that has ended can be archived"
            raise UserError(f"job {job.id} is not over", why, "wait for it, or cancel it first")
        if job.archived:
            return []
        return self._write(turn, event, job, JobField.ARCHIVED, ControlBody(1, ""))

    def _unarchive(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        if not job.archived:
            return []
        return self._write(turn, event, job, JobField.ARCHIVED, ControlBody(0, ""))

    def _approve(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        return self._decide(turn, event, job, APPROVED)

    def _reject(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        return self._decide(turn, event, job, REJECTED)

    def _decide(self, turn: Turn, event: ClientAsked, job: Job, value: int) -> list[Rec]:
        gate = job.gate
        if gate is GateState.OPEN and value == APPROVED:
            return []
        if gate not in (GateState.AWAITING_APPROVAL, GateState.REJECTED):
            why = f"its gate is {gate.value.replace('_', ' ')}"
            raise UserError(f"job {job.id} waits for no decision", why, f"farmctl job show {job.id}")
        tests = [TaskIndex(task) for task in range(job.plan.test_count)]
        results = [result for result in map(job.result_of, tests) if result is not None]
        digests = tuple([output.blob for result in results for output in result.body.outputs])
        generation = max((job.generation_of(task) for task in tests), default=0)
        body = ControlBody(value, "", generation=generation, digests=digests)
        return self._write(turn, event, job, JobField.GATE, body)

    def _priority(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        value = event.args.get("value")
        if type(value) is not int or not 0 <= value <= 100:
            raise UsageError(f"{value!r} is no priority", "it is a whole number from 0 to 100", "50 is the default")
        if job.priority == value:
            return []
        return self._write(turn, event, job, JobField.PRIORITY, ControlBody(value, ""))

    def _retry(self, turn: Turn, event: ClientAsked, job: Job) -> list[Rec]:
        """Raise the generation of the named tasks, or of all that failed or are held as poison."""
        frames = event.args.get("frames")
        tasks = self._tasks_of(job, frames) if isinstance(frames, str) and frames else _stuck(job)
        written: list[Rec] = []
        runs = _runs(tasks)
        if len(runs) > MAX_RUNS:
            raise UsageError(f"{len(runs)} separate runs of frames", f"at most {MAX_RUNS} at a time", "name fewer")
        for first, last in runs:
            generation = 1 + max(job.generation_of(TaskIndex(task)) for task in range(first, last + 1))
            sub = first.to_bytes(4, "big") + last.to_bytes(4, "big")
            body = ControlBody(generation, event.actor, why_of(event))
            pk = job_control_pk(job.id, JobField.REQUEUE, sub)
            written.append(self._node.replica.write(turn, Kind.JOB_CONTROL, pk, pack_body(body)))
        if job.paused_by_failures and not job.paused_by_person:
            written += self._write(turn, event, job, JobField.PAUSED, ControlBody(0, ""))
        return written

    def _tasks_of(self, job: Job, frames: str) -> list[int]:
        tasks: dict[int, None] = {}
        for frame in parse_frames(frames):
            task = job.plan.task_of_frame(frame)
            if task is None:
                raise NotFound(f"job {job.id} has no frame {frame}", f"its frames are {job.spec.frames or '1'}")
            tasks[task] = None
        return sorted(tasks)

    def _refuse_if_over(self, job: Job) -> None:
        state = self._node.jobs.state_of(job.id)
        if state in (JobState.COMPLETED, JobState.REJECTED):
            raise UserError(f"job {job.id} is over", f"it is {state.value}", f"farmctl job show {job.id}")


def _stuck(job: Job) -> list[int]:
    """List tasks that failed for good or were given up, are held as poison, or closed the gate."""
    failed = [task for first, last in job.failed_runs() for task in range(first, last + 1)]
    held = [task for task in job.tasks.touched() if job.tasks.marks[task] is Mark.HELD]
    bad = job.gate_facts.failed
    closing = [bad] if bad is not None and job.gate is GateState.FAILED else []
    return sorted(dict.fromkeys([*failed, *held, *closing]))


def _runs(tasks: Iterable[int]) -> list[tuple[int, int]]:
    """Join sorted task indexes to runs."""
    runs: list[tuple[int, int]] = []
    for task in tasks:
        if runs and runs[-1][1] == task - 1:
            runs[-1] = (runs[-1][0], task)
        else:
            runs.append((task, task))
    return runs
