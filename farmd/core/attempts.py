"""Attempts as the folds see them, and what is believed of the lives in which they run.

An attempt row is read once into a small tuple; outputs and texts stay packed until somebody asks. That a row says
`running` is not enough: the node that wrote it may be gone. Which lives of nodes are over is a fact of the moment,
held in memory by each node and never replicated; nothing durable follows from it.

Called by `farmd.core.tasks`, `job` and `jobs`.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from protocol.bodies import AttemptBody, unpack_body
from protocol.errors import PeerError
from protocol.ids import AttemptId, AttemptRef, NodeId, TaskIndex, pack_node, unpack_node
from protocol.records import Rec, attempt_ref_of
from protocol.states import AttemptState

_KEY = Struct(">10xII8sI")
"""Task, term, leader and number in the key of an ATTEMPT row; the job in front is known to who reads it."""


class Attempt(NamedTuple):
    """One attempt row, read. A named tuple and not a dataclass: a replica may hold a million of them.

    Node, epoch, generation and start never change between the versions of one attempt.
    """

    id: AttemptId
    task: TaskIndex
    node: NodeId
    epoch: int
    generation: int
    state: AttemptState
    cause: int
    started_ms: int
    ended_ms: int
    peak_ram_bytes: int
    price: int
    rec: Rec

    @property
    def ref(self) -> AttemptRef:
        """Its whole name."""
        return attempt_ref_of(self.rec.pk)

    @property
    def hlc(self) -> int:
        """When its node wrote this version."""
        return self.rec.hlc

    @property
    def body(self) -> AttemptBody:
        """The whole row, read again each time: outputs and texts are not kept unpacked."""
        return unpack_body(AttemptBody, self.rec.body)


def read_attempt(rec: Rec) -> Attempt:
    """Read an ATTEMPT row.

    Raises:
        PeerError: Its key or its body is malformed.
    """
    if len(rec.pk) != _KEY.size:
        raise PeerError(f"attempt key of {len(rec.pk)} bytes")
    task, term, leader, n = _KEY.unpack(rec.pk)
    body = unpack_body(AttemptBody, rec.body)
    node = _same(body.node)
    try:
        state = AttemptState(body.state)
    except ValueError as error:
        raise PeerError(f"attempt in state {body.state}") from error
    return Attempt(
        id=AttemptId(term, _leader(leader), n),
        task=TaskIndex(task),
        node=node,
        epoch=body.epoch,
        generation=body.generation,
        state=state,
        cause=body.cause,
        started_ms=body.started_ms,
        ended_ms=body.ended_ms,
        peak_ram_bytes=body.peak_ram_bytes,
        price=body.price,
        rec=rec,
    )


@lru_cache(4096)
def _same(node: NodeId) -> NodeId:
    """Check a node id, and return one and the same text for all rows of a node: a million of them are 60 MB."""
    pack_node(node)
    return node


@lru_cache(4096)
def _leader(packed: bytes) -> NodeId:
    return unpack_node(packed)


class Lives:
    """Lives of nodes that are over, and attempts that their node no longer has: facts of the moment, in memory.

    Besides, who was evicted: of such a node nothing is believed to be there any more, whatever its rows say.
    """

    __slots__ = ("_evicted", "_gone", "_over")

    def __init__(self) -> None:
        self._over: dict[NodeId, int] = {}
        self._gone: dict[AttemptRef, None] = {}
        self._evicted: dict[NodeId, None] = {}

    def evict(self, node: NodeId) -> None:
        """Nothing that this node holds counts any more."""
        self._evicted[node] = None

    @property
    def any_evicted(self) -> bool:
        """Tell whether any node was evicted."""
        return bool(self._evicted)

    def is_evicted(self, node: NodeId) -> bool:
        """Tell whether what a node holds counts for nothing."""
        return node in self._evicted

    def end(self, node: NodeId, epoch: int) -> None:
        """This life of the node, and all before it, are over."""
        self._over[node] = max(epoch, self._over.get(node, epoch))

    def begin(self, node: NodeId, epoch: int) -> bool:
        """The node lives in this epoch; older lives are over, newer ones known here stay over.

        Returns:
            True if this life was believed to be over.
        """
        over = self._over.get(node, epoch - 1)
        if over <= epoch:
            self._over[node] = epoch - 1
        return over == epoch

    def drop(self, ref: AttemptRef) -> None:
        """Its node says that it does not run this attempt."""
        self._gone[ref] = None

    def find(self, ref: AttemptRef) -> None:
        """Its node does run this attempt after all."""
        self._gone.pop(ref, None)

    def is_lost(self, attempt: Attempt) -> bool:
        """Tell whether the life in which an attempt ran is over."""
        return attempt.epoch <= self._over.get(attempt.node, attempt.epoch - 1)

    def is_live(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is believed to be executing."""
        if attempt.state != AttemptState.RUNNING or self.is_lost(attempt):
            return False
        return not self._gone or attempt.ref not in self._gone
