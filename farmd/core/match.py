"""Which node gets a task: best fit on cores, worst fit on memory, nodes that hold the files only.

Theory: packing tasks onto the node with the *fewest* sufficient free cores keeps whole machines free for wide tasks;
among those, taking the one with the *most* free memory keeps memory balanced (the choice of OpenCue's newer
scheduler). Nodes are kept in buckets by free cores, so a search touches the nodes that have room and not the farm;
within a bucket at most `LOOK` fitting nodes are compared. Called by the leader only. Deterministic: buckets are dicts
in insertion order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.capacity import Capacity, Claim, Misfit, Need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from farmd.core.job import Job
    from farmd.core.turn import Instant
    from protocol.bodies import NodeBody
    from protocol.ids import AttemptRef, NodeId

LOOK = 16
"""Fitting nodes of one bucket that are compared before the best of them is taken."""


class Matcher:
    """Capacities of all nodes that may be granted work, indexed by free cores."""

    def __init__(self) -> None:
        self._nodes: dict[NodeId, Capacity] = {}
        self._buckets: dict[int, dict[NodeId, None]] = {}
        self._bucket_of: dict[NodeId, int] = {}
        self._never: dict[NodeId, dict[Need, Misfit | None]] = {}
        self._full: dict[Need, dict[NodeId, None]] = {}

    def __contains__(self, node: NodeId) -> bool:
        return node in self._nodes

    def __iter__(self) -> Iterator[Capacity]:
        return iter(self._nodes.values())

    def clear(self) -> None:
        """Forget all nodes and what they do."""
        self._nodes.clear()
        self._buckets.clear()
        self._bucket_of.clear()
        self._never.clear()
        self._full.clear()

    def get(self, node: NodeId) -> Capacity | None:
        """Return the capacity of a node, or None if it may not be granted work."""
        return self._nodes.get(node)

    def put(self, node: NodeId, body: NodeBody) -> None:
        """Add a node, or change what it offers; its claims stay."""
        known = self._nodes.get(node)
        if known is not None and known.body == body:
            return
        self._never.pop(node, None)
        self._nodes[node] = Capacity(node, body, known.claims if known is not None else {})
        self._rebucket(node)
        self._roomier(node)

    def drop(self, node: NodeId) -> None:
        """Remove a node and its claims."""
        if self._nodes.pop(node, None) is None:
            return
        self._never.pop(node, None)
        self._buckets[self._bucket_of.pop(node)].pop(node, None)

    def claim(self, node: NodeId, ref: AttemptRef, claim: Claim) -> None:
        """Note that a live attempt takes something of a node."""
        self._nodes[node].claims[ref] = claim
        self._rebucket(node)

    def release(self, node: NodeId, ref: AttemptRef) -> bool:
        """Note that an attempt no longer lives on a node; False if it did not."""
        capacity = self._nodes.get(node)
        if capacity is None or capacity.claims.pop(ref, None) is None:
            return False
        self._rebucket(node)
        self._roomier(node)
        return True

    def never_fits(self, node: NodeId, need: Need) -> Misfit | None:
        """Return why the need can never run on this node, or None; remembered per pair."""
        known = self._never.setdefault(node, {})
        if need not in known:
            known[need] = self._nodes[node].never_fits(need)
        return known[need]

    def fit(self, node: NodeId, need: Need) -> Claim | None:
        """Return what the need would take on this node now, or None."""
        capacity = self._nodes.get(node)
        if capacity is None or self.never_fits(node, need) is not None:
            return None
        return capacity.fit_now(need)

    def is_full(self, need: Need, usable: Callable[[NodeId], bool]) -> bool:
        """Tell whether no usable node has room for a need now.

        On a busy farm nearly every answer is yes, so it is remembered, with the nodes that have got room since: only
        these are looked at again. The caller says `forget_full` when other nodes have become usable.
        """
        roomier = self._full.get(need)
        if roomier is None:
            if self._choose_anew(need, usable) is not None:
                return False
            self._full[need] = {}
            return True
        for node in list(roomier):
            if usable(node) and self.fit(node, need) is not None:
                return False
            del roomier[node]
        return True

    def forget_full(self) -> None:
        """Look at all nodes again."""
        self._full.clear()

    def _roomier(self, node: NodeId) -> None:
        for nodes in self._full.values():
            nodes[node] = None

    def choose(self, need: Need, allowed: Callable[[NodeId], bool]) -> tuple[NodeId, Claim] | None:
        """Choose the node for one task among usable ones, or None if none has room now."""
        roomier = self._full.get(need)
        if roomier is None:
            return self._choose_anew(need, allowed)
        for node in sorted(roomier, key=self._tightest):
            claim = self.fit(node, need)
            if claim is not None and allowed(node):
                return node, claim
        return None

    def _tightest(self, node: NodeId) -> tuple[int, int]:
        capacity = self._nodes.get(node)
        return (0, 0) if capacity is None else (capacity.free_cores, -capacity.free_ram_bytes)

    def _choose_anew(self, need: Need, allowed: Callable[[NodeId], bool]) -> tuple[NodeId, Claim] | None:
        for free in sorted(self._buckets):
            if free < max(1, need.cores):
                continue
            best = self._best_of(self._buckets[free], need, allowed)
            if best is not None:
                return best
        return None

    def _best_of(
        self, bucket: dict[NodeId, None], need: Need, allowed: Callable[[NodeId], bool]
    ) -> tuple[NodeId, Claim] | None:
        best: tuple[NodeId, Claim] | None = None
        best_ram, seen = -1, 0
        for node in bucket:
            claim = self.fit(node, need)
            if claim is None or not allowed(node):
                continue
            ram = self._nodes[node].free_ram_bytes
            if ram > best_ram:
                best, best_ram = (node, claim), ram
            seen += 1
            if seen >= LOOK:
                break
        return best

    def _rebucket(self, node: NodeId) -> None:
        free = self._nodes[node].free_cores
        before = self._bucket_of.get(node)
        if before == free:
            return
        if before is not None:
            self._buckets[before].pop(node, None)
        self._bucket_of[node] = free
        self._buckets.setdefault(free, {})[node] = None


def avoided_nodes(job: Job, need: Need, bodies: Mapping[NodeId, NodeBody], now: Instant) -> dict[NodeId, None]:
    """Return the nodes that a job avoids: those barred from it, and those on which it failed, unless it did on all.

    On a farm of one, or when all have failed, waiting for a better node helps nobody: the retries of each task decide.
    Barred nodes are left out of that count and stay avoided whatever else there is: a node that lacks a feature lacks
    it the next time too. If nothing but barred nodes fits, the job is given up (`farmd.core.verdicts`).

    Args:
        job: Whose tasks are to be granted.
        need: Of one task.
        bodies: Nodes of the farm, those that are off just now included: one that is back soon is worth waiting for.
        now: The instant.
    """
    barred, failed = dict.fromkeys(job.barred_nodes()), dict.fromkeys(job.nodes_to_avoid(now))
    if not failed:
        return barred
    others = (body for body in bodies.items() if body[0] not in barred and body[0] not in failed)
    return barred | failed if any(Capacity(*other).never_fits(need) is None for other in others) else barred
