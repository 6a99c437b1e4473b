"""What arrives: pieces, packs, refusals, and what the store says of them; and what follows when a whole is here.

A piece counts when the store has verified it, a blob when its MD5 agrees. What is corrupt, refused or not stored is
asked for again, and who is to blame is judged here (`farmd.core.blame`, `farmd.core.standing`).

Invariants: only what was asked of its sender is written; a blob is reported complete once. Called by
`farmd.core.dispatch` through `farmd.core.swarm`, which it tells when to look around (`wake`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.blame import judge_right, judge_wrong
from farmd.core.effects import WritePack, WritePiece
from farmd.core.incoming import is_small, piece_size
from farmd.core.packs import pick_out
from farmd.core.standing import Standing
from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from farmd.core.asking import Asking
    from farmd.core.events import BlobFinished, PackWritten, PieceWritten
    from farmd.core.fetches import Fetches
    from farmd.core.incoming import Incoming
    from farmd.core.spreading import Spreading
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId
    from protocol.messages import PackIs, PieceIs, PieceRefused

NO_HASH = -1
"""Of a blob that came in a pack and is not what it is called: it differs from whatever comes next."""


class Receiving:
    """Takes in what was asked for; `wake` has the swarm look after a blob in a while."""

    def __init__(
        self, asking: Asking, spreading: Spreading, fetches: Fetches, wake: Callable[[Turn, BlobAddress], None]
    ) -> None:
        self._incoming = asking.incoming
        self._asking = asking
        self._spreading = spreading
        self._fetches = fetches
        self._wake = wake
        self.standing = Standing()
        self.unconfirmed: dict[BlobAddress, None] = {}
        """Blobs whose pieces are all here, and of which the disk refused to tell whether they are right."""
        self.pieces_in = 0
        self.corrupt_in = 0

    def on_piece(self, turn: Turn, sender: NodeId, message: PieceIs) -> None:
        """A piece arrived: have it verified and stored, if it was asked of this sender.

        Raises:
            PeerError: It is longer or shorter than this piece.
        """
        incoming = self._incoming.get(message.blob)
        if incoming is None or is_small(message.blob):
            return
        if self._asked_of(sender, message.blob, message.number) is not None:
            self._asking.settle(incoming, message.number)
        elif not incoming.comes_late(message.number, sender):
            return
        size = piece_size(message.blob, message.number)
        if len(message.data) != size:
            self._ask_elsewhere(turn, sender, (incoming,), message.number)
            raise PeerError(
                f"piece {message.number} of {message.blob} with {len(message.data)} bytes instead of {size}"
            )
        incoming.arrived(message.number, sender, message.xxh64)
        turn.effects.append(WritePiece(message.blob, message.number, message.xxh64, message.data, sender))
        self._asking.arrived(size)
        self._asking.pump(turn, sender)

    def on_refused(self, turn: Turn, sender: NodeId, message: PieceRefused) -> None:
        """The node does not have it (any more): ask elsewhere."""
        incoming = self._asked_of(sender, message.blob, message.number)
        if incoming is not None:
            self._refused(turn, sender, (incoming,), message.number)

    def _asked_of(self, sender: NodeId, blob: BlobAddress, number: int) -> Incoming | None:
        incoming = self._incoming.get(blob)
        if incoming is None or incoming.outstanding.get(number, ("", 0))[0] != sender:
            return None
        return incoming

    def _refused(self, turn: Turn, sender: NodeId, blobs: Collection[Incoming], number: int) -> None:
        for incoming in blobs:
            self._asking.settle(incoming, number)
        self._ask_elsewhere(turn, sender, blobs, number)

    def _ask_elsewhere(self, turn: Turn, sender: NodeId, blobs: Collection[Incoming], number: int) -> None:
        """Nothing usable of these came from the sender, and nothing is outstanding: it is no source of them any more."""
        for incoming in blobs:
            incoming.lose(sender)
            incoming.give_back(number)
        self._asking.offer(turn, blobs)
        self._asking.pump(turn, sender)

    def on_pack(self, turn: Turn, sender: NodeId, message: PackIs) -> None:
        """A pack arrived: have its blobs verified and stored; what is left out has to come from elsewhere.

        Raises:
            PeerError: It is not what was asked of this sender.
        """
        try:
            pack = self._asking.windows.pack_of(sender, message.blobs)
        except PeerError:
            if not self._on_late_pack(turn, sender, message):
                raise
            return
        if pack is None:
            self._on_late_pack(turn, sender, message)
            return
        try:
            kept, data = pick_out(message, pack.left)
        except PeerError:
            self._refused(turn, sender, self._asking.known(pack.left), 0)
            raise
        for incoming in self._asking.settle_pack(sender, pack, kept):
            incoming.arrived(0, sender, incoming.blob.xxh64)
        refused = self._asking.known(pack.left)
        if kept:
            self._asking.windows.came(sender, pack, turn.now.mono, message.most_bytes)
            turn.effects.append(WritePack(kept, data, sender))
            self._asking.arrived(len(data))
        self._refused(turn, sender, refused, 0)

    def _on_late_pack(self, turn: Turn, sender: NodeId, message: PackIs) -> bool:
        """A pack arrived that was given up: on a slow line most would be thrown away, and asked for behind one another.

        What nobody else was asked for since is taken, and what this sender was asked for again.

        Returns:
            Whether anything was.

        Raises:
            PeerError: The bytes are not what its addresses say.
        """
        late = [incoming for incoming in self._asking.known(message.blobs) if incoming.is_late(0, sender)]
        taken = [incoming for incoming in late if is_small(incoming.blob)]
        kept, data = pick_out(message, dict.fromkeys([incoming.blob for incoming in taken]))
        for incoming in taken:
            if not incoming.comes_late(0, sender):
                self._asking.settle(incoming, 0)
            incoming.arrived(0, sender, incoming.blob.xxh64)
        if kept:
            turn.effects.append(WritePack(kept, data, sender))
            self._asking.arrived(len(data))
            self._asking.pump(turn, sender)
        return bool(kept)

    def on_written(self, turn: Turn, event: PieceWritten) -> None:
        """A piece stands in the store, or has to be fetched again."""
        self._asking.written(turn, piece_size(event.blob, event.index))
        incoming = self._incoming.get(event.blob)
        if incoming is None:
            return
        if event.ok:
            self.pieces_in += 1
            incoming.held.add(event.index)
            self._spreading.verified(turn, incoming, event.index)
            return
        incoming.now.unnote(event.index, event.source)
        if event.corrupt:
            self.corrupt_in += 1
            self._strike(turn, event.source)
            self._asking.give_back(turn, incoming, event.index)
        else:
            incoming.give_back(event.index)
            self._wake(turn, event.blob)

    def on_pack_written(self, turn: Turn, event: PackWritten) -> None:
        """Small blobs are complete, or not what they are called, or the disk refused them."""
        self._asking.written(turn, sum([blob.size for blob in (*event.ok, *event.corrupt, *event.failed)]))
        for incoming in self._asking.known(event.ok):
            self.pieces_in += 1
            self.complete(turn, incoming)
        corrupt = self._asking.known(event.corrupt)
        for incoming in corrupt:
            incoming.now.claims[0] = (event.source, NO_HASH)
        self._wrong(turn, corrupt)
        if corrupt:
            self._strike(turn, event.source)
        for incoming in self._asking.known(event.failed):
            incoming.now.unnote(0, event.source)
            incoming.give_back(0)
            self._wake(turn, incoming.blob)

    def on_finished(self, turn: Turn, event: BlobFinished) -> None:
        """A blob is complete and verified, or the disk refused it, or all of it has to come again."""
        incoming = self._incoming.get(event.blob)
        if incoming is None:
            return
        if event.ok:
            self.complete(turn, incoming)
        elif event.corrupt:
            self._wrong(turn, (incoming,))
        else:
            self.unconfirmed[event.blob] = None
            self._wake(turn, event.blob)

    # -- what follows ---------------------------------------------------------------------------------------------

    def complete(self, turn: Turn, incoming: Incoming) -> None:
        """A blob is here and verified."""
        if incoming.failed:
            self._judge(turn, incoming)
        sources = [source for source, _ in incoming.outstanding.values()]
        self._asking.drop(incoming.blob)
        self._spreading.completed(turn, incoming.blob)
        for key in incoming.keys:
            self._fetches.here(key, incoming.blob)
        for source in sources:
            self._asking.pump(turn, source)

    def _judge(self, turn: Turn, incoming: Incoming) -> None:
        """What was wrong is right at last: draw conclusions about who sent the wrong."""
        verdict = judge_right(turn, incoming)
        for node in verdict.stood:
            self._convict(turn, node)
        for node in verdict.sent if not is_small(incoming.blob) else ():  # a pack was counted when it came
            self._strike(turn, node)
        for node in verdict.passed_on:
            self.standing.distrust_parts(turn, node)

    def _wrong(self, turn: Turn, blobs: Sequence[Incoming]) -> None:
        """These are here, and are not what they are called."""
        for incoming in blobs:
            self.corrupt_in += 1
            turn.note("blob-corrupt", f"{incoming.blob} arrived whole but its MD5 does not agree; fetching it again")
            for liar in judge_wrong(turn, incoming):
                self._convict(turn, liar)
            self._spreading.withdraw(turn, incoming.blob)
            self._wake(turn, incoming.blob)
        self._asking.offer(turn, blobs)

    def _strike(self, turn: Turn, source: NodeId) -> None:
        if self.standing.strike(turn, source):
            self._asking.lost(turn, source)

    def _convict(self, turn: Turn, node: NodeId) -> None:
        self.standing.convict(turn, node)
        self._asking.lost(turn, node)
