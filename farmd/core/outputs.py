"""Results kept and brought home: copies for others, and delivery into the output folder.

The keeper of a copy fetches it through the swarm and then says so in its HOLDING row, gathered for `FLUSH_S` so that
a fast job writes few rows. The node where a job was submitted also delivers, where it may write the output folder;
otherwise `farmctl` does. Who is asked to keep copies of *our* results is `farmd.core.lonely`.

Invariants: a HOLDING row never names a task whose current result is not completely here and synced; what was delivered is the
current result, or it is delivered again. Called by `farmd.core.node`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.effects import Deliver, SettleBlobs
from farmd.core.incoming import check_blobs
from farmd.core.lonely import Lonely
from farmd.core.runs import Runs, add_to_runs, in_runs, remove_from_runs
from protocol.bodies import HoldingBody, pack_body, unpack_body
from protocol.errors import PeerError
from protocol.ids import unpack_job
from protocol.jobspec import DeliverBy
from protocol.records import HoldingWhat, Kind, holding_pk
from protocol.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from farmd.core.events import Delivered
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.replica import Replica
    from farmd.core.swarm import Swarm
    from farmd.core.turn import Turn
    from protocol.ids import AttemptRef, BlobAddress, JobId, NodeId, TaskIndex
    from protocol.messages import Keep

FLUSH_S = 0.2
RETRY_S = 5.0
"""Pause before a failed delivery is tried again."""
LASTING_RETRY_S = 60.0
"""The same where a person has to move a file away first."""
_HOLDING_BYTES = 19
_OF_TASKS = (HoldingWhat.OUTPUTS, HoldingWhat.DELIVERED, HoldingWhat.LOST)
"""HOLDING rows that this machine writes: runs of tasks."""


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
        heir_of: Callable[[NodeId], NodeId],
    ) -> None:
        """Prepare; `pick_keeper(preferred)` names a live other node, or None in a farm of one."""
        self._heir_of = heir_of
        self._node = node
        self._replica = replica
        self._jobs = jobs
        self._swarm = swarm
        self.lonely = Lonely(node, jobs, pick_keeper)
        self._kept: dict[tuple[HoldingWhat, JobId], Runs] = {}
        self._dirty: dict[tuple[HoldingWhat, JobId], None] = {}
        self._flush_at: float | None = None
        self._fetching: dict[tuple[JobId, TaskIndex], AttemptRef] = {}
        self._delivering: dict[tuple[JobId, TaskIndex], AttemptRef] = {}
        self._again: dict[tuple[JobId, TaskIndex], float] = {}
        self.delivery_errors: dict[JobId, str] = {}
        self.delivery_remarks: dict[JobId, str] = {}

    def load(self, turn: Turn) -> None:
        """Take up what an earlier life left: own HOLDING rows, results without a second copy, undelivered ones."""
        for rec in self._replica.rows_of(Kind.HOLDING):
            if len(rec.pk) != _HOLDING_BYTES:
                continue
            what, node = rec.pk[8], rec.pk[:8].hex()
            if node == self._node and what in _OF_TASKS:
                self._kept[HoldingWhat(what), unpack_job(rec.pk[9:19])] = _runs_of(rec.body)
        self._bring_all_home(turn)

    def inherit(self, turn: Turn) -> None:
        """A node was replaced: deliver what it had to, if that is ours now."""
        self._bring_all_home(turn)

    def _bring_all_home(self, turn: Turn) -> None:
        for job in self._jobs:
            if job.spec.deliver is DeliverBy.NODE and self.home_of(job) == self._node:
                for task in job.done_tasks():
                    self._bring_home(turn, job, task)

    def home_of(self, job: Job) -> NodeId:
        """Return who keeps and delivers the results of a job: where it was submitted, or who stands in for that."""
        return self._heir_of(job.spec.submit_node)

    def delivered(self, job: JobId) -> Runs:
        """Tasks of a job that this node has delivered."""
        return self._kept.get((HoldingWhat.DELIVERED, job), ())

    def _bring_home(self, turn: Turn, job: Job, task: TaskIndex) -> None:
        """Deliver the current result of a task, if that is ours to do."""
        result = job.result_of(task)
        if result is None or not self._must_deliver(job, task):
            return
        blobs = tuple([output.blob for output in result.body.outputs])
        if blobs:
            self._bring(turn, result.ref, blobs, job.copies_of(task))

    def on_changed(self, turn: Turn, job_id: JobId, job: Job, task: TaskIndex) -> None:
        """The result of a task is another one now, or none: what was said of the old one is taken back.

        In the same turn, hence in one commit: a power cut in between would leave the word that the new one is here.
        """
        for what in _OF_TASKS:
            runs = self._kept.get((what, job_id), ())
            if in_runs(runs, task):
                self._set(turn, what, job_id, remove_from_runs(runs, task))
                self.flush(turn)
        result, before = job.result_of(task), self._fetching.get((job_id, task))
        if before is not None and (result is None or result.ref != before):
            self._stop_fetching((job_id, task))
        self.lonely.add(turn, job, task)
        self._bring_home(turn, job, task)

    def forget(self, job_id: JobId) -> None:
        """The job is deleted."""
        self.lonely.forget(job_id)
        for place in [place for place in self._fetching if place[0] == job_id]:
            self._stop_fetching(place)
        for place in [place for place in self._delivering if place[0] == job_id]:
            del self._delivering[place]
        for place in [place for place in self._again if place[0] == job_id]:
            del self._again[place]
        self.delivery_errors.pop(job_id, None)
        self.delivery_remarks.pop(job_id, None)
        for what in _OF_TASKS:
            self._kept.pop((what, job_id), None)
            self._dirty.pop((what, job_id), None)

    def _stop_fetching(self, place: tuple[JobId, TaskIndex]) -> None:
        self._swarm.cancel(("outputs", self._fetching.pop(place)))

    def on_keep(self, turn: Turn, sender: NodeId, message: Keep) -> None:
        """Another node asks to keep a copy of its result; of a job not known here yet it will ask again.

        Where another attempt is the result already, the asker will learn that too: fetching for it would end the
        fetch of the true result.

        Raises:
            PeerError: No blob has such an address.
        """
        check_blobs(message.blobs)
        job = self._jobs.get(message.ref.job)
        result = job.result_of(message.ref.task) if job is not None else None
        is_current = result is None or result.ref == message.ref
        if job is not None and job.has_task(message.ref.task) and is_current:
            self._bring(turn, message.ref, message.blobs, (sender,))

    def _bring(self, turn: Turn, ref: AttemptRef, blobs: tuple[BlobAddress, ...], hints: tuple[NodeId, ...]) -> None:
        key = (ref.job, ref.task)
        if self._fetching.get(key) == ref:
            self._swarm.renew(("outputs", ref), hints)
            return
        if key in self._fetching:
            self._stop_fetching(key)
        self._fetching[key] = ref
        self._swarm.fetch(turn, ("outputs", ref), blobs, hints)

    def on_fetched(self, turn: Turn, key: Hashable) -> None:
        """All outputs of one attempt are here: have them synced, for others will throw theirs away on our word."""
        ref: AttemptRef = key[1]  # type: ignore[index]  # keys of this machine are such pairs
        turn.effects.append(SettleBlobs(ref))

    def on_settled(self, turn: Turn, ref: AttemptRef) -> None:
        """They survive a power cut: say that they are here if they are the current result, and deliver them."""
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
        elif in_runs(self._lost_of(ref.job), ref.task):
            self._set(turn, HoldingWhat.LOST, ref.job, remove_from_runs(self._lost_of(ref.job), ref.task))
        if self._must_deliver(job, ref.task) and place not in self._delivering:
            self._delivering[place] = ref
            folder, former = job.spec.output_dir or "", earlier_outputs(job, ref.task)
            turn.effects.append(Deliver(ref, folder, result.body.outputs, job.spec.existing, former))

    def on_delivered(self, turn: Turn, event: Delivered) -> None:
        """Outputs stand in the folder, or it could not be written: say why, and try again later."""
        place = (event.ref.job, event.ref.task)
        if self._delivering.pop(place, None) != event.ref:
            return
        if event.error:
            if self.delivery_errors.get(event.ref.job) != event.error:
                turn.note("delivery-failed", event.error, job=event.ref.job)
            self.delivery_errors[event.ref.job] = event.error
            self._again[place] = turn.now.mono + (LASTING_RETRY_S if event.lasting else RETRY_S)
            return
        self.delivery_errors.pop(event.ref.job, None)
        if event.remark:
            self.delivery_remarks[event.ref.job] = event.remark
            turn.note("delivery-remark", event.remark, job=event.ref.job)
        job = self._jobs.get(event.ref.job)
        result = job.result_of(event.ref.task) if job is not None else None
        if job is None or result is None or result.ref != event.ref:
            if job is not None:
                self._bring_home(turn, job, event.ref.task)
            return
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
        if result.node == self._node:
            return not in_runs(self._lost_of(job_id), task)
        return in_runs(self._kept.get((HoldingWhat.OUTPUTS, job_id), ()), task)

    def _lost_of(self, job_id: JobId) -> Runs:
        return self._kept.get((HoldingWhat.LOST, job_id), ())

    def lost(self, turn: Turn, job: Job, task: TaskIndex) -> None:
        """The outputs of a result are gone from the store: take the word back, and fetch them if others have them."""
        result = job.result_of(task)
        if result is None or not self.release(turn, job, task):
            return
        others = tuple([node for node in job.copies_of(task) if node != self._node])
        rest = "fetched again" if others else "no other copy is known"
        turn.note("result-lost", f"task {task}: its outputs are gone from this node's store; {rest}", job=job.id)
        if others:
            self._bring(turn, result.ref, tuple([output.blob for output in result.body.outputs]), others)

    def release(self, turn: Turn, job: Job, task: TaskIndex) -> bool:
        """Take the word back that the outputs of a result are here, in the next flush; False if it was not given."""
        result = job.result_of(task)
        if result is None or not self.is_here(job.id, task):
            return False
        if result.node == self._node:
            self._set(turn, HoldingWhat.LOST, job.id, add_to_runs(self._lost_of(job.id), task))
        else:
            runs = self._kept.get((HoldingWhat.OUTPUTS, job.id), ())
            self._set(turn, HoldingWhat.OUTPUTS, job.id, remove_from_runs(runs, task))
        return True

    def is_fetching(self, job_id: JobId, task: TaskIndex) -> bool:
        """True while the outputs of a task's result are on their way here, or being delivered."""
        return (job_id, task) in self._fetching or (job_id, task) in self._delivering

    def next_deadline(self) -> float | None:
        """When rows are to be written, a keeper asked again, or a delivery tried again."""
        again = min(self._again.values(), default=None)
        times = (self.lonely.next_deadline(), again, self._flush_at)
        return min([at for at in times if at is not None], default=None)

    def on_timer(self, turn: Turn) -> None:
        """Write gathered rows; ask another keeper; try failed deliveries again."""
        now = turn.now.mono
        if self._flush_at is not None and self._flush_at <= now:
            self.flush(turn)
        self.lonely.on_timer(turn)
        for place, at in list(self._again.items()):
            job = self._jobs.get(place[0])
            if at <= now:
                del self._again[place]
                if job is not None:
                    self._bring_home(turn, job, place[1])

    def flush(self, turn: Turn) -> None:
        """Write the rows that have changed."""
        self._flush_at = None
        for what, job_id in self._dirty:
            body = HoldingBody(self._kept.get((what, job_id), ()))
            self._replica.write(turn, Kind.HOLDING, holding_pk(self._node, what, job_id), pack_body(body))
        self._dirty.clear()

    def _must_deliver(self, job: Job, task: TaskIndex) -> bool:
        spec = job.spec
        ours = self.home_of(job) == self._node and spec.deliver is DeliverBy.NODE and spec.output_dir is not None
        if not ours or in_runs(self.delivered(job.id), task):
            return False
        return spec.submit_node == self._node or not job.copies.is_delivered(task)  # an heir goes on where it was left

    def _set(self, turn: Turn, what: HoldingWhat, job_id: JobId, runs: Runs) -> None:
        if self._kept.get((what, job_id), ()) == runs:
            return
        self._kept[what, job_id] = runs
        self._dirty[what, job_id] = None
        if self._flush_at is None:
            self._flush_at = turn.now.mono + FLUSH_S


def earlier_outputs(job: Job, task: TaskIndex) -> tuple[BlobAddress, ...]:
    """List what other attempts of a task left when they were done: it may stand in the output folder, as ours."""
    result = job.result_of(task)
    return tuple(
        output.blob
        for attempt in job.tasks.attempts_of(task)
        if attempt.state == AttemptState.DONE and (result is None or attempt.id != result.id)
        for output in attempt.body.outputs
    )


def _runs_of(body: bytes) -> Runs:
    try:
        return unpack_body(HoldingBody, body).runs
    except PeerError:
        return ()
