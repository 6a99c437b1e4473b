"""Copies of this node that a peer doubts: hashed again, and not served until that is done.

A source hashes each piece when it reads it, so bits that fell over on its disk travel with a hash that agrees; only
the MD5 of the whole, at the receiver, shows it. The receiver says so to all that sent a piece (`Doubt`), and each looks
at its own copy. What is bad is set aside by the store, and fetched again like anything else that is missing; who finds
its copy good says so (`HaveIs` with `hashed`), and answers for it from then on (`farmd.core.blame`).

Invariants: a blob is hashed once at a time, and not again within `SURE_S` however often it is doubted, so that a peer
cannot keep the disk busy; while it is doubted it is neither offered nor served. Called by `farmd.core.swarm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.effects import VerifyBlob
from protocol.messages import HaveIs

if TYPE_CHECKING:
    from farmd.core.events import BlobVerified
    from farmd.core.turn import Turn
    from protocol.ids import BlobAddress, NodeId

SURE_S = 60.0
"""A copy that was found good is not hashed again for so long."""
AT_ONCE = 256
"""Doubted blobs at a time; more are passed over, and doubted again if they are wrong."""


class Doubts:
    """What is being hashed again, and who waits for it."""

    def __init__(self) -> None:
        self._waiting: dict[BlobAddress, dict[NodeId, None]] = {}
        self._sure: dict[BlobAddress, float] = {}

    def __contains__(self, blob: object) -> bool:
        return blob in self._waiting

    def add(self, turn: Turn, sender: NodeId, blob: BlobAddress) -> None:
        """A node got a wrong whole in which a piece of ours was."""
        for sure in [sure for sure, until in self._sure.items() if until <= turn.now.mono]:
            del self._sure[sure]
        if blob in self._sure:
            turn.send(sender, HaveIs((blob,), hashed=True))
        elif blob in self._waiting:
            self._waiting[blob][sender] = None
        elif len(self._waiting) < AT_ONCE:
            self._waiting[blob] = {sender: None}
            turn.effects.append(VerifyBlob(blob))

    def on_verified(self, turn: Turn, event: BlobVerified) -> None:
        """The copy was hashed: answer all that wait."""
        if event.ok and len(self._sure) < AT_ONCE:
            self._sure[event.blob] = turn.now.mono + SURE_S
        for sender in self._waiting.pop(event.blob, {}):
            turn.send(sender, HaveIs((event.blob,) if event.ok else (), hashed=True))
