"""Sets of pieces: what goes in comes out, also over the wire, and terabytes cost what is known of them."""

from __future__ import annotations

import sys
from random import Random

import pytest

from farmd.core.pieces import CHUNK, Pieces
from protocol.errors import PeerError


@pytest.mark.parametrize("count", [1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_pieces_put_in_and_taken_out_are_those_that_are_left(count: int) -> None:
    rng, pieces, expected = Random(count), Pieces(count), set[int]()
    for _ in range(300):
        number = rng.randrange(count)
        if rng.random() < 0.6:
            pieces.add(number)
            expected.add(number)
        else:
            pieces.discard(number)
            expected.discard(number)
    assert list(pieces) == sorted(expected)
    assert len(pieces) == len(expected)
    assert list(Pieces.from_bytes(count, pieces.to_bytes())) == sorted(expected)


def test_all_pieces_are_all_and_no_more() -> None:
    pieces = Pieces.all_of(CHUNK + 3)
    assert len(pieces) == CHUNK + 3
    assert CHUNK + 2 in pieces
    assert CHUNK + 3 not in pieces


def test_a_search_begins_where_it_is_told_and_goes_round() -> None:
    pieces = Pieces(3 * CHUNK, (5, CHUNK, 2 * CHUNK + 9))
    assert pieces.find(CHUNK + 1, 3) == [2 * CHUNK + 9, 5, CHUNK]
    assert pieces.find(6, 1) == [CHUNK]
    assert pieces.find(0, 3, within=Pieces(3 * CHUNK, (CHUNK,))) == [CHUNK]
    assert pieces.find(0, 3, without=Pieces(3 * CHUNK, (CHUNK,))) == [5, 2 * CHUNK + 9]


def test_sets_of_one_blob_are_joined_and_counted_once() -> None:
    one, other = Pieces(100, (1, 2, 3)), Pieces(100, (3, 4))
    one.update(other)
    assert (list(one), len(one)) == ([1, 2, 3, 4], 4)


def test_the_bitfield_begins_with_the_highest_bit() -> None:
    assert Pieces(20, (0, 9)).to_bytes() == b"\x80\x40"
    assert Pieces(20).to_bytes() == b""


@pytest.mark.parametrize("bitfield", [b"\x00\x10", b"\xff\xff", b"\0" * 600 + b"\1"])
def test_a_bitmap_of_pieces_that_there_are_not_is_refused(bitfield: bytes) -> None:
    with pytest.raises(PeerError):
        Pieces.from_bytes(11, bitfield)


def test_sixteen_tebibytes_of_which_little_is_known_cost_little() -> None:
    pieces = Pieces.all_of(1 << 24)
    pieces.discard(12_345_678)
    assert sys.getsizeof(pieces._chunks) < 1 << 18
    assert len({id(word) for word in pieces._chunks.values()}) == 2
