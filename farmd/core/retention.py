"""Archives jobs that ended long ago, so that lists stay short without anybody's care.

How long is a setting of each machine; the leader's is the one that counts, since only it writes, and since a farm has one
leader at a time the same job is seldom archived twice, which would change nothing. A job whose archive a person undid
stays in the lists: the register says 0 then, and is not written again by itself. A job that somebody ordered anything
of lately has not ended long ago, whenever its last frame ended. Time is the wall clock of the leader
against the wall clock of the nodes that ended the attempts: a day more or less does no harm.

Called by the timer of the node. Never deletes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from protocol.bodies import ControlBody, pack_body
from protocol.clock import wall_ms_of
from protocol.human import format_duration
from protocol.records import JobField, Kind, job_control_pk
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn

ACTOR = "farmd"
LOOK_S = 600.0
AT_ONCE = 200
"""Most jobs that are archived in one turn."""


class Retention:
    """Looks now and then for jobs that ended long ago."""

    def __init__(self, node: Node, archive_after_s: int) -> None:
        """Prepare; with 0 nothing is ever archived by itself."""
        self._node = node
        self._after_s = archive_after_s
        self._due: float | None = None

    def begin_life(self, turn: Turn) -> None:
        """Look for the first time when the farm has come to rest."""
        self._due = next_beat(turn.now.mono, LOOK_S) if self._after_s > 0 else None

    def next_deadline(self) -> float | None:
        """When to look again."""
        return self._due

    def on_timer(self, turn: Turn) -> None:
        """Archive what ended long ago, if this node leads."""
        node = self._node
        self._due = next_beat(turn.now.mono, LOOK_S)
        if not node.life.introduced or not node.election.is_leader:
            return
        before_ms = turn.now.wall_ms - self._after_s * 1000
        old = [job for job in node.jobs if self._is_old(job, before_ms)]
        why = f"it ended more than {format_duration(self._after_s)} ago"
        for job in old[:AT_ONCE]:
            pk = job_control_pk(job.id, JobField.ARCHIVED)
            node.replica.write(turn, Kind.JOB_CONTROL, pk, pack_body(ControlBody(1, ACTOR, why)))

    def _is_old(self, job: Job, before_ms: int) -> bool:
        if job.archived or self._node.jobs.state_of(job.id) not in JOB_TERMINAL:
            return False
        known = job.control(JobField.ARCHIVED)
        if known is not None and not known.value:
            return False
        ordered_ms = max((wall_ms_of(rec.hlc) for rec in job.registers.rows()), default=0)
        return max(job.ended_ms, job.submitted.submitted_at_ms, ordered_ms) < before_ms
