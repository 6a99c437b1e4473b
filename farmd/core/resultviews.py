"""What clients are shown of results: which files, who holds them, what cannot be had now.

Whether a task is done and whether its outputs can be had are two things; this is the second (`protocol.whereabouts`).
Called by `farmd.core.views`, `door` and `explain`. Decides nothing.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from farmd.core.outputs import earlier_outputs
from protocol.frames import FrameSet, parse_frames
from protocol.ids import TaskIndex
from protocol.whereabouts import Whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.core.job import Job
    from farmd.core.node import Node
    from protocol.bodies import OutputFact

PAGE_BYTES = 1 << 20
"""About so much is told in one page of outputs; a message holds four times that, and one task may bring a lot."""
PAGE_TASKS = 20_000
"""Done tasks that are looked at for one page, whatever is found: it would cost a turn too much."""
OUTPUT_BYTES = 160
MOST_LOOKED_AT = 10_000
"""Of jobs with more done tasks only results of which there is one copy are looked at, and so many of them: to look at all
would cost a turn too much."""


def result_list(node: Node, job: Job, args: dict[str, Any]) -> dict[str, Any]:
    """Outputs of done tasks, and who holds them; with `offset`, those of tasks from there on that fit into an answer.

    Whoever gives no `offset` is told everything at once or, where that is too large for a message, nothing; a job has
    tens of thousands of files. `next` is the offset of the next page, None after the last.
    """
    frames = args.get("frames")
    wanted = parse_frames(frames) if isinstance(frames, str) and frames else None
    offset = args.get("offset")
    paged = isinstance(offset, int)
    first = max(0, offset) if isinstance(offset, int) else 0
    outputs: list[dict[str, Any]] = []
    weight, following = 0, None
    for looked_at, task in enumerate(_done_from(job, first)):
        if paged and (weight >= PAGE_BYTES or looked_at >= PAGE_TASKS):
            following = int(task)
            break
        if wanted is not None and not any(number in wanted for number in job.plan.frames_of(task)):
            continue
        outputs_of_task = _outputs_of(node, job, task)
        outputs += outputs_of_task
        weight += sum([_weight_of(output) for output in outputs_of_task])
    return {
        "schema": "farm.results.v1",
        "job": job.id,
        "existing": job.spec.existing.value,
        "outputs": outputs,
        "next": following,
    }


def _done_from(job: Job, first: int) -> Iterator[TaskIndex]:
    """Yield the done tasks from one on, in order; what comes before costs what its runs cost."""
    for low, high in job.tasks.marks.done_runs():
        yield from map(TaskIndex, range(max(low, first), high + 1))


def _outputs_of(node: Node, job: Job, task: TaskIndex) -> list[dict[str, Any]]:
    result = job.result_of(task)
    if result is None:
        return []
    of_task = {
        "task": task,
        "frame": job.plan.frames_of(task)[0],
        "nodes": holders_of(node, job, task),
        "here": node.outputs.is_here(job.id, task),
        "former": [str(blob) for blob in earlier_outputs(job, task)],
    }
    return [of_task | output_view(output) for output in result.body.outputs]


def _weight_of(output: dict[str, Any]) -> int:
    """Say about how many bytes an output takes in an answer."""
    return OUTPUT_BYTES + 4 * len(output["name"]) + OUTPUT_BYTES * (len(output["nodes"]) + len(output["former"]))


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
    """List the done tasks whose outputs no node that answers holds, delivered ones included.

    Of a job with more than `MOST_LOOKED_AT` done tasks those with a second copy, both of them away, are left out.
    """
    alive = node.membership.is_alive
    if not job.spec.leaves_outputs or all(map(alive, job.nodes)):
        return []
    is_large = job.done_count > MOST_LOOKED_AT
    looked_at = islice(job.lonely_tasks(), MOST_LOOKED_AT) if is_large else job.done_tasks()
    return [task for task in looked_at if not job.is_available(task, alive)]


def away_groups(node: Node, job: Job, tasks: list[TaskIndex]) -> list[dict[str, Any]]:
    """Tasks that are away, those with the same holders together: their frames, and who has them."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for task in tasks:
        names = tuple(node.registry.name_of(which) for which in job.copies_of(task))
        groups.setdefault(names, []).extend(job.plan.frames_of(task))
    return [{"frames": str(FrameSet.of(frames)), "nodes": list(names)} for names, frames in groups.items()]
