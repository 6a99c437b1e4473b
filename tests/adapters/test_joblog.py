"""Parts of logs, from either end, without reading the rest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.joblog import MAX_READ_BYTES, JobLogs
from tests.adapters.runnerkit import ref_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def logs(tmp_path: Path) -> JobLogs:
    kept = JobLogs(tmp_path / "logs")
    kept.path(ref_of()).parent.mkdir(parents=True)
    kept.path(ref_of()).write_bytes(b"0123456789")
    return kept


@pytest.mark.parametrize(
    ("offset", "limit", "start", "data"),
    [
        (0, 4, 0, b"0123"),
        (8, 100, 8, b"89"),
        (10, 100, 10, b""),
        (99, 100, 10, b""),
        (-3, 100, 7, b"789"),
        (-3, 1, 7, b"7"),
        (-99, 100, 0, b"0123456789"),
        (0, 0, 0, b""),
        (0, -5, 0, b""),
    ],
)
def test_part_is_what_was_asked_for(logs: JobLogs, offset: int, limit: int, start: int, data: bytes) -> None:
    assert logs.read(ref_of(), offset, limit) == (start, 10, data)


def test_log_that_is_not_here_is_none(logs: JobLogs) -> None:
    assert logs.read(ref_of(2), 0, 10) is None


def test_one_read_never_returns_more_than_fits_into_a_message(logs: JobLogs) -> None:
    with logs.path(ref_of()).open("wb") as file:
        file.truncate(3 * MAX_READ_BYTES)
    part = logs.read(ref_of(), 0, 1 << 40)
    assert part is not None
    assert len(part.data) == MAX_READ_BYTES


def test_end_of_a_log_of_a_gigabyte_is_read_at_once(logs: JobLogs) -> None:
    with logs.path(ref_of()).open("r+b") as file:
        file.seek((1 << 30) - 4)
        file.write(b"last")
    began = time.perf_counter()
    part = logs.read(ref_of(), -4, 4096)
    took_s = time.perf_counter() - began
    assert part == ((1 << 30) - 4, 1 << 30, b"last")
    assert took_s < 0.2, "the rest was not read"
