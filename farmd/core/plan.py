"""The plan of a job: which frames each task renders, computed from the immutable specification alone.

Test frames come first, each a task of its own, in the order in which the gate names them; then the other frames in
chunks. Every node computes the same plan, so a task index means the same everywhere and no row is needed for it.

Invariant: each frame of the job, and each test frame outside its range, is in exactly one task. Memory follows the
runs of the frame range and the number of test frames, never the number of frames: 100,000 frames cost a few objects.
Called by the folds, the scheduler and the worker. Must never depend on anything that changes.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from protocol.frames import FrameSet
from protocol.ids import TaskIndex
from protocol.jobspec import GateMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.jobspec import JobSpec


class Plan:
    """Maps task indexes to frames and back.

    Attributes:
        tests: The test frames, in the order of their tasks.
        rest: All other frames; the tasks after the test tasks cut them into chunks.
        chunk: Frames of each of these, but the last.
        task_count: Tasks of the job.
        frame_count: Frames of the job, test frames outside its range included.
        test_count: Test tasks; they have the indexes 0..test_count-1.
    """

    __slots__ = ("_test_at", "chunk", "frame_count", "rest", "task_count", "test_count", "tests")

    def __init__(self, spec: JobSpec) -> None:
        """Lay out the tasks of a job; one that names no frames (a simulation, a script) is the single frame 1.

        Raises:
            UsageError: Without its test frames the range falls apart into too many runs.
        """
        tests = () if spec.gate.mode == GateMode.OFF else spec.gate.test_frames
        self.tests = tests
        self._test_at = {frame: TaskIndex(task) for task, frame in enumerate(self.tests)}
        frames = spec.frame_set()
        self.rest = frames - FrameSet.of(self.tests) if self.tests else frames
        self.chunk = max(1, spec.chunk)
        self.test_count = len(self.tests)
        self.task_count = self.test_count + -(-len(self.rest) // self.chunk)
        self.frame_count = self.test_count + len(self.rest)

    def is_test(self, task: TaskIndex) -> bool:
        """Tell whether a task renders a test frame."""
        return 0 <= task < self.test_count

    def frames_of(self, task: TaskIndex) -> tuple[int, ...]:
        """List the frames of a task, ascending.

        Raises:
            IndexError: The job has no such task.
        """
        if self.is_test(task):
            return (self.tests[task],)
        low, high = self._positions(task, task)
        return tuple([self.rest[at] for at in range(low, high)])

    def size_of(self, task: TaskIndex) -> int:
        """Count the frames of a task.

        Raises:
            IndexError: The job has no such task.
        """
        if self.is_test(task):
            return 1
        low, high = self._positions(task, task)
        return high - low

    def task_of_frame(self, frame: int) -> TaskIndex | None:
        """Find the task that renders a frame, or None if the job does not have it."""
        test = self._test_at.get(frame)
        if test is not None:
            return test
        if frame not in self.rest:
            return None
        return TaskIndex(self.test_count + self.rest.index(frame) // self.chunk)

    def frames_of_runs(self, runs: Iterable[tuple[int, int]]) -> FrameSet:
        """Collect the frames of runs (first, last) of tasks; costs what the runs cost."""
        picked: list[tuple[range, ...]] = []
        tests: list[int] = []
        for first, last in runs:
            tests += self.tests[first : last + 1]
            if last >= self.test_count:
                low, high = self._positions(max(first, self.test_count), last)
                picked.append(self.rest[low:high].runs)
        return FrameSet(tuple(chain(chain.from_iterable(picked), [range(frame, frame + 1) for frame in tests])))

    def _positions(self, first: int, last: int) -> tuple[int, int]:
        """Return the positions [low, high) in the other frames that the tasks first..last cover."""
        if not self.test_count <= first <= last < self.task_count:
            raise IndexError(f"no task {first} or {last} in a plan of {self.task_count}")
        low = (first - self.test_count) * self.chunk
        return low, min(len(self.rest), (last + 1 - self.test_count) * self.chunk)
