"""Small blobs travel in packs: within the window, what is missing comes from elsewhere, and what is wrong is judged."""

from __future__ import annotations

from random import Random
from typing import TypeGuard

import pytest

from farmd.core.asking import PIECE_TIMEOUT_S
from farmd.core.effects import Effect, FindBlobs, ReadPack, Send, WritePack
from farmd.core.events import BlobsFound, PackWritten
from farmd.core.incoming import SMALL_BYTES
from farmd.core.packs import MOST_PACK_BYTES, PACK_BLOBS, PACK_BYTES
from farmd.core.standing import STRIKES
from farmd.core.swarm import LOOK_AROUND_S, LOOKED_AFTER, Swarm
from farmd.core.windows import QUICK_S, SLOW_S, WINDOW_PACKS
from protocol.errors import PeerError
from protocol.ids import BlobAddress, NodeId
from protocol.messages import Doubt, HaveAsk, HaveIs, PackAsk, PackIs
from tests.core.test_swarm import ME, A, B, Bench, asks, doubts, notes, packs, small


def is_question(effect: Effect) -> TypeGuard[Send]:
    return isinstance(effect, Send) and isinstance(effect.message, HaveAsk)


def asked_in(effect: Send) -> tuple[BlobAddress, ...]:
    assert isinstance(effect.message, HaveAsk)
    return effect.message.blobs


def looked_for(bench: Bench) -> list[BlobAddress]:
    """Let the time of one look pass; returns what others are asked for."""
    effects = bench.later(LOOK_AROUND_S + 0.01)
    return [blob for effect in effects if is_question(effect) for blob in asked_in(effect)]


@pytest.mark.parametrize(("size", "count"), [(10, 3000), (100_000, 60), (SMALL_BYTES, 20)])
def test_a_source_has_two_packs_outstanding_and_none_is_too_large(size: int, count: int) -> None:
    bench = Bench(A)
    files = small(count, size)
    bench.fetch(files)
    asked = packs(bench.have(A, *files))
    assert len(asked) == WINDOW_PACKS
    fullest = min(PACK_BLOBS, PACK_BYTES // size)
    assert [len(blobs) for _, blobs in asked] == [fullest] * WINDOW_PACKS
    assert len(packs(bench.pack(A, asked[0][1]))) == 1


def size_of(blobs: tuple[BlobAddress, ...]) -> int:
    return sum(blob.size for blob in blobs)


class Line:
    """One source, and how it answers the packs that it is asked for, in turn."""

    def __init__(self, bench: Bench, files: tuple[BlobAddress, ...], source: NodeId = A) -> None:
        self.bench, self.source = bench, source
        bench.fetch(files)
        self.asked = [blobs for _, blobs in packs(bench.have(source, *files))]

    def come(self, took_s: float, most_bytes: int = MOST_PACK_BYTES) -> int:
        """Let the next pack come after so long; returns how many bytes are asked for then."""
        blobs = self.asked.pop(0)
        self.bench.later(took_s)
        turn = self.bench.turn()
        data = bytes(size_of(blobs))
        self.bench.swarm.receiving.on_pack(turn, self.source, PackIs(blobs, data, most_bytes))
        self.bench.swarm.receiving.on_pack_written(turn, PackWritten(self.source, blobs))
        more = [blobs for node, blobs in packs(turn.effects) if node == self.source]
        self.asked += more
        return sum(map(size_of, more))


MIB = 1 << 20
QUARTERS = small(2000, MIB // 4)


def test_packs_grow_while_they_come_quickly_and_never_beyond_what_a_message_holds() -> None:
    line = Line(Bench(A), QUARTERS)
    assert [line.come(QUICK_S / 4) for _ in range(5)] == [2 * MIB] * 2 + [15 * MIB // 4] * 3
    assert 15 * MIB // 4 <= MOST_PACK_BYTES < 4 * MIB
    assert len(line.asked) == WINDOW_PACKS


def test_packs_that_take_longer_stay_as_they_are_and_slow_ones_shrink_to_the_first_size() -> None:
    line = Line(Bench(A), QUARTERS)
    assert [line.come(2 * QUICK_S) for _ in range(3)] == [MIB] * 3
    for _ in range(4):
        line.come(0.0)
    assert [line.come(SLOW_S + 0.1) for _ in range(4)] == [0, 2 * MIB, MIB, MIB]


@pytest.mark.parametrize(
    ("said", "most"), [(MIB, MIB), (2 * MIB, 2 * MIB), (0, MIB), (-5, MIB), (1 << 60, 15 * MIB // 4)]
)
def test_source_is_asked_for_no_larger_packs_than_it_says_and_always_for_the_first_size(said: int, most: int) -> None:
    line = Line(Bench(A), QUARTERS)
    assert [line.come(0.0, said) for _ in range(4)][-1] == most


def test_node_of_a_version_that_does_not_speak_of_it_is_asked_for_packs_of_a_mebibyte() -> None:
    bench = Bench(A)
    line = Line(bench, QUARTERS)
    for _ in range(4):
        more = packs(bench.pack(A, line.asked.pop(0)))
        line.asked += [blobs for _, blobs in more]
        assert [size_of(blobs) for _, blobs in more] == [MIB]


def test_quick_answer_to_a_small_question_proves_nothing() -> None:
    bench = Bench(A)
    few = Line(bench, small(3, 1000))
    few.come(0.0)
    turn = bench.turn()
    bench.swarm.fetch(turn, "more", QUARTERS, (), ())
    (find,) = finds(turn.effects)
    bench.swarm.on_found(turn, BlobsFound(find.ask, tuple((blob, ()) for blob in find.blobs)))
    assert [size_of(blobs) for _, blobs in packs(bench.have(A, *find.blobs))] == [MIB] * WINDOW_PACKS


def test_packs_begin_small_again_after_one_that_never_came() -> None:
    bench = Bench(A)
    line = Line(bench, QUARTERS)
    assert [line.come(0.0) for _ in range(3)][-1] > 2 * MIB
    assert [size_of(blobs) for _, blobs in packs(bench.later(PIECE_TIMEOUT_S + 0.1))] == [MIB] * WINDOW_PACKS


def test_packs_begin_small_again_after_their_source_was_away() -> None:
    bench = Bench(A)
    line = Line(bench, QUARTERS)
    assert [line.come(0.0) for _ in range(3)][-1] > 2 * MIB
    bench.swarm.lost(bench.turn(), A)
    assert [size_of(blobs) for _, blobs in packs(bench.have(A, *QUARTERS))] == [MIB] * WINDOW_PACKS


def test_one_pair_of_packs_makes_them_grow_once() -> None:
    line = Line(Bench(A), QUARTERS)
    line.come(0.0)
    line.come(0.0)
    assert [size_of(blobs) for blobs in line.asked] == [2 * MIB] * WINDOW_PACKS


def test_packs_stay_small_where_a_limit_is_set() -> None:
    bench = Bench(A)
    bench.swarm = Swarm(ME, Random(1), lambda: (A, B), limit_bytes_s=1000 * MIB)
    line = Line(bench, QUARTERS)
    assert [line.come(0.0) for _ in range(4)] == [MIB] * 4
    asker = small(1)
    (read,) = [effect for effect in ask(bench, B, asker) if isinstance(effect, ReadPack)]
    assert read.most_bytes == MIB


def test_pack_that_was_given_up_is_taken_when_it_comes_all_the_same_also_when_it_was_asked_for_again() -> None:
    bench = Bench(A)
    line = Line(bench, small(8, MIB // 4))
    first, second = line.asked
    bench.later(PIECE_TIMEOUT_S + 0.1)
    bench.pack(A, first)
    assert bench.swarm.take_finished() == []
    again = [blobs for _, blobs in packs(bench.have(A, *second))]
    assert sorted(blob for blobs in again for blob in blobs) == sorted(second)
    bench.pack(A, second)
    assert bench.swarm.take_finished() == ["key"]
    assert [effect for blobs in again for effect in bench.pack(A, blobs) if isinstance(effect, WritePack)] == []


def test_what_came_late_is_not_written_again_when_the_second_answer_comes() -> None:
    bench = Bench(A)
    line = Line(bench, small(8, MIB // 4))
    first, second = line.asked
    bench.later(PIECE_TIMEOUT_S + 0.1)
    ((_, again),) = packs(bench.have(A, *first[1:], second[0]))
    assert set(again) == {*first[1:], second[0]}
    for blobs, written in ((first, 4), (again, 1)):
        turn = bench.turn()
        bench.swarm.receiving.on_pack(turn, A, PackIs(blobs, bytes(size_of(blobs))))
        assert sum(len(effect.blobs) for effect in turn.effects if isinstance(effect, WritePack)) == written


def test_damaged_answer_that_comes_late_changes_nothing() -> None:
    bench = Bench(A)
    files = small(3)
    bench.fetch(files)
    bench.have(A, *files)
    bench.later(PIECE_TIMEOUT_S + 0.1)
    with pytest.raises(PeerError):
        bench.swarm.receiving.on_pack(bench.turn(), A, PackIs(files, b"short"))
    bench.pack(A, files)
    assert bench.swarm.take_finished() == ["key"]


def test_packs_stay_small_while_others_have_something_too() -> None:
    bench = Bench(A, B)
    line = Line(bench, QUARTERS)
    bench.have(B, *QUARTERS)
    assert [line.come(0.0) for _ in range(4)] == [MIB] * 4


def test_who_said_that_it_holds_all_is_asked_for_contents_at_once_and_others_what_they_have() -> None:
    bench = Bench(A, B)
    files = small(5)
    turn = bench.fetch(files, (A,), holders=(A,))
    (asked,) = packs(turn.effects)
    assert asked[0] == A
    assert set(asked[1]) == set(files)
    assert [effect.to for effect in turn.effects if is_question(effect)] == [B]


def test_who_said_that_it_holds_all_is_asked_for_large_files_like_everybody() -> None:
    bench = Bench(A, B)
    turn = bench.fetch((BlobAddress(1, SMALL_BYTES + 1, b"\1" * 16),), (A,), holders=(A,))
    assert {effect.to for effect in turn.effects if is_question(effect)} == {A, B}
    assert asks(turn.effects) == []


def test_what_a_holder_lacks_all_the_same_is_asked_of_another_and_then_around_again() -> None:
    bench = Bench(A, B)
    files = small(4)
    bench.fetch(files, (A,), holders=(A,))
    assert packs(bench.pack(A, files[:3])) == []
    turn = bench.later(LOOK_AROUND_S + 0.1)
    assert {effect.to for effect in turn if is_question(effect)} == {A, B}
    assert packs(bench.have(B, files[3])) == [(B, files[3:])]


def test_a_holder_that_is_gone_or_left_out_is_not_believed() -> None:
    bench = Bench(A)
    turn = bench.fetch(small(3), (B,), holders=(B,))
    assert packs(turn.effects) == []
    liar = Bench(A, B)
    liar.swarm.receiving.standing.convict(liar.turn(), A)
    turn = liar.fetch(small(3), (A,), holders=(A,))
    assert packs(turn.effects) == []
    assert [effect.to for effect in turn.effects if is_question(effect)] == [B]


def finds(effects: list[Effect]) -> list[FindBlobs]:
    return [effect for effect in effects if isinstance(effect, FindBlobs)]


def test_first_files_of_a_large_set_are_asked_for_before_the_store_looked_for_the_rest() -> None:
    bench = Bench(A)
    files, looked = small(5000), []
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", files, (A,), (A,))
    while found := finds(turn.effects):
        (find,) = found
        looked.append(find.blobs)
        turn = bench.turn()
        bench.swarm.on_found(turn, BlobsFound(find.ask, tuple((blob, ()) for blob in find.blobs)))
        if len(looked) == 1:
            assert packs(turn.effects)
    assert [len(blobs) for blobs in looked] == [250, 500, 1000, 2000, 1250]
    assert sorted(blob for blobs in looked for blob in blobs) == sorted(files)


def test_blobs_of_a_very_large_set_that_nobody_has_are_looked_for_a_part_at_a_time_and_none_is_forgotten() -> None:
    bench = Bench(A)
    files = small(2 * LOOKED_AFTER + 100)
    bench.fetch(files)
    rounds = [looked_for(bench) for _ in range(4)]
    assert [len(blobs) for blobs in rounds] == [LOOKED_AFTER, LOOKED_AFTER, 100, LOOKED_AFTER]
    assert set(rounds[0]) | set(rounds[1]) | set(rounds[2]) == set(files)


def test_very_large_set_keeps_no_other_from_being_looked_for() -> None:
    bench = Bench(A)
    bench.fetch(small(2 * LOOKED_AFTER))
    looked_for(bench)
    other = BlobAddress(7, 70, b"\7" * 16)
    turn = bench.turn()
    bench.swarm.fetch(turn, "other", (other,), ())
    (find,) = finds(turn.effects)
    bench.swarm.on_found(bench.turn(), BlobsFound(find.ask, ((other, ()),)))
    for _ in range(3):
        assert other in looked_for(bench)


def test_what_the_disk_refused_is_offered_again_at_the_next_look_in_a_very_large_set_too() -> None:
    bench = Bench(A)
    files = small(2 * LOOKED_AFTER)
    (_, blobs), *_ = packs(bench.fetch(files, (A,), holders=(A,)).effects)
    looked_for(bench)
    turn = bench.turn()
    bench.swarm.receiving.on_pack(turn, A, PackIs(blobs, b"x" * sum(blob.size for blob in blobs)))
    bench.swarm.receiving.on_pack_written(turn, PackWritten(A, blobs[1:], failed=blobs[:1]))
    ready = bench.swarm._asking._ready[A]
    assert blobs[0] not in ready
    bench.later(LOOK_AROUND_S + 0.1)
    assert blobs[0] in ready


def test_answer_for_a_set_that_was_given_up_says_nothing_of_the_same_set_begun_anew() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", small(600), (), ())
    (old,) = finds(turn.effects)
    bench.swarm.cancel("key")
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", small(600), (), ())
    (new,) = finds(turn.effects)
    turn = bench.turn()
    bench.swarm.on_found(turn, BlobsFound(old.ask, ()))
    assert turn.effects == []
    assert bench.swarm.take_finished() == []
    bench.swarm.on_found(turn, BlobsFound(new.ask, ()))
    (rest,) = finds(turn.effects)
    bench.swarm.on_found(bench.turn(), BlobsFound(rest.ask, ()))
    assert bench.swarm.take_finished() == ["key"]


def test_set_of_which_all_is_here_is_finished_after_the_last_look_and_not_before() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", small(600), (A,), (A,))
    for _ in range(2):
        assert bench.swarm.take_finished() == []
        (find,) = finds(turn.effects)
        turn = bench.turn()
        bench.swarm.on_found(turn, BlobsFound(find.ask, ()))
    assert finds(turn.effects) == []
    assert bench.swarm.take_finished() == ["key"]


def test_set_that_is_given_up_while_the_store_looks_is_looked_for_no_further() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.swarm.fetch(turn, "key", small(600), (A,), (A,))
    (find,) = finds(turn.effects)
    bench.swarm.cancel("key")
    turn = bench.turn()
    bench.swarm.on_found(turn, BlobsFound(find.ask, tuple((blob, ()) for blob in find.blobs)))
    assert turn.effects == []


def test_what_is_larger_than_a_small_blob_goes_by_piece() -> None:
    bench = Bench(A)
    larger = BlobAddress(1, SMALL_BYTES + 1, b"\1" * 16)
    bench.fetch((larger,))
    assert asks(bench.have(A, larger)) == [(A, larger, 0)]


def test_two_sources_are_asked_for_different_blobs() -> None:
    bench = Bench(A, B)
    files = small(2000)
    bench.fetch(files)
    asked = packs(bench.have(A, *files)) + packs(bench.have(B, *files))
    blobs = [blob for _, blobs in asked for blob in blobs]
    assert {to for to, _ in asked} == {A, B}
    assert len(blobs) == len(set(blobs))


def test_what_a_pack_leaves_out_is_asked_of_another_source() -> None:
    bench = Bench(A, B)
    files = small(4)
    bench.fetch(files)
    bench.have(A, *files)
    bench.have(B, *files)
    assert packs(bench.pack(A, files[:3])) == [(B, files[3:])]
    assert packs(bench.pack(A, files[:3])) == []


def test_an_empty_pack_refuses_all_that_was_asked_with_it() -> None:
    bench = Bench(A, B)
    files = small(4)
    bench.fetch(files)
    bench.have(A, *files)
    bench.have(B, *files)
    assert packs(bench.pack(A, ())) == [(B, files)]


def test_a_late_pack_is_given_back_and_asked_elsewhere() -> None:
    bench = Bench(A, B)
    files = small(5)
    bench.fetch(files)
    bench.have(A, *files)
    bench.later(PIECE_TIMEOUT_S + 0.1)
    assert packs(bench.have(B, *files)) == [(B, files)]
    assert bench.pack(A, files) == []


def test_blobs_of_a_source_that_is_lost_are_asked_elsewhere_at_once() -> None:
    bench = Bench(A, B)
    files = small(5)
    bench.fetch(files)
    bench.have(A, *files)
    bench.have(B, *files)
    turn = bench.turn()
    bench.swarm.lost(turn, A)
    assert [(to, set(blobs)) for to, blobs in packs(turn.effects)] == [(B, set(files))]


def test_what_was_cancelled_meanwhile_is_not_written() -> None:
    bench = Bench(A)
    files = small(3)
    bench.fetch(files)
    turn = bench.turn()
    bench.swarm.fetch(turn, "other", files[:1], ())
    bench.swarm.on_found(turn, _found(turn.effects[-1], files[:1]))
    bench.have(A, *files)
    bench.swarm.cancel("key")
    arrived = bench.turn()
    bench.swarm.receiving.on_pack(arrived, A, PackIs(files, b"a" * 10 + b"b" * 10 + b"c" * 10))
    assert arrived.effects == [WritePack(files[:1], b"a" * 10, A)]


def _found(find: Effect, blobs: tuple[BlobAddress, ...]) -> BlobsFound:
    assert isinstance(find, FindBlobs)
    return BlobsFound(find.ask, tuple((blob, ()) for blob in blobs))


@pytest.mark.parametrize("data", [b"x" * 29, b"x" * 31])
def test_a_pack_of_another_length_is_its_senders_error_and_comes_again_from_another(data: bytes) -> None:
    bench = Bench(A, B)
    files = small(3)
    bench.fetch(files)
    bench.have(A, *files)
    bench.have(B, *files)
    turn = bench.turn()
    with pytest.raises(PeerError):
        bench.swarm.receiving.on_pack(turn, A, PackIs(files, data))
    assert packs(turn.effects) == [(B, files)]


def test_a_pack_with_a_blob_that_was_not_asked_for_is_its_senders_error() -> None:
    bench = Bench(A)
    files = small(4)
    bench.fetch(files[:3])
    bench.have(A, *files[:3])
    with pytest.raises(PeerError):
        bench.pack(A, (files[0], files[3]))


def test_a_blob_that_is_not_what_it_is_called_is_doubted_and_comes_from_elsewhere() -> None:
    bench = Bench(A, B)
    files = small(3)
    bench.fetch(files)
    bench.have(A, *files)
    bench.have(B, *files)
    effects = bench.pack(A, files, bad=files[1:2])
    assert doubts(effects) == [A]
    assert packs(effects) == [(B, files[1:2])]
    bench.have(A, files[1], hashed=True)
    effects = bench.pack(B, files[1:2])
    assert notes(effects, "peer-lies") == [A]
    assert bench.swarm.take_finished() == ["key"]


def test_a_source_with_a_bad_copy_that_it_set_aside_is_not_left_out_for_one_pack() -> None:
    bench = Bench(A, B)
    files = small(40)
    bench.fetch(files)
    bench.have(A, *files)
    bench.have(B, *files)
    bench.pack(A, files, bad=files[:STRIKES])
    bench.have(A, hashed=True)
    bench.pack(B, files[:STRIKES])
    more = small(41)[-1:]
    bench.fetch(more)
    assert packs(bench.have(A, *more)) == [(A, more)]


def test_what_the_disk_refused_is_asked_for_again_later() -> None:
    bench = Bench(A)
    files = small(2)
    bench.fetch(files)
    bench.have(A, *files)
    turn = bench.turn()
    bench.swarm.receiving.on_pack(turn, A, PackIs(files, b"x" * 20))
    bench.swarm.receiving.on_pack_written(turn, PackWritten(A, files[:1], failed=files[1:]))
    assert packs(turn.effects) == []
    assert packs(bench.later(2.1)) == [(A, files[1:])]


def ask(bench: Bench, node: NodeId, blobs: tuple[BlobAddress, ...]) -> list[Effect]:
    turn = bench.turn()
    bench.swarm.serving.on_pack_ask(turn, node, PackAsk(blobs))
    return turn.effects


def test_a_pack_is_served_without_what_is_doubted_or_not_complete_here() -> None:
    bench = Bench(A)
    files = small(4)
    bench.fetch(files[:1])
    bench.swarm.serving.on_doubt(bench.turn(), A, Doubt(files[1]))
    assert ask(bench, A, files) == [ReadPack(A, files[2:], MOST_PACK_BYTES)]
    assert ask(bench, A, files[:2]) == [Send(A, PackIs((), b"", MOST_PACK_BYTES), volatile=True)]


@pytest.mark.parametrize(
    "blobs",
    [small(PACK_BLOBS + 1), small(16, SMALL_BYTES), small(1, SMALL_BYTES + 1), small(1) * 2, small(1, -1)],
    ids=["many", "heavy", "large", "twice", "impossible"],
)
def test_what_is_no_pack_is_not_served(blobs: tuple[BlobAddress, ...]) -> None:
    with pytest.raises(PeerError):
        ask(Bench(A), A, blobs)


def test_who_asked_for_small_blobs_is_told_when_they_are_complete() -> None:
    bench = Bench(A, B)
    files = small(3)
    bench.fetch(files)
    bench.asked_by(B, files)
    bench.have(A, *files)
    bench.pack(A, files)
    told = [effect for effect in bench.later(0.3) if isinstance(effect, Send) and effect.to == B]
    assert told == [Send(B, HaveIs(files))]


def test_the_first_of_many_files_are_on_their_way_before_all_have_been_looked_for() -> None:
    bench = Bench(A)
    files = small(6000, PACK_BYTES // 100)
    sends = [effect for effect in bench.fetch(files).effects if isinstance(effect, Send)]
    questions = [send.message.blobs for send in sends if isinstance(send.message, HaveAsk)]
    assert [len(blobs) for blobs in questions] == [250, 500, 1000, 2000, 2000, 250]
    assert sorted(blob for blobs in questions for blob in blobs) == sorted(files)
    assert [len(blobs) for _, blobs in packs(bench.have(A, *questions[0]))] == [100] * WINDOW_PACKS
