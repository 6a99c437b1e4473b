"""Frame ranges: one strict parser with named dialects, and a set of frames that costs what its runs cost.

Tools write ranges alike and mean different things: `1-10:2` is every second frame in Open Job Description and all ten
frames, coarse ones first, in fileseq. So a text is read in *one* dialect, chosen by name; nothing is guessed, and what
a dialect does not know is refused with the column and a proposal. Whitespace stands around commas only.

Invariant: a `FrameSet` is ascending, without duplicates, and its runs depend only on which frames it holds, so that
equal sets have equal runs and one canonical text, which the farm's own dialect reads back as the same set.
The canonical runs are greedy from the left: as far as the spacing lasts; two frames with a gap are two single frames.

Called by everything that speaks of frames. Imports the standard library only: `farmctl --help` and the core load it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Final, overload

from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FRAMES: Final = 10_000_000
MAX_FRAME: Final = 2**31 - 1
MAX_RUNS: Final = 100_000
MAX_TEXT_CHARS: Final = 262_144
MAX_TEST_FRAMES: Final = 1_000
DEFAULT_TEST_FRAMES: Final = "first,middle,last"


class Dialect(StrEnum):
    """Whose way of writing frame ranges a text follows."""

    FARM = "farm"
    DEADLINE = "deadline"
    NUKE = "nuke"
    RENDERBUS = "renderbus"
    BLENDER = "blender"
    FLAMENCO = "flamenco"
    OPENJD = "openjd"
    FILESEQ = "fileseq"


@dataclass(frozen=True, slots=True)
class _Grammar:
    """What one dialect allows; the named group of `step` says what its number means."""

    separator: re.Pattern[str]
    step: re.Pattern[str] | None
    signed: bool
    example: str
    exclude: str = ""


_DASH, _DOTS, _EITHER = re.compile("-"), re.compile(r"\.\."), re.compile(r"-|\.\.")
_X_STEP = re.compile("x(?P<every>-?[0-9]+)")
_NUMBER = {True: re.compile("-?[0-9]+"), False: re.compile("[0-9]+")}
_BLANKS = re.compile("[ \t]*")

# Flamenco splits at every dash, and Blender reads a sign as "relative to the scene's range": no negatives there.
_GRAMMARS: Final = {
    Dialect.FARM: _Grammar(_EITHER, _X_STEP, True, "1-10  1-10x2  1..10  1,5-7  -5--1  1-10,^5", "^"),
    Dialect.DEADLINE: _Grammar(_DASH, _X_STEP, True, "1-10  1-10x2  1,5-7"),
    Dialect.NUKE: _Grammar(_DASH, _X_STEP, True, "1-10  1-10x2  1,5-7"),
    Dialect.RENDERBUS: _Grammar(_DASH, re.compile(r"\[(?P<every>-?[0-9]+)\]"), True, "1-10  1-10[2]  1,3-4[1]"),
    Dialect.BLENDER: _Grammar(_DOTS, None, False, "1..10  1,5..7"),
    Dialect.FLAMENCO: _Grammar(_DASH, None, False, "1-10  1,5-7"),
    Dialect.OPENJD: _Grammar(_DASH, re.compile(":(?P<every>-?[0-9]+)"), True, "1-10  1-10:2  1,5-7"),
    Dialect.FILESEQ: _Grammar(
        _DASH,
        re.compile("x(?P<every>-?[0-9]+)|y(?P<fill>-?[0-9]+)|:(?P<stagger>-?[0-9]+)"),
        True,
        "1-10  1-10x2 (every second)  1-10y2 (all but those)  1-10:2 (all, coarse first)",
    ),
}

_FARM_ADVICE: Final = {
    ":": (
        "':' has two meanings: every Nth frame (openjd), or all frames with coarse ones first (fileseq)",
        "write 1-10x2 for every second frame, 1-10 for all, or name the dialect: openjd or fileseq",
    ),
    "[": ("'[' is a step only in the renderbus dialect", "write 1-10x2, or name the dialect: renderbus"),
    "y": ("'y' is a fill only in the fileseq dialect", "write 1-10,^1-10x2, or name the dialect: fileseq"),
    "!": ("'!' is the shell's history sign and leaves nothing out here", "leave frames out with ^, as in 1-10,^5"),
}


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
        object.__setattr__(self, "runs", _canonical(self.runs))
        object.__setattr__(self, "_ends", tuple(accumulate(map(len, self.runs))))

    @classmethod
    def of(cls, frames: Iterable[int]) -> FrameSet:
        """Build the set of single frames given in any order."""
        return cls(_squeezed(sorted(set(frames))))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.runs)

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int):
            return False
        at = bisect_right(self.runs, frame, key=_start)
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
        run = bisect_right(self.runs, frame, key=_start) - 1
        if run < 0:
            raise ValueError(f"frame {frame} is not in the set")
        return self._ends[run] - len(self.runs[run]) + self.runs[run].index(frame)

    def __or__(self, other: FrameSet) -> FrameSet:
        return FrameSet(self.runs + other.runs)

    def __sub__(self, other: FrameSet) -> FrameSet:
        return FrameSet(tuple(chain.from_iterable(_cut(run, other.runs) for run in self.runs)))

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
        return ",".join(map(_run_text, self.runs))


def _start(run: range) -> int:
    return run.start


def _run_text(run: range) -> str:
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


def _squeezed(ascending: Iterable[int]) -> tuple[range, ...]:
    squeeze = _Squeeze()
    for frame in ascending:
        squeeze.add(frame)
    return squeeze.finish()


def _canonical(runs: Iterable[range]) -> tuple[range, ...]:
    squeeze = _Squeeze()
    for cluster in _clusters(runs):
        if len(cluster) == 1:
            squeeze.add_run(cluster[0])
            continue
        if sum(map(len, cluster)) > 2 * MAX_FRAMES:
            raise _too_many()
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
    for run in sorted(chain(solid, stepped), key=_start):
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


def _cut(run: range, cuts: tuple[range, ...]) -> Iterator[range]:
    """Yield what is left of one run without the frames of canonical runs; frame by frame only where a step demands."""
    at = max(0, bisect_right(cuts, run.start, key=_start) - 1)
    while run and at < len(cuts) and cuts[at].start <= run[-1]:
        cut = cuts[at]
        low = max(0, -((run.start - cut.start) // run.step))
        high = max(low, (cut[-1] - run.start) // run.step + 1)
        yield run[:low]
        if cut.step > 1:
            yield from _squeezed(frame for frame in run[low:high] if frame not in cut)
        run = run[high:]
        at += 1
    yield run


def _too_many() -> UsageError:
    return UsageError("too many frames", f"one job holds at most {MAX_FRAMES:,} frames", "split it into several jobs")


class _Scanner:
    """Reads one text from left to right; `at` is where it stands and what an error points at."""

    __slots__ = ("at", "dialect", "grammar", "text")

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.grammar = _GRAMMARS[dialect]
        self.at = 0

    def read(self) -> FrameSet:
        kept: list[range] = []
        left_out: list[range] = []
        while True:
            self._take(_BLANKS)
            exclude = self.grammar.exclude
            excluded = bool(exclude) and self.text.startswith(exclude, self.at)
            self.at += excluded
            (left_out if excluded else kept).extend(self._piece())
            self._take(_BLANKS)
            if self.at == len(self.text):
                return FrameSet(tuple(kept)) - FrameSet(tuple(left_out))
            if self.text[self.at] != ",":
                raise self._unexpected()
            self.at += 1

    def _piece(self) -> tuple[range, ...]:
        begin = self.at
        first = last = self._frame()
        if not self._take(self.grammar.separator):
            return (range(first, last + 1),)
        last = self._frame()
        if last < first:
            raise self._fault(f"the range runs backwards from {first} to {last}", f"write {last}-{first}", begin)
        step = self._take(self.grammar.step) if self.grammar.step else None
        by = self._number(step[step.lastgroup or 0], step.start()) if step else 1
        if step and by < 1:
            raise self._fault("a step is 1 or more", f"an example: {self.grammar.example}", step.start())
        whole, stepped = range(first, last + 1), range(first, last + 1, by)
        if len(stepped) > MAX_FRAMES:
            raise self._fault(f"more than {MAX_FRAMES:,} frames", "split it into several jobs", begin)
        if step is None or step.lastgroup == "every":
            return (stepped,)
        # A stagger only reorders, and a set has no order of its own; a fill is all frames but every Nth.
        if len(whole) > MAX_FRAMES:
            raise self._fault(f"more than {MAX_FRAMES:,} frames", "split it into several jobs", begin)
        return (whole,) if step.lastgroup == "stagger" else (FrameSet((whole,)) - FrameSet((stepped,))).runs

    def _frame(self) -> int:
        found = self._take(_NUMBER[self.grammar.signed])
        if found is None:
            raise self._unexpected("a frame number is missing")
        return self._number(found[0], found.start())

    def _number(self, digits: str, at: int) -> int:
        size = digits.lstrip("-0")
        if len(size) > 10 or int(size or "0") > MAX_FRAME:
            raise self._fault(f"the number is larger than {MAX_FRAME}", "write a smaller number", at)
        return -int(size or "0") if digits.startswith("-") else int(size or "0")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def _unexpected(self, why: str = "") -> UsageError:
        seen = self.text[self.at : self.at + 1]
        if self.dialect is Dialect.FARM and seen in _FARM_ADVICE:
            return self._fault(*_FARM_ADVICE[seen])
        if _NUMBER[False].match(seen) or self.text[self.at - 1 : self.at].isspace():
            return self._fault(why or "a comma is missing", "separate frames and ranges by commas, as in 1,5-7")
        why = why or f"{seen!r} does not belong here"
        return self._fault(why, f"the {self.dialect} dialect is written like: {self.grammar.example}")

    def _fault(self, why: str, hint: str, at: int | None = None) -> UsageError:
        at = self.at if at is None else at
        begin = max(0, at - 30)
        shown = "…" * (begin > 0) + self.text[begin : at + 30] + "…" * (len(self.text) > at + 30)
        return UsageError(f"cannot read the frames {shown!r}", f"column {at + 1}: {why}", hint)


def parse_frames(text: str, dialect: Dialect = Dialect.FARM) -> FrameSet:
    """Read a frame range; what is left out with `^` stays out wherever it stands in the list.

    Raises:
        UsageError: The dialect does not know this writing, no frame is left, or there are too many frames.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise UsageError(
            "the frame range is too long", f"more than {MAX_TEXT_CHARS} characters", "use ranges and steps"
        )
    if not text.strip(" \t"):
        example = _GRAMMARS[dialect].example
        raise UsageError("no frames were given", "the frame range is empty", f"an example: {example}")
    frames = _Scanner(text, dialect).read()
    if not frames:
        raise UsageError(f"no frame is left of {text[:60]!r}", "everything is left out", "leave fewer frames out")
    if len(frames) > MAX_FRAMES:
        raise _too_many()
    return frames


def test_frame_choice(text: str, frames: FrameSet) -> tuple[int, ...]:
    """Choose the frames that render first, in the order in which they shall be tried.

    Args:
        text: `every:N`, `bisect:N`, or a list of `first`, `middle`, `last` and ranges in the farm's dialect; a frame
            outside of `frames` is an extra one. Empty means `first,middle,last`.
        frames: The frames of the job.

    Raises:
        UsageError: The text says none of these, or names more than `MAX_TEST_FRAMES` frames.
    """
    if not frames:
        raise UsageError("no test frames can be chosen", "the job has no frames", "give the job a frame range")
    kind, colon, number = (text.strip() or DEFAULT_TEST_FRAMES).partition(":")
    picked: list[int] = []
    if colon and kind in ("every", "bisect"):
        if not re.fullmatch("[1-9][0-9]{0,8}", number):
            raise UsageError(
                f"cannot read the test frames {text[:60]!r}", f"{kind}: needs a number", f"write {kind}:10"
            )
        picked.extend(islice(frames.every(int(number)) if kind == "every" else frames.bisecting(), MAX_TEST_FRAMES + 1))
        picked = picked[: int(number)] if kind == "bisect" else picked
    else:
        for item in (text.strip() or DEFAULT_TEST_FRAMES).split(","):
            word = item.strip(" \t")
            named = (getattr(frames, word),) if word in ("first", "middle", "last") else parse_frames(word)
            picked.extend(islice(named, MAX_TEST_FRAMES + 1))
    chosen = tuple(dict.fromkeys(picked))
    if len(chosen) > MAX_TEST_FRAMES:
        raise UsageError("too many test frames", f"at most {MAX_TEST_FRAMES} go first", "try bisect:10 or every:100")
    return chosen
