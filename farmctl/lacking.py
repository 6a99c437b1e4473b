"""Results that did not arrive: which frames, why, and what can be done about each.

Called by `farmctl.fetching` and `farmctl job download`, so that both say and exit the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.errors import UserError
from protocol.exitcodes import ExitCode
from protocol.frames import FrameSet
from protocol.human import counted
from protocol.whereabouts import away_hint, away_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class Missing(NamedTuple):
    """An output that could not be had.

    Attributes:
        frame: The first frame of its task.
        holders: The machines that have it, by name.
        silent: None of them answers, so that it was not even asked for.
    """

    frame: int
    holders: tuple[str, ...]
    silent: bool


class Group(NamedTuple):
    """Frames that are missing for the same reason: what is said of them."""

    frames: FrameSet
    why: str
    hint: str


def missing_groups(job: str, missing: Collection[Missing]) -> Iterator[Group]:
    """Put outputs with the same holders together."""
    by_holders: dict[tuple[tuple[str, ...], bool], set[int]] = {}
    for output in missing:
        by_holders.setdefault((output.holders, output.silent), set()).add(output.frame)
    for (holders, silent), numbers in by_holders.items():
        frames = FrameSet.of(numbers)
        if silent or not holders:
            yield Group(frames, away_text(holders), away_hint(holders, job, str(frames)))
        else:
            names = " and ".join(holders)
            again = f"farmctl job download {job} --frames {frames}"
            yield Group(frames, f"on {names}, which did not send in time", f"what has come is kept; again: {again}")


def missing_error(job: str, missing: Collection[Missing], refused: Collection[str], *, partly: bool) -> UserError:
    """Say which results are not here, why, and what can be done.

    Args:
        job: Its id.
        missing: What could not be had.
        refused: Names that other files have.
        partly: Something is here, so that it is a success in part.
    """
    groups = list(missing_groups(job, missing))
    code = ExitCode.PARTIAL if partly else ExitCode.FAILED
    if not groups:
        what = f"{counted(len(refused), 'result')} {'was' if len(refused) == 1 else 'were'} not written"
        why = f"another file has the name: {', '.join(sorted(refused)[:3])}" + (" …" if len(refused) > 3 else "")
        hint = f"move the files away, or: farmctl job download {job} --existing rename"
        return UserError(what, why, hint, code=code)
    lacking = FrameSet.of(frame for group in groups for frame in group.frames)
    why = "; ".join(f"{named_frames(group.frames)}: {group.why}" for group in groups)
    hint = groups[0].hint if len(groups) == 1 else "see above, frame by frame"
    return UserError(f"{named_frames(lacking)} could not be fetched", why, hint, code=code)


def named_frames(frames: FrameSet) -> str:
    """Write frames with their noun: frame 7, frames 1-4."""
    return f"frame {frames}" if len(frames) == 1 else f"frames {frames}"
