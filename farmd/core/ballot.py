"""The durable promises of one node in elections: its term, its vote, and the highest leader that it has accepted.

Invariants (design, section 9, numbers 4 and 5), restarts included:
- in one term a node votes for one candidate;
- the accepted (term, leader) never falls, so whatever comes from a lower one can be refused (fencing);
- the term is never below the accepted term.
They hold because every change lands in `dirty`, the node saves it with the turn, and the driver carries out the save
before any send of the turn that is not volatile.

Called by `farmd.core.election` alone; decides nothing about time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.ids import NodeId


class Ballot:
    """Promises that outlive the process.

    Attributes:
        term: Highest term that this node has voted or stood in, or heard of.
        voted_for: Its vote in that term.
        accepted_term: Of the highest leader that it has followed.
        accepted_leader: Id of that leader, empty if it never followed one.
        dirty: Facts that changed and are not yet saved, under the names that `load` reads.
    """

    __slots__ = ("accepted_leader", "accepted_term", "dirty", "term", "voted_for")

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self.term: int = meta.get("term", 0)
        self.voted_for: NodeId | None = meta.get("voted_for")
        self.accepted_term: int = meta.get("accepted_term", 0)
        self.accepted_leader: NodeId | str = meta.get("accepted_leader", "")
        self.dirty: dict[str, Any] = {}

    def accepts(self, term: int, leader: NodeId) -> bool:
        """Tell whether (term, leader) is not below what was accepted."""
        return (term, leader) >= (self.accepted_term, self.accepted_leader)

    def accept(self, term: int, leader: NodeId) -> None:
        """Promise to refuse everything below (term, leader); call it only if `accepts` says so."""
        self.advance(term)
        if (term, leader) != (self.accepted_term, self.accepted_leader):
            self.accepted_term, self.accepted_leader = term, leader
            self.dirty.update(accepted_term=term, accepted_leader=leader)

    def advance(self, term: int) -> None:
        """Enter a higher term, without a vote in it yet."""
        if term > self.term:
            self.term, self.voted_for = term, None
            self.dirty.update(term=term, voted_for=None)

    def vote(self, term: int, candidate: NodeId) -> bool:
        """Give the vote of a term, unless it is given to another, or the term is over or has a leader.

        Returns:
            Whether the candidate has this node's vote.
        """
        if term < self.term or term <= self.accepted_term:
            return False
        if term == self.term and self.voted_for not in (None, candidate):
            return False
        self.advance(term)
        if self.voted_for != candidate:
            self.voted_for = candidate
            self.dirty.update(term=term, voted_for=candidate)
        return True
