"""What else lies on the disk of a node for jobs: working trees of jobs that are over, and parts of blobs never finished.

Both can be made again, so no copy is ever asked for. A working tree goes when its job was over at two looks in a row,
`PERIOD_S` apart, so that a frame that is retried at once finds it; or at the next look after a store was too full. A
tree in which an attempt runs stays, whatever became of its job. A part goes when nobody has added to it for
`PARTS_IDLE_S`: its transfer was cancelled, or its source has been away for so long.

Called by `farmd.core.node`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from farmd.core.effects import RemoveCheckouts, Tidy
from farmd.core.evictable import is_over

if TYPE_CHECKING:
    from farmd.core.events import CheckoutsFound
    from farmd.core.jobs import Jobs
    from farmd.core.turn import Turn
    from farmd.core.worker import Worker
    from protocol.ids import JobId

PERIOD_S = 600.0
HURRY_S = 30.0
"""Between two looks while the store is too full."""
PARTS_IDLE_S = 24 * 3_600.0
HURRIED_PARTS_IDLE_S = 3_600.0


class Tidying:
    """Looks now and then."""

    def __init__(self, jobs: Jobs, worker: Worker) -> None:
        self._jobs = jobs
        self._worker = worker
        self._over: dict[JobId, None] = {}
        self._hurries = False
        self._at: float | None = None

    def begin_life(self, turn: Turn) -> None:
        """Plan the first look."""
        self._at = next_beat(turn.now.mono, PERIOD_S)

    def hurry(self, turn: Turn) -> None:
        """The store is too full."""
        self._hurries = True
        if self._at is not None:
            self._at = min(self._at, next_beat(turn.now.mono, HURRY_S))

    def next_deadline(self) -> float | None:
        """When to look."""
        return self._at

    def on_timer(self, turn: Turn) -> None:
        """Look."""
        if self._at is None or turn.now.mono < self._at:
            return
        self._at = next_beat(turn.now.mono, PERIOD_S)
        turn.effects.append(Tidy(HURRIED_PARTS_IDLE_S if self._hurries else PARTS_IDLE_S))

    def on_found(self, turn: Turn, event: CheckoutsFound) -> None:
        """Remove the trees of jobs that are over."""
        busy = {ref.job: None for ref in self._worker.live}
        over = {job: None for job in event.jobs if job not in busy and self._is_over(job)}
        goes = tuple([job for job in over if job in self._over or self._hurries])
        self._over, self._hurries = over, False
        if goes:
            turn.effects.append(RemoveCheckouts(goes))

    def _is_over(self, job_id: JobId) -> bool:
        job = self._jobs.get(job_id)
        return is_over(job) if job is not None else True
