"""Results held twice, and brought home: second copies of outputs, and their delivery into the output folder.

A done frame is *safe* when its outputs stand on two nodes (on one, in a farm of one). The node that rendered asks
another one to keep a copy: the node where the job was submitted if it is alive, since it will need the files anyway,
otherwise the leader or any other. The keeper fetches them through the swarm and then says so in its HOLDING row,
gathered for `FLUSH_S` so that a fast job writes few rows.

The node where a job was submitted also delivers, where it may write the output folder; otherwise `farmctl` does.

Invariants: a HOLDING row never names a task whose current result is not completely here; delivery is idempotent.
Called by `farmd.core.node`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmd.core.effects import Deliver
from farmd.core.runs import Runs, add_to_runs, in_runs, remove_from_runs
from protocol.bodies import HoldingBody, pack_body, unpack_body
from protocol.errors import PeerError
from protocol.ids import unpack_job
from protocol.jobspec import DeliverBy
from protocol.messages import Keep
from protocol.records import HoldingWhat, Kind, holding_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from farmd.core.events import Delivered
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.replica import Replica
    from farmd.core.swarm import Swarm
    from farmd.core.turn import Turn
    from protocol.ids import AttemptRef, BlobAddress, JobId, NodeId, TaskIndex

FLUSH_S = 0.2
RETRY_S = 5.0
"""Pause before another node is asked to keep a copy, or a failed delivery is tried again."""


@dataclass(slots=True)
class _Lonely:
    """A result of ours that no other node holds yet."""

    ref: AttemptRef
    blobs: tuple[BlobAddress, ...]
    ask_at: float


class Outputs:
    """Keeps, asks others to keep, and delivers."""

    def __init__(
        self,
        node: NodeId,
        *,
        replica: Replica,
        jobs: Jobs,
        swarm: Swarm,
        pick_keeper: Callable[[NodeId], NodeId | None],
    ) -> None:
        """Prepare; `pick_keeper(preferred)` names a live other node, or None in a farm of one."""
        self._node = node
        self._replica = replica
        self._jobs = jobs
        self._swarm = swarm
        self._pick_keeper = pick_keeper
        self._kept: dict[tuple[HoldingWhat, JobId], Runs] = {}
        self._dirty: dict[tuple[HoldingWhat, JobId], None] = {}
        self._flush_at: float | None = None
        self._lonely: dict[tuple[JobId, TaskIndex], _Lonely] = {}
        self._fetching: dict[tuple[JobId, TaskIndex], AttemptRef] = {}
        self._delivering: dict[tuple[JobId, TaskIndex], AttemptRef] = {}
        self._again: dict[tuple[JobId, TaskIndex], float] = {}
        self.delivery_errors: dict[JobId, str] = {}

    def load(self, turn: Turn) -> None:
        """Take up what an earlier life left: own HOLDING rows, results without a second copy, undelivered ones."""
        for rec in self._replica.rows_of(Kind.HOLDING):
            what, node = rec.pk[8], rec.pk[:8].hex()
            if node == self._node and what in (HoldingWhat.OUTPUTS, HoldingWhat.DELIVERED):
                self._kept[HoldingWhat(what), unpack_job(rec.pk[9:19])] = _runs_of(rec.body)
        for job_id, job in self._jobs.items():
            delivers = job.spec.deliver is DeliverBy.NODE and job.spec.submit_node == self._node
            for task in job.done_tasks() if delivers else job.lonely_tasks():
                self.on_done(turn, job_id, job, task)

    def delivered(self, job: JobId) -> Runs:
        """Tasks of a job that this node has delivered."""
        return self._kept.get((HoldingWhat.DELIVERED, job), ())

    def on_done(self, turn: Turn, job_id: JobId, job: Job, task: TaskIndex) -> None:
        """A task has a (new) current result: make it safe, and deliver it where that is ours to do."""
        result = job.result_of(task)
        outputs = result.body.outputs if result is not None else ()
        if result is None or not outputs:
            return
        blobs = tuple([output.blob for output in outputs])
        if result.node == self._node and not job.held_by_others(task):
            self._lonely[job_id, task] = _Lonely(result.ref, blobs, turn.now.mono)
            self._ask_keeper(turn, self._lonely[job_id, task], job.spec.submit_node)
        if self._must_deliver(job_id, job, task):
            self._bring(turn, result.ref, blobs, job.copies_of(task))

    def on_changed(self, turn: Turn, job_id: JobId, job: Job, task: TaskIndex) -> None:
        """The result of a task is another one now, or none: what was said of the old one is taken back."""
        for what in (HoldingWhat.OUTPUTS, HoldingWhat.DELIVERED):
            runs = self._kept.get((what, job_id), ())
            if in_runs(runs, task):
                self._set(turn, what, job_id, remove_from_runs(runs, task))
        self._lonely.pop((job_id, task), None)
        self.on_done(turn, job_id, job, task)

    def on_held(self, job_id: JobId, job: Job) -> None:
        """Another node's HOLDING row changed: results that it holds are no longer lonely."""
        for key in [key for key in self._lonely if key[0] == job_id and job.held_by_others(key[1])]:
            del self._lonely[key]

    def forget(self, job_id: JobId) -> None:
        """The job is deleted."""
        for table in (self._lonely, self._fetching, self._delivering, self._again):
            for key in [key for key in table if key[0] == job_id]:
                del table[key]
        for what in (HoldingWhat.OUTPUTS, HoldingWhat.DELIVERED):
            self._kept.pop((what, job_id), None)
            self._dirty.pop((what, job_id), None)

    def on_keep(self, turn: Turn, sender: NodeId, message: Keep) -> None:
        """Another node asks to keep a copy of its result."""
        self._bring(turn, message.ref, message.blobs, (sender,))

    def _bring(self, turn: Turn, ref: AttemptRef, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...]) -> None:
        key = (ref.job, ref.task)
        if self._fetching.get(key) == ref:
            self._swarm.renew(("outputs", ref), hints)
            return
        self._fetching[key] = ref
        self._swarm.fetch(turn, ("outputs", ref), blobs, hints)

    def on_fetched(self, turn: Turn, key: Hashable) -> None:
        """All outputs of one attempt are here: say so if it is the current result, and deliver it."""
        ref: AttemptRef = key[1]  # type: ignore[index]  # keys of this machine are such pairs
        place = (ref.job, ref.task)
        if self._fetching.get(place) == ref:
            del self._fetching[place]
        job = self._jobs.get(ref.job)
        if job is None:
            return
        result = job.result_of(ref.task)
        if result is None or result.ref != ref:
            return
        if result.node != self._node:
            runs = self._kept.get((HoldingWhat.OUTPUTS, ref.job), ())
            self._set(turn, HoldingWhat.OUTPUTS, ref.job, add_to_runs(runs, ref.task))
        if self._must_deliver(ref.job, job, ref.task) and place not in self._delivering:
            self._delivering[place] = ref
            turn.effects.append(Deliver(ref, job.spec.output_dir or "", result.body.outputs))

    def on_delivered(self, turn: Turn, event: Delivered) -> None:
        """Outputs stand in the folder, or it could not be written: say why, and try again later."""
        place = (event.ref.job, event.ref.task)
        if self._delivering.pop(place, None) != event.ref:
            return
        if event.error:
            if self.delivery_errors.get(event.ref.job) != event.error:
                turn.note("delivery-failed", event.error, job=event.ref.job)
            self.delivery_errors[event.ref.job] = event.error
            self._again[place] = turn.now.mono + RETRY_S
            return
        self.delivery_errors.pop(event.ref.job, None)
        runs = self._kept.get((HoldingWhat.DELIVERED, event.ref.job), ())
        self._set(turn, HoldingWhat.DELIVERED, event.ref.job, add_to_runs(runs, event.ref.task))

    def bring_here(self, turn: Turn, job: Job, task: TaskIndex) -> bool:
        """Fetch a task's result for a client; True if it is here already, or there is none to fetch."""
        result = job.result_of(task)
        if result is None or self.is_here(job.id, task):
            return True
        blobs = tuple([output.blob for output in result.body.outputs])
        self._bring(turn, result.ref, blobs, job.copies_of(task))
        return not blobs

    def is_here(self, job_id: JobId, task: TaskIndex) -> bool:
        """True if the outputs of a task's result are in the store of this node."""
        job = self._jobs.get(job_id)
        result = job.result_of(task) if job is not None else None
        if result is None:
            return False
        return result.node == self._node or in_runs(self._kept.get((HoldingWhat.OUTPUTS, job_id), ()), task)

    def next_deadline(self) -> float | None:
        """When rows are to be written, a keeper asked again, or a delivery tried again."""
        times = [lonely.ask_at for lonely in self._lonely.values()]
        times.extend(self._again.values())
        if self._flush_at is not None:
            times.append(self._flush_at)
        return min(times, default=None)

    def on_timer(self, turn: Turn) -> None:
        """Write gathered rows; ask another keeper; try failed deliveries again."""
        now = turn.now.mono
        if self._flush_at is not None and self._flush_at <= now:
            self.flush(turn)
        for (job_id, _), lonely in list(self._lonely.items()):
            if lonely.ask_at <= now:
                job = self._jobs.get(job_id)
                self._ask_keeper(turn, lonely, job.spec.submit_node if job is not None else self._node)
        for place, at in list(self._again.items()):
            job = self._jobs.get(place[0])
            if at <= now:
                del self._again[place]
                if job is not None:
                    self.on_done(turn, place[0], job, place[1])

    def flush(self, turn: Turn) -> None:
        """Write the rows that have changed."""
        self._flush_at = None
        for what, job_id in self._dirty:
            body = HoldingBody(self._kept.get((what, job_id), ()))
            self._replica.write(turn, Kind.HOLDING, holding_pk(self._node, what, job_id), pack_body(body))
        self._dirty.clear()

    def _ask_keeper(self, turn: Turn, lonely: _Lonely, preferred: NodeId) -> None:
        lonely.ask_at = turn.now.mono + RETRY_S
        keeper = self._pick_keeper(preferred)
        if keeper is not None:
            turn.send(keeper, Keep(lonely.ref, lonely.blobs))

    def _must_deliver(self, job_id: JobId, job: Job, task: TaskIndex) -> bool:
        spec = job.spec
        ours = spec.submit_node == self._node and spec.deliver is DeliverBy.NODE and spec.output_dir is not None
        return ours and not in_runs(self.delivered(job_id), task)

    def _set(self, turn: Turn, what: HoldingWhat, job_id: JobId, runs: Runs) -> None:
        if self._kept.get((what, job_id), ()) == runs:
            return
        self._kept[what, job_id] = runs
        self._dirty[what, job_id] = None
        if self._flush_at is None:
            self._flush_at = turn.now.mono + FLUSH_S


def _runs_of(body: bytes) -> Runs:
    try:
        return unpack_body(HoldingBody, body).runs
    except PeerError:
        return ()
