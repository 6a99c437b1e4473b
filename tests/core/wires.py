"""Swarms of several nodes on wires of a given speed: no files, no farm, time that is counted.

Each node has a way out and a way in of the same rate; what is sent queues on the one, then on the other, and flows
through both at once. Only pieces and packs have a weight. A piece is one byte: 0 if it is right, else the mark of a lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any

from farmd.core.effects import FindBlobs, Note, ReadPack, ReadPiece, Send, VerifyBlob, WritePack, WritePiece
from farmd.core.events import BlobFinished, BlobsFound, BlobVerified, PackWritten, PieceWritten
from farmd.core.incoming import PIECE_BYTES, piece_count, piece_size
from farmd.core.swarm import Swarm
from farmd.core.turn import Instant, Turn
from protocol.ids import BlobAddress, NodeId
from protocol.messages import (
    Doubt,
    HaveAsk,
    HaveIs,
    Message,
    PackAsk,
    PackIs,
    PartHas,
    PartIs,
    PieceAsk,
    PieceIs,
    PieceRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.effects import Effect

LATENCY_S = 0.0003
WRITE_S = 0.001
RIGHT, WRONG = bytes(PIECE_BYTES), b"\1" * PIECE_BYTES


@dataclass(slots=True)
class Peer:
    """One node.

    Attributes:
        held: Complete blobs.
        parts: Pieces of blobs on their way.
        written: When each piece or pack stood here.
        served: Bytes that it sent.
    """

    id: NodeId
    swarm: Swarm
    held: dict[BlobAddress, None] = field(default_factory=dict)
    parts: dict[BlobAddress, dict[int, bytes]] = field(default_factory=dict)
    written: list[float] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    finished_at: float | None = None
    served: int = 0
    lies: bool = False
    dead: bool = False
    out_free: float = 0.0
    in_free: float = 0.0
    timer: float | None = None


class Wires:
    """A simulation: `rate` is that of each link, bytes a second."""

    def __init__(self, count: int, rate: float, seed: int = 1) -> None:
        self.now, self.rate = 0.0, rate
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self.messages: dict[str, int] = {}
        self.peers: dict[NodeId, Peer] = {}
        names = [NodeId(f"{number:016x}") for number in range(count)]
        for name in names:
            swarm = Swarm(name, Random(f"{seed}/{name}"), partial(self._alive_others, name))
            self.peers[name] = Peer(name, swarm)

    def _alive_others(self, name: NodeId) -> tuple[NodeId, ...]:
        return tuple(peer.id for peer in self.peers.values() if peer.id != name)

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something then."""
        self._serial += 1
        heappush(self._queue, (when, self._serial, act))

    def run(self, until: Callable[[], bool], limit_s: float) -> None:
        """Let time pass until something is so."""
        while not until():
            assert self._queue, "nothing goes on any more"
            self.now, _, act = heappop(self._queue)
            assert self.now < limit_s, "it takes too long"
            act()

    def turn(self, peer: Peer, act: Callable[[Turn], object]) -> None:
        """Let a node handle something."""
        if peer.dead:
            return
        turn = Turn(Instant(self.now, 0))
        act(turn)
        for effect in turn.effects:
            self._carry_out(peer, effect)
        if peer.swarm.take_finished():
            peer.finished_at = self.now
        due = peer.swarm.next_deadline()
        if due is not None and (peer.timer is None or due < peer.timer):
            peer.timer = due
            self.at(max(due, self.now), lambda: self._ring(peer, due))

    def _ring(self, peer: Peer, due: float) -> None:
        if peer.timer == due:
            peer.timer = None
        self.turn(peer, peer.swarm.on_timer)

    def _later(self, peer: Peer, handle: Callable[[Turn, Any], object], event: Any, delay: float = WRITE_S) -> None:
        self.at(self.now + delay, lambda: self.turn(peer, lambda turn: handle(turn, event)))

    def _carry_out(self, peer: Peer, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self._send(peer, self.peers[to], message)
            case FindBlobs(ask, blobs):
                lacking = [blob for blob in blobs if blob not in peer.held]
                missing = tuple((blob, tuple(peer.parts.get(blob, ()))) for blob in lacking)
                self._later(peer, lambda turn, event: self._found(peer, turn, event), BlobsFound(ask, missing))
            case ReadPiece() | ReadPack():
                self._read(peer, effect)
            case WritePiece():
                self._write(peer, effect)
            case WritePack(blobs, _, source):
                peer.held.update(dict.fromkeys(blobs))
                peer.written.append(self.now + WRITE_S)
                self._later(peer, peer.swarm.receiving.on_pack_written, PackWritten(source, blobs))
            case VerifyBlob(blob):
                self._later(peer, peer.swarm.doubts.on_verified, BlobVerified(blob, blob in peer.held), 0.1)
            case Note():
                peer.notes.append(effect)
            case _:
                raise AssertionError(f"unexpected effect {effect}")

    @staticmethod
    def _found(peer: Peer, turn: Turn, event: BlobsFound) -> None:
        if not peer.swarm.on_found_for_peer(turn, event):
            peer.swarm.on_found(turn, event)

    def _read(self, peer: Peer, effect: ReadPiece | ReadPack) -> None:
        if isinstance(effect, ReadPack):
            held = tuple(blob for blob in effect.blobs if blob in peer.held)
            self._send(
                peer, self.peers[effect.to], PackIs(held, bytes(sum(blob.size for blob in held)), effect.most_bytes)
            )
            return
        blob, index = effect.blob, effect.index
        data = RIGHT if blob in peer.held else peer.parts.get(blob, {}).get(index)
        if peer.lies and index % 3 == 0:
            data = WRONG
        message: Message = PieceRefused(blob, index)
        if data is not None:
            message = PieceIs(blob, index, data[0], data[: piece_size(blob, index)])
        self._send(peer, self.peers[effect.to], message)

    def _write(self, peer: Peer, effect: WritePiece) -> None:
        part = peer.parts.setdefault(effect.blob, {})
        part[effect.index] = effect.data
        peer.written.append(self.now + WRITE_S)
        self._later(
            peer, peer.swarm.receiving.on_written, PieceWritten(effect.blob, effect.index, effect.source, ok=True)
        )
        if len(part) == piece_count(effect.blob):
            ok = not any(data[0] == WRONG[0] for data in part.values())
            del peer.parts[effect.blob]
            if ok:
                peer.held[effect.blob] = None
            self._later(
                peer, peer.swarm.receiving.on_finished, BlobFinished(effect.blob, ok, corrupt=not ok), 2 * WRITE_S
            )

    # -- the wires --------------------------------------------------------------------------------------------------

    def _send(self, sender: Peer, to: Peer, message: Message) -> None:
        name = type(message).__name__
        self.messages[name] = self.messages.get(name, 0) + 1
        if sender.dead:
            return
        size = _weight(message)
        sender.served += size
        begin = max(self.now, sender.out_free) if size else self.now
        if size:
            sender.out_free = begin + size / self.rate
        self.at(begin + LATENCY_S, lambda: self._receive(sender, to, message, size))

    def _receive(self, sender: Peer, to: Peer, message: Message, size: int) -> None:
        """The first byte arrives; the last one when it has passed both ways."""
        if sender.dead:
            return
        end = self.now
        if size:
            end = max(self.now, to.in_free) + size / self.rate
            to.in_free = end
        self.at(end, lambda: self.turn(to, lambda turn: _hand_over(to, turn, sender.id, message)))

    # -- what a test asks -------------------------------------------------------------------------------------------

    def fetch(
        self,
        peer: Peer,
        blobs: tuple[BlobAddress, ...],
        hints: tuple[NodeId, ...] = (),
        holders: tuple[NodeId, ...] = (),
    ) -> None:
        """Let a node fetch a set of blobs."""
        self.turn(peer, lambda turn: peer.swarm.fetch(turn, "key", blobs, hints, holders))

    def kill(self, peer: Peer, *, known_after_s: float | None = None) -> None:
        """A node dies; the others hear of it after a while, or never."""
        peer.dead = True
        if known_after_s is not None:
            for other in self.peers.values():
                self._later(other, other.swarm.lost, peer.id, known_after_s)


def _weight(message: Message) -> int:
    if isinstance(message, PieceIs):
        return piece_size(message.blob, message.number)
    return len(message.data) if isinstance(message, PackIs) else 0


def _hand_over(peer: Peer, turn: Turn, sender: NodeId, message: Message) -> None:
    swarm = peer.swarm
    table: dict[type, Callable[[Turn, NodeId, Any], object]] = {
        HaveAsk: swarm.on_have_ask, HaveIs: swarm.on_have, PieceAsk: swarm.serving.on_piece_ask,
        PieceIs: swarm.receiving.on_piece, PieceRefused: swarm.receiving.on_refused, Doubt: swarm.serving.on_doubt,
        PackAsk: swarm.serving.on_pack_ask, PackIs: swarm.receiving.on_pack, PartIs: swarm.on_part, PartHas: swarm.on_part_has,
    }  # fmt: skip
    table[type(message)](turn, sender, message)
