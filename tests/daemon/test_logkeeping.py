"""Logs that are too old or too many go, the oldest first; those of what runs stay."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from farmd.adapters.joblog import JobLogs
from farmd.adapters.joblog.retention import Keep, Swept, sweep
from farmd.daemon.logkeeping import LogKeeping
from tests.adapters.runnerkit import ref_of

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.core.effects import Note

DAY = 86_400.0
KIB64 = 65_536


@pytest.fixture
def logs(tmp_path: Path) -> JobLogs:
    """Five logs of 64 KiB: of today, yesterday, …, with times beside them."""
    kept = JobLogs(tmp_path / "logs")
    for days in range(5):
        path = kept.path(ref_of(days))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * KIB64)
        path.with_suffix(".times").write_bytes(b"t" * 16)
        os.utime(path, (time.time() - days * DAY - 3600,) * 2)
    return kept


def left(tmp_path: Path) -> list[int]:
    """Name the tasks whose logs are still there."""
    names = sorted(path.name for path in (tmp_path / "logs").glob("*/*"))
    tasks = sorted({int(name.split(".")[-2]) for name in names})
    assert len(names) == 2 * len(tasks), "a log and its times go together"
    return tasks


def swept(tmp_path: Path, keep: Keep, *spared: Path, forgotten: bool = False) -> Swept:
    return swept_at(tmp_path, keep, time.time(), *spared, forgotten=forgotten)


def swept_at(tmp_path: Path, keep: Keep, now: float, *spared: Path, forgotten: bool = False) -> Swept:
    return sweep(tmp_path / "logs", keep, now, spared=lambda: frozenset(spared), forgotten=lambda _job: forgotten)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (Keep(0, 0), [0, 1, 2, 3, 4]),
        (Keep(2.5 * DAY, 0), [0, 1, 2]),
        (Keep(0, 2 * KIB64), [0, 1]),
        (Keep(3.5 * DAY, 2 * KIB64), [0, 1]),
        (Keep(0, 1), []),
        (Keep(1, 0), []),
    ],
)
def test_logs_that_are_too_old_or_too_many_go_the_oldest_first(
    tmp_path: Path, logs: JobLogs, keep: Keep, kept: list[int]
) -> None:
    done = swept(tmp_path, keep)
    assert left(tmp_path) == kept
    assert done == (5 - len(kept), (5 - len(kept)) * KIB64, len(kept) * KIB64)
    assert logs.path(ref_of()).parent.exists() == bool(kept), "an empty folder goes, too"


def test_log_of_what_runs_is_spared_and_so_is_a_fresh_one(tmp_path: Path, logs: JobLogs) -> None:
    running = logs.path(ref_of(4))
    os.utime(logs.path(ref_of(3)))
    swept(tmp_path, Keep(1, 1), running)
    assert left(tmp_path) == [3, 4]


def test_logs_of_a_deleted_job_go(tmp_path: Path, logs: JobLogs) -> None:
    assert logs.path(ref_of()).exists()
    assert swept(tmp_path, Keep(0, 0), forgotten=True).logs == 5
    assert left(tmp_path) == []


def test_clock_that_is_years_ahead_for_an_hour_costs_a_day_of_logs_and_not_all(tmp_path: Path, logs: JobLogs) -> None:
    keep, now = Keep(3.5 * DAY, 0), time.time()
    swept_at(tmp_path, keep, now + 4000 * DAY)
    assert left(tmp_path) == [0, 1, 2]
    os.utime(logs.path(ref_of(0)), (now + 4000 * DAY,) * 2)  # a frame ended meanwhile
    swept_at(tmp_path, keep, now)
    assert left(tmp_path) == [0, 1, 2]


def test_machine_that_was_off_for_long_catches_up_with_the_age_of_its_logs(tmp_path: Path, logs: JobLogs) -> None:
    assert logs.path(ref_of()).exists()
    keep, now = Keep(30 * DAY, 0), time.time() + 60 * DAY
    sweeps = 0
    while left(tmp_path):
        swept_at(tmp_path, keep, now + sweeps * 3600)
        sweeps += 1
    assert 25 < sweeps < 40, "a day an hour"


def test_folder_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert swept(tmp_path, Keep(1, 1)) == (0, 0, 0)


def test_removal_is_told_in_the_event_log_and_nothing_else_is(tmp_path: Path, logs: JobLogs) -> None:
    class Stub:
        running = (ref_of(4),)
        id = "n1"
        jobs = cast("Any", None)

        def is_deleted(self, _job: str) -> bool:
            return False

    Stub.jobs = Stub()
    stub: Any = Stub()
    notes: list[Note] = []
    keeping = LogKeeping(Keep(2.5 * DAY, 0), logs, stub, stub, notes.append)
    asyncio.run(keeping.sweep())
    asyncio.run(keeping.sweep())
    assert left(tmp_path) == [0, 1, 2, 4]
    assert [(note.what, note.text, note.why) for note in notes] == [
        ("logs-removed", "1 log of 64K removed; 256K are kept", "older than 2.5 days, of deleted jobs")
    ]
