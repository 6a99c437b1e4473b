"""One job: its specification, its registers, its tasks, and the state that follows from them.

Theory. What people ordered stands in its registers (`farmd.core.registers`), where its tasks stand in `farmd.core.tasks`,
and from both its state is read off (`farmd.core.jobstate`).

A job pauses itself when more than max(10 tasks, 10 %) have failed for good since a person last resumed it: the
register PAUSED = 0 forgives every failure that is older than it, by stamp, so that the same rows mean the same
everywhere and a resumed job gets a whole new allowance. Likewise a REQUEUE register, whichever tasks it names, unbars
every node, as far as it was barred before.

Invariant: everything but grants, delays and lost lives is a function of the rows. Called by `farmd.core.jobs`, which
knows the other jobs; a job knows only itself.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from farmd.core.bitmap import Mark
from farmd.core.copies import Copies
from farmd.core.cost import Costs
from farmd.core.edits import edited_spec
from farmd.core.gate import GateFacts, GateState, decide, gate_facts, grantable_below, nodes_of_tests
from farmd.core.jobstate import state_of
from farmd.core.plan import Plan
from farmd.core.registers import Registers
from farmd.core.retry import JobRetries, delay_s, due_at, failures_of, is_failure, nodes_failed_on
from farmd.core.tasks import FINISHED, Tasks
from protocol.ids import TaskIndex
from protocol.records import JobField
from protocol.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.core.attempts import Attempt, Lives
    from farmd.core.tasks import Replaced
    from farmd.core.turn import Instant
    from protocol.bodies import ControlBody, HoldingBody
    from protocol.ids import AttemptId, JobId, NodeId
    from protocol.jobspec import JobSpec, Requirements
    from protocol.records import HoldingWhat, Rec
    from protocol.states import JobState

    Eligible = Callable[[JobSpec, NodeId], bool]

GrantOrder = tuple[int, bool, int, str, int, "Requirements"]
"""Sorts jobs for the scheduler; the last two entries change with the job's need and decide nothing."""
FAILED_TASKS = 10
"""Final failures that a job may have before it pauses itself, or a tenth of its tasks if that is more."""
WAITING = (Mark.READY, Mark.DELAYED, Mark.BUSY, Mark.HELD, Mark.GRANTED)
_REQUEUE_SUB_BYTES = 8


class Job:
    """One job.

    Attributes:
        id: Its id.
        rec: Its JOB row.
        submitted: What was asked for.
        spec: The same with what people have changed since.
        plan: Its tasks and frames.
        tasks: Where they stand.
        copies: Who holds what of it.
        retries: What its failures say.
        running: Attempts whose row says running, lost ones included, by task and attempt id.
        nodes: Every node that ran or runs an attempt.
        frames_by: Frames of done attempts, of any generation, by the node that rendered them.
        rendered, rendered_ms: Done attempts, of any generation, and the time that they took together.
        peak_ram_bytes: Largest memory of any attempt.
        started_ms, ended_ms: When the first attempt started and the last one ended, or 0.
        costs: What its ended attempts cost.
        registers: What people and the farm have ordered for it.
    """

    def __init__(self, job_id: JobId, rec: Rec, spec: JobSpec, *, lives: Lives, eligible: Eligible) -> None:
        """Start with no rows but the job's own.

        Raises:
            UsageError: The frames cannot be laid out.
        """
        self.id = job_id
        self.rec = rec
        self.submitted = self.spec = spec
        self.plan = Plan(spec)
        self.tasks = Tasks(self.plan, spec.limits.retries, lives)
        self.copies = Copies(self.plan.task_count)
        self.retries = JobRetries()
        self.running: dict[tuple[TaskIndex, AttemptId], Attempt] = {}
        self.nodes: dict[NodeId, None] = {}
        self.frames_by: dict[NodeId, int] = {}
        self.rendered = self.rendered_ms = self.peak_ram_bytes = self.started_ms = self.ended_ms = 0
        self._lives = lives
        self._eligible = eligible
        self.registers = Registers()
        self.costs = Costs()
        self._gate_facts: GateFacts | None = None

    # -- rows ---------------------------------------------------------------------------------------------------------

    def put_attempt(self, attempt: Attempt, now: Instant) -> Replaced | None:
        """Take a version of an attempt row; None if it is no news."""
        replaced = self.tasks.put(attempt)
        if replaced is None:
            return None
        self.retries.replace(replaced.old, attempt, now)
        self.nodes[attempt.node] = None
        if attempt.state == AttemptState.RUNNING:
            self.running[attempt.task, attempt.id] = attempt
        else:
            self.running.pop((attempt.task, attempt.id), None)
        self._measure(replaced.old, attempt)
        self._delay(attempt, now)
        self._task_changed(attempt.task)
        return replaced

    def put_control(self, rec: Rec, field: int, body: ControlBody) -> list[TaskIndex] | None:
        """Take a version of a register; list the tasks whose result it changed, None if it is no news."""
        sub = self.registers.put(rec, field, body)
        if sub is None:
            return None
        if field == JobField.PAUSED:
            self.tasks.forgive(0 if body.value else rec.hlc)
        if field == JobField.EDITED:
            self.spec, self._gate_facts = edited_spec(self.submitted, self.registers), None
            self.tasks.set_retries(self.spec.limits.retries)
        if field == JobField.REQUEUE and len(sub) == _REQUEUE_SUB_BYTES:
            return self._requeue(sub, body.value)
        return []

    def put_holding(self, rec: Rec, node: NodeId, what: HoldingWhat, body: HoldingBody) -> bool:
        """Take a version of a HOLDING row; False if it is no news."""
        changed = self.copies.put(rec, node, what, body)
        if changed is None:
            return False
        if what == what.OUTPUTS:
            self.tasks.set_kept(changed[0], node, kept=True)
            self.tasks.set_kept(changed[1], node, kept=False)
        if what == what.LOST:
            self.tasks.set_lost(changed[0], node, lost=True)
            self.tasks.set_lost(changed[1], node, lost=False)
        return True

    def rows(self) -> Iterator[Rec]:
        """Yield all rows that are folded here but the JOB row."""
        attempts = (attempt.rec for task in self.tasks.touched() for attempt in self.tasks.attempts_of(task))
        return chain(self.registers.rows(), attempts, self.copies.rows())

    def refresh(self, task: TaskIndex) -> None:
        """Compute one task anew, since something outside its rows has changed."""
        self.tasks.refresh(task)
        self._task_changed(task)

    # -- registers ----------------------------------------------------------------------------------------------------

    def control(self, field: JobField) -> ControlBody | None:
        """Return a register, or None if nobody has set it."""
        return self.registers.get(field)

    def requeued_by(self, task: TaskIndex) -> ControlBody | None:
        """Return the order that gave a task its present generation, if one did."""
        for sub, (_, body) in self.registers.of_field(JobField.REQUEUE):
            first, last = int.from_bytes(sub[:4], "big"), int.from_bytes(sub[4:8], "big")
            if first <= task <= last and body.value == self.generation_of(task):
                return body
        return None

    @property
    def cancelled(self) -> bool:
        """Stopped for ever."""
        return self.registers.value(JobField.CANCELLED) != 0

    @property
    def priority(self) -> int:
        """0 to 100, as set last."""
        return min(100, max(0, self.registers.value(JobField.PRIORITY, self.spec.priority)))

    @property
    def paused_by_person(self) -> bool:
        """A person paused it."""
        return self.registers.value(JobField.PAUSED) != 0

    @property
    def paused_by_failures(self) -> bool:
        """It paused itself: more tasks than allowed have failed for good since it was last resumed."""
        return self.tasks.fresh_failures > max(FAILED_TASKS, self.plan.task_count // 10)

    @property
    def paused(self) -> bool:
        """No new grants."""
        return self.paused_by_person or self.paused_by_failures

    @property
    def retried_hlc(self) -> int:
        """When a person retried anything of it last, or 0."""
        return self.registers.retried_hlc

    @property
    def archived(self) -> bool:
        """It was put away when it had ended, and not retried since."""
        return self.registers.archived

    @property
    def given_up(self) -> str:
        """Why no machine of the farm can render it, found since it was last retried; else empty."""
        return self.registers.given_up

    # -- gate and state -----------------------------------------------------------------------------------------------

    @property
    def gate_facts(self) -> GateFacts:
        """What the gate depends on."""
        if self._gate_facts is None:
            self._gate_facts = gate_facts(self.spec.gate.mode, self.plan, self.tasks)
        return self._gate_facts

    @property
    def gate(self) -> GateState:
        """Where the gate stands."""
        return decide(self.gate_facts, self.control(JobField.GATE))

    @property
    def grantable_below(self) -> int:
        """Index below which tasks may be granted now; 0 while it is paused, cancelled, given up or held by its gate."""
        return 0 if self.cancelled or self.paused or self.given_up else grantable_below(self.gate, self.plan)

    @property
    def started(self) -> bool:
        """Any attempt was made, or granted."""
        return bool(self.nodes) or self.count(Mark.GRANTED) > 0

    @property
    def state(self) -> JobState:
        """Where the job stands."""
        return state_of(self)

    @property
    def files_ready(self) -> bool:
        """The job has no files, or an eligible node holds them all."""
        holders = self.copies.asset_holders()
        return self.spec.manifest is None or any(self._eligible(self.spec, node) for node in holders)

    # -- tasks --------------------------------------------------------------------------------------------------------

    def count(self, *marks: Mark) -> int:
        """Count the tasks with any of these marks."""
        return self.tasks.marks.count(*marks)

    @property
    def failed_count(self) -> int:
        """Tasks that failed for good; once the job is given up, all that neither run nor are done."""
        return self.count(Mark.FAILED, *WAITING) if self.given_up else self.count(Mark.FAILED)

    def failed_runs(self) -> list[tuple[int, int]]:
        """List runs (first, last) of the tasks of `failed_count`."""
        return self.tasks.marks.open_runs() if self.given_up else self.tasks.marks.failed_runs()

    @property
    def running_count(self) -> int:
        """Tasks that run."""
        return self.count(Mark.RUNNING)

    @property
    def done_count(self) -> int:
        """Tasks that are done."""
        return self.count(*FINISHED)

    def has_task(self, task: int) -> bool:
        """Tell whether the plan has this task."""
        return 0 <= task < self.plan.task_count

    def is_done(self, task: TaskIndex) -> bool:
        """Tell whether a task is done in its present generation."""
        return self.has_task(task) and self.tasks.marks[task] in FINISHED

    def generation_of(self, task: TaskIndex) -> int:
        """Return how often a task was asked for anew."""
        return self.tasks.generation_of(task)

    def result_of(self, task: TaskIndex) -> Attempt | None:
        """Return the attempt whose outputs are the task's result."""
        return self.tasks.result_of(task)

    def done_tasks(self) -> Iterator[TaskIndex]:
        """Yield the tasks that are done, in order."""
        runs = self.tasks.marks.done_runs()
        return (TaskIndex(task) for first, last in runs for task in range(first, last + 1))

    def lonely_tasks(self) -> Iterator[TaskIndex]:
        """Yield tasks that are done and whose outputs are on one node only, or on none."""
        return map(TaskIndex, self.tasks.marks.one_copy())

    def held_by_others(self, task: TaskIndex) -> bool:
        """Tell whether a node other than the one that rendered it keeps the task's result."""
        return self.has_task(task) and self.tasks.marks[task] is Mark.SAFE

    def copies_of(self, task: TaskIndex) -> tuple[NodeId, ...]:
        """List the nodes that hold the outputs of a done task; empty while it is not done."""
        return self.tasks.holders_of(task)

    def lost_tasks(self) -> list[TaskIndex]:
        """List the done tasks of whose outputs no node has a copy."""
        return self.tasks.lost_tasks()

    def is_available(self, task: TaskIndex, alive: Callable[[NodeId], bool]) -> bool:
        """Tell whether a done task's outputs are on a node that is there."""
        return any(map(alive, self.copies_of(task)))

    def live_attempts(self) -> list[Attempt]:
        """List the attempts that are believed to be executing, by task and attempt id."""
        return [self.running[key] for key in sorted(self.running) if self._lives.is_live(self.running[key])]

    def pointless_attempts(self) -> list[Attempt]:
        """List live attempts that nobody needs any more: task done, generation raised, job cancelled or rejected."""
        over = self.cancelled or self.gate is GateState.REJECTED
        return [attempt for attempt in self.live_attempts() if over or self._is_pointless(attempt)]

    def _is_pointless(self, attempt: Attempt) -> bool:
        return self.is_done(attempt.task) or attempt.generation < self.generation_of(attempt.task)

    # -- what the scheduler asks --------------------------------------------------------------------------------------

    @property
    def may_want_grants(self) -> bool:
        """Something is ready, or will be when a delay is over."""
        below = self.grantable_below
        return below > 0 and (self.count(Mark.DELAYED) > 0 or next(self.tasks.marks.ready(below), -1) >= 0)

    @property
    def grant_order(self) -> GrantOrder:
        """Higher priority first, then jobs whose test frames are out, then the older one; last, what else matters."""
        came = self.submitted.submitted_at_ms  # as the node says, for a submitter may choose the id
        order = -self.priority, self.gate is not GateState.TESTING, came, self.id
        return *order, self.ram_floor_bytes, self.spec.requirements

    def ready_tasks(self, limit: int, now: Instant, *, reverse: bool = False) -> list[TaskIndex]:
        """List up to `limit` tasks that may be granted now: test frames first, or (see `Granting`) from the end."""
        if self.retries.license_until > now.mono:
            return []
        return list(map(TaskIndex, islice(self.tasks.marks.ready(self.grantable_below, reverse=reverse), limit)))

    def not_before(self, task: TaskIndex) -> float:
        """Return the local time before which a task is not tried again, 0 if there is none."""
        return max(self.retries.license_until, self.tasks.due_of(task))

    def nodes_to_avoid(self, now: Instant) -> tuple[NodeId, ...]:
        """List the nodes that get no task of this job for some hours: they failed on it three times."""
        return self.retries.avoided(now)

    def barred_nodes(self) -> dict[NodeId, Attempt]:
        """Return the nodes that lack what the scene needs, each with the attempt that showed it: they get no task."""
        return self.retries.barred(self.retried_hlc) if self.retries.bars_any else {}

    def prefer_other_nodes(self, task: TaskIndex) -> tuple[NodeId, ...]:
        """List the nodes that get this task last: it failed there, or they have another test frame."""
        nodes = nodes_failed_on(self.tasks.current_of(task))
        if self.plan.is_test(task):
            nodes = (*nodes, *nodes_of_tests(self.plan, self.tasks, task))
        return tuple(sorted(dict.fromkeys(nodes)))

    @property
    def ram_floor_bytes(self) -> int:
        """Memory that a task needs at least after tasks of this job ran out of it, or 0."""
        return self.retries.ram_floor_bytes(self.spec.requirements.ram_bytes)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _requeue(self, sub: bytes, value: int) -> list[TaskIndex]:
        first, last = int.from_bytes(sub[:4], "big"), int.from_bytes(sub[4:], "big")
        self._gate_facts = None
        # Not cut off at the last task: two registers of different keys must never become one.
        within = first <= last and first < self.plan.task_count
        return self.tasks.set_generation(first, last, max(0, value)) if within else []

    def _task_changed(self, task: TaskIndex) -> None:
        if self.plan.is_test(task):
            self._gate_facts = None

    def _measure(self, old: Attempt | None, new: Attempt) -> None:
        self.costs.replace(old, new)
        self.peak_ram_bytes = max(self.peak_ram_bytes, new.peak_ram_bytes)
        self.ended_ms = max(self.ended_ms, new.ended_ms)
        if new.started_ms:
            self.started_ms = min(self.started_ms or new.started_ms, new.started_ms)
        for attempt, sign in ((old, -1), (new, 1)):
            if attempt is not None and attempt.state == AttemptState.DONE:
                self.rendered += sign
                frames = sign * self.plan.size_of(attempt.task)
                self.frames_by[attempt.node] = self.frames_by.get(attempt.node, 0) + frames
                self.rendered_ms += sign * max(0, attempt.ended_ms - attempt.started_ms)

    def _delay(self, attempt: Attempt, now: Instant) -> None:
        if not is_failure(attempt) or attempt.generation < self.generation_of(attempt.task):
            return
        due = due_at(attempt.ended_ms, delay_s(failures_of(self.tasks.current_of(attempt.task))), now)
        if due > max(now.mono, self.tasks.due_of(attempt.task)):
            self.tasks.delay(attempt.task, due)
