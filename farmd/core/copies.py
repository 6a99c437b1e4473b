"""Who holds what of one job: its files, copies of its outputs, and outputs that stand in the output folder.

A fold over HOLDING rows: one row per node and thing, the larger stamp wins. Whether a task is done and whether its
outputs are *available* are two things; this is the second. The node that rendered a result holds it without a row.

Invariant: a row replaces everything that the same node said before. Called by `farmd.core.job`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from farmd.core.runs import Runs, in_runs, size_of_runs
from protocol.records import HoldingWhat, Rec, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from protocol.bodies import HoldingBody
    from protocol.ids import NodeId, TaskIndex


class _Holding(NamedTuple):
    rec: Rec
    runs: Runs
    complete: bool


class Copies:
    """HOLDING rows of one job."""

    __slots__ = ("_rows", "_size")

    def __init__(self, size: int) -> None:
        """Prepare for a job of `size` tasks; what a row says beyond is left out."""
        self._size = size
        self._rows: dict[tuple[HoldingWhat, NodeId], _Holding] = {}

    def put(self, rec: Rec, node: NodeId, what: HoldingWhat, body: HoldingBody) -> tuple[Runs, Runs] | None:
        """Take a version of a row; return the runs of tasks that it adds and those that it takes back, None if old."""
        old = self._rows.get((what, node))
        if old is not None and stamp(old.rec) >= stamp(rec):
            return None
        runs = normal_runs(body.runs, self._size)
        self._rows[what, node] = _Holding(rec, runs, body.complete)
        before = old.runs if old is not None else ()
        return runs_without(runs, before), runs_without(before, runs)

    def rows(self) -> Iterator[Rec]:
        """Yield the rows themselves."""
        return (holding.rec for holding in self._rows.values())

    def asset_holders(self) -> tuple[NodeId, ...]:
        """List the nodes that hold all files of the job."""
        rows = self._rows.items()
        return tuple(sorted(node for (what, node), row in rows if what == HoldingWhat.ASSETS and row.complete))

    def keepers(self) -> tuple[NodeId, ...]:
        """List the nodes that say that they keep, or kept, outputs of others."""
        return tuple([node for what, node in self._rows if what == HoldingWhat.OUTPUTS])

    def is_delivered(self, task: TaskIndex) -> bool:
        """Tell whether any node has written the task's outputs into the output folder."""
        return any(in_runs(runs, task) for runs in self._delivered())

    def delivered_count(self) -> int:
        """Count the delivered tasks; nearly always one node does it all."""
        told = list(self._delivered())
        if len(told) > 1:
            told = [normal_runs([run for runs in told for run in runs], self._size)]
        return sum(map(size_of_runs, told))

    def _delivered(self) -> Iterator[Runs]:
        return (row.runs for (what, _), row in self._rows.items() if what == HoldingWhat.DELIVERED)


def normal_runs(runs: Iterable[tuple[int, int]], size: int) -> Runs:
    """Sort runs, join those that touch and cut off what lies outside 0..size-1."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        first, last = max(0, first), min(last, size - 1)  # noqa: PLW2901  # clipped in place
        if first > last:
            continue
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def runs_without(runs: Runs, others: Runs) -> Runs:
    """Return the part of sorted runs that no other sorted runs cover."""
    left: list[tuple[int, int]] = []
    at = 0
    for first, last in runs:
        low = first
        while at < len(others) and others[at][1] < low:
            at += 1
        while at < len(others) and others[at][0] <= last:
            if low < others[at][0]:
                left.append((low, others[at][0] - 1))
            low = others[at][1] + 1
            if low > last:
                break
            at += 1
        if low <= last:
            left.append((low, last))
    return tuple(left)
