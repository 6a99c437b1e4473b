"""What many histories were like, as a table that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.sim.history import Report


def table(reports: Sequence[Report]) -> str:
    """Sum the reports up."""
    faults: dict[str, int] = {}
    sizes: dict[int, int] = {}
    for report in reports:
        sizes[report.nodes] = sizes.get(report.nodes, 0) + 1
        for name, count in report.faults.items():
            faults[name] = faults.get(name, 0) + count
    tasks = sum(report.tasks_done for report in reports)
    double = sum(report.double_work for report in reports)
    seconds = sum(report.two_leaders_s for report in reports)
    rows = [
        ("histories", f"{len(reports)}"),
        ("broken", f"{sum(bool(report.broken) for report in reports)}"),
        ("machines at the start", ", ".join(f"{count} with {size}" for size, count in sorted(sizes.items()))),
        ("simulated hours", f"{sum(report.simulated_s for report in reports) / 3600:.1f}"),
        ("processor seconds", f"{sum(report.wall_s for report in reports):.1f}"),
        ("events", f"{sum(report.events for report in reports):,}"),
        ("messages", f"{sum(report.messages for report in reports):,}"),
        ("frames done", f"{sum(report.frames_done for report in reports):,}"),
        ("tasks rendered twice", f"{double} of {tasks} ({double / max(1, tasks):.2%})"),
        ("leader changes", f"{sum(report.leader_changes for report in reports)}"),
        ("two leaders at a time", f"{seconds:.0f} s in {sum(r.two_leaders_episodes for r in reports)} episodes"),
        *((f"fault: {name}", f"{count}") for name, count in sorted(faults.items())),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
