"""How far a write must have come before its client hears of it: `local`, `peer`, `leader`.

`peer` (the default): one other node has it durably. After `PATIENCE_S`, or at once if no other node is alive, the
client is told "stored here only": the write is accepted all the same and spreads by itself later. Never an error.
A farm of one says so (`alone`): nothing is missing there.

Called by `farmd.core.door` and `farmd.core.node`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farmd.core.effects import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.events import ClientAsked
    from farmd.core.gossip import Gossip
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.records import Rec

PATIENCE_S = 2.0
LEVELS = ("local", "peer", "leader")


@dataclass(frozen=True, slots=True)
class _Waiting:
    client: int
    data: dict[str, Any]
    origin: int
    seq: int
    level: str
    due: float


class Acknowledge:
    """Holds replies back until their write has come as far as was asked."""

    def __init__(
        self,
        gossip: Gossip,
        *,
        leader: Callable[[], NodeId | None],
        others_alive: Callable[[], bool],
        others_known: Callable[[], bool],
        name_of: Callable[[NodeId], str],
    ) -> None:
        self._gossip = gossip
        self._leader = leader
        self._others_alive = others_alive
        self._others_known = others_known
        self._name_of = name_of
        self._waiting: list[_Waiting] = []

    def reply(self, turn: Turn, client: int, data: dict[str, Any], *, stamp: tuple[int, int], level: str) -> None:
        """Answer a client once its write (origin, seq) has come to `level`."""
        waiting = _Waiting(client, data, *stamp, level, turn.now.mono + PATIENCE_S)
        if level == "local" or not self._others_alive():
            self._answer(turn, waiting)
        else:
            self._waiting.append(waiting)

    def drop(self, client: int) -> None:
        """The client no longer waits."""
        self._waiting = [waiting for waiting in self._waiting if waiting.client != client]

    def next_deadline(self) -> float | None:
        """When the first client has waited long enough."""
        if not self._waiting:
            return None
        return min((waiting.due for waiting in self._waiting), default=None)

    def review(self, turn: Turn) -> None:
        """Answer everybody whose write has come far enough, or who has waited long enough."""
        if not self._waiting:
            return
        left: list[_Waiting] = []
        for waiting in self._waiting:
            if self._far_enough(waiting) or waiting.due <= turn.now.mono:
                self._answer(turn, waiting)
            else:
                left.append(waiting)
        self._waiting = left

    def _far_enough(self, waiting: _Waiting) -> bool:
        holders = self._gossip.acked_by(waiting.origin, waiting.seq)
        return bool(holders) if waiting.level == "peer" else self._leader() in holders

    def _answer(self, turn: Turn, waiting: _Waiting) -> None:
        holders = self._gossip.acked_by(waiting.origin, waiting.seq)
        stored = {"stored": "farm" if holders else "here", "nodes": [self._name_of(node) for node in holders]}
        alone = {"alone": not self._others_known()}
        turn.effects.append(Reply(waiting.client, waiting.data | stored | alone, promises=True))


def answer_order(node: Node, turn: Turn, event: ClientAsked, data: dict[str, Any], written: list[Rec]) -> None:
    """Answer a client whose order wrote these rows, once they have come as far as it asks; or none, at once."""
    node.fold(turn)
    stamp = (written[-1].origin, written[-1].seq) if written else (node.replica.origin, node.replica.seq)
    level = str(event.args.get("ack") or "peer")
    if level == "leader" and node.election.is_leader:
        level = "local"
    node.acknowledge.reply(turn, event.client, data, stamp=stamp, level=level)
