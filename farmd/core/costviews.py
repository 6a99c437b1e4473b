"""What clients are told of costs: of one job, and of the farm by project, owner or job.

Money is told in millionths of the farm's currency, as whole numbers. Attempts that run are not counted before they
end. A job that was deleted is gone from the sums, too; one that was archived is not.

Called by `farmd.core.door` and `views`. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.arguments import number_of, text_of
from farmd.core.cost import Sum, hardware_of, sum_of
from farmd.core.effects import Reply
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.bodies import NodeBody

_KEYS: dict[str, Callable[[Job], str]] = {
    "project": lambda job: job.spec.project,
    "owner": lambda job: job.spec.owner,
    "job": lambda job: job.id,
}


def cost_view(total: Sum) -> dict[str, int]:
    """Write a sum down."""
    return {
        "cost_micros": total.cost,
        "wasted_micros": total.wasted,
        "time_ms": total.time_ms,
        "unpriced_ms": total.unpriced_ms,
    }


class Accounts:
    """Answers `farm.costs` and `farm.hardware`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "farm.costs": self._costs,
            "farm.hardware": self._hardware,
        }

    def _costs(self, turn: Turn, event: ClientAsked) -> None:
        """Sum up what ended attempts cost: by what, and since which day."""
        by = text_of(event, "by", "project")
        key_of = _KEYS.get(by) or (_label_key(by) if by.startswith("labels.") else None)
        if key_of is None:
            raise UsageError(f"costs are not summed up by {by[:80]!r}", "", f"by {', '.join(_KEYS)}, or labels.NAME")
        since_ms = number_of(event, "since_ms", 0)
        rows: dict[str, tuple[Sum, list[Job]]] = {}
        for job in self._node.jobs:
            part = job.costs.since(since_ms) if since_ms > 0 else job.costs.total
            if any(part):
                total, jobs = rows.get(key_of(job), (Sum(), []))
                rows[key_of(job)] = (total.plus(part), jobs)
                jobs.append(job)
        views = [_row(by, key, *rows[key]) for key in sorted(rows, key=lambda key: (-rows[key][0].cost, key))]
        whole = cost_view(sum_of(total for total, _ in rows.values()))
        data = {"schema": "farm.costs.v1", "by": by, "since_ms": max(0, since_ms), "rows": views, "total": whole}
        turn.effects.append(Reply(event.client, data))

    def _hardware(self, turn: Turn, event: ClientAsked) -> None:
        """List the configurations of hardware with their machines, and what an hour of each costs."""
        registry = self._node.registry
        machines: dict[str, list[NodeBody]] = {name: [] for name in registry.prices.known_hardware()}
        for node, body in registry.bodies.items():
            if registry.is_admitted(node):
                machines.setdefault(hardware_of(body), []).append(body)
        rows = [
            _hardware_view(name, machines[name], registry.prices.of_hardware(name))
            for name in sorted(machines)
            if machines[name] or registry.prices.of_hardware(name) is not None
        ]
        turn.effects.append(Reply(event.client, {"schema": "farm.hardware.v1", "hardware": rows}))


def _hardware_view(name: str, bodies: list[NodeBody], price: int | None) -> dict[str, Any]:
    """One configuration; without a machine only its name and price are known."""
    view: dict[str, Any] = {"name": name, "price_micros": price, "nodes": sorted(body.name for body in bodies)}
    if bodies:
        body = bodies[0]
        models = dict.fromkeys(gpu.model for gpu in body.gpus)
        view |= {
            "cores": body.cores,
            "ram_bytes": body.ram_bytes,
            "gpus": len(body.gpus),
            "gpu_model": ", ".join(models),
        }
    return view


def _row(by: str, key: str, total: Sum, jobs: list[Job]) -> dict[str, Any]:
    name = jobs[0].spec.name if by == "job" else ""
    return {"key": key, "name": name, "jobs": len(jobs), **cost_view(total)}


def _label_key(by: str) -> Callable[[Job], str]:
    label = by.removeprefix("labels.")
    return lambda job: job.spec.labels.get(label, "")
