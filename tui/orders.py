"""What a person can order from the dashboard: the operation, how dangerous it is, and when it counts as done.

An order shows its word at once ("cancelling…") in place of the state and is over when the feed shows what was ordered, or
when the node refuses. Three levels of danger, as on the command line: none; y/N with what will be lost, default No; and
where results of several jobs would be lost for good, their number has to be typed: `*` marks all of them with one key.

Called by the console; must not import textual, and sends nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.human import counted
from protocol.states import JOB_TERMINAL, JobState, NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tui.columns import Row

_OVER: Final = frozenset(state.value for state in JOB_TERMINAL)
PATIENCE_S: Final = 15.0
"""An order that the feed has not confirmed after this time is no longer shown as on its way."""


class Subject(StrEnum):
    """What an order is about."""

    JOB = "job"
    NODE = "machine"


class Chosen(NamedTuple):
    """What was chosen when an order began to be typed: it is about these rows, wherever the cursor goes meanwhile."""

    jobs: list[str]
    nodes: list[str]

    def of(self, subject: Subject) -> list[str]:
        """Return the ids that an order about jobs, or about machines, is for."""
        return self.jobs if subject is Subject.JOB else self.nodes


@dataclass(frozen=True, slots=True)
class Order:
    """One kind of order.

    Attributes:
        id: What `:` calls it; also the id of its key.
        subject: A job or a machine.
        op: Operation of the client API.
        args: Arguments besides the id.
        word: Stands in place of the state until it is confirmed.
        done: What the message says of what was ordered ("3 jobs cancelled").
        confirmed: Tells from the row whether it has happened; None is a row that is gone.
        refuses: Says why it makes no sense for a row, or nothing.
        asks: The question of the confirmation; empty asks nothing. `{what}` is what it is about.
        loses: What will be lost, below the question.
        wants_why: Asks for a reason that others will read.
        for_good: Of several rows, their number has to be typed.
    """

    id: str
    subject: Subject
    op: str
    args: Mapping[str, Any]
    word: str
    done: str
    confirmed: Callable[[Row | None], bool]
    refuses: Callable[[Row], str] = lambda _row: ""
    asks: str = ""
    loses: str = ""
    wants_why: bool = False
    for_good: bool = False

    @property
    def kind(self) -> tuple[str, str]:
        """Which orders are told of together: those that say the same once they have come true."""
        return self.id, self.done

    def must_type(self, rows: list[Row]) -> str:
        """Return what has to be typed before it is ordered for these rows; nothing for most orders."""
        return str(len(rows)) if self.for_good and len(rows) > 1 else ""

    def question(self, rows: list[Row]) -> str:
        """Write the question for these rows."""
        return self.asks.format(what=what_of(self.subject, rows))


def what_of(subject: Subject, rows: list[Row]) -> str:
    """Name one row, or count several."""
    if len(rows) == 1:
        return f"{subject.value} {rows[0].get('name') or rows[0].get('id')}"
    return counted(len(rows), subject.value)


def _state_in(*states: str) -> Callable[[Row | None], bool]:
    return lambda row: row is not None and row.get("state") in states


def _state_not(*states: str) -> Callable[[Row | None], bool]:
    return lambda row: row is None or row.get("state") not in states


def _only_in(states: frozenset[str], why: str) -> Callable[[Row], str]:
    return lambda row: "" if row.get("state") in states else f"{why}: it is {row.get('state')}"


def _not_in(states: frozenset[str], why: str) -> Callable[[Row], str]:
    return lambda row: f"{why}: it is {row.get('state')}" if row.get("state") in states else ""


_GATE: Final = frozenset({JobState.AWAITING_APPROVAL.value})
_DECIDED: Final = frozenset({JobState.AWAITING_APPROVAL.value, JobState.REJECTED.value})
_HELD: Final = (NodeState.HELD.value, NodeState.DRAINING.value)


def _job(order: str, word: str, done: str, confirmed: Callable[[Row | None], bool], **more: Any) -> Order:
    return Order(order, Subject.JOB, "job.control", {"action": order}, word, done, confirmed, **more)


_ORDERS: Final = (
    _job(
        "pause",
        "pausing…",
        "paused",
        _state_in("paused", *_OVER),
        refuses=_not_in(_OVER | {"paused"}, "nothing to pause"),
    ),
    _job("resume", "resuming…", "resumed", _state_not("paused"), refuses=_only_in(frozenset({"paused"}), "not paused")),
    _job(
        "approve",
        "approving…",
        "approved",
        _state_not("awaiting_approval", "rejected"),
        refuses=_only_in(_DECIDED, "waits for no decision"),
    ),
    _job(
        "reject",
        "rejecting…",
        "rejected",
        _state_in("rejected"),
        refuses=_only_in(_GATE, "waits for no decision"),
        asks="Reject the test frames of {what}?",
        loses="The rest is not rendered. A retry of the test frames opens the job again.",
        wants_why=True,
    ),
    _job(
        "retry",
        "retrying…",
        "asked again",
        lambda row: row is None or not row.get("failed"),
        refuses=lambda row: (
            ""
            if row.get("failed") or row.get("state") in ("failed", "rejected", "paused", "testing")
            else "nothing of it has failed; :retry FRAMES renders chosen frames again"
        ),
    ),
    _job(
        "cancel",
        "cancelling…",
        "cancelled",
        _state_in("cancelled", "completed", "rejected"),
        refuses=_not_in(frozenset({"cancelled", "completed", "rejected"}), "nothing to cancel"),
        asks="Cancel {what} for ever?",
        loses="Running frames are stopped. Finished frames stay and can be downloaded.",
    ),
    _job(
        "delete",
        "deleting…",
        "deleted",
        lambda row: row is None,
        refuses=_only_in(_OVER, "only a job that is over can be deleted"),
        asks="Delete {what} for ever?",
        loses="The record and all results that the farm holds are lost. Files in output folders stay.",
        for_good=True,
    ),
    _job(
        "archive",
        "archiving…",
        "archived",
        lambda row: row is None,
        refuses=_only_in(_OVER, "only a job that is over can be archived"),
    ),
    Order(
        "hold",
        Subject.NODE,
        "node.hold",
        {},
        "holding…",
        "held",
        _state_in(*_HELD, "lost", "left"),
        refuses=_not_in(frozenset(_HELD), "held already"),
        asks="Hold {what}?",
        loses="It gets no more work until it is released; what runs there is finished.",
        wants_why=True,
    ),
    Order(
        "drain",
        Subject.NODE,
        "node.drain",
        {},
        "draining…",
        "draining",
        _state_in(*_HELD, "lost", "left"),
        asks="Drain {what}?",
        loses="It finishes what it has and takes nothing new until it is released: then it can be switched off.",
        wants_why=True,
    ),
    Order(
        "release",
        Subject.NODE,
        "node.release",
        {},
        "releasing…",
        "released",
        _state_not(*_HELD),
        refuses=_only_in(frozenset(_HELD), "not held"),
    ),
)

ORDERS: Final[Mapping[str, Order]] = {order.id: order for order in _ORDERS}


def priority_order(value: int) -> Order:
    """Make the order for a new priority, 0 to 100."""
    value = max(0, min(100, value))
    return Order(
        "priority",
        Subject.JOB,
        "job.control",
        {"action": "priority", "value": value},
        f"priority {value}…",
        f"now of priority {value}",
        lambda row: row is None or row.get("priority") == value,
    )


def retry_order(frames: str) -> Order:
    """Make the order for chosen frames, finished ones too."""
    return Order(
        "retry",
        Subject.JOB,
        "job.control",
        {"action": "retry", "frames": frames},
        "retrying…",
        f"asked for frames {frames} again",
        _taken,
        asks=f"Render frames {frames} of {{what}} again?",
        loses="Their results so far are replaced.",
    )


def edit_order(changes: Mapping[str, Any], told: str) -> Order:
    """Make the order for other values of some fields; it has come true when a node has taken it.

    Args:
        changes: As `protocol.jobwords.read_edits` gives them.
        told: The same, as the person wrote it.
    """
    return Order("edit", Subject.JOB, "job.edit", {"changes": dict(changes)}, "editing…", f"now with {told}", _taken)


def _taken(_row: Row | None) -> bool:
    """Hold at once: what an answer says is all that there is to see."""
    return True


@dataclass(slots=True)
class Pending:
    """An order that is not confirmed yet; `sent_at` is None until a node has taken it."""

    order: Order
    sent_at: float | None = None


@dataclass(slots=True)
class PendingOrders:
    """What was ordered and is on its way, by id of the row.

    Attributes:
        words: What stands in place of the state, by id.
    """

    words: dict[str, str] = field(default_factory=dict)
    _orders: dict[str, Pending] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, key: object) -> bool:
        return key in self._orders

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """What kinds of orders are on their way."""
        return {pending.order.kind for pending in self._orders.values()}

    @property
    def unsent(self) -> int:
        """How many no node has taken yet."""
        return sum(pending.sent_at is None for pending in self._orders.values())

    def began(self, key: str, order: Order) -> None:
        """An order is given; of many, most wait for their turn to be sent."""
        self._orders[key] = Pending(order)
        self.words[key] = order.word

    def sent(self, key: str, now: float) -> None:
        """A node has taken it: from now on it should come true."""
        if key in self._orders:
            self._orders[key].sent_at = now

    def refused(self, key: str) -> None:
        """The node did not take it."""
        self._drop(key)

    def review(self, keys: list[str], row_of: Callable[[str], Row | None]) -> list[tuple[str, Order]]:
        """Rows have changed: return ids and orders that have come true; one that no node has taken has not, whatever is seen."""
        pending = [(key, self._orders[key]) for key in dict.fromkeys(keys) if key in self._orders]
        sent = [(key, one.order) for key, one in pending if one.sent_at is not None]
        done = [(key, order) for key, order in sent if order.confirmed(row_of(key))]
        for key, _ in done:
            self._drop(key)
        return done

    def expire(self, now: float) -> list[str]:
        """Return the ids whose order was not confirmed in time."""
        late = [
            key
            for key, pending in self._orders.items()
            if pending.sent_at is not None and now - pending.sent_at >= PATIENCE_S
        ]
        for key in late:
            self._drop(key)
        return late

    def keys(self) -> list[str]:
        """Return the ids with an order on its way."""
        return list(self._orders)

    def _drop(self, key: str) -> None:
        self._orders.pop(key, None)
        self.words.pop(key, None)
