"""Sets of small integers as sorted runs (first, last): how HOLDING rows name tasks."""

from __future__ import annotations

from bisect import bisect_right

Runs = tuple[tuple[int, int], ...]


def add_to_runs(runs: Runs, value: int) -> Runs:
    """Return the runs with one value more; neighbours are joined."""
    at = bisect_right(runs, (value, float("inf")))
    before, after = runs[:at], runs[at:]
    first = last = value
    if before and before[-1][1] >= value - 1:
        if before[-1][1] >= value:
            return runs
        first = before[-1][0]
        before = before[:-1]
    if after and after[0][0] == value + 1:
        last = after[0][1]
        after = after[1:]
    return (*before, (first, last), *after)


def remove_from_runs(runs: Runs, value: int) -> Runs:
    """Return the runs without one value."""
    result: list[tuple[int, int]] = []
    for first, last in runs:
        if not first <= value <= last:
            result.append((first, last))
            continue
        if first < value:
            result.append((first, value - 1))
        if value < last:
            result.append((value + 1, last))
    return tuple(result)


def in_runs(runs: Runs, value: int) -> bool:
    """True if the value lies in one of the runs."""
    at = bisect_right(runs, (value, float("inf")))
    return at > 0 and runs[at - 1][1] >= value


def size_of_runs(runs: Runs) -> int:
    """Count the values."""
    return sum([last - first + 1 for first, last in runs])
