"""Which frames of a job render first."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError
from protocol.frames.dialects import parse_frames

if TYPE_CHECKING:
    from protocol.frames.frameset import FrameSet

MAX_TEST_FRAMES: Final = 1_000
DEFAULT_TEST_FRAMES: Final = "first,middle,last"


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
