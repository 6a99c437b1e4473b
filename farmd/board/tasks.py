"""One task, and the group that it belongs to: what they are, what an operation does to them, and how they are sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from farmd.board.ops import COMPLETED, FAILED, PENDING, RUNNING, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.board.ops import Op

Counts = dict[str, int]
"""How many tasks are in each state."""


def no_counts() -> Counts:
    """Count nothing."""
    return dict.fromkeys(STATES, 0)


@dataclass(slots=True)
class Task:
    """One task as it is now.

    Attributes:
        key: Its name on this board, of which there is one: two programs may use one id.
        id: What its program calls it.
        group: Key of its group.
        name: For people.
        total: How much there is to do; 0 = nobody knows.
        done: How much of it is done, as it was said.
        about: Its metadata, as text.
        seq: The change of the board at which it last changed.
    """

    key: str
    id: str
    group: str
    name: str = ""
    total: float = 0
    about: str = ""
    state: str = PENDING
    done: float = 0
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    error: str = ""
    seq: int = 0

    def apply(self, op: Op) -> None:
        """Do what an operation says; it neither removes the task nor moves it to another group."""
        if "fresh" in op:
            self.state, self.done, self.started_at_ms, self.ended_at_ms, self.error = PENDING, 0, None, None, ""
            self.name, self.total, self.about = "", 0, ""
        if "begun" in op and self.state == PENDING:
            self.state, self.started_at_ms = RUNNING, op["begun"]
        self.done = op.get("done", self.done) + op.get("advance", 0)
        self.name = op.get("name", self.name)
        self.total = op.get("total", self.total)
        self.about = op.get("about", self.about)
        self.state = op.get("state", self.state)
        self.started_at_ms = op.get("started_at_ms", self.started_at_ms)
        self.ended_at_ms = op.get("ended_at_ms", self.ended_at_ms)
        self.error = op.get("error", self.error)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more is to come."""
        return self.state in (COMPLETED, FAILED)

    @property
    def shown_done(self) -> float:
        """Return how much is done; a completed task is done as a whole, whoever forgot to count."""
        return self.total if self.state == COMPLETED and self.total > 0 else self.done

    def view(self) -> dict[str, Any]:
        """Return it as it is sent: registers that say nothing are left out, since there may be 100,000 of these."""
        view: dict[str, Any] = {"key": self.key, "id": self.id, "group": self.group, "state": self.state}
        view["name"] = self.name or self.id
        optional = {
            "total": self.total,
            "done": self.shown_done,
            "started_at_ms": self.started_at_ms,
            "ended_at_ms": self.ended_at_ms,
            "error": self.error,
            "about": self.about,
        }
        return view | {name: value for name, value in optional.items() if value}


@dataclass(slots=True)
class Group:
    """Tasks that belong together: those of a program, those that name one group, or a job of a farm.

    Attributes:
        key: Its name on this board.
        title: For people.
        owner: Key of the program, or of the bridge, that it comes from.
        counts: How many of its tasks are in each state; of a group `on_demand` as its source says, else as counted.
        facts: More for people, as texts: state and owner of a job, why it waits.
        on_demand: Its tasks are fetched when somebody opens it.
        order: Where it stands among the groups.
        seq: The change of the board at which it last changed.
    """

    key: str
    title: str
    owner: str
    counts: Counts = field(default_factory=no_counts)
    facts: Mapping[str, Any] = field(default_factory=dict)
    on_demand: bool = False
    order: int = 0
    seq: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)

    def view(self) -> dict[str, Any]:
        """Return it as it is sent, without its tasks."""
        return {
            "key": self.key,
            "title": self.title,
            "counts": dict(self.counts),
            "order": self.order,
            "on_demand": self.on_demand,
            **({"facts": dict(self.facts)} if self.facts else {}),
        }


MAX_TASKS: Final = 100_000
"""Tasks of programs that a board keeps; beyond, those that ended first leave first."""
