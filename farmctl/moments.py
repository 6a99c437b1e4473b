"""Instants as people write them: 18:00, 2026-11-23, 2026-11-23 08:00; by the clock and the time zone of this machine."""

from __future__ import annotations

import re
import time
from typing import Final

from protocol.errors import UsageError

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}))?")


def parse_moment(text: str, now_ms: int) -> int:
    """Read an instant that is still to come, where only a time of day is given: the next one.

    Args:
        text: HH:MM, YYYY-MM-DD, or both.
        now_ms: Now, by the wall clock.

    Returns:
        Milliseconds since 1970.

    Raises:
        UsageError: It cannot be read, or there is no such day.
    """
    written = text.strip()
    clock = _CLOCK.fullmatch(written)
    if clock is not None:
        today = time.localtime(now_ms / 1000)
        at = _instant(today.tm_year, today.tm_mon, today.tm_mday, clock)
        return at if at > now_ms else _instant(today.tm_year, today.tm_mon, today.tm_mday + 1, clock)
    date = _DATE.fullmatch(written)
    if date is None:
        raise UsageError(f"cannot read the time {text[:40]!r}", "it is neither a time of day nor a date", "write 18:00")
    year, month, day = (int(part) for part in date.groups()[:3])
    at = _instant(year, month, day, _CLOCK.fullmatch(date[4]) if date[4] else None)
    there = time.localtime(at / 1000)
    if (there.tm_year, there.tm_mon, there.tm_mday) != (year, month, day):
        raise UsageError(f"there is no day {text[:40]!r}", "the calendar does not have it", "write 2026-11-23")
    return at


def _instant(year: int, month: int, day: int, clock: re.Match[str] | None) -> int:
    """Return an instant of the local calendar; the 32nd is the first of the next month."""
    hour, minute = (int(clock[1]), int(clock[2])) if clock is not None else (0, 0)
    return int(time.mktime((year, month, day, hour, minute, 0, 0, 0, -1))) * 1000
