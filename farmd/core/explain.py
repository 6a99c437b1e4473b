"""Why is it not running? A Reason for every task that waits, on any node, leader or not.

What the job itself says comes first (cancelled, paused, gate, other jobs, delays, poison). After that it can only be
the nodes: each known node is held against the task's need, from what is replicated (NODE rows, running rows, HOLDING
rows) and who is alive. The failing requirement that the nearest node comes closest to names the reason, and the
nearest nodes are listed with what they have. Invariant 13: there is always an answer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from farmd.core.bitmap import Mark
from farmd.core.capacity import MIN_FREE_BYTES, Capacity, Claim, Misfit, Need, need_of
from farmd.core.jobstatus import job_reason, task_reason, task_state
from farmd.core.match import avoided_nodes
from farmd.core.resultviews import away_groups, away_tasks, holders_of, whereabouts_of
from farmd.core.retry import elsewhere_until, nodes_failed_on
from farmd.core.tasks import FINISHED
from farmd.core.verdicts import lacking, others_that_fit
from protocol.frames import FrameSet, parse_frames
from protocol.ids import TaskIndex
from protocol.jobspec import PartitionPolicy
from protocol.reasons import Fit, Reason, ReasonCode, because

if TYPE_CHECKING:
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Instant
    from protocol.bodies import NodeBody
    from protocol.ids import JobId, NodeId

NEAREST = 3
EXPLAINED_AT_ONCE = 500
"""Jobs of one instant's lists that are held against the machines; a page of any list is shorter."""
FRONT = 50
"""So many jobs of the line are looked at for one that has a task ready."""
HIGHEST = 100
"""Largest priority."""
_WILLING = (Mark.READY, Mark.DELAYED)
"""Marks of tasks that could be granted if a machine were there."""
TASKS_EXPLAINED = 10_000
"""Waiting tasks of one job that are explained one by one; beyond, they share the reason of the last of these."""
_SETTLED = (*FINISHED, Mark.RUNNING, Mark.FAILED, Mark.GRANTED)
"""Marks of tasks that wait for nothing."""
_RENDERER, _GPU, _VRAM, _RAM, _CORES = (
    ReasonCode.NO_NODE_HAS_RENDERER,
    ReasonCode.NO_NODE_FITS_GPU,
    ReasonCode.NO_NODE_FITS_VRAM,
    ReasonCode.NO_NODE_FITS_RAM,
    ReasonCode.NO_NODE_FITS_CORES,
)
_CLOSENESS = {_RENDERER: 0, _GPU: 1, _VRAM: 2, _CORES: 3, _RAM: 4}
"""The later a requirement is the one that fails, the nearer the node is."""
_WORDS = {_RENDERER: "renderer", _GPU: "gpus", _VRAM: "vram", _RAM: "ram", _CORES: "cores"}


class Explain:
    """Answers `why` from the state of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._now: Instant | None = None
        self._listed: dict[JobId, Reason | None] = {}
        self._capacities: list[Capacity] = []
        self._recent: dict[NodeId, NodeBody] = {}
        self._fits: dict[Need, tuple[list[Capacity], list[tuple[Capacity, Misfit]]]] = {}
        self._willing: dict[Need, list[Capacity]] = {}
        self._takers_of: dict[JobId, list[NodeId]] = {}
        self._ahead: dict[int, int] = {}
        self._first: Job | None = None

    def headline(self, job: Job, now: Instant) -> dict[str, Any] | None:
        """Why the job does not go on as a whole, or None while something of it runs or it is over."""
        return _plain_or_none(self._headline(job, now))

    def in_a_list(self, job: Job, now: Instant) -> dict[str, Any] | None:
        """The same for one of many jobs: beyond the first of an instant, only what the job itself says."""
        return _plain_or_none(self.listed(job, now))

    def listed(self, job: Job, now: Instant) -> Reason | None:
        """Return what `in_a_list` tells, not yet in words."""
        self._begin(now)
        if job.id not in self._listed:
            if len(self._listed) >= EXPLAINED_AT_ONCE:
                return self._of_job(job, now)
            self._listed[job.id] = self._headline(job, now)
        return self._listed[job.id]

    def _headline(self, job: Job, now: Instant) -> Reason | None:
        of_job = self._of_job(job, now)
        willing = of_job is None or of_job.code is ReasonCode.GATE_TESTING
        if willing and job.count(Mark.RUNNING, Mark.GRANTED) == 0 and job.count(*_WILLING):
            return self._of_nodes(job, now)
        return of_job

    def _of_job(self, job: Job, now: Instant) -> Reason | None:
        return job_reason(job, now, self._blocked(job))

    def _begin(self, now: Instant) -> None:
        """What nodes can do is looked up once for all questions of one turn."""
        if now is self._now:
            return
        bodies, membership = self._node.registry.bodies, self._node.membership
        self._now, self._listed, self._fits, self._willing, self._ahead = now, {}, {}, {}, {}
        self._takers_of, self._first = {}, None
        self._capacities = [self._capacity(which) for which in membership.alive() if which in bodies]
        self._recent = {which: bodies[which] for which in membership.recent(now.mono) if which in bodies}

    def why(self, job: Job, task: TaskIndex | None, now: Instant) -> dict[str, Any]:
        """Reasons of all waiting tasks, equal ones together, or of one task; of several waits the shortest is told."""
        tasks = self._waiting(job) if task is None else [task] if job.tasks.marks[task] not in _SETTLED else []
        groups: dict[Reason, tuple[Reason, list[int]]] = {}
        of_nodes, blocked = None, self._blocked(job)
        for index in tasks:
            reason = task_reason(job, index, now, blocked) or self._elsewhere(job, index, now)
            if reason is None:
                of_nodes = of_nodes or self._of_nodes(job, now)
                reason = of_nodes
            first, frames = groups.setdefault(_likeness(reason), (reason, []))
            frames.extend(job.plan.frames_of(index))
            if _wait_s(reason) < _wait_s(first):
                groups[_likeness(reason)] = (reason, frames)
        reasons = [
            _plain(reason) | {"count": len(frames), "frames": str(FrameSet.of(frames))}
            for reason, frames in groups.values()
        ]
        away = [index for index in away_tasks(self._node, job) if task in (None, index)]
        reasons += [_of_away(job, group) for group in away_groups(self._node, job, away)]
        ended = task is not None and job.tasks.marks[task] in _SETTLED
        of_job = None if reasons or ended else job_reason(job, now, blocked)
        if of_job is not None:
            reasons = [_plain(of_job) | {"count": 0, "frames": ""}]
        state = self._node.jobs.state_of(job.id).value
        told = {"schema": "farm.why.v1", "job": job.id, "name": job.spec.name, "state": state, "reasons": reasons}
        return told if task is None else told | {"task": self._task(job, task)}

    def _task(self, job: Job, task: TaskIndex) -> dict[str, Any]:
        """Where one task stands, and where its result is."""
        where = whereabouts_of(self._node, job, task)
        return {
            "state": task_state(job, task).value,
            "result": None if where is None else where.value,
            "holders": holders_of(self._node, job, task),
        }

    def of_task(self, job: Job, task: TaskIndex, now: Instant) -> Reason | None:
        """Why one task waits; None if it does not."""
        if job.tasks.marks[task] in _SETTLED:
            return None
        of_task = task_reason(job, task, now, self._blocked(job)) or self._elsewhere(job, task, now)
        return of_task or self._of_nodes(job, now)

    def _elsewhere(self, job: Job, task: TaskIndex, now: Instant) -> Reason | None:
        """A task that has failed is kept for machines where it has not, as long as any of these could take it."""
        attempts = job.tasks.current_of(task)
        wait_s = elsewhere_until(attempts, now) - now.mono
        if wait_s <= 0 or self._node.election.leader_at(now.mono) is None:
            return None
        self._begin(now)
        failed_on = nodes_failed_on(attempts)
        if all(which in failed_on for which in self._takers(job, now)):
            return None
        where = " and ".join(map(self._node.registry.name_of, failed_on))
        return because(ReasonCode.RETRY_ELSEWHERE, where=where, wait=wait_s, job=job.id)

    def _takers(self, job: Job, now: Instant) -> list[NodeId]:
        """List the nodes that a leader would grant this job's tasks if they had room; the same for all of its tasks."""
        if job.id not in self._takers_of:
            node, need = self._node, self._need(job)
            unwanted = avoided_nodes(job, need, self._recent, now)
            holders = dict.fromkeys(job.copies.asset_holders()) if job.spec.manifest is not None else None
            fitting, _ = self._fit(need)
            self._takers_of[job.id] = [
                which
                for which in (capacity.node for capacity in self._not_held(need, fitting))
                if which not in unwanted
                and node.condition.free_disk_of(which) >= MIN_FREE_BYTES
                and (holders is None or which in holders)
                and not node.jobs.health.is_sick(which)
            ]
        return self._takers_of[job.id]

    def _blocked(self, job: Job) -> tuple[Any, ...]:
        return self._node.jobs.blocked_by(job.id)

    def _waiting(self, job: Job) -> list[TaskIndex]:
        found: list[TaskIndex] = []
        for index in range(job.plan.task_count):
            if job.tasks.marks[TaskIndex(index)] not in _SETTLED:
                found.append(TaskIndex(index))
                if len(found) >= TASKS_EXPLAINED:
                    break
        return found

    def _of_nodes(self, job: Job, now: Instant) -> Reason:
        """The job is willing: which requirement stands between it and the nodes?"""
        node = self._node
        if node.election.leader_at(now.mono) is None:
            return because(ReasonCode.NO_LEADER)
        alive, seen = node.membership.alive(), node.membership.recent(now.mono)
        if job.spec.on_partition is PartitionPolicy.HOLD_IN_MINORITY and 2 * len(alive) < len(seen):
            return because(ReasonCode.MINORITY_HELD, seen=len(alive), known=len(seen))
        self._begin(now)
        if not self._capacities:
            return because(ReasonCode.NO_NODES)
        need = self._need(job)
        fitting, misfits = self._fit(need)
        if not fitting:
            return self._nearest(need, misfits)
        return self._of_fitting(job, fitting, now)

    def _fit(self, need: Need) -> tuple[list[Capacity], list[tuple[Capacity, Misfit]]]:
        """Hold a need against all nodes; those that fit, and the others with what they lack."""
        known = self._fits.get(need)
        if known is not None:
            return known
        fitting: list[Capacity] = []
        misfits: list[tuple[Capacity, Misfit]] = []
        for capacity in self._capacities:
            misfit = capacity.never_fits(need)
            if misfit is None:
                fitting.append(capacity)
            else:
                misfits.append((capacity, misfit))
        self._fits[need] = fitting, misfits
        return fitting, misfits

    def _need(self, job: Job) -> Need:
        """What a task needs; what was only learned from failures never exceeds the largest node that there is."""
        floor = job.ram_floor_bytes
        if floor:
            floor = min(floor, max((body.ram_bytes for body in self._recent.values()), default=0))
        return need_of(job.spec, floor)

    def _capacity(self, which: NodeId) -> Capacity:
        capacity = Capacity(which, self._node.registry.bodies[which])
        for attempt in self._node.jobs.running_on(which):
            other = self._node.jobs.get(attempt.ref.job)
            if other is not None:
                need = need_of(other.spec, other.ram_floor_bytes)
                capacity.claims[attempt.ref] = Claim(capacity.cores_of(need), need.ram_bytes)
        return capacity

    def _nearest(self, need: Need, misfits: list[tuple[Capacity, Misfit]]) -> Reason:
        """No node could ever run it: say what is missing where least is missing."""
        order = sorted(misfits, key=lambda pair: (-_CLOSENESS[pair[1].code], -_as_number(pair[1].has)))
        fits = [
            Fit(c.node, self._node.registry.name_of(c.node), _WORDS[m.code], m.needs, m.has) for c, m in order[:NEAREST]
        ]
        best = order[0][1]
        if best.code is _RENDERER:
            return because(best.code, *fits, renderer=need.renderer, version=need.version)
        return because(best.code, *fits, needs=best.needs, has=best.has)

    def _of_fitting(self, job: Job, fitting: list[Capacity], now: Instant) -> Reason:
        """Some nodes could run it: why do they not, now?"""
        node, need = self._node, self._need(job)
        avoided = avoided_nodes(job, need, self._recent, now)
        barred = job.barred_nodes()
        if all(capacity.node in barred for capacity in fitting):
            names = map(node.registry.name_of, others_that_fit(node.registry, need, barred))
            what = lacking(barred, node.registry.name_of)
            return because(
                ReasonCode.FEATURE_AWAY, what=what, others=" or ".join(sorted(names)) or "another", job=job.id
            )
        if all(capacity.node in avoided for capacity in fitting):
            return because(ReasonCode.AVOIDED, count=len(fitting), job=job.id)
        willing = [capacity for capacity in self._not_held(need, fitting) if capacity.node not in avoided]
        if not willing:
            return because(ReasonCode.NODES_HELD, count=len(fitting))
        roomy = [c for c in willing if node.condition.free_disk_of(c.node) >= MIN_FREE_BYTES]
        if not roomy:
            most = max(node.condition.free_disk_of(capacity.node) for capacity in willing)
            return because(ReasonCode.NODE_DISK_FULL, needs=MIN_FREE_BYTES, has=most)
        willing = roomy
        if job.spec.manifest is not None:
            holders = dict.fromkeys(job.copies.asset_holders())
            if not any(capacity.node in holders for capacity in willing):
                total = job.spec.manifest.size
                return because(ReasonCode.ASSETS_MOVING, have=0, total=total)
            willing = [capacity for capacity in willing if capacity.node in holders]
        ahead = self._tasks_before(job.priority)
        if ahead:
            return because(ReasonCode.QUEUED_BEHIND, count=ahead, job=job.id, **self._in_front(job))
        return because(ReasonCode.NODES_BUSY, count=len(willing), job=job.id, **self._in_front(job))

    def _not_held(self, need: Need, fitting: list[Capacity]) -> list[Capacity]:
        """List the nodes that fit a need and that nobody holds; the same for all jobs of a turn that need it."""
        if need not in self._willing:
            hold_of = self._node.registry.hold_of
            self._willing[need] = [capacity for capacity in fitting if hold_of(capacity.node) is None]
        return self._willing[need]

    def _in_front(self, job: Job) -> dict[str, str | int]:
        """Name the job that is granted tasks before this one, and which priority would change that; nothing if none."""
        first = self._first_in_line()
        if first is None or job.grant_order <= first.grant_order:
            return {}
        moved, to = (job, first.priority + 1) if first.priority < HIGHEST else (first, max(0, job.priority - 1))
        return {"front": first.spec.name, "moved": moved.id, "to": to}

    def _first_in_line(self) -> Job | None:
        """Find the job that is granted the next task; those that only wait for another try are few, or it is guessed."""
        if self._first is None:
            line = self._node.jobs.line()
            ready = (other for other in line[:FRONT] if other.count(Mark.READY))
            self._first = next(ready, line[0] if line else None)
        return self._first

    def _tasks_before(self, priority: int) -> int:
        """Count the tasks that are ready and of higher priority; the line has the highest in front."""
        if priority not in self._ahead:
            before = takewhile(lambda other: other.priority > priority, self._node.jobs.line())
            self._ahead[priority] = sum([other.count(Mark.READY) for other in before])
        return self._ahead[priority]


def _of_away(job: Job, group: dict[str, Any]) -> dict[str, Any]:
    """Done, but not to be had: the machines that have it do not answer."""
    names, frames = group["nodes"], group["frames"]
    where = " and ".join(names) or "no machine"
    reason = because(ReasonCode.RESULT_AWAY, count=len(names), where=where, frames=frames, job=job.id)
    return _plain(reason) | {"count": len(parse_frames(frames)), "frames": frames}


def _as_number(value: int | str) -> int:
    return value if isinstance(value, int) else 0


def _likeness(reason: Reason) -> Reason:
    """Return what reasons have in common that differ in how long they wait only."""
    return replace(reason, args=tuple(pair for pair in reason.args if pair[0] != "wait"))


def _wait_s(reason: Reason) -> float:
    wait_s = dict(reason.args).get("wait", 0.0)
    return 0.0 if isinstance(wait_s, str) else wait_s


def _plain_or_none(reason: Reason | None) -> dict[str, Any] | None:
    return None if reason is None else _plain(reason)


def _plain(reason: Reason) -> dict[str, Any]:
    nearest = [
        {
            "node": fit.node,
            "node_name": fit.node_name,
            "requirement": fit.requirement,
            "needs": fit.needs,
            "has": fit.has,
            "text": fit.text(),
        }
        for fit in reason.nearest
    ]
    return {
        "code": reason.code.value,
        "text": reason.text(),
        "hint": reason.hint(),
        "glyph": reason.glyph,
        "nearest": nearest,
    }
