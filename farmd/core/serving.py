"""What other nodes get from here: pieces and packs, within the limit, and only what nothing speaks against.

Of a blob that is complete the store reads whatever piece is asked for. Of one that is on its way here only pieces that
are verified may be had, and none after its whole was wrong or doubted (`Incoming.is_offered`). A blob whose own copy is
being hashed again is refused (`farmd.core.doubts`). What would wait too long is refused too (`farmd.core.bandwidth`).

Called by `farmd.core.swarm`. Reads no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.bandwidth import Upload, Waiting
from farmd.core.doubts import Doubts
from farmd.core.effects import ReadPack, ReadPiece
from farmd.core.incoming import check_blobs, piece_count, piece_size
from farmd.core.packs import MOST_PACK_BYTES, PACK_BYTES, check_pack
from protocol.messages import HaveIs, PackIs, PieceRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.incoming import Incoming
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId
    from protocol.messages import Doubt, PackAsk, PieceAsk


class Serving:
    """Answers questions for pieces and packs; `incoming` tells what is not complete here yet."""

    def __init__(self, incoming: Mapping[BlobAddress, Incoming], limit_bytes_s: int) -> None:
        self.doubts = Doubts()
        self._incoming = incoming
        self._upload = Upload(limit_bytes_s)
        self._most_bytes = (
            PACK_BYTES if limit_bytes_s else MOST_PACK_BYTES
        )  # else others wait too long behind a large one

    def on_piece_ask(self, turn: Turn, sender: NodeId, message: PieceAsk) -> None:
        """Serve a piece, or refuse what cannot be one.

        Raises:
            PeerError: No blob has such an address.
        """
        blob, number = message
        check_blobs((blob,))
        if not 0 <= number < piece_count(blob):
            return
        waiting = Waiting(ReadPiece(sender, blob, number), piece_size(blob, number))
        if self.may_serve(blob, number) and self._upload.ask(waiting):
            self._serve(turn)
        else:
            turn.send(sender, PieceRefused(blob, number), volatile=True)

    def may_serve(self, blob: BlobAddress, number: int) -> bool:
        """True if nothing speaks against sending this piece; whether it is here at all, the store knows."""
        if blob in self.doubts:
            return False
        incoming = self._incoming.get(blob)
        return incoming is None or (incoming.is_offered and number in incoming.held)

    def on_pack_ask(self, turn: Turn, sender: NodeId, message: PackAsk) -> None:
        """Serve small blobs in one message; those that may not be had are left out.

        Raises:
            PeerError: It is no pack, or no blob has such an address.
        """
        check_blobs(message.blobs)
        check_pack(message.blobs)
        blobs = tuple([blob for blob in message.blobs if blob not in self.doubts and blob not in self._incoming])
        waiting = Waiting(ReadPack(sender, blobs, self._most_bytes), sum([blob.size for blob in blobs]))
        if blobs and self._upload.ask(waiting):
            self._serve(turn)
        else:
            turn.send(sender, PackIs((), b"", self._most_bytes), volatile=True)

    def on_doubt(self, turn: Turn, sender: NodeId, message: Doubt) -> None:
        """A whole was wrong in which a piece of ours was: hash our copy, or stop offering what there is of one.

        Raises:
            PeerError: No blob has such an address.
        """
        check_blobs((message.blob,))
        incoming = self._incoming.get(message.blob)
        if incoming is None:
            self.doubts.add(turn, sender, message.blob)
            return
        incoming.suspect = True
        turn.send(sender, HaveIs((), hashed=True))

    @property
    def at(self) -> float | None:
        """When something that waits for the limit may go."""
        return self._upload.at

    def on_timer(self, turn: Turn) -> None:
        """Let go what had to wait."""
        if self._upload.at is not None and self._upload.at <= turn.now.mono:
            self._serve(turn)

    def _serve(self, turn: Turn) -> None:
        turn.effects.extend([going.what for going in self._upload.take(turn.now.mono)])
