"""The swarm's decisions: several sources, small windows, corrupt senders left out, nothing asked twice at a time."""

from __future__ import annotations

from random import Random

import pytest

from farmd.core.asking import MOST_UNWRITTEN_BYTES, PIECE_TIMEOUT_S
from farmd.core.doubts import SURE_S
from farmd.core.effects import Effect, FindBlobs, Note, ReadPiece, Send, VerifyBlob, WritePack, WritePiece
from farmd.core.events import BlobFinished, BlobsFound, BlobVerified, PackWritten, PieceWritten
from farmd.core.incoming import PIECE_BYTES, piece_count, piece_size
from farmd.core.pieces import Pieces
from farmd.core.standing import LIED_S, STRIKES
from farmd.core.swarm import Swarm
from farmd.core.turn import Instant, Turn
from farmd.core.windows import WINDOW_BYTES
from protocol.errors import PeerError
from protocol.ids import BlobAddress, NodeId
from protocol.messages import Doubt, HaveAsk, HaveIs, PackAsk, PackIs, PartIs, PieceAsk, PieceIs, PieceRefused

ME, A, B, C = (NodeId(letter * 16) for letter in "0abc")
ZEROS = bytes(PIECE_BYTES)


def blob(pieces: int, name: int = 1) -> BlobAddress:
    return BlobAddress(name, pieces * PIECE_BYTES, bytes([name]) * 16)


def content(address: BlobAddress, number: int) -> bytes:
    """Return something as long as this piece."""
    return ZEROS[: piece_size(address, number)]


class Bench:
    """One swarm and a clock."""

    def __init__(self, *others: NodeId) -> None:
        self.now = 0.0
        self.others = others
        self.swarm = Swarm(ME, Random(1), lambda: self.others)
        self.open: list[tuple[NodeId, BlobAddress, int]] = []

    def turn(self) -> Turn:
        return Turn(Instant(self.now, 0))

    def noted(self, turn: Turn) -> list[Effect]:
        """Remember which pieces a turn asked for."""
        self.open += asks(turn.effects)
        return turn.effects

    def answer(self, node: NodeId, address: BlobAddress, count: int = 1, *, good: bool = True) -> list[Effect]:
        """Let a node send pieces that were asked of it, the oldest first."""
        effects: list[Effect] = []
        for _ in range(count):
            ask = next(ask for ask in self.open if ask[:2] == (node, address))
            self.open.remove(ask)
            effects += self.piece(*ask, good=good)
        return effects

    def fetch(
        self,
        blobs: tuple[BlobAddress, ...],
        hints: tuple[NodeId, ...] = (),
        have: tuple[int, ...] = (),
        holders: tuple[NodeId, ...] = (),
    ) -> Turn:
        turn = self.turn()
        self.swarm.fetch(turn, "key", blobs, hints, holders)
        answer, find = self.turn(), turn.effects[0]
        while isinstance(find, FindBlobs):
            self.swarm.on_found(answer, BlobsFound(find.ask, tuple((address, have) for address in find.blobs)))
            find = answer.effects[-1]
            if isinstance(find, FindBlobs):
                answer.effects.remove(find)
        return answer

    def have(self, node: NodeId, *blobs: BlobAddress, hashed: bool = False) -> list[Effect]:
        turn = self.turn()
        self.swarm.on_have(turn, node, HaveIs(blobs, hashed))
        return self.noted(turn)

    def piece(
        self, node: NodeId, address: BlobAddress, number: int, *, good: bool = True, xxh64: int = 0
    ) -> list[Effect]:
        turn = self.turn()
        self.swarm.receiving.on_piece(turn, node, PieceIs(address, number, xxh64, content(address, number)))
        if any(isinstance(effect, WritePiece) for effect in turn.effects):
            written = PieceWritten(address, number, node, ok=good, corrupt=not good)
            self.swarm.receiving.on_written(turn, written)
        return self.noted(turn)

    def finished(self, address: BlobAddress, *, ok: bool = True) -> list[Effect]:
        turn = self.turn()
        self.swarm.receiving.on_finished(turn, BlobFinished(address, ok, corrupt=not ok))
        return self.noted(turn)

    def pack(self, node: NodeId, blobs: tuple[BlobAddress, ...], *, bad: tuple[BlobAddress, ...] = ()) -> list[Effect]:
        """Let a node send a pack; the store finds some of its blobs bad."""
        turn = self.turn()
        self.swarm.receiving.on_pack(turn, node, PackIs(blobs, b"x" * sum(blob.size for blob in blobs)))
        for write in [effect for effect in turn.effects if isinstance(effect, WritePack)]:
            good = tuple(blob for blob in write.blobs if blob not in bad)
            self.swarm.receiving.on_pack_written(
                turn, PackWritten(node, good, tuple(b for b in write.blobs if b in bad))
            )
        return self.noted(turn)

    def asked_by(self, node: NodeId, blobs: tuple[BlobAddress, ...]) -> list[Effect]:
        """A node asks for blobs that are not complete here."""
        turn = self.turn()
        self.swarm.on_have_ask(turn, node, HaveAsk(blobs))
        find = turn.effects[-1]
        assert isinstance(find, FindBlobs)
        answer = self.turn()
        self.swarm.on_found_for_peer(answer, BlobsFound(find.ask, tuple((blob, ()) for blob in blobs)))
        return answer.effects

    def part(self, node: NodeId, address: BlobAddress, *numbers: int) -> list[Effect]:
        """A node says which pieces it holds of a blob that it waits for."""
        turn = self.turn()
        pieces = Pieces(piece_count(address), numbers).to_bytes()
        self.swarm.on_part(turn, node, PartIs(address, pieces))
        return self.noted(turn)

    def later(self, seconds: float) -> list[Effect]:
        self.now += seconds
        turn = self.turn()
        self.swarm.on_timer(turn)
        return self.noted(turn)


def asks(effects: list[Effect]) -> list[tuple[NodeId, BlobAddress, int]]:
    sends = [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.message, PieceAsk)]
    return [(s.to, s.message.blob, s.message.number) for s in sends if isinstance(s.message, PieceAsk)]


def packs(effects: list[Effect]) -> list[tuple[NodeId, tuple[BlobAddress, ...]]]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [(send.to, send.message.blobs) for send in sends if isinstance(send.message, PackAsk)]


def small(count: int, size: int = 10) -> tuple[BlobAddress, ...]:
    return tuple(BlobAddress(number, size, b"\2" * 16) for number in range(count))


def test_what_is_here_already_finishes_at_once() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", (blob(1),), ())
    find = turn.effects[0]
    assert isinstance(find, FindBlobs)
    bench.swarm.on_found(bench.turn(), BlobsFound(find.ask, ()))
    assert bench.swarm.take_finished() == ["key"]
    assert bench.swarm.take_finished() == []


def test_hinted_nodes_are_asked_first_and_dead_hints_are_not() -> None:
    asked = [e.to for e in Bench(A, B).fetch((blob(1),), (B, C)).effects if isinstance(e, Send)]
    assert asked == [B, A]


def test_every_holder_is_a_source_and_none_gets_more_than_its_window() -> None:
    bench = Bench(A, B)
    big = blob(10)
    bench.fetch((big,))
    first, second = asks(bench.have(A, big)), asks(bench.have(B, big))
    window = WINDOW_BYTES // PIECE_BYTES
    assert [to for to, _, _ in first] == [A] * window
    assert [to for to, _, _ in second] == [B] * window
    assert len({number for _, _, number in first + second}) == 2 * window


def test_an_arrived_piece_makes_room_for_the_next() -> None:
    bench = Bench(A)
    big = blob(3)
    bench.fetch((big,))
    first = [number for _, _, number in asks(bench.have(A, big))]
    assert len(first) == 2
    then = [number for _, _, number in asks(bench.piece(A, big, first[0]))]
    assert sorted(first + then) == [0, 1, 2]


def test_pieces_that_survived_a_restart_are_not_asked_for_again() -> None:
    bench = Bench(A)
    big = blob(4)
    bench.fetch((big,), have=(0, 1, 3))
    assert [number for _, _, number in asks(bench.have(A, big))] == [2]


def test_the_set_is_finished_when_its_last_blob_is_verified_and_reported_once() -> None:
    bench = Bench(A)
    one, two = blob(1, 1), blob(1, 2)
    bench.fetch((one, two, one))
    bench.have(A, one, two)
    bench.piece(A, one, 0)
    bench.finished(one)
    assert bench.swarm.take_finished() == []
    bench.piece(A, two, 0)
    bench.finished(two)
    assert bench.swarm.take_finished() == ["key"]
    assert bench.swarm.missing_bytes("key") == 0


def test_the_blob_with_the_fewest_sources_goes_first() -> None:
    bench = Bench(A, B)
    common, rare = blob(4, 1), blob(1, 2)
    bench.fetch((common, rare))
    bench.have(B, common)
    order = asks(bench.have(A, common, rare))
    assert order[0] == (A, rare, 0)


def test_a_corrupt_piece_is_fetched_elsewhere_and_its_sender_left_out_after_three() -> None:
    bench = Bench(A, B)
    big = blob(8)
    bench.fetch((big,))
    bench.have(A, big)
    bench.answer(A, big, STRIKES, good=False)
    assert bench.swarm.receiving.corrupt_in == STRIKES
    assert asks(bench.have(A, big)) == []
    assert {to for to, _, _ in asks(bench.have(B, big))} == {B}


def test_a_piece_that_nobody_asked_for_is_not_written() -> None:
    bench = Bench(A, B)
    big = blob(2)
    bench.fetch((big,))
    bench.have(A, big)
    assert bench.piece(B, big, 0) == []
    assert bench.piece(A, blob(1, 9), 0) == []


@pytest.mark.parametrize("size", [0, PIECE_BYTES - 1, PIECE_BYTES + 1])
@pytest.mark.parametrize("late", [False, True])
def test_a_piece_of_another_length_is_its_senders_error_and_comes_again_from_another(size: int, *, late: bool) -> None:
    bench = Bench(A, B)
    big = blob(1)
    bench.fetch((big,))
    bench.have(A, big)
    if late:
        bench.later(PIECE_TIMEOUT_S + 0.1)
    else:
        bench.have(B, big)
    turn = bench.turn()
    with pytest.raises(PeerError, match=f"with {size} bytes"):
        bench.swarm.receiving.on_piece(turn, A, PieceIs(big, 0, 0, bytes(size)))
    assert not [effect for effect in turn.effects if isinstance(effect, WritePiece)]
    asked = asks(bench.have(B, big)) if late else asks(turn.effects)
    assert asked == [(B, big, 0)]
    assert bench.piece(A, big, 0) == [], "it is not taken from A any more"


def test_pieces_of_another_length_do_not_count_as_waiting_for_the_disk() -> None:
    bench = Bench(A)
    large = blob(2 * MOST_UNWRITTEN_BYTES // PIECE_BYTES)
    bench.fetch((large,))
    for _ in range(2 * MOST_UNWRITTEN_BYTES // PIECE_BYTES):
        (_, _, number), *_ = asks(bench.have(A, large))
        with pytest.raises(PeerError):
            bench.swarm.receiving.on_piece(bench.turn(), A, PieceIs(large, number, 0, b"x"))
        bench.swarm.lost(bench.turn(), A)
    assert asks(bench.have(A, large)) != []


def test_an_overdue_piece_is_asked_elsewhere() -> None:
    bench = Bench(A, B)
    big = blob(2)
    bench.fetch((big,))
    bench.have(A, big)
    bench.later(PIECE_TIMEOUT_S + 0.1)
    assert sorted(number for _, _, number in asks(bench.have(B, big))) == [0, 1]


def test_a_refused_or_lost_source_gives_its_pieces_back() -> None:
    bench = Bench(A, B)
    big = blob(2)
    bench.fetch((big,))
    bench.have(A, big)
    turn = bench.turn()
    bench.swarm.receiving.on_refused(turn, A, PieceRefused(big, 0))
    bench.swarm.lost(turn, A)
    bench.open.clear()
    assert sorted(number for _, _, number in asks(bench.have(B, big))) == [0, 1]


def test_a_blob_without_source_is_looked_for_again() -> None:
    bench = Bench(A)
    bench.fetch((blob(1),))
    effects = bench.later(2.1)
    assert [e.to for e in effects if isinstance(e, Send) and isinstance(e.message, HaveAsk)] == [A]


def test_a_blob_whose_md5_disagrees_comes_again_whole() -> None:
    bench = Bench(A)
    small = blob(2)
    bench.fetch((small,))
    bench.have(A, small)
    bench.piece(A, small, 0)
    bench.piece(A, small, 1)
    assert asks(bench.finished(small, ok=False)) == []
    assert sorted(number for _, _, number in asks(bench.have(A, small))) == [0, 1]
    assert bench.swarm.take_finished() == []


def test_a_source_whose_blobs_never_agree_with_their_md5_is_left_out() -> None:
    bench = Bench(A)
    small = blob(1)
    bench.fetch((small,))
    for _ in range(STRIKES):
        bench.have(A, small)
        bench.piece(A, small, 0)
        bench.finished(small, ok=False)
    assert asks(bench.have(A, small)) == []


def test_a_blob_that_the_disk_could_not_confirm_is_looked_at_again() -> None:
    bench = Bench(A)
    small = blob(1)
    bench.fetch((small,))
    bench.have(A, small)
    bench.piece(A, small, 0)
    bench.swarm.receiving.on_finished(bench.turn(), BlobFinished(small, ok=False))
    finds = [effect for effect in bench.later(2.1) if isinstance(effect, FindBlobs)]
    assert [find.blobs for find in finds] == [(small,)]
    bench.swarm.on_found(bench.turn(), BlobsFound(finds[0].ask, ()))
    assert bench.swarm.take_finished() == ["key"]


def test_a_blob_of_terabytes_costs_what_is_under_way() -> None:
    bench = Bench(A)
    huge = BlobAddress(1, 1 << 43, b"\1" * 16)
    bench.fetch((huge,))
    assert len(asks(bench.have(A, huge))) == WINDOW_BYTES // PIECE_BYTES
    assert bench.swarm.missing_bytes("key") == 1 << 43


def test_ten_thousand_small_blobs_are_asked_for_without_going_through_all_of_them_each_time() -> None:
    bench = Bench(A)
    many = small(10_000)
    bench.fetch(many)
    waiting = packs(bench.have(A, *many))
    arrived = 0
    while waiting:
        to, blobs = waiting.pop(0)
        assert to == A
        waiting += packs(bench.pack(A, blobs))
        arrived += len(blobs)
    assert arrived == 10_000
    assert bench.swarm.take_finished() == ["key"]


def test_a_cancelled_set_asks_for_nothing_more() -> None:
    bench = Bench(A)
    big = blob(9)
    bench.fetch((big,))
    bench.have(A, big)
    bench.swarm.cancel("key")
    assert bench.piece(A, big, 0) == []
    assert bench.swarm.take_finished() == []


def test_a_peer_is_served_what_can_be_a_piece_and_told_what_is_here() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.swarm.serving.on_piece_ask(turn, A, PieceAsk(blob(2), 1))
    bench.swarm.serving.on_piece_ask(turn, A, PieceAsk(blob(2), 2))
    bench.swarm.serving.on_piece_ask(turn, A, PieceAsk(blob(2), -1))
    assert turn.effects == [ReadPiece(A, blob(2), 1)]
    asked = bench.turn()
    bench.swarm.on_have_ask(asked, A, HaveAsk((blob(1, 1), blob(1, 2))))
    find = asked.effects[0]
    assert isinstance(find, FindBlobs)
    answer = bench.turn()
    assert bench.swarm.on_found_for_peer(answer, BlobsFound(find.ask, ((blob(1, 2), ()),)))
    assert answer.effects == [Send(A, HaveIs((blob(1, 1),)), volatile=True)]


def test_an_empty_blob_is_one_empty_piece() -> None:
    assert piece_count(BlobAddress(1, 0, b"\0" * 16)) == 1


def test_a_blob_of_a_size_that_cannot_be_is_never_fetched_and_costs_no_memory() -> None:
    bench = Bench(A)
    impossible = BlobAddress(2, (1 << 63) - 1, b"2" * 16)
    bench.fetch((impossible, blob(1)), (A,))
    assert asks(bench.have(A, impossible, blob(1))) == [(A, blob(1), 0)]


def doubts(effects: list[Effect]) -> list[NodeId]:
    return [effect.to for effect in effects if isinstance(effect, Send) and isinstance(effect.message, Doubt)]


def notes(effects: list[Effect], what: str) -> list[str]:
    return [effect.node for effect in effects if isinstance(effect, Note) and effect.what == what]


def test_a_wrong_whole_is_told_to_all_who_sent_a_piece_and_comes_again_from_one_who_did_not() -> None:
    bench = Bench(A, B, C)
    big = blob(4)
    bench.fetch((big,))
    bench.have(A, big)
    bench.have(B, big)
    bench.have(C, big)
    bench.answer(A, big, 2)
    bench.answer(B, big, 2)
    effects = bench.finished(big, ok=False)
    assert doubts(effects) == [A, B]
    assert {to for to, _, _ in asks(effects)} == {C}
    assert asks(bench.have(A, big)) == []


def test_when_the_only_source_of_a_try_is_gone_another_one_takes_over() -> None:
    bench = Bench(A, B)
    small = blob(1)
    bench.fetch((small,))
    bench.have(A, small)
    bench.piece(A, small, 0)
    bench.finished(small, ok=False)
    bench.have(A, small)
    bench.have(B, small)
    turn = bench.turn()
    bench.swarm.receiving.on_refused(turn, A, PieceRefused(small, 0))
    assert asks(turn.effects) == [(B, small, 0)]


def test_a_source_that_sent_the_wrong_whole_again_after_it_was_asked_is_left_out_longer_each_time() -> None:
    bench = Bench(A)
    small = blob(1)
    bench.fetch((small,))
    for pause_s, convicted in ((0.0, []), (0.0, [A]), (LIED_S, [A]), (2 * LIED_S, [A])):
        bench.now += pause_s - 0.1
        assert not pause_s or asks(bench.have(A, small)) == []
        bench.now += 0.1
        assert asks(bench.have(A, small, hashed=True)) == [(A, small, 0)]
        bench.piece(A, small, 0)
        assert notes(bench.finished(small, ok=False), "peer-lies") == convicted


def test_of_two_sources_whose_pieces_disagree_the_one_that_stood_by_the_wrong_one_is_left_out() -> None:
    bench = Bench(A, B, C)
    big, other = blob(2), blob(1, 7)
    bench.fetch((big,))
    for node in (A, B):
        bench.have(node, big)
    bench.piece(A, big, 0, xxh64=10)
    bench.piece(A, big, 1, xxh64=99)
    bench.finished(big, ok=False)
    bench.have(A, big, hashed=True)
    bench.piece(B, big, 0, xxh64=10)
    bench.piece(B, big, 1, xxh64=11)
    effects = bench.finished(big)
    assert notes(effects, "peer-wrong-pieces") == [A]
    assert notes(effects, "peer-lies") == [A]
    bench.fetch((other,))
    assert asks(bench.have(A, other)) == []
    assert asks(bench.have(B, other)) == [(B, other, 0)]


def test_a_source_that_set_its_bad_copy_aside_is_asked_for_other_blobs() -> None:
    bench = Bench(A, B)
    big, other = blob(1), blob(1, 7)
    bench.fetch((big,))
    bench.have(A, big)
    bench.piece(A, big, 0, xxh64=99)
    bench.finished(big, ok=False)
    bench.have(A, hashed=True)
    bench.have(B, big)
    bench.piece(B, big, 0, xxh64=10)
    bench.finished(big)
    bench.fetch((other,))
    assert asks(bench.have(A, other)) == [(A, other, 0)]


def test_pieces_from_before_a_restart_are_blamed_on_nobody() -> None:
    bench = Bench(A)
    big = blob(2)
    bench.fetch((big,), have=(0,))
    bench.have(A, big)
    bench.piece(A, big, 1)
    assert doubts(bench.finished(big, ok=False)) == [A]
    bench.have(A, big)
    bench.piece(A, big, 0)
    bench.piece(A, big, 1)
    assert notes(bench.finished(big), "peer-wrong-pieces") == []


def test_a_doubted_copy_is_hashed_once_and_neither_offered_nor_served_until_then() -> None:
    bench = Bench(A, B)
    mine = blob(1)
    turn = bench.turn()
    for node in (A, B, A):
        bench.swarm.serving.on_doubt(turn, node, Doubt(mine))
    bench.swarm.serving.on_piece_ask(turn, A, PieceAsk(mine, 0))
    assert turn.effects == [VerifyBlob(mine), Send(A, PieceRefused(mine, 0), volatile=True)]
    asked, answer = bench.turn(), bench.turn()
    bench.swarm.on_have_ask(asked, A, HaveAsk((mine,)))
    find = asked.effects[0]
    assert isinstance(find, FindBlobs)
    bench.swarm.on_found_for_peer(answer, BlobsFound(find.ask, ()))
    assert answer.effects == [Send(A, HaveIs(()), volatile=True)]
    done = bench.turn()
    bench.swarm.doubts.on_verified(done, BlobVerified(mine, ok=False))
    assert done.effects == [Send(A, HaveIs((), hashed=True)), Send(B, HaveIs((), hashed=True))]


def test_a_copy_that_was_found_good_is_not_hashed_again_for_a_while() -> None:
    bench = Bench(A)
    mine = blob(1)
    bench.swarm.serving.on_doubt(bench.turn(), A, Doubt(mine))
    bench.swarm.doubts.on_verified(bench.turn(), BlobVerified(mine, ok=True))
    again, later = bench.turn(), None
    bench.swarm.serving.on_doubt(again, A, Doubt(mine))
    assert again.effects == [Send(A, HaveIs((mine,), hashed=True))]
    bench.now += SURE_S + 1
    later = bench.turn()
    bench.swarm.serving.on_doubt(later, A, Doubt(mine))
    assert later.effects == [VerifyBlob(mine)]


def test_while_much_waits_for_the_disk_nothing_more_is_asked_for() -> None:
    bench = Bench(A, B)
    large = blob(200)
    bench.fetch((large,))
    bench.have(A, large)
    bench.have(B, large)
    came: list[tuple[NodeId, int]] = []
    while bench.open:
        node, _, number = bench.open.pop(0)
        turn = bench.turn()
        bench.swarm.receiving.on_piece(turn, node, PieceIs(large, number, 0, content(large, number)))
        bench.noted(turn)
        came.append((node, number))
    most = MOST_UNWRITTEN_BYTES // PIECE_BYTES
    assert most <= len(came) <= most + 2 * WINDOW_BYTES // PIECE_BYTES
    while len(came) >= most:
        assert not bench.open
        turn = bench.turn()
        node, number = came.pop(0)
        bench.swarm.receiving.on_written(turn, PieceWritten(large, number, node, ok=True))
        bench.noted(turn)
    assert {node for node, _, _ in bench.open} == {A, B}, "all sources are asked again"


def test_small_files_that_wait_for_the_disk_count_whatever_becomes_of_them() -> None:
    bench = Bench(A)
    files = small(3 * MOST_UNWRITTEN_BYTES // 100_000, 100_000)
    bench.fetch(files)
    asked = packs(bench.have(A, *files))
    waiting: list[tuple[BlobAddress, ...]] = []
    while asked:
        blobs = asked.pop(0)[1]
        turn = bench.turn()
        bench.swarm.receiving.on_pack(turn, A, PackIs(blobs, b"x" * sum(one.size for one in blobs)))
        asked += packs(turn.effects)
        waiting.append(blobs)
    assert sum(len(blobs) for blobs in waiting) < len(files) // 2
    while not asked:
        good, bad, *rest = waiting.pop(0)
        turn = bench.turn()
        bench.swarm.receiving.on_pack_written(turn, PackWritten(A, (good,), (bad,), tuple(rest)))
        asked += packs(turn.effects)
    assert sum(one.size for blobs in waiting for one in blobs) < MOST_UNWRITTEN_BYTES
