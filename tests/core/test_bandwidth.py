"""The limit on what moves between machines: kept in the mean, and nobody waits for what he asks for twice."""

from __future__ import annotations

from random import Random

import pytest

from farmd.core.bandwidth import PATIENCE_S, Bucket, Upload, Waiting
from farmd.core.effects import FindBlobs, ReadPiece, Send
from farmd.core.events import BlobsFound, PieceWritten
from farmd.core.incoming import PIECE_BYTES
from farmd.core.swarm import Swarm
from farmd.core.turn import Instant, Turn
from protocol.ids import BlobAddress, NodeId
from protocol.messages import HaveIs, PieceAsk, PieceIs, PieceRefused

ME, A = (NodeId(letter * 16) for letter in "0a")
BIG = BlobAddress(1, 64 * PIECE_BYTES, b"\1" * 16)


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize("limit", [50_000, 3 << 20])
def test_bucket_lets_the_limit_pass_in_the_mean_to_within_a_second_and_a_piece(limit: int, size: int) -> None:
    bucket, now, taken = Bucket(limit), 0.0, 0
    while now < 100:
        if bucket.take(now, size):
            taken += size
        else:
            now += bucket.wait_s()
    assert limit * 100 - size <= taken <= limit * 101 + size


def test_no_limit_lets_everything_pass() -> None:
    bucket = Bucket(0)
    assert all(bucket.take(0.0, 1 << 40) for _ in range(3))


def test_bucket_saves_no_more_than_a_second() -> None:
    bucket = Bucket(1000)
    assert bucket.take(1e6, 1000)
    assert not bucket.take(1e6, 1)


def numbers(going: list[Waiting]) -> list[int]:
    return [waiting.what.index for waiting in going if isinstance(waiting.what, ReadPiece)]


def test_questions_go_out_in_order_and_those_that_would_wait_too_long_are_refused() -> None:
    upload, limit = Upload(100), 100
    accepted = [upload.ask(Waiting(ReadPiece(A, BIG, number), 100)) for number in range(10)]
    assert accepted.count(True) <= PATIENCE_S * limit / 100 + 2
    now, gone = 0.0, numbers(upload.take(0.0))
    while upload.at is not None:
        now = upload.at
        gone += numbers(upload.take(now))
    assert gone == list(range(accepted.count(True)))
    assert now <= PATIENCE_S + 1


def test_swarm_asks_for_no_more_than_the_limit_lets_in() -> None:
    swarm, now, asked = Swarm(ME, Random(1), lambda: (A,), 2 * PIECE_BYTES), 0.0, 0
    turn = Turn(Instant(now, 0))
    swarm.fetch(turn, "key", (BIG,), (A,))
    find = turn.effects[0]
    assert isinstance(find, FindBlobs)
    swarm.on_found(turn, BlobsFound(find.ask, ((BIG, ()),)))
    swarm.on_have(turn, A, HaveIs((BIG,)))
    while now < 10:
        wanted = [e.message for e in turn.effects if isinstance(e, Send) and isinstance(e.message, PieceAsk)]
        turn = Turn(Instant(now, 0))
        for ask in wanted:
            asked += 1
            swarm.receiving.on_piece(turn, A, PieceIs(BIG, ask.number, 0, bytes(PIECE_BYTES)))
            swarm.receiving.on_written(turn, PieceWritten(BIG, ask.number, A, ok=True))
        if not wanted:
            due = swarm.next_deadline()
            assert due is not None
            now = max(now, due)
            turn = Turn(Instant(now, 0))
            swarm.on_timer(turn)
    assert 18 <= asked <= 23


def test_swarm_serves_at_the_limit_and_refuses_what_would_come_too_late() -> None:
    swarm = Swarm(ME, Random(1), lambda: (A,), PIECE_BYTES)
    turn = Turn(Instant(0.0, 0))
    for number in range(12):
        swarm.serving.on_piece_ask(turn, A, PieceAsk(BIG, number))
    read = [effect.index for effect in turn.effects if isinstance(effect, ReadPiece)]
    refused = [e for e in turn.effects if isinstance(e, Send) and isinstance(e.message, PieceRefused)]
    assert read == [0]
    due = swarm.next_deadline()
    assert due is not None
    later = Turn(Instant(due, 0))
    swarm.on_timer(later)
    assert [effect.index for effect in later.effects if isinstance(effect, ReadPiece)] == [1]
    assert len(refused) > 4
