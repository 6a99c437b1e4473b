"""Results that one machine alone has: the long part of the question whether it may be switched off.

While all machines answer, the fold knows which results have no second copy. In the evening, when some are off, a second
copy may be on one of those, and each done task of the jobs that they had a part in has to be looked at. A farm keeps
hundreds of thousands of those, and the question is asked every second by whoever waits for the answer: so the walk goes
in steps, between which the node does its work.

Called by `farmd.core.offduty`. Writes nothing.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from protocol.frames import FrameSet
from protocol.human import counted
from protocol.jobspec import DeliverBy
from protocol.messages import Finding

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from farmd.core.job import Job
    from farmd.core.node import Node
    from protocol.ids import NodeId, TaskIndex

STEP = 1_000
"""Tasks that are looked at in one turn."""
MOST_LETTERS = 200
"""So much of a list of frames is told."""
MOST_LISTED = 10_000
"""Tasks whose frames are gathered for such a list."""


def lone_results(node: Node, which: NodeId, here: Mapping[NodeId, None]) -> Generator[None, None, list[Finding]]:
    """List the results that a machine has and no other one that answers; yields after each step."""
    found: list[Finding] = []
    seen = 0
    for job in list(node.jobs):
        away: list[TaskIndex] = []
        home: list[TaskIndex] = []
        for task in _candidates(node, job, which, here):
            seen += 1
            if seen % STEP == 0:
                yield
            if _is_alone(job, task, which, here):
                (home if job.copies.is_delivered(task) else away).append(task)
        found += _told(node, job, which, away, home)
    return found


def _candidates(node: Node, job: Job, which: NodeId, here: Mapping[NodeId, None]) -> Iterable[TaskIndex]:
    """List the tasks whose results may be on one machine alone.

    While all that may hold any answer, these are only the ones without a second copy.
    """
    holders = dict.fromkeys((*job.nodes, *job.copies.keepers()))
    if which not in holders or not job.spec.leaves_outputs:
        return ()
    is_admitted = node.registry.is_admitted
    is_off = any(other not in here and is_admitted(other) for other in holders if other != which)
    return job.done_tasks() if is_off else job.lonely_tasks()


def _is_alone(job: Job, task: TaskIndex, which: NodeId, here: Mapping[NodeId, None]) -> bool:
    if any(keeper in here for keeper in job.tasks.keepers_of(task)):
        return False
    holders = job.copies_of(task)
    if which not in holders or any(holder in here for holder in holders):
        return False
    result = job.result_of(task)
    return result is not None and bool(result.body.outputs)


def _told(node: Node, job: Job, which: NodeId, away: list[TaskIndex], home: list[TaskIndex]) -> Iterator[Finding]:
    """Tell of results that are nowhere else, and of those that at least stand in the output folder."""
    if away:
        text = f"{counted(len(away), 'result')} of {job.spec.name} with no copy on a machine that answers"
        hint = f"wait: another machine copies them; or fetch them: farmctl job download {job.id}"
        yield Finding("results", True, len(away), text, hint, job.id, _frames(job, away))
    if home and node.outputs.home_of(job) == which and job.spec.deliver is DeliverBy.NODE:
        text = f"{counted(len(home), 'result')} of {job.spec.name} delivered into {job.spec.output_dir}"
        hint = "if that is a disk of this machine, they cannot be read while it is off"
        yield Finding("delivered", False, len(home), text, hint, job.id, _frames(job, home))


def _frames(job: Job, tasks: list[TaskIndex]) -> str:
    shown = str(FrameSet.of(frame for task in islice(tasks, MOST_LISTED) for frame in job.plan.frames_of(task)))
    if len(shown) > MOST_LETTERS:
        shown = shown[:MOST_LETTERS].rpartition(",")[0]
    elif len(tasks) <= MOST_LISTED:
        return shown
    return f"{shown},…"
