"""One pass of a leader over the line of jobs: which ready task goes to which node, and who should fetch files.

Jobs are taken in the order of their line (`farmd.core.jobs`); of each, ready tasks are looked at in lots until the
farm has no room for their need, and a need that found no room is not tried again in this pass. Where fewer than half
of the farm are in sight, tasks are taken from the end, so that two halves of a split farm meet in the middle. A sick
node gets a single task now and then, to see whether it is well again.

A node that refused a job's task as done or stopped knows rows that have not come here: the job rests for a moment.

Called by `farmd.core.leader`. Decides nothing about liveness or office, and writes no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from farmd.core.edits import spec_bytes_to_grant
from farmd.core.ledger import Granted
from farmd.core.occupancy import ACCEPT_S
from farmd.core.prefetch import AGAIN_S, Prefetcher
from farmd.core.retry import elsewhere_until, nodes_failed_on
from protocol.ids import AttemptId, AttemptRef
from protocol.jobspec import PartitionPolicy
from protocol.messages import Grant, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.core.capacity import Claim, Need
    from farmd.core.election import Election
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.occupancy import Occupancy
    from farmd.core.turn import Turn
    from farmd.core.workforce import Workforce
    from protocol.ids import JobId, NodeId, TaskIndex
    from protocol.messages import GrantReply

CANARY_S = 900.0
"""A sick node is tried with one task after this time."""
LOT = 64
"""Ready tasks that are looked at in one go."""
FIRST_LOT = 4
"""The same at first: on a busy farm an event frees one slot, and most of a larger lot is looked up in vain."""
TASKS_TRIED = 8
"""Ready tasks of one job that are tried when the first has no node that it may run on."""
MOST_KEPT = 16
"""Tasks of one job that wait at once for a node where they have not failed; where so many fail, it is not the nodes."""


class _Wanted(NamedTuple):
    """What a pass looks for: room for one job's tasks on the nodes that may have them.

    `kept` are the tasks met in this pass that wait for a node where they have not failed.
    """

    job: Job
    need: Need
    nodes: dict[NodeId, None]
    kept: dict[TaskIndex, None]


class Granting:
    """Grants what can be granted.

    Attributes:
        count: Grants of this office; with the term and the leader it names an attempt.
    """

    def __init__(
        self,
        node: NodeId,
        *,
        election: Election,
        jobs: Jobs,
        workforce: Workforce,
        occupancy: Occupancy,
        wake: Callable[[float], None],
    ) -> None:
        """Prepare.

        Args:
            node: This node.
            election: Says in which term we lead; it may leap within an office.
            jobs: The fold, with the line of jobs.
            workforce: Who may be granted work.
            occupancy: Is told of each grant.
            wake: Asks for another pass at an instant.
        """
        self._node = node
        self._election = election
        self._jobs = jobs
        self._matcher = workforce.matcher
        self._is_usable = workforce.is_usable
        self._workforce = workforce
        self._occupancy = occupancy
        self._wake = wake
        self._prefetcher = Prefetcher()
        self._told: dict[tuple[NodeId, JobId], None] = {}
        self._stale_until: dict[JobId, float] = {}
        self._canary_at: dict[NodeId, float] = {}
        self._lined_up: list[Job] = []
        self._lined_up_for_bytes = 0
        self._line: list[tuple[Job, Need]] = []
        self._needs = 0
        self.count = 0

    def begin(self) -> None:
        """Take office."""
        self.count = 0

    def leave(self) -> None:
        """An office ends: whom we told what is forgotten."""
        self._told.clear()
        self._prefetcher.clear()
        self._stale_until.clear()

    def refused(self, node: NodeId, reply: GrantReply, until: float) -> bool:
        """A node refused a grant. True if that is the job's fault, which rests until then, and not the node's."""
        job = reply.ref.job
        if reply.reason == Refusal.UNREADABLE:
            self._told.pop((node, job), None)
        elif reply.reason == Refusal.NO_ASSETS:
            self._prefetcher.forget(node, job)
        if reply.reason not in (Refusal.DONE_ALREADY, Refusal.JOB_STOPPED):
            return False
        self._stale_until[job] = until
        return True

    def rested(self, now_mono: float) -> None:
        """Forget which jobs have rested long enough."""
        self._stale_until = {job: until for job, until in self._stale_until.items() if until > now_mono}

    def times(self) -> Iterator[float]:
        """Every moment at which a pass may find something; those that are over may be among them."""
        yield from self._stale_until.values()
        yield from self._prefetcher.times()
        for node in self._workforce.sick:
            yield self._canary_at.get(node, -CANARY_S) + CANARY_S

    # -- a pass ---------------------------------------------------------------------------------------------------

    def grant_all(self, turn: Turn) -> None:
        """Grant what can be granted now."""
        backwards = self._workforce.in_minority(turn.now.mono)
        full: dict[Need, None] = {}
        self._line_up()
        for job, need in self._line:
            if (
                need in full
                or self._stale_until.get(job.id, 0.0) > turn.now.mono
                or (backwards and job.spec.on_partition is PartitionPolicy.HOLD_IN_MINORITY)
            ):
                continue
            self._grant_job(turn, job, need, full, backwards=backwards)
            if len(full) == self._needs:
                break
        if self._workforce.sick:
            self._try_sick_nodes(turn)

    def _line_up(self) -> None:
        """Put the jobs in order with their needs; mostly nothing has changed since the last event."""
        jobs, largest_ram_bytes = self._jobs.line(), self._workforce.largest_ram_bytes
        if jobs is self._lined_up and largest_ram_bytes == self._lined_up_for_bytes:
            return
        self._lined_up, self._lined_up_for_bytes = jobs, largest_ram_bytes
        same: dict[Need, Need] = {}
        needs = [self._workforce.need_of(job) for job in jobs]
        self._line = [(job, same.setdefault(need, need)) for job, need in zip(jobs, needs, strict=True)]
        self._needs = len(same)

    def _grant_job(self, turn: Turn, job: Job, need: Need, full: dict[Need, None], *, backwards: bool) -> None:
        if job.spec.manifest is not None:
            self._prefetch(turn, job, need)
        if self._matcher.is_full(need, self._is_usable):
            full[need] = None
            return
        wanted, lot = _Wanted(job, need, self._workforce.nodes_for(job, turn.now), {}), FIRST_LOT
        while True:
            ready = job.ready_tasks(lot + len(wanted.kept), turn.now, reverse=backwards)
            tasks = [task for task in ready if task not in wanted.kept]
            served = self._grant_lot(turn, wanted, tasks)
            if served is None:
                full[need] = None
            if served != len(tasks) or not tasks:
                return
            lot = LOT

    def _grant_lot(self, turn: Turn, wanted: _Wanted, tasks: list[TaskIndex]) -> int | None:
        """Grant some ready tasks; returns how many were or are kept, or None when no node has room for such a need."""
        served = failures = 0
        for task in tasks:
            choice = self._choose(turn, wanted, task)
            if choice is not None:
                self._grant(turn, wanted.job, task, choice)
            if choice is not None or task in wanted.kept:
                served += 1
                continue
            if self._matcher.is_full(wanted.need, self._is_usable):
                return None
            failures += 1
            if failures >= TASKS_TRIED:
                break
        return served

    def _choose(self, turn: Turn, wanted: _Wanted, task: TaskIndex) -> tuple[NodeId, Claim] | None:
        """Choose a node: first among those where this task has not failed and no other test frame went."""
        attempts = wanted.job.tasks.current_of(task)
        failed_on = dict.fromkeys(nodes_failed_on(attempts)) if attempts else {}
        unwanted = dict.fromkeys(wanted.job.prefer_other_nodes(task))
        for others in (unwanted, failed_on if failed_on != unwanted else {}):
            choice = self._choose_other(wanted, others) if others else None
            if choice is not None:
                return choice
        if failed_on and self._keep(turn, wanted, task, failed_on, elsewhere_until(attempts, turn.now)):
            return None
        return self._matcher.choose(wanted.need, wanted.nodes.__contains__)

    def _choose_other(self, wanted: _Wanted, others: dict[NodeId, None]) -> tuple[NodeId, Claim] | None:
        fresh = {node: None for node in wanted.nodes if node not in others}
        return self._matcher.choose(wanted.need, fresh.__contains__)

    def _keep(self, turn: Turn, wanted: _Wanted, task: TaskIndex, failed_on: dict[NodeId, None], until: float) -> bool:
        """Tell whether a task that failed shall wait: a node where it has not failed could take it, and has no room."""
        if until <= turn.now.mono or len(wanted.kept) >= MOST_KEPT:
            return False
        if all(node in failed_on or self._matcher.never_fits(node, wanted.need) for node in wanted.nodes):
            return False
        wanted.kept[task] = None
        self._wake(until)
        return True

    def _grant(self, turn: Turn, job: Job, task: TaskIndex, choice: tuple[NodeId, Claim]) -> None:
        node, claim = choice
        epoch = self._workforce.epoch_of(node)
        ref = AttemptRef(job.id, task, AttemptId(self._election.term, self._node, self.count))
        self.count += 1
        now, generation = turn.now.mono, job.generation_of(task)
        self._occupancy.take(ref, Granted(node, epoch, generation, now, accepted=False, seen_at=now), claim)
        told = (node, job.id) in self._told
        self._told[node, job.id] = None
        spec = b"" if told else spec_bytes_to_grant(job)
        turn.send(node, Grant(ref, epoch, generation, spec))
        self._wake(now + ACCEPT_S)

    # -- sick nodes and files -------------------------------------------------------------------------------------

    def _try_sick_nodes(self, turn: Turn) -> None:
        """Give an idle sick node one task now and then, or whenever no healthy node could ever run it."""
        for node in self._workforce.sick:
            capacity = self._matcher.get(node)
            if capacity is None or capacity.claims or self._workforce.is_cool(node):
                continue
            is_due = self._canary_at.get(node, -CANARY_S) + CANARY_S <= turn.now.mono
            for job, need in self._line:
                choice = self._canary(turn, job, need, node, is_due=is_due)
                if choice is None:
                    continue
                task, claim = choice
                self._canary_at[node] = turn.now.mono
                self._wake(turn.now.mono + CANARY_S)
                self._grant(turn, job, task, (node, claim))
                break

    def _canary(
        self, turn: Turn, job: Job, need: Need, node: NodeId, *, is_due: bool
    ) -> tuple[TaskIndex, Claim] | None:
        """Choose the task of a job that a sick node is tried with, and what it takes; None if none is due there."""
        claim, barred = self._matcher.fit(node, need), job.barred_nodes()
        if claim is None or node in barred:
            return None
        if job.spec.manifest is not None and node not in job.copies.asset_holders():
            return None
        others = (other for other in self._workforce.usable if other not in barred)
        if not is_due and any(self._matcher.never_fits(other, need) is None for other in others):
            return None
        tasks = job.ready_tasks(MOST_KEPT + 1, turn.now)
        fresh = (task for task in tasks if node not in nodes_failed_on(job.tasks.current_of(task)))
        task = next(fresh, tasks[0] if tasks else None)  # what failed there says little, and is kept for another node
        return None if task is None else (task, claim)

    def _prefetch(self, turn: Turn, job: Job, need: Need) -> None:
        """Let nodes that may run a job have its files."""
        workforce, fits = self._workforce, self._matcher.never_fits
        avoided = workforce.avoided(job, turn.now)
        nodes = (
            node for node in (*workforce.usable, *workforce.sick) if node not in avoided and fits(node, need) is None
        )
        if self._prefetcher.ask(turn, job, nodes):
            self._wake(turn.now.mono + AGAIN_S)
