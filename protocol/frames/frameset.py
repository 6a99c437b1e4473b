"""A set of frames that costs what its runs cost."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, overload

from protocol.frames.runs import canonical, left_of, squeezed, start_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class FrameSet:
    """An immutable ascending set of frames, kept as runs: 1-100000x2 is one run of a hundred bytes or so.

    Attributes:
        runs: Any ranges at construction, in any order, overlapping or not; canonical afterwards.
    """

    runs: tuple[range, ...] = ()
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the runs canonical.

        Raises:
            UsageError: The set is scattered over more than `MAX_RUNS` runs.
        """
        object.__setattr__(self, "runs", canonical(self.runs))
        object.__setattr__(self, "_ends", tuple(accumulate(map(len, self.runs))))

    @classmethod
    def of(cls, frames: Iterable[int]) -> FrameSet:
        """Build the set of single frames given in any order."""
        return cls(squeezed(sorted(set(frames))))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.runs)

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int):
            return False
        at = bisect_right(self.runs, frame, key=start_of)
        return at > 0 and frame in self.runs[at - 1]

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> FrameSet: ...
    def __getitem__(self, at: int | slice) -> int | FrameSet:
        if isinstance(at, slice):
            return self._slice(at)
        position = at + len(self) if at < 0 else at
        if not 0 <= position < len(self):
            raise IndexError(f"no frame at position {at} of {len(self)}")
        run = bisect_right(self._ends, position)
        return self.runs[run][position - self._ends[run]]

    def _slice(self, at: slice) -> FrameSet:
        low, high, step = at.indices(len(self))
        if step != 1:
            raise ValueError("a frame set is sliced with step 1; use every()")
        first = bisect_right(self._ends, low)
        picked = []
        for run, end in zip(self.runs[first:], self._ends[first:], strict=True):
            begin = end - len(run)
            if begin >= high:
                break
            picked.append(run[max(0, low - begin) : high - begin])
        return FrameSet(tuple(picked))

    def index(self, frame: int) -> int:
        """Return the position of a frame.

        Raises:
            ValueError: The frame is not in the set.
        """
        run = bisect_right(self.runs, frame, key=start_of) - 1
        if run < 0:
            raise ValueError(f"frame {frame} is not in the set")
        return self._ends[run] - len(self.runs[run]) + self.runs[run].index(frame)

    def __or__(self, other: FrameSet) -> FrameSet:
        return FrameSet(self.runs + other.runs)

    def __sub__(self, other: FrameSet) -> FrameSet:
        return FrameSet(tuple(chain.from_iterable(left_of(run, other.runs) for run in self.runs)))

    def union(self, other: FrameSet) -> FrameSet:
        """Return the frames that are in either set."""
        return self | other

    def difference(self, other: FrameSet) -> FrameSet:
        """Return the frames of this set that are not in the other."""
        return self - other

    @property
    def first(self) -> int:
        """The smallest frame."""
        return self[0]

    @property
    def middle(self) -> int:
        """The frame half-way by position; of an even number the earlier of the two."""
        return self[(len(self) - 1) // 2]

    @property
    def last(self) -> int:
        """The largest frame."""
        return self[-1]

    def every(self, n: int) -> FrameSet:
        """Return the frames at positions 0, n, 2n and so on."""
        begins = chain((0,), self._ends)
        return FrameSet(tuple(run[-begin % n :: n] for run, begin in zip(self.runs, begins, strict=False)))

    def bisecting(self) -> Iterator[int]:
        """Yield all frames so that each next one halves a widest gap: first, last, middle, quarters."""
        if self:
            yield from dict.fromkeys((self.first, self.last))
        gaps = deque([(0, len(self) - 1)])
        while gaps:
            low, high = gaps.popleft()
            if high - low < 2:
                continue
            half = (low + high) // 2
            yield self[half]
            gaps += ((low, half), (half, high))

    def __str__(self) -> str:
        return ",".join(map(text_of, self.runs))
