"""What clients are shown: plain maps with a versioned schema that only ever grows.

Made from the live state within one turn, so every view is consistent in itself. Costs follow what is shown, never
the number of frames. Called by `farmd.core.door`.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING, Any

from farmd.core.bitmap import Mark
from farmd.core.costviews import cost_view
from farmd.core.edits import edit_views
from farmd.core.jobstatus import task_states
from farmd.core.nodeorders import price_view
from farmd.core.resultviews import away_groups, away_tasks, holders_of, output_view, whereabouts_of
from farmd.core.room import store_view
from protocol.frames import FrameSet, parse_frames
from protocol.human import counted
from protocol.ids import TaskIndex, task_id_of
from protocol.states import JOB_TERMINAL, TASK_STATES, FailureClass, MemberState, NodeState, TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmd.core.job import Job
    from farmd.core.jobstatus import GateFrame, JobStatus
    from farmd.core.node import Node
    from farmd.core.turn import Instant
    from protocol.ids import NodeId


def farm_status(node: Node, now: Instant) -> dict[str, Any]:
    """The farm as this node sees it."""
    leader = node.election.leader_at(now.mono)
    return {
        "schema": "farm.status.v1",
        "farm": node.registry.farm.name if node.registry.farm is not None else "",
        "node": node.id,
        "node_name": node.registry.name_of(node.id),
        "leader": leader,
        "leader_name": node.registry.name_of(leader) if leader is not None else None,
        "term": node.election.term,
        "as_of_ms": now.wall_ms,
        "nodes": node_list(node, now)["nodes"],
        "jobs": dict(node.chronicle.tallies.jobs),
        "disk_fault": node.condition.disk_fault(),
    }


def node_list(node: Node, now: Instant) -> dict[str, Any]:
    """All nodes that were admitted, by name; those that never described themselves too, since they may do everything."""
    shown = (known for known in node.registry.admitted() if known != node.id or known in node.registry.bodies)
    nodes = [node_view(node, known, now) for known in shown]
    nodes.sort(key=lambda view: (view["name"], view["id"]))
    return {"schema": "farm.nodes.v1", "nodes": nodes}


def node_view(node: Node, which: NodeId, now: Instant) -> dict[str, Any]:
    """One node: what it offers, how it is, what it runs."""
    body = node.registry.body_of(which)
    member = node.membership.members().get(which)
    advert = node.condition.advert(now) if which == node.id else node.membership.advert_of(which)
    running = node.jobs.running_on(which)
    key = node.registry.keys.get(which)
    return {
        "id": which,
        "name": body.name,
        "state": _node_state(node, which, busy=bool(running)).value,
        "reason": _why_idle(node, which),
        "held_until_ms": _held_until_ms(node, which),
        "address": body.address,
        "public_key": key.public_key.hex() if key is not None else "",
        "cores": body.cores,
        "ram_bytes": body.ram_bytes,
        "gpus": [gpu._asdict() for gpu in body.gpus],
        "slots": body.slots,
        "running": len(running),
        "tasks": [{"job": a.ref.job, "task": a.task, "attempt": str(a.id)} for a in running],
        "renderers": [{"name": r.name, "version": r.version, "features": list(r.features)} for r in body.renderers],
        "software": body.software,
        "epoch": body.epoch,
        "last_seen_s": 0.0 if member is None or member.is_here else max(0.0, now.mono - member.since),
        "free_ram_bytes": advert.free_ram_bytes if advert is not None else None,
        "free_disk_bytes": advert.free_disk_bytes if advert is not None else None,
        "load": advert.load if advert is not None else None,
        **store_view(advert),
        "store_fault": node.room.quota.fault if which == node.id else "",
        **price_view(node, which),
    }


def _held_until_ms(node: Node, which: NodeId) -> int:
    """Return when a hold ends by itself, 0 if there is none or somebody has to end it."""
    hold = node.registry.hold_of(which)
    return hold.until_ms if hold is not None else 0


def _why_idle(node: Node, which: NodeId) -> str:
    """Say who holds a node; or that it was away already when this one started, since nobody remembers how it went."""
    hold, member = node.registry.hold_of(which), node.membership.members().get(which)
    if hold is not None:
        return f"held by {hold.actor}: {hold.why}".rstrip(": ")
    key = node.registry.keys.get(which)
    if key is not None and which not in node.registry.bodies:
        return f"admitted{f' as {key.name}' if key.name else ''}, but has not said what it is"
    never = member is None or (member.state is MemberState.DEAD and member.seen_at == -inf)
    return "not seen since this node started" if never else ""


def _node_state(node: Node, which: NodeId, *, busy: bool) -> NodeState:
    state = node.membership.state_of(which)
    if state is MemberState.LEFT:
        return NodeState.LEFT
    if state is MemberState.SUSPECT:
        return NodeState.RECONNECTING
    if state is not MemberState.ALIVE:
        return NodeState.LOST
    if node.registry.hold_of(which) is not None:
        return NodeState.DRAINING if busy else NodeState.HELD
    if node.jobs.health.is_sick(which):
        return NodeState.SICK
    return NodeState.BUSY if busy else NodeState.IDLE


def job_view(node: Node, job: Job, now: Instant, *, brief: bool = False, frames: bool = True) -> dict[str, Any]:
    """One job; `brief` leaves out what only its own page shows, and without `frames` the lists of frames are empty."""
    status = node.jobs.status_of(job.id, now, frames=frames)
    spec = job.spec
    view: dict[str, Any] = {
        "schema": "farm.job.v1",
        "id": job.id,
        "name": spec.name,
        "owner": spec.owner,
        "state": status.state.value,
        "progress": round(status.progress, 2),
        "total": status.total_frames,
        "done": status.done_frames,
        "failed": status.failed,
        "running": status.running,
        "waiting": status.waiting,
        "total_tasks": status.total_tasks,
        "done_tasks": status.done,
        "completed_frames": status.completed_frames,
        "failed_frames": status.failed_frames,
        "priority": status.priority,
        "renderer": spec.renderer,
        "frames": spec.frames or "1",
        "submitted_ms": status.submitted_at_ms,
        "started_ms": status.started_at_ms,
        "ended_ms": status.ended_at_ms,
        "eta_s": _eta_s(node, job, status),
        "reason": node.door.explain.in_a_list(job, now),
        "version": node.chronicle.version_of(job.id),
        "project": spec.project,
        "labels": dict(spec.labels),
        "archived": job.archived,
        "cost_micros": job.costs.total.cost,
    }
    return view if brief else view | _job_details(node, job, status)


def _job_details(node: Node, job: Job, status: JobStatus) -> dict[str, Any]:
    spec = job.spec
    away = away_groups(node, job, away_tasks(node, job))
    return {
        "task_id": task_id_of(job.id),
        "nodes": _nodes_of(node, job),
        "scene": spec.scene_path or spec.scene,
        "path_rules": [list(rule) for rule in spec.path_rules],
        "output_dir": spec.output_dir,
        "leaves_outputs": spec.leaves_outputs,
        "deliver": spec.deliver.value if spec.output_dir is not None else "none",
        "delivered": status.delivered,
        "delivery_error": node.outputs.delivery_errors.get(job.id, ""),
        "delivery_remark": node.outputs.delivery_remarks.get(job.id, ""),
        "existing": spec.existing.value,
        "safe": status.safe,
        "away": away,
        "unavailable_frames": str(parse_frames(",".join([group["frames"] for group in away]))) if away else "",
        "why_stopped": "" if status.reason is None else status.reason.text(),
        "generation": status.gate_generation,
        "peak_ram_bytes": status.peak_ram_bytes,
        "mean_task_s": round(status.mean_task_s, 3),
        "submit_node": spec.submit_node,
        "submit_node_name": node.registry.name_of(spec.submit_node),
        "gate": {
            "mode": spec.gate.mode.value,
            "state": status.gate.value,
            "test_frames": [_test_frame(node, frame) for frame in status.test_frames],
        },
        "requirements": {
            "ram_bytes": spec.requirements.ram_bytes,
            "cores": spec.requirements.cores,
            "gpus": spec.requirements.gpus,
            "vram_bytes": spec.requirements.vram_bytes,
            "renderer_version": spec.requirements.renderer_version,
        },
        "limits": asdict(spec.limits),
        "edits": edit_views(job),
        "costs": cost_view(job.costs.total),
    }


def _test_frame(node: Node, frame: GateFrame) -> dict[str, Any]:
    return {
        "frame": frame.frame,
        "task": frame.task,
        "state": frame.state.value,
        "node": frame.node,
        "node_name": node.registry.name_of(frame.node) if frame.node is not None else None,
        "seconds": frame.seconds,
        "peak_ram_bytes": frame.peak_ram_bytes,
        "outputs": [output_view(output) for output in frame.outputs],
        "text": frame.text,
    }


def _nodes_of(node: Node, job: Job) -> list[dict[str, Any]]:
    """Nodes that worked for the job, and how many frames each has rendered, those that were done again included."""
    return [
        {"id": which, "name": node.registry.name_of(which), "frames": job.frames_by.get(which, 0)}
        for which in sorted(job.nodes)
    ]


def _eta_s(node: Node, job: Job, status: JobStatus) -> float | None:
    """Remaining tasks times their mean time, over as many as run now."""
    left = status.running + status.waiting
    if status.state in JOB_TERMINAL or not status.mean_task_s or not status.running or not left:
        return None
    del node, job
    return round(left * status.mean_task_s / max(1, status.running), 1)


def task_list(node: Node, job: Job, state: str, offset: int, limit: int) -> dict[str, Any]:
    """A page of a job's tasks, all or those in one state; costs what the page costs, however many tasks there are."""
    states = task_states(job)
    chosen: Sequence[int] = range(len(states))
    if state:
        codes = [code for code, known in enumerate(TASK_STATES) if known.value == state]
        chosen = [index for code in codes for index in _where(states, code)]
    page = chosen[max(0, offset) :][: max(0, limit)]
    rows = [task_view(node, job, TaskIndex(index), TASK_STATES[states[index]].value) for index in page]
    return {"schema": "farm.tasks.v1", "job": job.id, "tasks": rows, "total": len(chosen)}


def _where(states: bytes, code: int) -> list[int]:
    """List the indexes of one state among many, at the speed of memory."""
    return [found.start() for found in re.finditer(re.escape(bytes((code,))), states)]


def task_view(node: Node, job: Job, task: TaskIndex, where: str) -> dict[str, Any]:
    """One task, as lists show it: where it stands, and its result or its last try."""
    attempts = job.tasks.attempts_of(task)
    shown = job.result_of(task) or max(attempts, key=lambda a: (a.started_ms, a.id), default=None)
    view: dict[str, Any] = {
        "index": task,
        "frames": str(FrameSet.of(job.plan.frames_of(task))),
        "state": where,
        "test": job.plan.is_test(task),
        "generation": job.generation_of(task),
        "attempts": len(attempts),
        "copies": len(job.copies_of(task)),
    }
    if shown is not None:
        body = shown.body
        view |= {
            "node": shown.node,
            "node_name": node.registry.name_of(shown.node),
            "attempt": str(shown.id),
            "seconds": max(0, shown.ended_ms - shown.started_ms) / 1000 if shown.ended_ms else None,
            "peak_ram_bytes": shown.peak_ram_bytes,
            "progress": node.progress_of(shown.ref),
            "cause": shown.cause,
            "text": body.text,
            "last_lines": body.last_lines,
            "outputs": [output_view(output) for output in body.outputs],
        }
    whereabouts = whereabouts_of(node, job, task)
    if whereabouts is not None:
        view |= {"result": whereabouts.value, "holders": holders_of(node, job, task)}
    if job.given_up and where == TaskState.FAILED and job.tasks.marks[task] is not Mark.FAILED:
        view |= {"cause": int(FailureClass.MISSING_FEATURE), "text": job.given_up}
    return view


_EVICT_HINT = "one that is not joining just now, and that nobody knows: farmctl node evict ID"


def doctor(node: Node, now: Instant) -> dict[str, Any]:
    """What a node can check of itself."""
    alive = node.membership.alive()
    leader = node.election.leader_at(now.mono)
    body = node.registry.bodies.get(node.id)
    renderers = ", ".join(f"{r.name} {r.version}".strip() for r in body.renderers) if body is not None else ""
    collecting = [job for job in node.jobs if job.spec.leaves_outputs]
    lonely = sum([sum(not job.copies.is_delivered(task) for task in job.lonely_tasks()) for job in collecting])
    has_room, room = node.room.check()
    is_member = node.registry.is_admitted(node.id)
    silent = [other for other in node.registry.undescribed() if other != node.id]
    fault = node.thumbnails.fault
    answer = "answers" if len(alive) == 1 else "answer"
    checks = [
        _check("members", len(alive) > 0, f"{counted(len(alive), 'node')} {answer}"),
        _check(
            "admitted", is_member, "it is a member" if is_member else f"not yet: {node.links.join_fault or 'asking'}"
        ),
        _check("admissions", not silent, _admissions_text(silent), _EVICT_HINT),
        _check("leader", leader is not None, node.registry.name_of(leader) if leader else "no leader is known"),
        _check("disk", not node.condition.disk_fault(), node.condition.disk_fault() or "the data dir has room"),
        _check("store", has_room, room, "raise --store-quota, or cancel or delete jobs that are no longer needed"),
        _check("renderers", bool(renderers), renderers or "none found: only command jobs can run here"),
        _check("thumbnails", True, f"none are made here: {fault}" if fault else "made of finished frames"),
        _check("copies", len(alive) < 2 or lonely == 0, f"{counted(lonely, 'result')} on one node only"),
    ]
    door = node.condition.door_fault
    if door is not None:
        checks.append(_check("http", not door, f"not served: {door}" if door else "served by a process of its own"))
    return {"schema": "farm.doctor.v1", "node": node.id, "checks": checks}


def _admissions_text(silent: list[NodeId]) -> str:
    if not silent:
        return "every machine that was admitted has said what it is"
    return f"admitted, and never said what they are: {', '.join(silent[:4])}{', …' if len(silent) > 4 else ''}"


def _check(name: str, ok: bool, text: str, hint: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "text": text, "hint": hint}
