"""Who has only a part of a blob is a source of that part: offered, chosen, and judged as what it is."""

from __future__ import annotations

from random import Random
from time import process_time

from farmd.core.effects import Effect, ReadPiece, Send
from farmd.core.events import BlobsFound
from farmd.core.incoming import PIECE_BYTES, Incoming, begin, piece_count
from farmd.core.pieces import Pieces
from farmd.core.spreading import ROUND_S
from farmd.core.standing import LEFT_OUT_S
from farmd.core.windows import Windows
from protocol.ids import BlobAddress, NodeId
from protocol.messages import Doubt, HaveIs, PartHas, PartIs, PieceAsk, PieceRefused
from tests.core.test_swarm import ME, A, B, Bench, C, asks, blob, doubts, notes

BIG = blob(8)


def told(effects: list[Effect], node: NodeId) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Send) and effect.to == node]


def bitmap(*numbers: int) -> bytes:
    return Pieces(8, numbers).to_bytes()


def test_who_asks_for_a_blob_on_its_way_is_told_which_pieces_are_verified() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,), have=(1, 7))
    assert told(bench.asked_by(B, (BIG,)), B) == [HaveIs(()), PartIs(BIG, bitmap(1, 7))]


def test_new_pieces_are_told_together_and_only_after_they_were_verified() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,))
    bench.asked_by(B, (BIG,))
    bench.have(A, BIG)
    first, second = [number for _, _, number in bench.open[:2]]
    bench.answer(A, BIG, 2)
    corrupt = bench.open[0][2]
    bench.answer(A, BIG, good=False)
    effects = bench.later(ROUND_S + 0.01)
    assert told(effects, B) == [PartHas(BIG, (first, second))]
    assert corrupt not in (first, second)
    assert told(bench.later(ROUND_S + 0.01), B) == []


def test_a_part_is_answered_by_ours_once() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,), have=(3,))
    bench.part(B, BIG)
    assert told(bench.later(ROUND_S + 0.01), B) == [PartIs(BIG, bitmap(3))]
    bench.part(B, BIG, 1)
    assert [m for m in told(bench.later(ROUND_S + 0.01), B) if isinstance(m, PartIs)] == []


def test_who_said_that_it_has_the_blob_is_told_no_more_and_who_waits_is_told_when_it_is_complete() -> None:
    bench = Bench(A, B, C)
    two = blob(2)
    bench.fetch((two,))
    for node in (B, C):
        bench.asked_by(node, (two,))
    bench.have(B, two)
    bench.answer(B, two, 2)
    bench.finished(two)
    effects = bench.later(ROUND_S + 0.01)
    assert told(effects, C) == [HaveIs((two,))]
    assert told(effects, B) == []


def test_a_partial_source_is_asked_only_for_what_it_has() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,))
    assert asks(bench.part(B, BIG, 5)) == [(B, BIG, 5)]
    turn = bench.turn()
    bench.swarm.on_part_has(turn, B, PartHas(BIG, (2, 99, -1)))
    assert asks(turn.effects) == [(B, BIG, 2)]


def test_the_only_full_source_is_spared_what_a_partial_one_has() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,))
    bench.part(B, BIG, 0, 1, 2, 3)
    of_full = asks(bench.have(A, BIG)) + asks(bench.answer(A, BIG, 2))
    assert sorted(number for node, _, number in of_full if node == A) == [4, 5, 6, 7]


def test_the_piece_that_the_fewest_have_is_asked_for_first() -> None:
    bench = Bench(A, B, C)
    bench.fetch((BIG,))
    incoming = bench.swarm._incoming[BIG]
    incoming.found_part(A, Pieces(8, (0, 1, 2, 3)))
    incoming.found_part(B, Pieces(8, (0, 1, 3)))
    assert {incoming.pick(A, ME, bench.swarm._rng) for _ in range(20)} == {2}


def test_two_that_know_of_each_other_ask_the_full_source_for_different_pieces() -> None:
    bench, picked = Bench(A, B, C), dict[NodeId, set[int | None]]()
    for me, other in ((A, B), (B, A)):
        incoming = begin(BIG, ())
        incoming.found(C)
        incoming.found_part(other, Pieces(8))
        picked[me] = {incoming.pick(C, me, bench.swarm._rng) for _ in range(50)}
    assert picked == {A: {0, 2, 4, 6}, B: {1, 3, 5, 7}}


def test_a_full_source_is_asked_for_all_when_nothing_else_is_left() -> None:
    bench = Bench(A, B)
    two = blob(2)
    bench.fetch((two,))
    bench.part(B, two, 0, 1)
    assert sorted(number for _, _, number in bench.open) == [0, 1]
    turn = bench.turn()
    bench.swarm.lost(turn, B)
    assert sorted(number for _, _, number in asks(bench.have(A, two))) == [0, 1]


def test_pieces_that_are_not_verified_are_not_served() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,), have=(4,))
    turn = bench.turn()
    for number in (4, 5):
        bench.swarm.serving.on_piece_ask(turn, B, PieceAsk(BIG, number))
    assert turn.effects == [ReadPiece(B, BIG, 4), Send(B, PieceRefused(BIG, 5), volatile=True)]


def test_after_a_wrong_whole_nothing_is_offered_and_partial_sources_are_not_asked() -> None:
    bench = Bench(A, B, C)
    two = blob(2)
    bench.fetch((two,))
    bench.asked_by(C, (two,))
    bench.part(B, two, 0, 1)
    bench.answer(B, two, 2)
    effects = bench.finished(two, ok=False)
    assert doubts(effects) == [B]
    assert asks(bench.part(B, two, 0, 1)) == []
    assert PartIs(two, b"") in told(bench.later(ROUND_S + 0.01), C)
    turn = bench.turn()
    bench.swarm.serving.on_piece_ask(turn, C, PieceAsk(two, 0))
    assert turn.effects == [Send(C, PieceRefused(two, 0), volatile=True)]
    assert asks(bench.have(A, two))[0][0] == A


def test_who_passed_a_wrong_piece_on_gets_no_strike_and_is_no_partial_source_for_a_while() -> None:
    bench = Bench(A, B, C)
    for name in range(1, 6):
        two = blob(2, name)
        bench.now += LEFT_OUT_S + 1
        bench.fetch((two,))
        bench.part(B, two, 0, 1)
        for number in (0, 1):
            bench.piece(B, two, number, xxh64=666)
        bench.finished(two, ok=False)
        bench.have(A, two)
        for number in (0, 1):
            bench.piece(A, two, number, xxh64=7)
        effects = bench.finished(two)
        assert notes(effects, "peer-wrong-pieces") == [B]
        assert notes(effects, "peer-corrupt") == notes(effects, "peer-lies") == []
    other = blob(2, 9)
    bench.fetch((other,))
    assert asks(bench.part(B, other, 0)) == []
    assert asks(bench.have(B, other))[0][0] == B


def test_a_doubted_part_is_not_offered_any_more_and_not_hashed() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,), have=(0, 1))
    turn = bench.turn()
    bench.swarm.serving.on_doubt(turn, B, Doubt(BIG))
    assert turn.effects == [Send(B, HaveIs((), hashed=True))]
    assert told(bench.asked_by(B, (BIG,)), B)[-1] == PartIs(BIG, b"")


def test_a_fetch_that_was_cancelled_offers_nothing() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,), have=(0,))
    bench.swarm.cancel("key")
    assert told(bench.asked_by(B, (BIG,)), B) == [HaveIs(())]


def test_a_source_that_was_lost_is_asked_again_while_others_go_on() -> None:
    bench = Bench(A, B)
    bench.fetch((BIG,), (A, B))
    bench.have(A, BIG)
    bench.have(B, BIG)
    bench.swarm.lost(bench.turn(), A)
    asked: list[NodeId] = []
    for _ in range(6):
        asked += [e.to for e in bench.later(2.1) if isinstance(e, Send) and type(e.message).__name__ == "HaveAsk"]
        bench.have(B, BIG)
    assert A in asked


def test_to_choose_among_sixteen_tebibytes_takes_no_look_at_each_piece() -> None:
    huge = BlobAddress(1, 1 << 44, b"\1" * 16)
    bench = Bench(A, B)
    incoming = begin(huge, ())
    incoming.found(A)
    incoming.found_part(B, Pieces(piece_count(huge), range(0, 1 << 24, 40_000)))
    began = process_time()
    for _ in range(300):
        for source in (A, B):
            index = incoming.pick(source, ME, bench.swarm._rng)
            assert index is not None
            incoming.ask(index, source, 8.0)
    assert process_time() - began < 1.0
    assert huge.size // PIECE_BYTES == 1 << 24


def test_the_store_tells_what_is_here_and_nothing_of_it_is_asked_for() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", (BIG,), ())
    bench.swarm.on_found(turn, BlobsFound(1, ((BIG, tuple(range(7))),)))
    assert asks(bench.have(A, BIG)) == [(A, BIG, 7)]


def test_lone_transfer_may_have_four_pieces_outstanding_at_a_source_and_one_of_many_two() -> None:
    windows, source = Windows(), NodeId("a" * 16)
    for _ in range(2):
        assert windows.has_room(source, PIECE_BYTES)
        windows.ask_piece(source, PIECE_BYTES)
    assert not windows.has_room(source, PIECE_BYTES)
    for _ in range(2):
        assert windows.has_room(source, PIECE_BYTES, alone=True)
        windows.ask_piece(source, PIECE_BYTES)
    assert not windows.has_room(source, PIECE_BYTES, alone=True)


def test_transfer_counts_as_lone_once_it_had_time_to_hear_of_others_and_fetches_in_order_then() -> None:
    count, source, rng = 300, NodeId("a" * 16), Random(1)
    incoming = Incoming(BlobAddress(1, count * PIECE_BYTES, b"m" * 16), Pieces(count, range(31)))
    incoming.found(source)
    assert not incoming.is_alone
    incoming = Incoming(incoming.blob, Pieces(count, range(32)))
    incoming.found(source)
    assert incoming.is_alone
    for index in (32, 33, 34):
        assert incoming.pick(source, NodeId("b" * 16), rng) == index
        incoming.ask(index, source, 1.0)
    incoming.found_part(NodeId("c" * 16), Pieces(count))
    assert not incoming.is_alone
