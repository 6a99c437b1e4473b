"""Many nodes fetch the same files: on wires of a given speed, with the bytes that each of them sends counted."""

from __future__ import annotations

from itertools import pairwise

import pytest

from farmd.core.incoming import PIECE_BYTES, piece_count
from farmd.core.spreading import NEIGHBOURS, ROUND_S
from protocol.ids import BlobAddress
from tests.core.wires import Peer, Wires

GIB = 1 << 30
RATE = 100 << 20
FILE = BlobAddress(1, GIB, b"\1" * 16)


def all_done(peers: list[Peer]) -> bool:
    return all(peer.finished_at is not None for peer in peers)


def spread(
    count: int, blobs: tuple[BlobAddress, ...], *, seed: int = 1, told: bool = False
) -> tuple[Wires, Peer, list[Peer]]:
    """Bring blobs from one node to so many others, which know that it holds them if it has `told` so."""
    wires = Wires(count + 1, RATE, seed)
    source, *rest = wires.peers.values()
    source.held.update(dict.fromkeys(blobs))
    for peer in rest:
        wires.fetch(peer, blobs, (source.id,), (source.id,) if told else ())
    wires.run(lambda: all_done(rest), 600.0)
    return wires, source, rest


@pytest.mark.parametrize("seed", [1, 2])
def test_a_file_from_one_node_to_eight_takes_little_longer_than_to_one(seed: int) -> None:
    _, _, one = spread(1, (FILE,), seed=seed)
    _, source, eight = spread(8, (FILE,), seed=seed)
    alone = max(peer.finished_at or 0.0 for peer in one)
    together = max(peer.finished_at or 0.0 for peer in eight)
    assert together <= 1.2 * alone
    assert source.served <= 1.2 * GIB


def test_eight_nodes_ask_one_source_for_different_pieces() -> None:
    wires = Wires(9, RATE)
    source, *rest = wires.peers.values()
    source.held[FILE] = None
    for peer in rest:
        wires.fetch(peer, (FILE,), (source.id,))
    wires.run(lambda: source.served >= GIB // 4, 600.0)
    different = {index for peer in rest for index in peer.parts[FILE]}
    assert len(different) * PIECE_BYTES >= 0.9 * source.served


@pytest.mark.parametrize("known_after_s", [0.0, 3.0, None])
def test_when_one_of_two_sources_dies_the_transfer_does_not_pause(known_after_s: float | None) -> None:
    wires = Wires(3, 10 << 20)
    one, other, here = wires.peers.values()
    one.held[FILE] = other.held[FILE] = None
    wires.fetch(here, (FILE,), (one.id, other.id))
    wires.run(lambda: len(here.written) >= 200, 600.0)
    assert one.served > 0
    wires.kill(one, known_after_s=known_after_s)
    wires.run(lambda: here.finished_at is not None, 600.0)
    gaps = [after - before for before, after in pairwise(here.written)]
    assert max(gaps) < 1.0
    assert len(here.written) == piece_count(FILE)


@pytest.mark.parametrize("told", [False, True])
def test_small_files_from_one_node_to_eight_are_exchanged_in_packs(told: bool) -> None:
    files = tuple(BlobAddress(number, 50_000, b"\2" * 16) for number in range(2000))
    _, _, one = spread(1, files, told=told)
    wires, source, eight = spread(8, files, told=told)
    alone = max(peer.finished_at or 0.0 for peer in one)
    assert max(peer.finished_at or 0.0 for peer in eight) <= 4 * alone
    assert wires.messages["PackAsk"] <= 8 * 2000 / 10
    assert source.served <= 4 * 2000 * 50_000


def test_honest_nodes_that_pass_a_lie_on_are_not_left_out_and_all_get_the_file() -> None:
    blob = BlobAddress(1, 96 * PIECE_BYTES, b"\1" * 16)
    wires = Wires(8, RATE)
    liar, honest, *rest = wires.peers.values()
    liar.held[blob] = honest.held[blob] = None
    liar.lies = True
    for peer in rest:
        wires.fetch(peer, (blob,), (liar.id, honest.id))
    wires.run(lambda: all_done(rest), 30.0)
    blamed = {note.node for peer in rest for note in peer.notes if note.what in ("peer-lies", "peer-corrupt")}
    assert blamed == {liar.id}


@pytest.mark.slow
def test_two_hundred_nodes_are_told_of_pieces_in_rounds_and_not_one_by_one() -> None:
    blob = BlobAddress(1, 64 * PIECE_BYTES, b"\1" * 16)
    wires, _, many = spread(200, (blob,))
    took = max(peer.finished_at or 0.0 for peer in many)
    assert wires.messages["PartHas"] / len(many) / took <= NEIGHBOURS / ROUND_S
    assert wires.messages["PartHas"] <= 0.4 * piece_count(blob) * len(many) * NEIGHBOURS
    assert took <= 15 * blob.size / RATE


def test_a_source_that_needs_minutes_for_what_all_asked_of_it_still_feeds_them() -> None:
    blob = BlobAddress(1, 16 * PIECE_BYTES, b"\1" * 16)
    wires = Wires(41, PIECE_BYTES)
    source, *rest = wires.peers.values()
    source.held[blob] = None
    for peer in rest:
        wires.fetch(peer, (blob,), (source.id,))
    wires.run(lambda: all_done(rest), 3600.0)
    assert wires.now <= 300.0


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_packs_that_come_later_than_they_are_waited_for_are_not_asked_for_again_and_again(
    seed: int, told: bool
) -> None:
    """Four packs of a mebibyte at a time, twice, on a line of 5 Mbit/s: the last one comes after fourteen seconds."""
    files = tuple(BlobAddress(number, 30_000, b"\2" * 16) for number in range(300))
    wires = Wires(5, 600_000, seed)
    source, *rest = wires.peers.values()
    source.held.update(dict.fromkeys(files))
    for peer in rest:
        wires.fetch(peer, files, (source.id,), (source.id,) if told else ())
    wires.run(lambda: all_done(rest), 900.0)
    assert wires.now <= 1.6 * 4 * 300 * 30_000 / wires.rate
