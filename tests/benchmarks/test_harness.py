from __future__ import annotations

import json
import os
from random import Random

import pytest

from benchmarks import harness
from benchmarks.dispatch import slot_gaps, spawn_limit
from benchmarks.scheduler import Scheduling
from farmd.core.attempts import Attempt
from protocol.ids import AttemptId, NodeId, TaskIndex
from protocol.jobspec import spec_from_bytes, spec_to_bytes
from protocol.records import Rec
from protocol.states import AttemptState

A, B = NodeId("a" * 16), NodeId("b" * 16)
REC = Rec(1, b"", 1, 1, 1, 1, 0, b"")


def attempt(node: NodeId, started_ms: int, ended_ms: int) -> Attempt:
    return Attempt(
        AttemptId(1, A, started_ms), TaskIndex(0), node, 1, 0, AttemptState.DONE, 0, started_ms, ended_ms, 0, 0, REC
    )


def test_result_line_is_one_line_of_json_without_what_was_not_measured() -> None:
    line = harness.result_line("x", {"of_limit": 0.123456, "vs_dask": None, "bad": float("nan")}, {"frames": 3})
    assert "\n" not in line
    assert json.loads(line) == {"benchmark": "x", "ratios": {"of_limit": 0.1235}, "figures": {"frames": 3}}


def test_percentile_is_a_value_that_was_seen() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert [harness.percentile(values, percent) for percent in (0, 20, 50, 95, 100)] == [1.0, 1.0, 3.0, 5.0, 5.0]


def test_usage_of_this_process_is_plausible() -> None:
    usage = harness.usage_of(os.getpid())
    assert 1 << 20 < usage.rss_bytes < 1 << 34
    assert usage.cpu_s > 0


def test_waiting_for_what_never_comes_ends() -> None:
    with pytest.raises(TimeoutError, match="pigs fly"):
        harness.until("pigs fly", lambda: False, 0.02)


def test_noop_job_survives_its_bytes() -> None:
    spec = harness.noop_job("x", "1-10")
    assert spec_from_bytes(spec_to_bytes(spec)) == spec


def test_free_ports_differ() -> None:
    ports = harness.free_ports(5)
    assert len(set(ports)) == 5


def test_gap_is_the_time_a_slot_stood_free() -> None:
    first, second, third = attempt(A, 0, 10), attempt(A, 0, 14), attempt(A, 12, 20)
    assert slot_gaps([third, first, second, attempt(B, 5, 6)], slots=2) == [2.0]
    assert slot_gaps([first, attempt(A, 11, 12), attempt(A, 15, 16)], slots=1) == [1.0, 3.0]


def test_limit_starts_processes() -> None:
    limit = spawn_limit(4)
    assert limit.per_s > 0
    assert limit.cpu_s > 0


def test_scheduling_grants_until_the_farm_is_full_and_then_one_for_one() -> None:
    scheduling = Scheduling(nodes=5, jobs=3, rng=Random(1))
    assert scheduling.pump() > 5
    assert scheduling.pump() == 0
    before = len(scheduling.running)
    for _ in range(20):
        scheduling.end_one()
        scheduling.pump()
    assert len(scheduling.running) >= before - 20
    assert len(scheduling.granted_jobs()) >= 1
