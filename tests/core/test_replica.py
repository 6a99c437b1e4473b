"""The replica alone: writes, joins, deletion, streams, what is to be saved."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from farmd.core.effects import Note
from farmd.core.replica import Change, Replica
from farmd.core.turn import Instant, Turn
from protocol.clock import MAX_AHEAD_MS, HybridClock, hlc_of
from protocol.errors import InvariantBroken, PeerError
from protocol.ids import AttemptId, AttemptRef, JobId, NodeId, TaskIndex, new_job_id
from protocol.messages import Span
from protocol.records import (
    HoldingWhat,
    JobField,
    Kind,
    Rank,
    Rec,
    attempt_pk,
    holding_pk,
    job_control_pk,
    job_pk,
)

WALL_MS = 1_800_000_000_000
NODE = NodeId("00000000000000aa")
JOB = new_job_id(WALL_MS, Random(1))
OTHER_JOB = new_job_id(WALL_MS, Random(2))
TOMBSTONE_PK = job_control_pk(JOB, JobField.DELETED)


def turn() -> Turn:
    return Turn(Instant(0.0, WALL_MS))


def replica(seed: int = 0) -> Replica:
    return Replica(Random(seed), HybridClock())


def reloaded(old: Replica, *, origin: int | None = None) -> Replica:
    new = replica(99)
    new.load(old.rows(), dict(old.vector), origin or old.origin, wall_ms=WALL_MS)
    return new


def foreign(origin: int, seq: int, pk: bytes = b"k", **fields: Any) -> Rec:
    rec = Rec(Kind.NODE, pk, 1, hlc_of(WALL_MS), origin, seq, 0, b"body of %d" % origin)
    return rec._replace(**fields)


def notes(of: Turn) -> list[str]:
    return [effect.what for effect in of.effects if isinstance(effect, Note)]


def write_job(target: Replica, job: JobId = JOB) -> None:
    attempt = AttemptRef(job, TaskIndex(0), AttemptId(1, NODE, 1))
    target.write(turn(), Kind.JOB, job_pk(job), b"spec")
    target.write(turn(), Kind.JOB_CONTROL, job_control_pk(job, JobField.PAUSED), b"1")
    target.write(turn(), Kind.ATTEMPT, attempt_pk(attempt), b"running")
    target.write(turn(), Kind.HOLDING, holding_pk(NODE, HoldingWhat.ASSETS, job), b"")


# -- writing -----------------------------------------------------------------------------------------------------------


def test_first_write_of_a_new_database_begins_its_stream_at_one() -> None:
    mine = replica()
    rec = mine.write(turn(), Kind.NODE, b"k", b"body")
    assert (rec.ver, rec.seq, rec.origin) == (1, 1, mine.origin)
    assert mine.get(Kind.NODE, b"k") is rec
    assert dict(mine.vector) == {mine.origin: 1}
    assert mine.rotations == 0


def test_next_version_counts_up_and_supersedes() -> None:
    mine = replica()
    first = mine.write(turn(), Kind.NODE, b"k", b"1")
    second = mine.write(turn(), Kind.NODE, b"k", b"2")
    assert (second.ver, second.seq) == (2, 2)
    assert second.hlc > first.hlc
    assert mine.delta({}) == [second]
    assert len(mine) == 1
    mine.check()


def test_version_is_one_more_than_what_the_writer_saw_whoever_wrote_it() -> None:
    mine = replica()
    mine.apply(turn(), [foreign(7, 1, ver=41)], [(7, 1)])
    assert mine.write(turn(), Kind.NODE, b"k", b"").ver == 42


def test_write_below_the_standing_rank_is_absorbed() -> None:
    mine = replica()
    done = mine.write(turn(), Kind.ATTEMPT, b"a" * 30, b"done", rank=Rank.FINAL)
    assert mine.write(turn(), Kind.ATTEMPT, b"a" * 30, b"failed", rank=Rank.ENDED) is done
    assert mine.seq == 1


def test_write_to_a_deleted_job_is_absorbed_by_its_tombstone() -> None:
    mine = replica()
    write_job(mine)
    tombstone = mine.write(turn(), Kind.JOB_CONTROL, TOMBSTONE_PK, b"", rank=Rank.FINAL)
    assert mine.write(turn(), Kind.JOB_CONTROL, job_control_pk(JOB, JobField.PAUSED), b"0") is tombstone
    assert mine.rows_of_job(JOB) == [tombstone]


def test_write_of_a_body_over_the_limit_is_our_bug() -> None:
    with pytest.raises(InvariantBroken):
        replica().write(turn(), Kind.JOB, job_pk(JOB), bytes((2 << 20) + 1))


# -- joining -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "larger",
    [
        {"rank": 1, "ver": 1},
        {"ver": 3, "hlc": 1},
        {"hlc": hlc_of(WALL_MS) + 1},
        {"origin": 9},
    ],
    ids=["rank", "ver", "hlc", "origin"],
)
def test_larger_stamp_wins_in_either_order(larger: dict[str, Any]) -> None:
    small = foreign(7, 1, ver=2)
    large = foreign(8, 1, ver=2)._replace(**larger)
    for rows in ([small, large], [large, small]):
        mine = replica()
        for rec in rows:
            mine.apply(turn(), [rec], [(rec.origin, rec.seq)])
        assert mine.rows() == [large]
        mine.check()


def test_apply_returns_what_was_news_and_stands() -> None:
    mine = replica()
    old, new = foreign(7, 1), foreign(7, 2, ver=2)
    assert mine.apply(turn(), [new, old], [(7, 2)]) == [new]
    assert mine.apply(turn(), [new], [(7, 2)]) == []
    assert mine.take_changes() == [Change(None, old), Change(old, new)]


def test_stamp_far_ahead_is_stored_but_not_followed() -> None:
    mine = replica()
    ahead = hlc_of(WALL_MS + MAX_AHEAD_MS + 1)
    mine.apply(turn(), [foreign(7, 1, hlc=ahead)], [(7, 1)])
    assert mine.clock.last < ahead
    assert mine.clocks_ahead == 1
    override = mine.write(turn(), Kind.NODE, b"k", b"mine")
    assert mine.rows() == [override], "a wrong clock never blocks a later override"


def test_stamp_a_little_ahead_is_followed() -> None:
    mine = replica()
    ahead = hlc_of(WALL_MS + MAX_AHEAD_MS)
    mine.apply(turn(), [foreign(7, 1, hlc=ahead)], [(7, 1)])
    assert mine.write(turn(), Kind.NODE, b"other", b"").hlc > ahead


def test_unknown_kinds_are_kept_and_forwarded_byte_for_byte() -> None:
    mine = replica()
    rec = foreign(7, 1, kind=777)._replace(body=b"\xc1\x00not msgpack")
    mine.apply(turn(), [rec], [(7, 1)])
    assert mine.delta({}) == [rec]
    assert mine.rows_of(777) == [rec]


def test_number_with_two_contents_is_noted_once_and_changes_nothing() -> None:
    mine = replica()
    mine.apply(turn(), [foreign(7, 1)], [(7, 1)])
    now = turn()
    assert mine.apply(now, [foreign(7, 1, hlc=hlc_of(WALL_MS) + 5)], [(7, 1)]) == []
    assert notes(now) == ["replica-conflict"]
    assert mine.conflicts == 1
    assert mine.rows() == [foreign(7, 1)]


@pytest.mark.parametrize(
    ("rows", "advance"),
    [
        ([foreign(7, 2)], [(7, 1)]),
        ([foreign(7, 1)], []),
        ([foreign(7, 0)], [(7, 1)]),
        ([foreign(7, 1, ver=1 << 63)], [(7, 1)]),
        ([foreign(7, 1, hlc=-1)], [(7, 1)]),
        ([foreign(1 << 63, 1)], [(1 << 63, 1)]),
        ([foreign(7, 1, rank=-1)], [(7, 1)]),
        ([foreign(7, 1, kind=1 << 40)], [(7, 1)]),
        ([foreign(7, 1, pk=b"k" * 256)], [(7, 1)]),
        ([foreign(7, 1), foreign(7, 1, pk=b"j")], [(7, 1)]),
        ([], [(-1, 1)]),
        ([], [(7, -1)]),
    ],
)
def test_what_no_honest_node_sends_is_refused_whole(rows: list[Rec], advance: list[tuple[int, int]]) -> None:
    mine = replica()
    good = foreign(6, 1, pk=b"good")
    with pytest.raises(PeerError):
        mine.apply(turn(), [good, *rows], [(6, 1), *advance])
    assert len(mine) == 0
    assert dict(mine.vector) == {}
    assert mine.take_changes() == []


# -- deletion ----------------------------------------------------------------------------------------------------------


def test_tombstone_drops_all_rows_of_its_job_and_stays() -> None:
    mine = replica()
    write_job(mine)
    write_job(mine, OTHER_JOB)
    before = {(rec.kind, rec.pk): rec for rec in mine.rows_of_job(JOB)}
    mine.take_save(), mine.take_changes()
    tombstone = mine.write(turn(), Kind.JOB_CONTROL, TOMBSTONE_PK, b"", rank=Rank.FINAL)
    assert mine.rows_of_job(JOB) == [tombstone]
    assert len(mine.rows_of_job(OTHER_JOB)) == 4
    assert mine.is_deleted(JOB)
    assert not mine.is_deleted(OTHER_JOB)
    save = mine.take_save()
    assert save is not None
    assert save.rows == (tombstone,)
    assert set(save.dropped) == set(before)
    assert {change.old for change in mine.take_changes() if change.new is None} == set(before.values())
    mine.check()


def test_late_rows_of_a_deleted_job_advance_the_vector_and_leave_no_trace() -> None:
    mine, late = replica(1), replica(2)
    mine.write(turn(), Kind.JOB_CONTROL, TOMBSTONE_PK, b"", rank=Rank.FINAL)
    write_job(late)
    digest = mine.digest
    mine.take_save(), mine.take_changes()
    assert mine.apply(turn(), late.delta({}), late.vector.pairs()) == []
    assert mine.digest == digest
    assert mine.vector.known(late.origin) == 4
    assert mine.take_changes() == []
    save = mine.take_save()
    assert save is not None
    assert save.rows == ()
    mine.check()


def test_delete_that_was_not_final_is_an_ordinary_register() -> None:
    mine = replica()
    write_job(mine)
    mine.write(turn(), Kind.JOB_CONTROL, TOMBSTONE_PK, b"")
    assert len(mine.rows_of_job(JOB)) == 5


def test_two_tombstones_leave_the_larger_one() -> None:
    left, right = replica(1), replica(2)
    for one in (left, right):
        write_job(one)
        one.write(turn(), Kind.JOB_CONTROL, TOMBSTONE_PK, b"", rank=Rank.FINAL)
    rows, vector = left.delta({}), left.vector.pairs()
    left.apply(turn(), right.delta({}), right.vector.pairs())
    right.apply(turn(), rows, vector)
    assert left.rows() == right.rows()
    assert len(left) == 1
    assert left.digest == right.digest
    left.check()


# -- streams -----------------------------------------------------------------------------------------------------------


def test_delta_lists_standing_rows_above_the_vector_only() -> None:
    mine = replica()
    recs = [mine.write(turn(), Kind.NODE, b"%d" % number, b"") for number in range(5)]
    newer = mine.write(turn(), Kind.NODE, b"3", b"again")
    assert mine.delta({mine.origin: 2}) == [recs[2], recs[4], newer]
    assert mine.delta({mine.origin: 6}) == []
    assert mine.delta({mine.origin: 9}) == []


def test_stream_of_superseded_rows_is_compacted() -> None:
    mine = replica()
    for number in range(1000):
        mine.write(turn(), Kind.NODE, b"%d" % (number % 3), b"%d" % number)
    assert [rec.body for rec in mine.delta({})] == [b"997", b"998", b"999"]
    assert len(mine._streams._streams[mine.origin].seqs) < 100
    mine.check()


def test_own_span_is_complete_and_starts_where_the_last_one_ended() -> None:
    mine = replica()
    one = mine.write(turn(), Kind.NODE, b"a", b"")
    mine.write(turn(), Kind.NODE, b"b", b"old")
    new = mine.write(turn(), Kind.NODE, b"b", b"new")
    assert mine.take_own_spans() == [Span(mine.origin, 0, 3, (one, new))]
    last = mine.write(turn(), Kind.NODE, b"a", b"")
    assert mine.take_own_spans() == [Span(mine.origin, 3, 4, (last,))]
    assert mine.take_own_spans() == []


def test_vector_hash_does_not_depend_on_the_way() -> None:
    entries = [(7, 1), (8, 5), (9, 2)]
    left, right = replica(1), replica(2)
    left.apply(turn(), [], entries)
    for origin, seq in reversed(entries):
        right.apply(turn(), [], [(origin, 1)])
        right.apply(turn(), [], [(origin, seq)])
    assert left.vector_hash == right.vector_hash
    assert 0 < left.vector_hash < 1 << 63
    right.apply(turn(), [], [(8, 6)])
    assert left.vector_hash != right.vector_hash


# -- saving and loading ------------------------------------------------------------------------------------------------


def test_save_holds_each_row_once_and_nothing_twice() -> None:
    mine = replica()
    mine.write(turn(), Kind.NODE, b"k", b"1")
    newest = mine.write(turn(), Kind.NODE, b"k", b"2")
    save = mine.take_save()
    assert save is not None
    assert save.rows == (newest,)
    assert save.vector == ((mine.origin, 2),)
    assert save.meta == (("origin", mine.origin),)
    assert mine.take_save() is None


def test_loading_gives_the_same_replica_and_nothing_to_save() -> None:
    old = replica()
    write_job(old)
    new = reloaded(old)
    assert (new.digest, new.vector_hash, len(new)) == (old.digest, old.vector_hash, len(old))
    assert new.clock.last >= old.clock.last
    assert new.take_save() is None
    assert new.take_changes() == []
    new.check()


def test_loading_drops_rows_that_outlived_their_job() -> None:
    old = replica()
    write_job(old)
    rows = old.rows()
    tombstone = old.write(turn(), Kind.JOB_CONTROL, TOMBSTONE_PK, b"", rank=Rank.FINAL)
    new = replica()
    new.load([*rows, tombstone], dict(old.vector), old.origin, wall_ms=WALL_MS)
    assert new.rows() == [tombstone]
    save = new.take_save()
    assert save is not None
    assert len(save.dropped) == 4


# -- a stream that may have gone back in time ----------------------------------------------------------------------------


def test_first_write_of_a_life_leaves_an_unconfirmed_stream() -> None:
    old = replica()
    old.write(turn(), Kind.NODE, b"k", b"")
    new, now = reloaded(old), turn()
    assert not new.origin_confirmed
    rec = new.write(now, Kind.NODE, b"k", b"2")
    assert (rec.origin, rec.seq) == (new.origin, 1)
    assert new.origin != old.origin
    assert notes(now) == ["origin-rotated"]
    save = new.take_save()
    assert save is not None
    assert ("origin", new.origin) in save.meta


def test_confirmed_stream_goes_on() -> None:
    old = replica()
    old.write(turn(), Kind.NODE, b"k", b"")
    new = reloaded(old)
    new.confirm_origin(turn(), 1)
    assert new.write(turn(), Kind.NODE, b"k", b"2").seq == 2
    assert new.rotations == 0


def test_confirmation_with_a_larger_number_leaves_the_stream() -> None:
    old = replica()
    old.write(turn(), Kind.NODE, b"k", b"")
    new, now = reloaded(old), turn()
    new.confirm_origin(now, 2)
    assert new.origin != old.origin
    assert notes(now) == ["origin-rotated"]


def test_row_of_our_stream_beyond_our_number_leaves_the_stream_and_is_taken_in() -> None:
    mine = replica()
    mine.write(turn(), Kind.NODE, b"k", b"")
    lost = mine.origin
    mine.apply(turn(), [foreign(lost, 2, pk=b"tail")], [(lost, 2)])
    assert mine.origin != lost
    assert mine.vector.known(lost) == 2
    assert mine.get(Kind.NODE, b"tail") is not None
    assert mine.is_own(lost)


def test_peers_that_know_less_or_other_streams_change_nothing() -> None:
    mine = replica()
    mine.write(turn(), Kind.NODE, b"k", b"")
    origin = mine.origin
    mine.note_foreign_knowledge(turn(), origin, 1)
    mine.note_foreign_knowledge(turn(), 7, 100)
    assert mine.origin == origin


# -- reading -----------------------------------------------------------------------------------------------------------


def test_rows_are_found_by_kind_and_by_job() -> None:
    mine = replica()
    write_job(mine)
    write_job(mine, OTHER_JOB)
    node = mine.write(turn(), Kind.NODE, b"n", b"")
    assert mine.rows_of(Kind.NODE) == [node]
    assert [rec.pk for rec in mine.rows_of(Kind.JOB)] == [job_pk(JOB), job_pk(OTHER_JOB)]
    assert len(mine.rows_of(Kind.HOLDING)) == 2
    assert {rec.kind for rec in mine.rows_of_job(JOB)} == {Kind.JOB, Kind.JOB_CONTROL, Kind.ATTEMPT, Kind.HOLDING}
    assert mine.get(Kind.NODE, b"none") is None
    assert mine.rows_of_job(new_job_id(WALL_MS, Random(3))) == []
    assert len(mine) == 9


def test_check_notices_a_wrong_digest() -> None:
    mine = replica()
    mine.write(turn(), Kind.NODE, b"k", b"")
    mine.digest ^= 1
    with pytest.raises(InvariantBroken):
        mine.check()
