"""Frame ranges: one strict parser with named dialects, and a set of frames that costs what its runs cost.

Tools write ranges alike and mean different things: `1-10:2` is every second frame in Open Job Description and all ten
frames, coarse ones first, in fileseq. So a text is read in *one* dialect, chosen by name; nothing is guessed, and what
a dialect does not know is refused with the column and a proposal. Whitespace stands around commas only.

Invariant: a `FrameSet` is ascending, without duplicates, and its runs depend only on which frames it holds, so that
equal sets have equal runs and one canonical text, which the farm's own dialect reads back as the same set.

Called by everything that speaks of frames. Imports the standard library only: `farmctl --help` and the core load it.
"""

from __future__ import annotations

from protocol.frames.choice import DEFAULT_TEST_FRAMES, MAX_TEST_FRAMES, test_frame_choice
from protocol.frames.dialects import MAX_FRAME, MAX_TEXT_CHARS, Dialect, example_of, parse_frames
from protocol.frames.frameset import FrameSet
from protocol.frames.runs import MAX_FRAMES, MAX_RUNS

__all__ = [
    "DEFAULT_TEST_FRAMES",
    "MAX_FRAME",
    "MAX_FRAMES",
    "MAX_RUNS",
    "MAX_TEST_FRAMES",
    "MAX_TEXT_CHARS",
    "Dialect",
    "FrameSet",
    "example_of",
    "parse_frames",
    "test_frame_choice",
]
