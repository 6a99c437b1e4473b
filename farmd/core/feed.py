"""The live feed: whoever watches the farm is told what has changed since what they were told last.

Theory. A viewer asks "what is newer than this?" and the question stays open until something is, or for as long as the
viewer has patience: a long poll. So each viewer has one answer on its way at most, whatever it does with its time;
nothing queues up for a slow one, and what it missed meanwhile it is told at once, merged. Answers go out together, at
most `RATE` times a second, less often to a crowd; viewers that stand at the same point are given the same answer, made and packed once.

A position is three numbers (jobs, machines, outlook) that mean something in one life of one node: with another `life`,
or after more deletions than are remembered, everything is told anew (`reset`). Everything means the same question from
position (0, 0, 0), in pages, so that there is no second way to go wrong.

What changes without a row of a job or a beat of the membership is looked for while somebody watches: machines and what
only they know once a second (`_Machines`), why jobs wait some at a time (`farmd.core.toldreasons`).

Operation `farm.feed`; the shapes stand in `protocol.feed`. Called by `farmd.core.door`. Changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from farmd.core import views
from farmd.core.alerts import SHOWN
from farmd.core.arguments import seconds_of
from farmd.core.effects import Reply
from farmd.core.pace import BUCKET_S
from farmd.core.toldreasons import ToldReasons
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Instant, Turn
    from protocol.ids import NodeId

RATE = 4
"""Most answers a second to one viewer."""
ANSWERS_S = 200
"""Most answers a second to all of them: with more than fifty each is told less often, so that a crowd costs no more."""
PATIENCE_S = 30.0
JOBS_PER_ANSWER = 128
NODES_S = 1.0
"""Machines are looked at so often, for all viewers together."""
_PRESSING = ("state", "reason", "held_until_ms")
"""What of a machine is told as soon as it is different; load and free space are told with the next answer."""


class Position(NamedTuple):
    """Up to where a viewer knows all: numbers of the last changes of jobs, machines, and of what concerns the farm."""

    jobs: int = 0
    nodes: int = 0
    outlook: int = 0


@dataclass(frozen=True, slots=True)
class _Viewer:
    """A question that is open."""

    after: Position
    reset: bool
    due: float


class Feed:
    """Answers `farm.feed`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._viewers: dict[int, _Viewer] = {}
        self._told_at = -1.0
        self._tick: float | None = None
        self._nodes = _Machines(node)
        self._reasons = ToldReasons(node)
        self._made: dict[tuple[Position, bool], dict[str, Any]] = {}
        self._outlook: tuple[object, ...] = ()
        self._outlooks = 0
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {"farm.feed": self._ask}

    def _ask(self, turn: Turn, event: ClientAsked) -> None:
        after, reset = self._position(event)
        patience = seconds_of(event, "patience_s", PATIENCE_S)
        self._viewers[event.client] = _Viewer(after, reset, turn.now.mono + patience)
        behind = len(self._node.chronicle.newer_than(after.jobs)) if not reset else 0
        if reset or behind > JOBS_PER_ANSWER:
            self._viewers[event.client] = _Viewer(after, reset, turn.now.mono)
        elif behind or self._has_new_outlook() or after.outlook != self._outlooks:
            self._hurry(turn)

    def _position(self, event: ClientAsked) -> tuple[Position, bool]:
        life, given = event.args.get("life"), event.args.get("after")
        if given is not None and not _is_position(given):
            raise UsageError("the request farm.feed carries no position", f"{given!r}", "give back what came last")
        if given is None or life != self.life or len(given) != len(Position._fields):
            return Position(), True
        after = Position(*given)
        chronicle = self._node.chronicle
        known = after.jobs <= chronicle.version and chronicle.removed_since(after.jobs) is not None
        return (after, False) if known else (Position(), True)

    @property
    def life(self) -> str:
        """Names the life in which positions mean something."""
        return f"{self._node.id}/{self._node.epoch}"

    def left(self, client: int) -> None:
        """A viewer has gone."""
        self._viewers.pop(client, None)

    # -- when ---------------------------------------------------------------------------------------------------------

    def on_turn(self, turn: Turn, *, jobs_changed: bool) -> None:
        """Something may have changed: tell the viewers soon."""
        if not self._viewers:
            return
        if self._has_new_outlook() or jobs_changed:
            self._hurry(turn)

    def _has_new_outlook(self) -> bool:
        """Tell whether leader, members, alerts or the state of a machine have changed since the last call."""
        election, alive = self._node.election, self._node.membership.alive()
        outlook = (election.leader, election.term, alive, self._node.alerts.version, self._nodes.pressing)
        if outlook == self._outlook:
            return False
        self._outlook = outlook
        self._outlooks += 1
        return True

    def _hurry(self, turn: Turn) -> None:
        if self._tick is None:
            pause = max(1 / RATE, len(self._viewers) / ANSWERS_S)
            self._tick = max(turn.now.mono, self._told_at + pause)

    def next_deadline(self) -> float | None:
        """When viewers are told something."""
        if not self._viewers:
            return None
        first = min(*[viewer.due for viewer in self._viewers.values()], self._nodes.next_look())
        looks_at = self._reasons.next_look()
        if looks_at is not None and looks_at < first:
            first = looks_at
        return first if self._tick is None else min(first, self._tick)

    def on_machines_changed(self) -> None:
        """A machine was described, held, released or evicted: look at them in the next turn."""
        self._nodes.look_soon()

    def on_timer(self, turn: Turn) -> None:
        """Tell what is new, and those who have waited long enough that nothing is."""
        if not self._viewers:
            return
        now = turn.now.mono
        self._nodes.look(turn.now)
        looks_at = self._reasons.next_look()
        if looks_at is not None and looks_at <= now:
            self._reasons.look(turn.now)
        if self._has_new_outlook():
            self._hurry(turn)
        ticks = self._tick is not None and self._tick <= now
        for client, viewer in list(self._viewers.items()):
            if ticks or viewer.due <= now:
                del self._viewers[client]
                turn.effects.append(Reply(client, self._answer(turn, viewer)))
        self._made.clear()
        if ticks:
            self._told_at = now
        if ticks or not self._viewers:
            self._tick = None

    # -- what ---------------------------------------------------------------------------------------------------------

    def _answer(self, turn: Turn, viewer: _Viewer) -> dict[str, Any]:
        key = viewer.after, viewer.reset
        if key not in self._made:
            self._made[key] = self._make(turn, *key)
        return self._made[key]

    def _make(self, turn: Turn, after: Position, reset: bool) -> dict[str, Any]:
        node, chronicle = self._node, self._node.chronicle
        newer = chronicle.newer_than(after.jobs)
        page = newer[:JOBS_PER_ANSWER]
        more = len(newer) > len(page)
        reached = page[-1][1] if more else chronicle.version
        jobs = [job for job_id, _ in page if (job := node.jobs.get(job_id)) is not None]
        away = [job.id for job in jobs if job.archived]
        return {
            "schema": "farm.feed.v1",
            "life": self.life,
            "after": [reached, self._nodes.version, self._outlooks],
            "reset": reset,
            "more": more,
            "as_of_ms": turn.now.wall_ms,
            "farm": farm_view(node, turn),
            "jobs": [self._job_view(job, turn.now) for job in jobs if not job.archived],
            "removed": [*(chronicle.removed_since(after.jobs) or []), *away],
            "nodes": self._nodes.newer_than(after.nodes),
            "nodes_removed": self._nodes.removed_since(after.nodes),
        }

    def _job_view(self, job: Job, now: Instant) -> dict[str, Any]:
        view = views.job_view(self._node, job, now, brief=True, frames=False)
        self._reasons.tell(job, now)
        return view


class _Machines:
    """Views of the machines as they were told last, so that only what is different is told again.

    Attributes:
        version: Grows with each difference.
        pressing: Grows with those that a person waits for: a machine is in another state, or its disk is full.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.version = self.pressing = 0
        self._views: dict[NodeId, tuple[int, dict[str, Any]]] = {}
        self._removed: dict[NodeId, int] = {}
        self._looked_at = -NODES_S
        self._alive: tuple[NodeId, ...] = ()
        self._faults = ("", "")

    def next_look(self) -> float:
        """When to look again."""
        return self._looked_at + NODES_S

    def look_soon(self) -> None:
        """Look at the next opportunity."""
        self._looked_at = -NODES_S

    def look(self, now: Instant) -> None:
        """See what is different; at most once a second, unless a machine has come or gone."""
        alive = self._node.membership.alive()
        if now.mono < self._looked_at + NODES_S and alive == self._alive:
            return
        self._looked_at, self._alive = now.mono, alive
        present = views.node_list(self._node, now)["nodes"]
        self._look_at(present)
        faults = (self._node.condition.disk_fault(), self._node.room.quota.fault)
        if faults != self._faults:
            self._faults = faults
            self.pressing += 1

    def _look_at(self, present: list[dict[str, Any]]) -> None:
        for view in present:
            known = self._views.get(view["id"])
            if known is None or any(known[1][name] != view[name] for name in _PRESSING):
                self.pressing += 1
            if known is None or _differ(known[1], view):
                self.version += 1
                self._views[view["id"]] = self.version, view
                self._removed.pop(view["id"], None)
        here = {view["id"]: None for view in present}
        for gone in [which for which in self._views if which not in here]:
            self.version += 1
            del self._views[gone]
            self._removed[gone] = self.version

    def newer_than(self, version: int) -> list[dict[str, Any]]:
        """List the views that have changed since."""
        return [view for number, view in self._views.values() if number > version]

    def removed_since(self, version: int) -> list[NodeId]:
        """List the machines that were taken from the farm since."""
        return [which for which, number in self._removed.items() if number > version]


def _differ(told: dict[str, Any], view: dict[str, Any]) -> bool:
    """Tell whether a machine has changed; that a lost one has been away for longer is no change."""
    return told | {"last_seen_s": 0} != view | {"last_seen_s": 0}


def farm_view(node: Node, turn: Turn) -> dict[str, Any]:
    """The farm in a few lines: who leads, counts, pace, what to look at."""
    leader = node.election.leader_at(turn.now.mono)
    alerts = node.alerts.all(turn)
    return {
        "name": node.registry.farm.name if node.registry.farm is not None else "",
        "node": node.id,
        "node_name": node.registry.name_of(node.id),
        "leader": leader,
        "leader_name": node.registry.name_of(leader) if leader is not None else None,
        "term": node.election.term,
        "disk_fault": node.condition.disk_fault(),
        "jobs": dict(node.chronicle.tallies.jobs),
        "tasks": dict(node.chronicle.tallies.tasks),
        "pace": {"bucket_s": BUCKET_S, "frames": node.chronicle.pace.counts(turn.now.mono)},
        "alerts": [alert._asdict() for alert in alerts[:SHOWN]],
        "alert_count": len(alerts),
        "boards": node.door.programs.boards(turn),
        "notes": node.notes,
    }


def _is_position(given: object) -> bool:
    """Tell whether this may be a position; another version of this program may have made it of more or fewer numbers."""
    return (
        isinstance(given, list) and 0 < len(given) < 9 and all(type(number) is int and number >= 0 for number in given)
    )
