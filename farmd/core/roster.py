"""The table of members: which life of which node is known, in which state, and which of two claims wins.

Theory: every claim about a member carries (epoch, incarnation, state), and claims are ordered by just that triple.
- A higher *epoch* is a new life of the node and replaces everything that was said of the older one.
- Within a life only the node itself raises its *incarnation*, to refute what others say of it.
- At one incarnation the worse state wins: alive < suspect < dead < left.
Taking the larger claim is commutative, associative and idempotent, so all tables become equal whatever the order in
which gossip arrives; and a late message from an older life cannot resurrect anything.

A *seed* is a member of which only the address is known: epoch 0, dead, never gossiped; any real claim beats it.
Called by `farmd.core.membership` alone; sends nothing.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from protocol.messages import MemberUpdate
from protocol.states import MemberState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.ids import NodeId

SEED_EPOCH = 0
"""Of a member that is only an address so far; real lives count from 1."""


@dataclass(frozen=True, slots=True)
class Member:
    """What is believed of one node.

    Attributes:
        node: Who.
        state: Alive, suspect, dead or left.
        epoch: The life that is spoken of; 0 if none was ever heard of.
        incarnation: Raised by the node itself to refute.
        address: HOST:PORT.
        since: Monotonic second at which state or epoch last changed.
        seen_at: Monotonic second at which it was last believed to be here; minus infinity if never.
    """

    node: NodeId
    state: MemberState
    epoch: int
    incarnation: int
    address: str
    since: float
    seen_at: float = -math.inf

    @property
    def is_here(self) -> bool:
        """Tell whether the node takes part: alive, or suspected and not yet given up."""
        return self.state <= MemberState.SUSPECT

    def claim(self) -> MemberUpdate:
        """Return the gossip that says the same."""
        return MemberUpdate(self.node, int(self.state), self.epoch, self.incarnation, self.address)


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A member changed its state or began a new life.

    Attributes:
        node: Who.
        old: State before, None if it was unknown.
        new: State now.
        epoch: The life that `new` speaks of.
        old_epoch: The life that `old` speaks of; less than `epoch` means that the node restarted.
        seen_at: Monotonic second at which it was last believed to be here before; minus infinity if never.
    """

    node: NodeId
    old: MemberState | None
    new: MemberState
    epoch: int
    old_epoch: int = SEED_EPOCH
    seen_at: float = -math.inf

    @property
    def restarted(self) -> bool:
        """Tell whether an earlier life is over: nothing that it ran still runs."""
        return SEED_EPOCH < self.old_epoch < self.epoch

    @property
    def is_first_sight(self) -> bool:
        """Tell whether nothing but an address was known until now."""
        return self.old_epoch == SEED_EPOCH

    def text(self) -> str:
        """Say what happened, to be read after the node's name; "" if it is not worth a line."""
        if self.new is self.old and not (self.restarted and self.new is MemberState.ALIVE):
            return ""
        match self.new:
            case MemberState.SUSPECT:
                return "does not answer"
            case MemberState.DEAD:
                return "is lost"
            case MemberState.LEFT:
                return "left"
            case MemberState.ALIVE if self.is_first_sight:
                return "is here"
            case MemberState.ALIVE if self.old is MemberState.SUSPECT and not self.restarted:
                return "answers again"
            case MemberState.ALIVE:
                return f"is back (life {self.epoch})"


def wins(claim: MemberUpdate, known: Member) -> bool:
    """Tell whether a claim beats what is known."""
    return (claim.epoch, claim.incarnation, claim.state) > (known.epoch, known.incarnation, known.state)


class Roster:
    """All known members, this node included, and the sorted ids of each state."""

    __slots__ = ("_alive", "_by_state", "_changes", "_is_sorted", "_members", "self_id")

    def __init__(self, me: Member) -> None:
        self.self_id = me.node
        self._members: dict[NodeId, Member] = {}
        self._by_state: dict[MemberState, list[NodeId]] = {state: [] for state in MemberState}
        self._alive: tuple[NodeId, ...] | None = None
        self._changes: list[MemberChange] = []
        self._is_sorted = True
        self._put(me)

    @property
    def me(self) -> Member:
        """Return this node itself."""
        return self._members[self.self_id]

    @property
    def alive(self) -> tuple[NodeId, ...]:
        """Return the members that are alive and not suspected, sorted, this node included until it leaves."""
        if self._alive is None:
            self._alive = tuple(self._by_state[MemberState.ALIVE])
        return self._alive

    @property
    def alive_others(self) -> tuple[NodeId, ...]:
        """Return the same without this node."""
        return tuple(node for node in self.alive if node != self.self_id)

    @property
    def suspects(self) -> tuple[NodeId, ...]:
        """Return the members that are suspected, sorted."""
        return tuple(self._by_state[MemberState.SUSPECT])

    @property
    def dead(self) -> tuple[NodeId, ...]:
        """Return the members that are dead or mere seeds, sorted; those that left in good order are not among them."""
        return tuple(self._by_state[MemberState.DEAD])

    @property
    def here(self) -> int:
        """Return the number of members that are alive or suspected: N of every formula."""
        return len(self._by_state[MemberState.ALIVE]) + len(self._by_state[MemberState.SUSPECT])

    def view(self) -> Mapping[NodeId, Member]:
        """Return all members, read-only, sorted by id."""
        if not self._is_sorted:
            self._members = {node: self._members[node] for node in sorted(self._members)}
            self._is_sorted = True
        return MappingProxyType(self._members)

    def get(self, node: NodeId) -> Member | None:
        """Return what is believed of a node, None if it is unknown."""
        return self._members.get(node)

    def seed(self, node: NodeId, address: str, now: float) -> None:
        """Enter a node of which only the address is known."""
        self._put(Member(node, MemberState.DEAD, SEED_EPOCH, 0, address, now))

    def readdress(self, node: NodeId, address: str, now: float) -> None:
        """Take a better address of a node that is not here, and count its day of probing anew."""
        known = self._members[node]
        self._put(replace(known, address=address or known.address, since=now))

    def forget(self, node: NodeId) -> None:
        """Remove a member: its key was revoked."""
        known = self._members.pop(node, None)
        if known is not None:
            self._by_state[known.state].remove(node)
            self._alive = None

    def take(self, claim: MemberUpdate, now: float) -> MemberChange | None:
        """Believe a claim that wins.

        Returns:
            The change, if state or epoch differ from before.
        """
        known = self._members.get(claim.node)
        state = MemberState(claim.state)
        is_same = known is not None and known.state is state and known.epoch == claim.epoch
        was_here = known is not None and known.is_here
        seen_at = now if was_here or state <= MemberState.SUSPECT else known.seen_at if known else -math.inf
        since = known.since if known is not None and is_same else now
        address = claim.address or (known.address if known else "")
        self._put(Member(claim.node, state, claim.epoch, claim.incarnation, address, since, seen_at))
        if is_same:
            return None
        old, old_epoch = (known.state, known.epoch) if known else (None, SEED_EPOCH)
        seen_before = known.seen_at if known else -math.inf
        change = MemberChange(claim.node, old, state, claim.epoch, old_epoch, seen_before)
        self._changes.append(change)
        return change

    def take_changes(self) -> list[MemberChange]:
        """Return the changes since the last call, in their order."""
        changes, self._changes = self._changes, []
        return changes

    def recent(self, now: float, window_s: float) -> tuple[NodeId, ...]:
        """Return, sorted, the members that are here or were within the window and did not leave in good order."""
        since = now - window_s
        return tuple(
            node
            for node, member in self.view().items()
            if member.is_here or (member.state is MemberState.DEAD and member.seen_at >= since)
        )

    def _put(self, member: Member) -> None:
        """Enter or replace a member; the lists of states stay sorted, so that a change costs no sort of the farm."""
        known = self._members.get(member.node)
        self._members[member.node] = member
        if known is not None and known.state is member.state:
            return
        if known is None:
            self._is_sorted = False
        else:
            self._by_state[known.state].remove(member.node)
        insort(self._by_state[member.state], member.node)
        self._alive = None
