"""Invariants that cost a pass over replicas or folds: checked now and then, and at the end of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.capacity import Capacity
from farmd.core.granting import MOST_KEPT
from farmd.core.hooks import Hooks
from farmd.core.jobs import Jobs
from farmd.core.match import avoided_nodes
from farmd.core.pathrules import PathRules
from farmd.core.retry import elsewhere_until, nodes_failed_on
from farmd.core.tallies import Tallies
from farmd.core.users import Users
from farmd.core.workforce import SEEN_LATELY_S
from protocol.bodies import AttemptBody, unpack_body
from protocol.ids import pack_job, pack_node
from protocol.jobspec import DeliverBy, PartitionPolicy
from protocol.records import (
    JOB_PREFIXED,
    JobField,
    Kind,
    NodeField,
    attempt_ref_of,
    job_pk,
    node_control_pk,
    path_rule_pk,
    stamp,
    user_pk,
)
from tests.sim.blobs import address_of

if TYPE_CHECKING:
    from farmd.core.job import Job
    from farmd.core.turn import Instant
    from protocol.bodies import OutputFact
    from protocol.ids import AttemptRef, NodeId, TaskIndex
    from protocol.records import Rec
    from tests.sim.invariants import Watch
    from tests.sim.machine import Machine

FIELDS = {
    "pause": JobField.PAUSED,
    "resume": JobField.PAUSED,
    "cancel": JobField.CANCELLED,
    "delete": JobField.DELETED,
    "approve": JobField.GATE,
    "reject": JobField.GATE,
    "priority": JobField.PRIORITY,
    "retry": JobField.REQUEUE,
    "archive": JobField.ARCHIVED,
    "unarchive": JobField.ARCHIVED,
}
FOLDED = (
    "done_count", "cancelled", "priority", "paused_by_person", "paused_by_failures", "gate", "rendered", "spec", "costs",
    "archived",
)  # fmt: skip


def rows_told(machine: Machine, op: str, args: dict[str, Any], data: dict[str, Any]) -> dict[tuple[int, bytes], Rec]:
    """Return the rows on the machine's disk that an acknowledgement speaks of."""
    rows = machine.disk.image.rows
    if op == "job.submit":
        keys = [(int(Kind.JOB), job_pk(data["job"]))]
    elif op == "job.control":
        start = pack_job(data["job"]) + bytes((FIELDS[args["action"]],))
        keys = [key for key in rows if key[0] == Kind.JOB_CONTROL and key[1].startswith(start)]
    elif op == "job.edit":
        starts = tuple(pack_job(data["job"]) + bytes((field,)) for field in (JobField.EDITED, JobField.PRIORITY))
        keys = [key for key in rows if key[0] == Kind.JOB_CONTROL and key[1].startswith(starts)]
    elif op == "node.price":
        prices = (NodeField.PRICE, NodeField.HARDWARE_PRICE)
        keys = [key for key in rows if key[0] == Kind.NODE_CONTROL and key[1][8] in prices]
    elif op.startswith("path."):
        keys = [(int(Kind.PATH_RULE), path_rule_pk(data["rule"]["written"], data["rule"]["platform"]))]
    elif op in ("node.evict", "node.replace"):
        keys = [(int(Kind.KEY), pack_node(data["node"]))]
    elif op.startswith("signer."):
        keys = [(int(Kind.SIGNER), bytes.fromhex(data["signer"]["verify_key"]))]
    elif op.startswith("hook."):
        keys = [(int(Kind.HOOK), bytes.fromhex(data["hook"]["id"]))]
    elif op.startswith("user."):
        name = user_pk(data["user"]["name"])
        keys = [key for key in rows if key[0] == Kind.USER and key[1].partition(b"\0")[0] == name]
    else:
        keys = [(int(Kind.NODE_CONTROL), node_control_pk(data["node"], NodeField.HELD))]
    return {key: rows[key] for key in keys if key in rows}


def check_replicas(watch: Watch) -> None:
    """Equal vectors mean equal rows (1); the running digest is right; no number has two contents (3)."""
    seen: dict[int, tuple[Machine, int]] = {}
    for machine in watch.world.up():
        replica = machine.node.replica
        replica.check()
        if replica.conflicts:
            watch.fail(3, f"{machine.name} saw one number with two contents")
        other = seen.setdefault(replica.vector_hash, (machine, replica.digest))
        if other[1] != replica.digest:
            watch.fail(1, f"{machine.name} and {other[0].name}: equal vectors, different rows")


def check_disk(watch: Watch) -> None:
    """What a driver with nothing to commit has in memory is what its disk holds (2)."""
    for machine in watch.world.up():
        assert machine.driver is not None
        if machine.driver.is_busy or machine.driver._next.saves or machine.frozen:
            continue
        replica, image = machine.node.replica, machine.disk.image
        if dict(replica.vector.pairs()) != image.vector:
            watch.fail(2, f"{machine.name}: the vector on disk is not the one in memory")
        if {(rec.kind, rec.pk): rec for rec in replica.rows()} != image.rows:
            watch.fail(2, f"{machine.name}: the rows on disk are not those in memory")


def check_folds(watch: Watch, machine: Machine) -> None:
    """The incremental fold equals the fold from scratch, and every waiting task has a reason (13)."""
    node, now = machine.node, machine.clock.now()
    fresh = Jobs(node._may_ever_run)
    fresh._lives = node.jobs._lives  # which lives are over is no function of the rows
    fresh.load(node.replica.rows(), now)
    if sorted(job.id for job in node.jobs) != sorted(job.id for job in fresh):
        watch.fail(13, f"{machine.name}: other jobs in the fold than in the rows")
    counted = Tallies.from_scratch(node.jobs)
    if (counted.jobs, counted.tasks) != (node.chronicle.tallies.jobs, node.chronicle.tallies.tasks):
        watch.fail(13, f"{machine.name}: {node.chronicle.tallies.tasks} are counted, there are {counted.tasks}")
    for job in node.jobs:
        other = fresh.get(job.id)
        assert other is not None
        for what in FOLDED:
            if getattr(job, what) != getattr(other, what):
                texts = f"{getattr(job, what)} and {getattr(other, what)}"
                watch.fail(13, f"{machine.name}: {what} of {job.id} differs from the fold from scratch: {texts}")
        results = [(task, _name(job, task)) for task in job.done_tasks()]
        if results != [(task, _name(other, task)) for task in other.done_tasks()]:
            watch.fail(13, f"{machine.name}: results of {job.id} differ from the fold from scratch")
        reasons = node.door.explain.why(job, None, now)["reasons"]
        if not all(reason["text"] for reason in reasons):
            watch.fail(13, f"{machine.name}: a waiting task of {job.id} has no reason")
    _check_path_rules(watch, machine)
    _check_users(watch, machine)
    _check_hooks(watch, machine)
    gone = watch.deleted.setdefault(machine.id, {})
    gone.update((job_id, None) for job_id in node.jobs._deleted)
    for job_id in gone:
        if job_id in node.jobs:
            watch.fail(10, f"{machine.name}: deleted job {job_id} is back")


def _check_path_rules(watch: Watch, machine: Machine) -> None:
    node, fresh = machine.node, PathRules()
    for rec in node.replica.rows():
        fresh.apply(rec)
    if not fresh.rules == node.path_rules.rules == node.worker.path_rules:
        watch.fail(13, f"{machine.name}: the path rules differ from the fold from scratch")


def _check_users(watch: Watch, machine: Machine) -> None:
    node, fresh = machine.node, Users()
    for rec in node.replica.rows():
        fresh.apply(rec)
    if (fresh.views(), fresh.keys()) != (node.users.views(), node.users.keys()):
        watch.fail(13, f"{machine.name}: the people differ from the fold from scratch")


def _check_hooks(watch: Watch, machine: Machine) -> None:
    node, fresh = machine.node, Hooks()
    for rec in node.replica.rows():
        fresh.apply(rec)
    if (fresh.standing, fresh.alerting) != (node.hooks.standing, node.hooks.alerting):
        watch.fail(13, f"{machine.name}: the hooks differ from the fold from scratch")


def _name(job: Job, task: Any) -> Any:
    result = job.result_of(task)
    return result.id if result is not None else None


def check_done_survives(watch: Watch) -> None:
    """No done attempt is lost or changed (6), and its outputs are its own (7)."""
    for machine in watch.world.up():
        rows = {attempt_ref_of(rec.pk): rec for rec in machine.node.replica.rows_of(Kind.ATTEMPT)}
        for ref, (rec, holders) in watch.done.items():
            if machine.node.jobs.is_deleted(ref.job):
                continue
            found = rows.get(ref)
            if found is None or found.body != rec.body:
                if all(watch.world.by_id[node].has_lost_rows for node in holders):
                    continue
                watch.fail(6, f"{machine.name} lost the done attempt {ref}")
            body = unpack_body(AttemptBody, rec.body)
            for output in body.outputs:
                painted = watch.world.by_id[body.node].blobs.held.get(output.blob)
                if (
                    painted is not None
                    and output.blob not in watch.world.by_id[body.node].blobs.rotten
                    and not painted.startswith(f"{ref} ".encode())
                ):
                    watch.fail(7, f"{ref} names an output that another attempt painted")


def check_acknowledged(watch: Watch) -> None:
    """What was acknowledged is everywhere (2)."""
    # A node that has not described itself yet is named by its id.
    by_name = {name: machine for machine in watch.world.machines for name in (machine.name, machine.id)}
    for node, rows, data in watch.acknowledged:
        holders = [watch.world.by_id[node], *[by_name[name] for name in data["nodes"]]]
        if all(holder.has_lost_rows for holder in holders):
            continue
        for machine in watch.world.up():
            for (kind, pk), rec in rows.items():
                if kind in JOB_PREFIXED and any(pack_job(job) == pk[:10] for job in machine.node.jobs._deleted):
                    continue
                found = machine.node.replica.get(kind, pk)
                if found is None or stamp(found) < stamp(rec):
                    watch.fail(2, f"{machine.name} lacks what was acknowledged: {data}")


def check_blobs(watch: Watch) -> None:
    """A blob matches its address (14), unless a bit flipped on the disk and nobody has read it since."""
    for machine in watch.world.machines:
        for address, content in machine.blobs.held.items():
            if address_of(content) != address and address not in machine.blobs.rotten:
                watch.fail(14, f"{machine.name} holds a blob that is not what it is called")


def undelivered(watch: Watch) -> list[str]:
    """Say which results do not stand, as they are, in the folder into which their node delivers (7)."""
    world = watch.world
    here = {blob: None for machine in world.up() for blob in machine.blobs.held}
    faults: list[str] = []
    for machine in world.up():
        for job in machine.node.jobs:
            spec = job.spec
            if spec.submit_node != machine.id or spec.output_dir is None or spec.deliver is not DeliverBy.NODE:
                continue
            for result in filter(None, map(job.result_of, job.done_tasks())):
                outputs = result.body.outputs
                if all(output.blob in here for output in outputs):
                    faults += _misdelivered(watch, spec.output_dir, result.ref, outputs)
    return faults


def _misdelivered(watch: Watch, folder: str, ref: AttemptRef, outputs: tuple[OutputFact, ...]) -> list[str]:
    found = [(output, watch.world.delivered.get((folder, output.name))) for output in outputs]
    return [
        f"{output.name} of {ref} was not delivered, but {content!r}"
        for output, content in found
        if content is None or address_of(content) != output.blob
    ]


def could_grant(machine: Machine) -> bool:
    """Say whether a leader has a ready task, and a node that may take it and has room now; nothing cached is used."""
    node, now = machine.node, machine.clock.now()
    leader, bodies = node.leader, node.registry.bodies
    recent = node.membership.recent(now.mono, SEEN_LATELY_S)
    alive = node.membership.alive()
    rooms = {
        name: Capacity(name, bodies[name], claims=dict(room.claims) if (room := leader.matcher.get(name)) else {})
        for name in alive
        if name in bodies and node._may_work(name) and not node.jobs.health.is_sick(name)
    }
    for job in node.jobs.line():
        need = leader.need_of(job)
        avoided = avoided_nodes(job, need, {name: bodies[name] for name in recent if name in bodies}, now)
        if 2 * len(alive) < len(recent) and job.spec.on_partition is PartitionPolicy.HOLD_IN_MINORITY:
            continue
        holders = rooms if job.spec.manifest is None else dict.fromkeys(job.copies.asset_holders())
        takers = {
            name: room.fit_now(need) is not None
            for name, room in rooms.items()
            if room.never_fits(need) is None and name in holders and name not in avoided
        }
        tasks = job.ready_tasks(MOST_KEPT + 1, now) if any(takers.values()) else []
        if len(tasks) > MOST_KEPT or any(_is_due(job, task, takers, now) for task in tasks):
            return True
    return False


def _is_due(job: Job, task: TaskIndex, takers: dict[NodeId, bool], now: Instant) -> bool:
    """Say whether a task need not wait for another machine than those on which it failed; `takers` have room, or not."""
    attempts = job.tasks.current_of(task)
    fresh = takers.keys() - nodes_failed_on(attempts)
    return any(takers[name] for name in fresh) or not fresh or elsewhere_until(attempts, now) <= now.mono
