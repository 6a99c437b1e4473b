"""What lives where, as a leader believes: its own grants and what it adopted, corrected by what nodes report.

Three books are kept as one: the ledger (which attempt on which node), the matcher (what it takes there) and the fold of
the jobs (which tasks are not ready, because they are granted). An attempt that its node reports is adopted, whoever
granted it; one that its node no longer reports is let go. Of two attempts of one task the younger is stopped, unless
it is nearly done.

Invariant: an attempt stands in the ledger exactly as long as its task counts as granted.
Called by `farmd.core.leader` and `farmd.core.granting`; forgotten when an office ends. Writes no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.capacity import Claim
from farmd.core.ledger import Granted
from protocol.messages import Stop
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.capacity import Need
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.ledger import Ledger
    from farmd.core.match import Matcher
    from farmd.core.turn import Turn
    from protocol.bodies import NodeBody
    from protocol.ids import AttemptRef, NodeId
    from protocol.messages import Advert, Running

ACCEPT_S = 10.0
"""A grant that was not accepted by then is void."""
UNREPORTED_S = 3.0
"""An accepted attempt may be missing from its node's adverts for this long."""
SPARED = 0.8
"""A double that has come this far is not stopped."""


class Occupancy:
    """Keeps ledger, matcher and fold in step."""

    def __init__(
        self,
        ledger: Ledger,
        matcher: Matcher,
        jobs: Jobs,
        *,
        nodes: Callable[[], dict[NodeId, NodeBody]],
        need_of: Callable[[Job], Need],
    ) -> None:
        """Prepare.

        Args:
            ledger: Which attempt lives on which node.
            matcher: What it takes there.
            jobs: The fold, which is told what is granted.
            nodes: Bodies of all NODE rows.
            need_of: What a task of a job needs.
        """
        self._ledger = ledger
        self._matcher = matcher
        self._jobs = jobs
        self._nodes = nodes
        self._need_of = need_of

    def clear(self) -> None:
        """Believe nothing any more; what runs goes on."""
        self._jobs.ungrant_all()
        self._ledger.clear()
        self._matcher.clear()

    def take(self, ref: AttemptRef, granted: Granted, claim: Claim) -> None:
        """An attempt is granted: it takes something of its node from now on."""
        self._matcher.claim(granted.node, ref, claim)
        self._ledger.add(ref, granted)
        self._jobs.grant(ref)

    def let_go(self, ref: AttemptRef, *, lost: bool) -> None:
        """An attempt lives no more; `lost` if nobody says how it ended."""
        known = self._ledger.pop(ref)
        self._matcher.release(known.node, ref)
        self._jobs.ungrant(ref)
        if lost:
            self._jobs.mark_lost(ref)

    def let_go_of(self, node: NodeId, epoch: int) -> None:
        """Whatever a life of a node, or an earlier one, was running is lost."""
        for ref, known in self._ledger.on_node(node):
            if known.epoch <= epoch:
                self.let_go(ref, lost=True)

    def void_unaccepted(self, turn: Turn) -> None:
        """Take back what nobody has accepted in time."""
        for ref, known in list(self._ledger.items()):
            if not known.accepted and known.granted_at + ACCEPT_S <= turn.now.mono:
                turn.send(known.node, Stop(ref, FailureClass.SUPERSEDED, "the grant was not accepted in time"))
                self.let_go(ref, lost=False)

    # -- what nodes report ----------------------------------------------------------------------------------------

    def report(self, turn: Turn, advert: Advert) -> bool:
        """Correct what is believed of a node by what it reports; True if anything was let go."""
        now = turn.now.mono
        reported = {running.ref: running for running in advert.running}
        for running in advert.running:
            known = self._ledger.get(running.ref)
            if known is None:
                self.adopt(turn, advert.node, advert.epoch, running)
            else:
                known.accepted, known.seen_at, known.progress = True, now, running.progress
        freed = False
        for ref, known in self._ledger.on_node(advert.node):
            if ref in reported:
                continue
            patience = UNREPORTED_S if known.accepted else ACCEPT_S
            if advert.epoch > known.epoch or now - known.seen_at > patience:
                self.let_go(ref, lost=True)
                freed = True
        return freed

    def adopt(self, turn: Turn, node: NodeId, epoch: int, running: Running) -> None:
        """Believe what a node says that it runs."""
        ref, now = running.ref, turn.now.mono
        if ref in self._ledger:
            return
        granted = Granted(
            node,
            epoch,
            running.generation,
            now - running.seconds,
            accepted=True,
            seen_at=now,
            progress=running.progress,
        )
        if not self._settle_double(turn, ref, granted):
            return
        self._ledger.add(ref, granted)
        self._jobs.grant(ref)
        self._claim(node, ref)

    def _claim(self, node: NodeId, ref: AttemptRef) -> None:
        """Count what an adopted attempt takes, even if by our books there was no room for it."""
        body, job = self._nodes().get(node), self._jobs.get(ref.job)
        if body is None or job is None:
            return
        self._matcher.put(node, body)
        capacity = self._matcher.get(node)
        if capacity is not None:
            need = self._need_of(job)
            claim = capacity.fit_now(need) or Claim(capacity.cores_of(need), need.ram_bytes)
            self._matcher.claim(node, ref, claim)

    def _settle_double(self, turn: Turn, ref: AttemptRef, newcomer: Granted) -> bool:
        """Of two live attempts of one task, stop the younger unless it is over 80 % done. True if this one goes on."""
        for other_ref, other in self._ledger.of_task(ref.job, ref.task):
            if other.generation != newcomer.generation:
                continue
            younger_ref, younger = (ref, newcomer) if newcomer.granted_at >= other.granted_at else (other_ref, other)
            if younger.progress <= SPARED:
                older = other_ref if younger_ref == ref else ref
                text = f"the same task runs as {older.attempt}"
                turn.send(younger.node, Stop(younger_ref, FailureClass.SUPERSEDED, text))
                if younger_ref == ref:
                    return False
        return True
