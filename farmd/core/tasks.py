"""Where the tasks of one job stand: a fold over attempt rows and requeue registers, kept up to date row by row.

Theory. A task's *generation* is the largest value of the REQUEUE registers that cover it. Attempts of that generation
(or of a later one whose register has not arrived yet) are *current*; older ones are history. Then, in this order:
done if a current attempt is done (its result is the least (hlc, attempt id) of them); running if a node that is not
lost says so; failed if the failures that count are more than the limit; else waiting. A change of one row computes
its task anew from that task's attempts alone, so that the incremental fold equals the fold from scratch by
construction; only counters are kept beside it.

In memory, and not part of the fold, are three facts that this node's leader knows: grants not yet seen in a row,
lives of nodes that are over, and pauses after failures. A task with a process still executing is never ready, not
even when a person has raised its generation: the old attempt has to end first. A task that was running on two nodes
when they were lost is poison and held until its generation is raised.

Invariant: done never reverts within a generation. An untouched task costs one byte (`farmd.core.bitmap`).
Called by `farmd.core.job`; must never grant, stop or time anything by itself.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from farmd.core.bitmap import Mark, TaskMap
from farmd.core.retry import failures_of, is_failure, is_final
from protocol.ids import TaskIndex
from protocol.records import stamp
from protocol.states import AttemptState, FailureClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmd.core.attempts import Attempt, Lives
    from farmd.core.plan import Plan
    from protocol.ids import AttemptId, NodeId

FINISHED = (Mark.DONE, Mark.SAFE)


class Replaced(NamedTuple):
    """What a row that was news changed: the version before it, and whether the task's result is another one now."""

    old: Attempt | None
    result_changed: bool


class Tasks:
    """All tasks of one job.

    Attributes:
        marks: One mark a task, with counts.
        done_frames: Frames of done tasks.
        failed_frames: Frames of finally failed tasks.
        fresh_failures: Finally failed tasks that no person has forgiven by resuming the job.
        frames_by_node: Frames of the done tasks by the node that rendered their results.
    """

    __slots__ = (
        "_attempts",
        "_due",
        "_failed_at",
        "_forgiven",
        "_granted",
        "_kept",
        "_lives",
        "_lost",
        "_nowhere",
        "_plan",
        "_retries",
        "_single",
        "_spans",
        "done_frames",
        "failed_frames",
        "frames_by_node",
        "fresh_failures",
        "marks",
    )

    def __init__(self, plan: Plan, retries: int, lives: Lives) -> None:
        self._plan = plan
        self._retries = retries
        self._lives = lives
        self._attempts: dict[TaskIndex, tuple[Attempt, ...]] = {}
        self._single: dict[TaskIndex, int] = {}
        self._spans: dict[tuple[int, int], int] = {}
        self._granted: dict[TaskIndex, AttemptId] = {}
        self._due: dict[TaskIndex, float] = {}
        self._kept: dict[TaskIndex, tuple[NodeId, ...]] = {}
        self._lost: dict[TaskIndex, tuple[NodeId, ...]] = {}
        self._nowhere: dict[TaskIndex, None] = {}
        self._failed_at: dict[TaskIndex, int] = {}
        self._forgiven = 0
        self.frames_by_node: dict[NodeId, int] = {}
        self.marks = TaskMap(plan.task_count)
        self.done_frames = self.failed_frames = self.fresh_failures = 0

    # -- what is known of one task ------------------------------------------------------------------------------------

    def generation_of(self, task: TaskIndex) -> int:
        """Return how often the task was asked for anew."""
        generation = self._single.get(task, 0)
        for (first, last), value in self._spans.items():
            if value > generation and first <= task <= last:
                generation = value
        return generation

    def attempts_of(self, task: TaskIndex) -> tuple[Attempt, ...]:
        """List all attempts of a task, by attempt id."""
        return self._attempts.get(task, ())

    def current_of(self, task: TaskIndex) -> list[Attempt]:
        """List the attempts of the task's present generation, by attempt id."""
        attempts = self._attempts.get(task, ())
        if not attempts:
            return []
        generation = self.generation_of(task)
        return [attempt for attempt in attempts if attempt.generation >= generation]

    def result_of(self, task: TaskIndex) -> Attempt | None:
        """Return the attempt whose outputs are the task's result: the least (hlc, attempt id) of those done."""
        return _result(self.current_of(task))

    def grant_of(self, task: TaskIndex) -> AttemptId | None:
        """Return the attempt that this leader granted and no row has shown yet."""
        return self._granted.get(task)

    def touched(self) -> Iterator[TaskIndex]:
        """Yield the tasks that have attempts."""
        return iter(self._attempts)

    def attempts(self) -> Iterator[Attempt]:
        """Yield all attempts of all tasks; there may be hundreds of thousands, so look at each only briefly."""
        return chain.from_iterable(self._attempts.values())

    # -- changes: rows ------------------------------------------------------------------------------------------------

    def put(self, attempt: Attempt) -> Replaced | None:
        """Take a version of an attempt row; None if it is no news."""
        task = attempt.task
        others = self._attempts.get(task, ())
        old = next((other for other in others if other.id == attempt.id), None)
        if old is not None and stamp(old.rec) >= stamp(attempt.rec):
            return None
        matters = AttemptState.DONE in (attempt.state, old.state if old is not None else None)
        before = self.result_of(task) if matters else None
        kept = [other for other in others if other is not old] if others else others
        self._attempts[task] = tuple(sorted([*kept, attempt], key=_by_id)) if kept else (attempt,)
        after = self.result_of(task) if matters else None
        self._credit(task, before, after)
        if self._granted.get(task) == attempt.id:
            del self._granted[task]
        self.refresh(task)
        return Replaced(old, matters and _name(before) != _name(after))

    def _credit(self, task: TaskIndex, before: Attempt | None, after: Attempt | None) -> None:
        """Count the task's frames for the node that rendered its result."""
        for attempt, sign in ((before, -1), (after, 1)):
            if attempt is not None:
                frames = self.frames_by_node.get(attempt.node, 0) + sign * self._plan.size_of(task)
                self.frames_by_node[attempt.node] = frames

    def set_generation(self, first: int, last: int, value: int) -> list[TaskIndex]:
        """Set one REQUEUE register and list the tasks that have another result now, or none.

        A person asks, so pauses after failures are over.
        """
        touched = self._touched_within(first, last)
        before = [self.result_of(task) for task in touched]
        if first == last:
            self._single[TaskIndex(first)] = value
        else:
            self._spans[first, last] = value
        for task in touched:
            self._due.pop(task, None)
            self.refresh(task)
        changed: list[TaskIndex] = []
        for task, old in zip(touched, before, strict=True):
            new = self.result_of(task)
            self._credit(task, old, new)
            if _name(old) != _name(new):
                changed.append(task)
        return changed

    def set_kept(self, runs: Iterable[tuple[int, int]], node: NodeId, *, kept: bool) -> None:
        """Note that a node now keeps the outputs of these tasks, or no longer does."""
        self._tell(self._kept, runs, node, says=kept)

    def set_lost(self, runs: Iterable[tuple[int, int]], node: NodeId, *, lost: bool) -> None:
        """Note that a node has lost its own results of these tasks, or has them again."""
        self._tell(self._lost, runs, node, says=lost)

    def _tell(
        self,
        told: dict[TaskIndex, tuple[NodeId, ...]],
        runs: Iterable[tuple[int, int]],
        node: NodeId,
        *,
        says: bool,
    ) -> None:
        for first, last in runs:
            for task in map(TaskIndex, range(first, last + 1)):
                others = tuple([other for other in told.pop(task, ()) if other != node])
                nodes = (*others, node) if says else others
                if nodes:
                    told[task] = nodes
                self.refresh(task)

    @property
    def has_lost(self) -> bool:
        """Tell whether any node misses results of its own, or was evicted with the only copy of one."""
        return bool(self._lost or self._nowhere)

    def lost_tasks(self) -> list[TaskIndex]:
        """List the done tasks of whose outputs no node has a copy."""
        return sorted(self._nowhere)

    def holders_of(self, task: TaskIndex) -> tuple[NodeId, ...]:
        """List the nodes that have the outputs of a done task: who rendered it, unless it lost them, and keepers."""
        result = self.result_of(task)
        if result is None:
            return ()
        own = (result.node,) if self._has_own(task, result) else ()
        return tuple(dict.fromkeys((*own, *[node for node in self.keepers_of(task) if node != result.node])))

    def keepers_of(self, task: TaskIndex) -> tuple[NodeId, ...]:
        """List the nodes that say that they keep a copy of the task's outputs."""
        kept = self._kept.get(task, ())
        return tuple(sorted([node for node in kept if not self._lives.is_evicted(node)])) if kept else ()

    def _has_own(self, task: TaskIndex, result: Attempt) -> bool:
        """Tell whether who rendered a result still has it."""
        return result.node not in self._lost.get(task, ()) and not self._lives.is_evicted(result.node)

    def names_holder(self, task: TaskIndex, node: NodeId) -> bool:
        """Tell whether rows say that a node has the outputs of a done task, whether that counts or not."""
        result = self.result_of(task)
        return result is not None and (result.node == node or node in self._kept.get(task, ()))

    def set_retries(self, retries: int) -> None:
        """Set how often a failed task is tried again."""
        if retries == self._retries:
            return
        self._retries = retries
        for task in self._attempts:
            self.refresh(task)

    def forgive(self, hlc: int) -> None:
        """Failures up to this stamp no longer count towards pausing the job, since a person resumed it."""
        self._forgiven = hlc
        self.fresh_failures = sum([at > hlc for at in self._failed_at.values()])

    # -- changes: facts of the moment ---------------------------------------------------------------------------------

    def grant(self, task: TaskIndex, attempt: AttemptId) -> None:
        """Mark a task as granted by this leader."""
        if all(known.id != attempt for known in self.attempts_of(task)):
            self._granted[task] = attempt
            self.refresh(task)

    def ungrant(self, task: TaskIndex, attempt: AttemptId) -> None:
        """Take the mark away, if it is still for this attempt."""
        if self._granted.get(task) == attempt:
            del self._granted[task]
            self.refresh(task)

    def ungrant_all(self) -> None:
        """Take all marks away: this node leads no longer."""
        granted, self._granted = self._granted, {}
        for task in granted:
            self.refresh(task)

    def delay(self, task: TaskIndex, due: float) -> None:
        """Let a task wait until `due` on the local clock."""
        self._due[task] = due
        self.refresh(task)

    def release(self, task: TaskIndex, now_mono: float) -> None:
        """End the wait of a task if it is over."""
        if self._due.get(task, now_mono) <= now_mono:
            self._due.pop(task, None)
            self.refresh(task)

    def due_of(self, task: TaskIndex) -> float:
        """Return the local time before which a task waits, 0 if it does not."""
        return self._due.get(task, 0.0)

    # -- the fold -----------------------------------------------------------------------------------------------------

    def refresh(self, task: TaskIndex) -> None:
        """Compute one task anew and carry the difference into the counters."""
        old = self.marks[task]
        new, failed_at = self._derive(task)
        self._count_failure(task, failed_at)
        if new is not old:
            self.marks.put(task, new)
            self._count(task, old, new)
        if (task in self._lost or self._lives.any_evicted) and new in FINISHED and not self.holders_of(task):
            self._nowhere[task] = None
        else:
            self._nowhere.pop(task, None)

    def _count(self, task: TaskIndex, old: Mark, new: Mark) -> None:
        if (old in FINISHED) != (new in FINISHED):
            self.done_frames += self._plan.size_of(task) * (1 if new in FINISHED else -1)
        if (old is Mark.FAILED) != (new is Mark.FAILED):
            self.failed_frames += self._plan.size_of(task) * (1 if new is Mark.FAILED else -1)

    def _derive(self, task: TaskIndex) -> tuple[Mark, int]:
        """Return the mark of a task, and the stamp of the last failure if it has failed for good."""
        attempts = self._attempts.get(task, ())
        generation = self.generation_of(task) if attempts else 0
        current = [attempt for attempt in attempts if attempt.generation >= generation]
        result = _result(current)
        if result is not None:
            keepers = sum([node != result.node for node in self.keepers_of(task)])
            copies = keepers + self._has_own(task, result) > 1
            return (Mark.SAFE if copies else Mark.DONE), 0
        live = [attempt for attempt in attempts if self._lives.is_live(attempt)]
        if any(attempt.generation >= generation for attempt in live):
            return Mark.RUNNING, 0
        if is_final(failures_of(current), self._retries):
            return Mark.FAILED, max(attempt.hlc for attempt in current if attempt.state == AttemptState.FAILED)
        return self._derive_waiting(task, current, busy=bool(live)), 0

    def _derive_waiting(self, task: TaskIndex, current: list[Attempt], *, busy: bool) -> Mark:
        if busy:
            return Mark.BUSY
        if task in self._granted:
            return Mark.GRANTED
        lost = {attempt.node for attempt in current if self._was_lost(attempt)}
        if len(lost) > 1:
            return Mark.HELD
        return Mark.DELAYED if task in self._due else Mark.READY

    def _was_lost(self, attempt: Attempt) -> bool:
        if attempt.state == AttemptState.RUNNING:
            return self._lives.is_lost(attempt)
        return attempt.cause == FailureClass.NODE_LOST

    def _count_failure(self, task: TaskIndex, failed_at: int) -> None:
        before = self._failed_at.pop(task, 0)
        self.fresh_failures += (failed_at > self._forgiven) - (before > self._forgiven)
        if failed_at:
            self._failed_at[task] = failed_at

    def _touched_within(self, first: int, last: int) -> list[TaskIndex]:
        if last - first < len(self._attempts):
            return [TaskIndex(task) for task in range(first, last + 1) if task in self._attempts]
        return [task for task in self._attempts if first <= task <= last]


def failed_on_two_nodes(current: Iterable[Attempt]) -> bool:
    """Tell whether the frame, rather than one machine, is at fault."""
    return len({attempt.node for attempt in current if is_failure(attempt)}) > 1


def _by_id(attempt: Attempt) -> AttemptId:
    return attempt.id


def _name(attempt: Attempt | None) -> AttemptId | None:
    return attempt.id if attempt is not None else None


def _result(current: Iterable[Attempt]) -> Attempt | None:
    done = [attempt for attempt in current if attempt.state == AttemptState.DONE]
    return min(done, key=lambda attempt: (attempt.hlc, attempt.id), default=None)
