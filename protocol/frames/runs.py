"""Runs of frames in canonical form: greedy from the left, as far as the spacing lasts.

Two frames with a gap are two single frames. So equal sets of frames have equal runs, and work follows the number of
runs wherever steps allow it. Called by `frameset`.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FRAMES: Final = 10_000_000
MAX_RUNS: Final = 100_000


def start_of(run: range) -> int:
    """Return where a run begins, to sort and search by."""
    return run.start


def text_of(run: range) -> str:
    """Write a run in the farm's dialect."""
    if len(run) == 1:
        return str(run.start)
    return f"{run.start}-{run[-1]}" + (f"x{run.step}" if run.step > 1 else "")


class _Squeeze:
    """Builds canonical runs from frames that come in ascending order; state = the run that is still open."""

    __slots__ = ("first", "last", "runs", "step")

    def __init__(self) -> None:
        self.runs: list[range] = []
        self.first = self.last = -(2**80)
        self.step = -1  # -1: nothing open; 0: one frame, spacing not known yet

    def add(self, frame: int) -> None:
        gap = frame - self.last
        if gap == self.step:
            self.last = frame
        elif self.step == 0:
            self.step, self.last = gap, frame
        elif self._is_gapped_pair():
            self._emit(range(self.first, self.first + 1))
            self.first, self.step, self.last = self.last, gap, frame
        else:
            self._close()
            self.first, self.step, self.last = frame, 0, frame

    def add_run(self, run: range) -> None:
        """Add a whole run: after at most four frames the open run has its spacing and takes the rest at once."""
        for frame in run:
            self.add(frame)
            if self.step == run.step:
                self.last = run[-1]
                return

    def finish(self) -> tuple[range, ...]:
        self._close()
        return tuple(self.runs)

    def _is_gapped_pair(self) -> bool:
        return self.step > 1 and self.last - self.first == self.step

    def _close(self) -> None:
        if self._is_gapped_pair():
            self._emit(range(self.first, self.first + 1))
            self._emit(range(self.last, self.last + 1))
        elif self.step >= 0:
            self._emit(range(self.first, self.last + 1, self.step or 1))

    def _emit(self, run: range) -> None:
        if len(self.runs) >= MAX_RUNS:
            raise UsageError(
                "too many scattered frames",
                f"the frames fall apart into more than {MAX_RUNS} runs",
                "submit several jobs with simpler ranges",
            )
        self.runs.append(run)


def squeezed(ascending: Iterable[int]) -> tuple[range, ...]:
    """Make canonical runs of single frames.

    Raises:
        UsageError: They fall apart into more than `MAX_RUNS`.
    """
    squeeze = _Squeeze()
    for frame in ascending:
        squeeze.add(frame)
    return squeeze.finish()


def canonical(runs: Iterable[range]) -> tuple[range, ...]:
    """Make canonical runs of any.

    Raises:
        UsageError: There are too many frames, or they fall apart into more than `MAX_RUNS`.
    """
    squeeze = _Squeeze()
    for cluster in _clusters(runs):
        if len(cluster) == 1:
            squeeze.add_run(cluster[0])
            continue
        if sum(map(len, cluster)) > 2 * MAX_FRAMES:
            raise too_many()
        before = None
        for frame in merge(*cluster):
            if frame != before:
                squeeze.add(frame)
            before = frame
    return squeeze.finish()


def _clusters(runs: Iterable[range]) -> Iterator[list[range]]:
    """Group runs whose spans overlap; runs of spacing 1 are joined first, so that they rarely do."""
    ascending = [run if run.step > 0 else run[::-1] for run in runs if run]
    stepped = {run for run in ascending if run.step > 1 and len(run) > 1}
    solid = _joined(sorted((run.start, run[-1]) for run in ascending if run.step == 1 or len(run) == 1))
    cluster: list[range] = []
    end = 0
    for run in sorted(chain(solid, stepped), key=start_of):
        if cluster and run.start > end:
            yield cluster
            cluster = []
        end = max(end, run[-1]) if cluster else run[-1]
        cluster.append(run)
    if cluster:
        yield cluster


def _joined(spans: list[tuple[int, int]]) -> Iterator[range]:
    """Join sorted (first, last) spans that touch or overlap."""
    if not spans:
        return
    first, last = spans[0]
    for low, high in spans:
        if low > last + 1:
            yield range(first, last + 1)
            first = low
        last = max(last, high)
    yield range(first, last + 1)


def left_of(run: range, cuts: tuple[range, ...]) -> Iterator[range]:
    """Yield what is left of one run without the frames of canonical runs; frame by frame only where a step demands."""
    at = max(0, bisect_right(cuts, run.start, key=start_of) - 1)
    while run and at < len(cuts) and cuts[at].start <= run[-1]:
        cut = cuts[at]
        low = max(0, -((run.start - cut.start) // run.step))
        high = max(low, (cut[-1] - run.start) // run.step + 1)
        yield run[:low]
        if cut.step > 1:
            yield from squeezed(frame for frame in run[low:high] if frame not in cut)
        run = run[high:]
        at += 1
    yield run


def too_many() -> UsageError:
    """Say that a job cannot hold so many frames."""
    return UsageError("too many frames", f"one job holds at most {MAX_FRAMES:,} frames", "split it into several jobs")
