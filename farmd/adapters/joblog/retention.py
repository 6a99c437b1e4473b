"""How long logs are kept: until they are too old, or all together too large; the oldest go first.

Never removed: what an attempt that runs writes to, and what was written a moment ago. What stands beside a log (its
times) goes with it, and the folder of a job when it is empty. Whoever calls decides when, and tells people.

Whether a log is too old follows from a clock that may be wrong: a machine that comes up in the year 2036 would remove
them all before its clock is set. So a sweep believes the clock for at most `STEP_S` more than the sweep before; after a
long holiday it catches up in some days' worth of sweeps, and an hour with a wrong clock costs a day.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

FRESH_S: Final = 120.0
"""An attempt that ended so lately may still be told of."""
STEP_S: Final = 86_400.0
_BELIEVED: Final = ".believed"
"""A file beside the folders of the jobs: its time is the one that the last sweep believed."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long logs are kept.

    Attributes:
        age_s: Seconds since they were written last; 0 = for ever.
        limit_bytes: Of all logs together; 0 = no limit.
    """

    age_s: float
    limit_bytes: int


class Stored(NamedTuple):
    """A log on the disk: when it was written last, what it takes there, and where it is."""

    changed_at: float
    size_bytes: int
    path: Path


class Swept(NamedTuple):
    """What a sweep removed, and what is left in bytes."""

    logs: int
    size_bytes: int
    left_bytes: int


def sweep(
    folder: Path, keep: Keep, now: float, *, spared: Callable[[], frozenset[Path]], forgotten: Callable[[str], bool]
) -> Swept:
    """Remove what need not be kept any more. Takes a while where there are many logs: use a thread.

    Args:
        folder: Of all logs; one folder for each job in it.
        keep: For how long.
        now: Wall clock, in seconds.
        spared: Names the logs of attempts that run; asked again right before each removal.
        forgotten: Says whether a job was deleted, so that its logs are of no use.
    """
    stored = sorted(_logs(folder))
    believed = _believed(folder, stored, now) if keep.age_s else now
    left = sum(log.size_bytes for log in stored)
    logs = size = 0
    for log in stored:
        too_old = bool(keep.age_s) and believed - log.changed_at > keep.age_s
        too_much = bool(keep.limit_bytes) and left > keep.limit_bytes
        is_fresh = now - log.changed_at < FRESH_S
        if is_fresh or not (too_old or too_much or forgotten(log.path.parent.name)) or log.path in spared():
            continue
        if _remove(log.path):
            logs, size, left = logs + 1, size + log.size_bytes, left - log.size_bytes
    return Swept(logs, size, left)


def _believed(folder: Path, stored: Sequence[Stored], now: float) -> float:
    """Return the time that ages are counted to, and remember it; there is nothing to remember without logs."""
    if not stored:
        return now
    mark = folder / _BELIEVED
    try:
        last = mark.stat().st_mtime
    except OSError:
        last = stored[-1].changed_at
    believed = min(now, last + STEP_S)
    with suppress(OSError):
        mark.touch()
        os.utime(mark, (believed, believed))
    return believed


def _logs(folder: Path) -> Iterator[Stored]:
    for job in _entries(folder):
        if not job.is_dir(follow_symlinks=False):
            continue
        for entry in _entries(folder / job.name):
            with suppress(OSError):
                if entry.name.endswith(".log"):
                    status = entry.stat(follow_symlinks=False)
                    yield Stored(status.st_mtime, status.st_blocks * 512, folder / job.name / entry.name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _remove(log: Path) -> bool:
    try:
        log.unlink()
    except OSError:
        return False
    with suppress(OSError):
        log.with_suffix(".times").unlink(missing_ok=True)
    with suppress(OSError):
        log.parent.rmdir()  # only when it is empty
    return True
