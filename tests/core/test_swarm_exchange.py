"""Many nodes fetch the same files: on wires of a given speed, with the bytes that each of them sends counted."""

from __future__ import annotations

import pytest

from protocol.ids import BlobAddress
from tests.core.wires import Peer, Wires

GIB = 1 << 30
RATE = 100 << 20
FILE = BlobAddress(1, GIB, b"\1" * 16)


def all_done(peers: list[Peer]) -> bool:
    return all(peer.finished_at is not None for peer in peers)


def spread(count: int, blobs: tuple[BlobAddress, ...], *, seed: int = 1) -> tuple[Wires, Peer, list[Peer]]:
    """Bring blobs from one node to so many others."""
    wires = Wires(count + 1, RATE, seed)
    source, *rest = wires.peers.values()
    source.held.update(dict.fromkeys(blobs))
    for peer in rest:
        wires.fetch(peer, blobs, (source.id,))
    wires.run(lambda: all_done(rest), 600.0)
    return wires, source, rest


@pytest.mark.parametrize("seed", [1, 2])
def test_a_file_from_one_node_to_eight_takes_little_longer_than_to_one(seed: int) -> None:
    _, _, one = spread(1, (FILE,), seed=seed)
    _, source, eight = spread(8, (FILE,), seed=seed)
    alone = max(peer.finished_at or 0.0 for peer in one)
    together = max(peer.finished_at or 0.0 for peer in eight)
    assert together <= 1.5 * alone
    assert source.served <= 1.5 * GIB
