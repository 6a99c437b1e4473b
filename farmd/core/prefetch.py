"""Which nodes are asked to fetch a job's files before they are granted tasks of it.

A node is granted a task only when it holds the job's files, so somebody must tell it to get them: as many nodes as the
job has tasks left, in the order in which the leader would use them, and again from time to time, for a node may have
forgotten or never heard it.

Called by `farmd.core.leader`; forgotten when an office ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.messages import Prefetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from farmd.core.job import Job
    from farmd.core.turn import Turn
    from protocol.ids import JobId, NodeId

AGAIN_S = 5.0
"""Pause before a node is reminded."""
MOST_NODES = 64
"""Most nodes that are asked to fetch one job's files at a time."""


class Prefetcher:
    """Remembers who was asked for what, and when."""

    def __init__(self) -> None:
        self._asked: dict[tuple[NodeId, JobId], float] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._asked.clear()

    def forget(self, node: NodeId, job: JobId) -> None:
        """A node said that it lacks the files: it may be asked again at once."""
        self._asked.pop((node, job), None)

    def times(self) -> Iterator[float]:
        """Moments at which somebody may be reminded; some may be over."""
        return (at + AGAIN_S for at in self._asked.values())

    def ask(self, turn: Turn, job: Job, nodes: Iterable[NodeId]) -> bool:
        """Ask the first of `nodes` that lack the job's files, as many in all as it has tasks left.

        Args:
            turn: Collects the sends.
            job: With files.
            nodes: That may run it, the best first.

        Returns:
            True if anybody was asked.
        """
        now, wanted, anybody = turn.now.mono, min(MOST_NODES, job.plan.task_count - job.done_count), False
        holders = dict.fromkeys(job.copies.asset_holders())
        for _, node in zip(range(wanted), nodes, strict=False):
            if node in holders or self._asked.get((node, job.id), -AGAIN_S) + AGAIN_S > now:
                continue
            self._asked[node, job.id] = now
            turn.send(node, Prefetch(job.id, job.rec.body))
            anybody = True
        return anybody
