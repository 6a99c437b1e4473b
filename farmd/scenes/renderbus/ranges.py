"""Frames and test frames as the service writes them: `1-10[2]`, and the mask `FML` with a list after a colon.

The digits of the mask say whether the first, the middle and the last frame go first; what follows the colon are further
ones. Invariant: reading what is written here gives the same frames, the test frames in the same order.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError
from protocol.frames import MAX_TEST_FRAMES, Dialect, FrameSet, parse_frames

if TYPE_CHECKING:
    from collections.abc import Iterable

_MASK: Final = re.compile(r"[01]{3}")
_BLANK: Final = re.compile(r"\s+")


def read_frames(text: str) -> FrameSet:
    """Read frames; blanks, which the service's own manual writes before a bracket, say nothing.

    Raises:
        UsageError: They cannot be read.
    """
    return parse_frames(_BLANK.sub("", text), Dialect.RENDERBUS)


def print_frames(frames: FrameSet) -> str:
    """Write frames."""
    return ",".join(
        str(run[0]) if len(run) == 1 and len(frames) > 1 else f"{run[0]}-{run[-1]}[{run.step}]" for run in frames.runs
    )


def read_test_frames(mask: str | None, further: str | None, frames: FrameSet) -> tuple[int, ...]:
    """Return the frames that go first, in the order to try them.

    Args:
        mask: `pre_frames`: "100", "000:1,3-4[1]", or a list alone.
        further: `test_frames`: a list; a frame outside of `frames` is an extra one.
        frames: Of the job.

    Raises:
        UsageError: One of them cannot be read.
    """
    digits, colon, listed = _BLANK.sub("", mask or "").partition(":")
    if not _MASK.fullmatch(digits):
        if colon or (digits and not digits[0].isdigit() and digits[0] != "-"):
            raise UsageError(
                f"cannot read pre_frames {mask!r}"[:90],
                "it begins with three digits, 0 or 1: first, middle, last",
                "write 100, 111 or 000:1,5-7[1]",
            )
        digits, listed = "000", digits
    chosen = [*_masked(digits, frames), *_listed(listed), *_listed(_BLANK.sub("", further or ""))]
    tests = tuple(dict.fromkeys(chosen))
    if len(tests) > MAX_TEST_FRAMES:
        raise UsageError("too many test frames", f"at most {MAX_TEST_FRAMES} go first", "name fewer in pre_frames")
    return tests


def print_test_frames(tests: tuple[int, ...], frames: FrameSet) -> str:
    """Write test frames as a mask, with those in a list that it does not say."""
    masks = ("".join(digits) for digits in product("10", repeat=3))
    said = ((mask, tuple(_masked(mask, frames))) for mask in masks)
    mask, first = max(
        ((mask, first) for mask, first in said if tests[: len(first)] == first), key=lambda item: len(item[1])
    )
    return ":".join(filter(None, (mask, ",".join(map(str, tests[len(first) :])))))


def is_mask(text: str | None) -> bool:
    """Tell whether a text could be a mask."""
    return bool(text and _MASK.fullmatch(text))


def _masked(digits: str, frames: FrameSet) -> Iterable[int]:
    places = (frames.first, frames.middle, frames.last)
    return dict.fromkeys(frame for digit, frame in zip(digits, places, strict=True) if digit == "1")


def _listed(text: str) -> Iterable[int]:
    """Read a list in its own order, of which no more frames are taken than are needed to refuse it."""
    if not text or set(text) == {"0"} and len(text) > 1:  # noqa: RUF021  # "000": no mask, and no frame 0 either
        return []
    found: list[int] = []
    for item in text.split(","):
        found.extend(read_frames(item)[: MAX_TEST_FRAMES + 1])
    return found
