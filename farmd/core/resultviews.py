"""What clients are shown of results: which files, who holds them, what cannot be had now.

Whether a task is done and whether its outputs can be had are two things; this is the second (`protocol.whereabouts`).
Called by `farmd.core.views`, `door` and `explain`. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.outputs import earlier_outputs
from protocol.frames import FrameSet, parse_frames
from protocol.whereabouts import Whereabouts

if TYPE_CHECKING:
    from farmd.core.job import Job
    from farmd.core.node import Node
    from protocol.bodies import OutputFact
    from protocol.ids import TaskIndex

MOST_LOOKED_AT = 10_000
"""Jobs with more done tasks are not searched for results that are away: it would cost a turn too much."""


def result_list(node: Node, job: Job, args: dict[str, Any]) -> dict[str, Any]:
    """Outputs of done tasks, and who holds them."""
    frames = args.get("frames")
    wanted = parse_frames(frames) if isinstance(frames, str) and frames else None
    outputs: list[dict[str, Any]] = []
    for task in job.done_tasks():
        numbers = job.plan.frames_of(task)
        result = job.result_of(task)
        if result is None or (wanted is not None and not any(number in wanted for number in numbers)):
            continue
        of_task = {
            "task": task,
            "frame": numbers[0],
            "nodes": holders_of(node, job, task),
            "here": node.outputs.is_here(job.id, task),
            "former": [str(blob) for blob in earlier_outputs(job, task)],
        }
        outputs += [of_task | output_view(output) for output in result.body.outputs]
    return {"schema": "farm.results.v1", "job": job.id, "existing": job.spec.existing.value, "outputs": outputs}


def output_view(output: OutputFact) -> dict[str, Any]:
    """One output file."""
    thumbnail = None if output.thumbnail is None else str(output.thumbnail)
    return {"name": output.name, "blob": str(output.blob), "size": output.blob.size, "thumbnail": thumbnail}


def holders_of(node: Node, job: Job, task: TaskIndex) -> list[dict[str, Any]]:
    """The nodes that hold a task's result, the one that rendered it first."""
    alive, name_of = node.membership.is_alive, node.registry.name_of
    return [{"id": which, "name": name_of(which), "alive": alive(which)} for which in job.copies_of(task)]


def whereabouts_of(node: Node, job: Job, task: TaskIndex) -> Whereabouts | None:
    """Say where a done task's outputs are; None while it is not done."""
    result = job.result_of(task)
    if result is None:
        return None
    if not job.spec.leaves_outputs or not result.body.outputs:
        return Whereabouts.NONE
    if job.copies.is_delivered(task):
        return Whereabouts.DELIVERED
    return Whereabouts.AVAILABLE if job.is_available(task, node.membership.is_alive) else Whereabouts.AWAY


def away_tasks(node: Node, job: Job) -> list[TaskIndex]:
    """List the done tasks whose outputs no node that answers holds, delivered ones included."""
    alive = node.membership.is_alive
    if not job.spec.leaves_outputs or job.done_count > MOST_LOOKED_AT or all(map(alive, job.nodes)):
        return []
    return [task for task in job.done_tasks() if not job.is_available(task, alive)]


def away_groups(node: Node, job: Job, tasks: list[TaskIndex]) -> list[dict[str, Any]]:
    """Tasks that are away, those with the same holders together: their frames, and who has them."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for task in tasks:
        names = tuple(node.registry.name_of(which) for which in job.copies_of(task))
        groups.setdefault(names, []).extend(job.plan.frames_of(task))
    return [{"frames": str(FrameSet.of(frames)), "nodes": list(names)} for names, frames in groups.items()]
