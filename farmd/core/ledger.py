"""What a leader believes to live where: its grants and what it adopted, found by attempt, by node and by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator

    from protocol.ids import AttemptRef, JobId, NodeId, TaskIndex

_Key = TypeVar("_Key")


@dataclass(slots=True)
class Granted:
    """An attempt that is believed to live on a node.

    Attributes:
        node: Where.
        epoch: Life of that node.
        generation: Of the task when it was granted.
        granted_at: Local time of the grant, or of the start of what was adopted.
        accepted: The node said so, or its row did.
        seen_at: When it was reported last.
        progress: As reported last, 0..1.
    """

    node: NodeId
    epoch: int
    generation: int
    granted_at: float
    accepted: bool
    seen_at: float
    progress: float = 0.0


class Ledger:
    """Grants in office; forgotten when the office ends."""

    def __init__(self) -> None:
        self._all: dict[AttemptRef, Granted] = {}
        self._by_node: dict[NodeId, dict[AttemptRef, None]] = {}
        self._by_task: dict[tuple[JobId, TaskIndex], dict[AttemptRef, None]] = {}

    def __contains__(self, ref: object) -> bool:
        return ref in self._all

    def __len__(self) -> int:
        return len(self._all)

    def get(self, ref: AttemptRef) -> Granted | None:
        """Return what is believed of an attempt."""
        return self._all.get(ref)

    def items(self) -> ItemsView[AttemptRef, Granted]:
        """All of them."""
        return self._all.items()

    def unaccepted(self) -> Iterator[Granted]:
        """Those of which neither the node nor a row has said yet that they were accepted."""
        return (granted for granted in self._all.values() if not granted.accepted)

    def add(self, ref: AttemptRef, granted: Granted) -> None:
        """Believe that an attempt lives."""
        self._all[ref] = granted
        self._by_node.setdefault(granted.node, {})[ref] = None
        self._by_task.setdefault((ref.job, ref.task), {})[ref] = None

    def pop(self, ref: AttemptRef) -> Granted:
        """Believe it no more."""
        granted = self._all.pop(ref)
        _discard(self._by_node, granted.node, ref)
        _discard(self._by_task, (ref.job, ref.task), ref)
        return granted

    def on_node(self, node: NodeId) -> list[tuple[AttemptRef, Granted]]:
        """List what lives on a node."""
        return [(ref, self._all[ref]) for ref in self._by_node.get(node, ())]

    def of_task(self, job: JobId, task: TaskIndex) -> list[tuple[AttemptRef, Granted]]:
        """List the live attempts of a task."""
        return [(ref, self._all[ref]) for ref in self._by_task.get((job, task), ())]

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()
        self._by_node.clear()
        self._by_task.clear()


def _discard(index: dict[_Key, dict[AttemptRef, None]], key: _Key, ref: AttemptRef) -> None:
    refs = index.get(key, {})
    refs.pop(ref, None)
    if not refs:
        index.pop(key, None)
