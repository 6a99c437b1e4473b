"""Answers clients: which machine does what an operation of `protocol.api` asks, in one turn, from the live state.

Each machine behind the door brings its own operations; those that only read are here. A request is checked completely
before anything is written; what cannot be done is an error of three lines with an exit code, and changes nothing.
Controls are registers, accepted on any node at any time, cut off or not.

Called by `farmd.core.node`. Operations that touch files (`blob.*`, `events`) never come here: the adapter serves them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from farmd.core import views
from farmd.core.arguments import find_node, job_of, number_of, task_of, text_of
from farmd.core.controls import Controls
from farmd.core.costviews import Accounts
from farmd.core.edits import spec_bytes_of
from farmd.core.effects import Reply
from farmd.core.explain import Explain
from farmd.core.feed import Feed
from farmd.core.hookorders import HookOrders
from farmd.core.inspecting import Inspecting
from farmd.core.jobfeed import JobFeed
from farmd.core.memberorders import MemberOrders
from farmd.core.nodeorders import NodeOrders
from farmd.core.offduty import OffDuty
from farmd.core.pathorders import PathOrders
from farmd.core.permissions import Permissions
from farmd.core.programs import Programs
from farmd.core.resultviews import result_list
from farmd.core.revising import Revising
from farmd.core.signerorders import SignerOrders
from farmd.core.submitting import Submitting
from farmd.core.userorders import UserOrders
from farmd.core.watching import Watching
from protocol.errors import PeerError, UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from farmd.core.acknowledge import Acknowledge
    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import JobId

    Operation = Callable[[Turn, ClientAsked], None]

ARCHIVED = ("with", "without", "only")
"""Which jobs a list of jobs has."""


class Waiting(Protocol):
    """A machine behind the door whose clients may have to wait."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What it answers, by name."""

    def left(self, client: int) -> None:
        """A client no longer waits."""

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""

    def on_timer(self, turn: Turn) -> None:
        """Answer those who have waited long enough."""


class Door:
    """The operations, by name."""

    def __init__(self, node: Node, acknowledge: Acknowledge, rng: Random) -> None:
        self._node = node
        self._acknowledge = acknowledge
        self.permissions = Permissions(node)
        self.explain = Explain(node)
        self.submitting = Submitting(node, acknowledge, rng)
        self.watching = Watching(node, self._view)
        self.programs = Programs()
        self.feed = Feed(node)
        self._job_feed = JobFeed(node, self._view)
        self.off_duty = OffDuty(node)
        self._waiting: tuple[Waiting, ...] = (
            self.submitting, self.watching, self.feed, self._job_feed, self.off_duty,
        )  # fmt: skip
        self._operations: dict[str, Operation] = {
            "farm.status": self._farm_status,
            "node.list": self._node_list,
            "node.show": self._node_show,
            "job.list": self._job_list,
            "job.show": self._job_show,
            "job.spec": self._job_spec,
            "task.list": self._task_list,
            "task.thumbnail": self._thumbnail,
            "why": self._why,
            "result.list": self._result_list,
            "doctor": self._doctor,
        }
        self._operations.update(Inspecting(node, self.explain).operations)
        self._operations.update(node.logs.operations)
        for orders in (
            Controls(node),
            NodeOrders(node),
            MemberOrders(node),
            SignerOrders(node),
            UserOrders(node),
            HookOrders(node, rng),
            Revising(node),
            Accounts(node),
        ):
            self._operations.update(orders.operations)
        for machine in (PathOrders(node, acknowledge), self.programs, *self._waiting):
            self._operations.update(machine.operations)

    def ask(self, turn: Turn, event: ClientAsked) -> None:
        """Answer a request, now or in a later turn; never raises for what a client sends."""
        operation = self._operations.get(event.op)
        try:
            if operation is None:
                raise UsageError(f"no operation is called {event.op!r}", "this node does not know it", "update farmd")
            self.permissions.check(event)
            operation(turn, event)
        except UserError as error:
            fault = (error.code, error.what, error.why, error.hint)
            turn.effects.append(Reply(event.client, error=fault))
        except PeerError as error:
            fault = (2, "the request cannot be read", str(error), "use a client of this version")
            turn.effects.append(Reply(event.client, error=fault))

    def left(self, client: int) -> None:
        """A client no longer waits."""
        for machine in self._waiting:
            machine.left(client)
        self._acknowledge.drop(client)
        self._node.thumbnails.left(client)

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""
        earliest: float | None = None
        for machine in self._waiting:
            at = machine.next_deadline()
            if at is not None and (earliest is None or at < earliest):
                earliest = at
        return earliest

    def on_timer(self, turn: Turn) -> None:
        """Answer those who have waited long enough."""
        for machine in self._waiting:
            machine.on_timer(turn)

    def on_turn(self, turn: Turn, changed: dict[JobId, None]) -> None:
        """A turn is over, and these jobs have changed in it: answer who waits for that."""
        if changed:
            self.watching.review(turn, changed)
            self._job_feed.review(turn, changed)
        self.feed.on_turn(turn, jobs_changed=bool(changed))

    # -- reading --------------------------------------------------------------------------------------------------

    def _farm_status(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, views.farm_status(self._node, turn.now)))

    def _node_list(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, views.node_list(self._node, turn.now)))

    def _node_show(self, turn: Turn, event: ClientAsked) -> None:
        node = find_node(self._node, text_of(event, "node"))
        view = {"schema": "farm.node.v1", **views.node_view(self._node, node, turn.now)}
        turn.effects.append(Reply(event.client, view))

    def _job_list(self, turn: Turn, event: ClientAsked) -> None:
        wanted = text_of(event, "archived", "with")
        if wanted not in ARCHIVED:
            raise UsageError(f"no list is {wanted[:80]!r} archived jobs", "", "one of " + ", ".join(ARCHIVED))
        offset, limit = max(0, number_of(event, "offset", 0)), number_of(event, "limit", 0)
        shown = [job for job in self._node.jobs if wanted == "with" or job.archived is (wanted == "only")]
        page = shown[offset : offset + limit] if limit > 0 else shown[offset:]
        jobs = [views.job_view(self._node, job, turn.now, brief=True) for job in page]
        turn.effects.append(Reply(event.client, {"schema": "farm.jobs.v1", "jobs": jobs, "total": len(shown)}))

    def _job_show(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, self._view(job_of(self._node, event), turn)))

    def _job_spec(self, turn: Turn, event: ClientAsked) -> None:
        job = job_of(self._node, event)
        turn.effects.append(Reply(event.client, {"job": job.id, "spec": spec_bytes_of(job)}))

    def _view(self, job: Job, turn: Turn) -> dict[str, Any]:
        view = views.job_view(self._node, job, turn.now)
        view["reason"] = self.explain.headline(job, turn.now)
        return view

    def _task_list(self, turn: Turn, event: ClientAsked) -> None:
        job = job_of(self._node, event)
        offset, limit = number_of(event, "offset", 0), min(number_of(event, "limit", 1000), 10_000)
        state = text_of(event, "state", "")
        turn.effects.append(Reply(event.client, views.task_list(self._node, job, state, offset, limit)))

    def _thumbnail(self, turn: Turn, event: ClientAsked) -> None:
        job, frame = job_of(self._node, event), number_of(event, "frame", 1)
        self._node.thumbnails.ask(turn, event, job, frame, task_of(job, frame))

    def _why(self, turn: Turn, event: ClientAsked) -> None:
        job = job_of(self._node, event)
        frame = event.args.get("frame")
        task = task_of(job, int(frame)) if isinstance(frame, int) else None
        turn.effects.append(Reply(event.client, self.explain.why(job, task, turn.now)))

    def _result_list(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, result_list(self._node, job_of(self._node, event), event.args)))

    def _doctor(self, turn: Turn, event: ClientAsked) -> None:
        turn.effects.append(Reply(event.client, views.doctor(self._node, turn.now)))
