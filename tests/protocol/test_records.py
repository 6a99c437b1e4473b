"""Records: keys there and back, the order of stamps, hashes, the hybrid clock."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.clock import MAX_AHEAD_MS, HybridClock, hlc_of, wall_ms_of
from protocol.ids import AttemptId, AttemptRef, JobId, NodeId, TaskIndex, pack_job, unpack_job, unpack_node
from protocol.records import (
    JOB_PREFIXED,
    HoldingWhat,
    JobField,
    Kind,
    NodeField,
    Rank,
    Rec,
    attempt_pk,
    attempt_ref_of,
    holding_pk,
    job_control_pk,
    job_of,
    job_pk,
    node_control_pk,
    row_hash,
    stamp,
)

U32 = st.integers(0, (1 << 32) - 1)
NODES = st.binary(min_size=8, max_size=8).map(unpack_node)
JOBS = st.binary(min_size=10, max_size=10).map(unpack_job)
REFS = st.builds(AttemptRef, JOBS, U32.map(TaskIndex), st.builds(AttemptId, U32, NODES, U32))
SMALL = st.integers(0, 3)
RECS = st.builds(Rec, SMALL, st.binary(max_size=3), SMALL, SMALL, SMALL, SMALL, SMALL, st.binary(max_size=3))
NODE = NodeId("0123456789abcdef")
JOB = JobId("0" * 15 + "z")


@given(REFS)
def test_attempt_key_there_and_back(ref: AttemptRef) -> None:
    pk = attempt_pk(ref)
    assert len(pk) == 30
    assert attempt_ref_of(pk) == ref


@given(REFS, REFS)
def test_attempt_keys_sort_as_their_names_do(left: AttemptRef, right: AttemptRef) -> None:
    assert (attempt_pk(left) < attempt_pk(right)) == (left < right)


def test_keys_of_a_job_start_with_the_job() -> None:
    ref = AttemptRef(JOB, TaskIndex(5), AttemptId(1, NODE, 2))
    keys = [job_pk(JOB), job_control_pk(JOB, JobField.REQUEUE, b"sub"), attempt_pk(ref)]
    assert {Kind.JOB, Kind.JOB_CONTROL, Kind.ATTEMPT} == JOB_PREFIXED
    for kind, pk in zip(sorted(JOB_PREFIXED), keys, strict=True):
        assert pk[:10] == pack_job(JOB)
        assert job_of(Rec(kind, pk, 1, 1, 1, 1, 0, b"")) == JOB


def test_no_two_keys_of_different_things_are_equal() -> None:
    keys = [
        *(job_control_pk(JOB, field) for field in JobField),
        *(node_control_pk(NODE, field) for field in NodeField),
        *(holding_pk(NODE, what, JOB) for what in HoldingWhat),
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ({"ver": 9, "hlc": 9, "origin": 9}, {"rank": Rank.FINAL}),
        ({"hlc": 9, "origin": 9}, {"ver": 2}),
        ({"origin": 9}, {"hlc": 2}),
        ({}, {"origin": 2}),
    ],
    ids=["rank-first", "then-ver", "then-hlc", "then-origin"],
)
def test_stamp_compares_rank_then_version_then_time_then_origin(small: dict[str, Any], large: dict[str, Any]) -> None:
    rec = Rec(Kind.NODE, b"k", 1, 1, 1, 1, Rank.NORMAL, b"")
    assert stamp(rec._replace(**small)) < stamp(rec._replace(**large))


@given(RECS, RECS)
def test_row_hash_tells_any_two_rows_apart(left: Rec, right: Rec) -> None:
    assert (row_hash(left) == row_hash(right)) == (left == right)
    assert 0 <= row_hash(left) < 1 << 64


def test_row_hash_knows_where_the_key_ends() -> None:
    recs = [Rec(1, b"abcd"[:cut], 1, 1, 1, 1, 0, b"abcd"[cut:]) for cut in range(5)]
    assert len({row_hash(rec) for rec in recs}) == 5


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20_000)), max_size=30))
def test_clock_never_issues_a_stamp_that_is_not_larger(events: list[tuple[bool, int]]) -> None:
    clock, issued = HybridClock(), [0]
    for is_remote, wall_ms in events:
        if is_remote:
            remote = hlc_of(wall_ms, 7)
            followed = clock.merge(remote, 10_000)
            assert followed == (wall_ms <= 10_000 + MAX_AHEAD_MS)
            assert not followed or clock.last >= remote
        else:
            issued.append(clock.tick(wall_ms))
    assert all(before < after for before, after in itertools.pairwise(issued))


def test_clock_stays_near_the_wall_when_a_peer_is_a_day_ahead() -> None:
    clock = HybridClock()
    now_ms = 1_800_000_000_000
    assert not clock.merge(hlc_of(now_ms + 86_400_000), now_ms)
    assert wall_ms_of(clock.tick(now_ms)) == now_ms
