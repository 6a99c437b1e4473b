"""Numbers in different rooms that must fit together."""

from __future__ import annotations

from farmd.adapters.zmq_transport import sockets
from farmd.core import windows


def test_sender_can_queue_all_pieces_that_one_peer_may_ask_for() -> None:
    assert sockets.BULK_QUEUE > windows.WINDOW_PIECES
