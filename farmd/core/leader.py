"""The leader's part: from ready tasks and free capacity to grants, on events and never by polling.

Theory: leadership is an optimisation, never a truth. A grant carries (term, leader, n); a node refuses what is older
than what it has durably accepted. Before its first grant a new leader asks every live node what it runs and adopts
the answers, so that a change of leader does not render a frame twice. What it believes to live on a node is corrected
by that node's adverts and rows: an attempt that its node no longer reports is let go, one that it reports is adopted.

A task is granted again only when its attempt ended, or its node said that it does not run it, or the node came back
with a newer epoch, or it was lost (`lost_after`), or the grant was not accepted in `ACCEPT_S`.

A leader that sees fewer than half of the members of the last ten minutes walks every job backwards, so that two
halves of a split farm meet in the middle instead of rendering the same frames.

Called by `farmd.core.node`, only on the node that leads. Writes no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.granting import Granting
from farmd.core.ledger import Ledger
from farmd.core.match import Matcher
from farmd.core.occupancy import ACCEPT_S, Occupancy
from farmd.core.workforce import Workforce
from protocol.messages import InventoryAsk
from protocol.records import Rank, attempt_ref_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.core.capacity import Need
    from farmd.core.election import Election
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.membership import Membership
    from farmd.core.turn import Turn
    from protocol.bodies import NodeBody
    from protocol.ids import NodeId
    from protocol.messages import Advert, GrantReply, Inventory
    from protocol.records import Rec

INVENTORY_S = 2.0
"""Longest wait for inventories before the first grant of a term."""
COOL_S = 1.0
"""Pause before a node that refused, or a job that was refused, is looked at again."""


class Leader:
    """Grants tasks to nodes while this node leads.

    Attributes:
        active: This node is in office.
        granted: What is believed to live where.
        matcher: What each node has room for.
    """

    def __init__(
        self,
        node: NodeId,
        *,
        election: Election,
        membership: Membership,
        jobs: Jobs,
        nodes: Callable[[], dict[NodeId, NodeBody]],
        may_work: Callable[[NodeId], bool],
    ) -> None:
        """Prepare.

        Args:
            node: This node.
            election: Says whether we lead, and in which term.
            membership: Who is there.
            jobs: The fold.
            nodes: Bodies of all NODE rows.
            may_work: False for a node that is held, full or revoked.
        """
        self._node = node
        self._election = election
        self._membership = membership
        self.granted = Ledger()
        self.matcher = Matcher()
        self._workforce = Workforce(self.matcher, membership=membership, jobs=jobs, nodes=nodes, may_work=may_work)
        self._occupancy = Occupancy(self.granted, self.matcher, jobs, nodes=nodes, need_of=self.need_of)
        self.granting = Granting(
            node,
            election=election,
            jobs=jobs,
            workforce=self._workforce,
            occupancy=self._occupancy,
            wake=self._wake,
        )
        self._asking: dict[NodeId, None] | None = None
        self._ask_until = 0.0
        self._wake_at: float | None = None
        self._dirty = False
        self.active = False

    # -- taking and leaving office --------------------------------------------------------------------------------

    def begin(self, turn: Turn) -> None:
        """Take office: ask all live nodes what they run."""
        self.leave()
        self.active = True
        self.granting.begin()
        self._asking = dict.fromkeys(self._membership.alive())
        self._ask_until = turn.now.mono + INVENTORY_S
        self._wake(self._ask_until)
        for node in self._asking:
            if node != self._node:
                turn.send(node, InventoryAsk(self._election.term))

    def leave(self) -> None:
        """Leave office: what was believed of other nodes is forgotten, what they run goes on."""
        self.active = False
        self._asking = None
        self._occupancy.clear()
        self._workforce.clear()
        self.granting.leave()

    def on_inventory(self, turn: Turn, sender: NodeId, message: Inventory) -> None:
        """Adopt what a node runs."""
        if not self.active or message.term != self._election.term:
            return
        for running in message.attempts:
            self._occupancy.adopt(turn, sender, message.epoch, running)
        if self._asking is not None:
            self._asking.pop(sender, None)
        self._dirty = True

    def on_advert(self, turn: Turn, advert: Advert) -> None:
        """Correct what is believed of a node by what it reports."""
        if not self.active:
            return
        if self._workforce.is_outdated(advert.node):
            self.on_nodes_changed()
        if self._occupancy.report(turn, advert):
            self._dirty = True

    # -- what nodes answer ----------------------------------------------------------------------------------------

    def on_reply(self, turn: Turn, sender: NodeId, reply: GrantReply) -> None:
        """A node accepted or refused a grant."""
        known = self.granted.get(reply.ref)
        if not self.active or known is None or known.node != sender:
            return
        if reply.accepted:
            known.accepted, known.seen_at = True, turn.now.mono
            return
        self._occupancy.let_go(reply.ref, lost=False)
        until = turn.now.mono + COOL_S
        if not self.granting.refused(sender, reply, until):
            self._workforce.cool(sender, until)
        self._dirty = True
        self._wake(until)

    def on_attempt_row(self, rec: Rec, now_mono: float) -> None:
        """An attempt row arrived: accepted if it runs, free again if it ended."""
        if not self.active:
            return
        ref = attempt_ref_of(rec.pk)
        known = self.granted.get(ref)
        if known is not None and rec.rank >= Rank.ENDED:
            self._occupancy.let_go(ref, lost=False)
            self._workforce.review_health(known.node)
        elif known is not None:
            known.accepted, known.seen_at = True, now_mono
            return  # it takes what it was granted: nothing has become free
        self._dirty = True

    def on_node_gone(self, node: NodeId, epoch: int) -> None:
        """A node was lost for good, left, or came back with a newer epoch: its attempts of that life are free."""
        self._occupancy.let_go_of(node, epoch)
        self._dirty = True

    def on_nodes_changed(self) -> None:
        """Membership, a NODE row or a hold changed: look at everything again."""
        self._dirty = True
        self._workforce.changed()

    def on_jobs_changed(self) -> None:
        """A job or control changed."""
        self._dirty = True

    # -- granting -------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something may become grantable, or void, without an event."""
        return self._wake_at if self.active else None

    def on_timer(self, turn: Turn) -> None:
        """Void grants that nobody accepted; let cooled nodes be asked again."""
        if not self.active or self._wake_at is None or turn.now.mono < self._wake_at:
            return
        now = turn.now.mono
        self._dirty = True
        self._workforce.review_cool()
        self._occupancy.void_unaccepted(turn)
        self.granting.rested(now)
        self._wake_at = min([at for at in self._times() if at > now], default=None)

    def _times(self) -> Iterator[float]:
        """Every moment at which something may become grantable, or void; those that are over may be among them."""
        if self._asking is not None:
            yield self._ask_until
        yield from self._workforce.cool_times()
        for known in self.granted.unaccepted():
            yield known.granted_at + ACCEPT_S
        yield from self.granting.times()

    def is_ready(self, turn: Turn) -> bool:
        """Tell whether this node may grant now, and there is anything to look for."""
        if not self.active or not self._dirty or not self._election.may_grant(turn.now.mono):
            return False
        return self._inventory_done(turn)

    def pump(self, turn: Turn) -> bool:
        """Grant what can be granted now; called once after every event. True if there was anything to look for."""
        if not self.is_ready(turn):
            return False
        self._dirty = False
        self._workforce.refresh(turn.now.mono)
        self.granting.grant_all(turn)
        return True

    def _inventory_done(self, turn: Turn) -> bool:
        if self._asking is None:
            return True
        self._asking.pop(self._node, None)
        waiting = [node for node in self._asking if self._membership.is_alive(node)]
        if waiting and turn.now.mono < self._ask_until:
            return False
        self._asking = None
        return True

    def need_of(self, job: Job) -> Need:
        """What a task of a job needs, by what is known of it and of the farm."""
        return self._workforce.need_of(job)

    def _wake(self, at: float) -> None:
        self._wake_at = at if self._wake_at is None else min(self._wake_at, at)
