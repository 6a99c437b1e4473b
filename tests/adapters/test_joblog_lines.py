"""Lines of logs: tails, reads and searches against the plain way of doing it, and what no log should hold."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farmd.adapters.joblog import JobLogs
from farmd.adapters.joblog import lines as joblog_lines
from farmd.adapters.joblog.seeking import Seeker
from farmd.adapters.joblog.stamps import PAIR
from farmd.renderers.errorlines import errors_of, level_of
from protocol.logquery import How, LogQuery
from protocol.logtext import MAX_LETTERS, harmless
from tests.adapters.runnerkit import ref_of

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.logquery import LogExcerpt

TAIL, FIND, NUMBERS, FORWARDS = How.BACKWARDS, How.FIND, How.NUMBERS, How(0)


class Log:
    """One log on a disk."""

    def __init__(self, folder: Path, content: bytes = b"") -> None:
        self._logs = JobLogs(folder)
        self.seeker = Seeker(self._logs, errors_of, level_of)
        self.path = self._logs.path(ref_of())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)

    def seek(self, how: How = FORWARDS, offset: int = 0, lines: int = 1000, **rest: Any) -> LogExcerpt:
        query = LogQuery(int(how), offset, lines)._replace(**rest)
        return self.seeker.seek(1, ref_of(), query)

    def texts(self, how: How = FORWARDS, offset: int = 0, lines: int = 1000, **rest: Any) -> list[str]:
        return [line.text for line in self.seek(how, offset, lines, **rest).lines]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


CONTENT = st.lists(st.sampled_from([b"\n", b"\n", b"a", b"bc", b"x" * 300, b"\r", b"\xc3", b"\xa9"]), max_size=60).map(
    b"".join
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENT, count=st.integers(0, 12), block=st.sampled_from([1, 7, 256]))
def test_tail_and_read_are_the_lines_as_a_plain_split_gives_them(
    tmp_path: Path, content: bytes, count: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joblog_lines, "BLOCK_BYTES", block)
        log = Log(tmp_path, content)
        raw = content.split(b"\n")
        expected = [harmless(line) for line in (raw if raw[-1] else raw[:-1])]
        assert log.texts(lines=10_000) == expected
        assert log.texts(TAIL, -1, count) == (expected[-count:] if count else [])
        numbered = log.seek(TAIL | NUMBERS, -1, count).lines
        assert [line.number for line in numbered] == list(range(len(expected) - len(numbered) + 1, len(expected) + 1))
        at, pieces = 0, []
        while True:  # two lines at a time, as a viewer scrolls
            part = log.seek(offset=at, lines=2)
            pieces += [line.text for line in part.lines]
            at = part.next
            if part.complete:
                break
        assert pieces == expected


@pytest.mark.parametrize("backwards", [How(0), How.BACKWARDS])
def test_search_finds_each_match_once_in_either_direction_and_in_any_portion(log: Log, backwards: How) -> None:
    log.path.write_bytes(
        b"".join(b"frame %d of 5000%s\n" % (n, b" rare" if n % 1000 == 7 else b"") for n in range(5000))
    )
    found: list[str] = []
    at = -1 if backwards else 0
    while True:
        part = log.seek(FIND | backwards, at, 2, pattern="rare")
        texts = [line.text for line in part.lines]
        found = [*texts, *found] if backwards else [*found, *texts]
        at = part.next
        if part.complete:
            break
    assert found == [f"frame {n} of 5000 rare" for n in range(7, 5000, 1000)]
    (line,) = log.seek(FIND | NUMBERS, 0, 1, pattern="rare").lines
    assert (line.number, line.spans, line.match) == (8, ((16, 20),), True)


def test_search_sees_what_people_see(log: Log) -> None:
    log.path.write_bytes(b"\x1b[31mErr\x1b[0mor: red\nplain\n10%\r20%\rERROR at the end\r\n")
    assert log.texts(FIND, pattern="Error: red") == ["Error: red"]
    assert log.texts(FIND | How.IGNORE_CASE, pattern="error") == ["Error: red", "ERROR at the end"]
    assert log.texts(FIND, pattern="10%") == []
    assert log.texts(FIND | How.ERRORS) == ["Error: red", "ERROR at the end"]
    assert log.texts(FIND | How.REGEX, pattern="^p[^x]+$") == ["plain"]
    with log.path.open("ab") as file:
        file.write(
            b"[farmd] 2026-01-01T00:00:00Z a on b: sh -c echo Error: no\n[farmd] 2026-01-01T00:00:00Z ended: error\n"
        )
    assert log.texts(FIND | How.ERRORS)[2:] == ["[farmd] 2026-01-01T00:00:00Z ended: error"]
    assert log.texts(FIND, pattern="plain", context=1) == ["Error: red", "plain", "ERROR at the end"]


def test_pattern_that_is_none_is_a_fault_and_says_why(log: Log) -> None:
    log.path.write_bytes(b"text\n")
    fault = log.seek(FIND | How.REGEX, pattern="(unclosed").fault
    assert "no regular expression" in fault
    assert log.seek(FIND, pattern="(unclosed").fault == ""


def test_search_that_nobody_waits_for_is_ended(log: Log) -> None:
    log.path.write_bytes(b"a" * 60 + b"\n")
    answers: list[LogExcerpt] = []
    thread = threading.Thread(target=lambda: answers.append(log.seek(FIND | How.REGEX, pattern="(a+)+b")))
    began = time.monotonic()
    thread.start()
    while not log.seeker._searches.get(1):
        os.sched_yield()
    log.seeker.leave(1)
    thread.join(10)
    assert time.monotonic() - began < 2, "long before the pattern would have been given up"
    assert answers[0].fault


def test_line_of_ten_megabytes_is_one_line_that_is_cut(log: Log) -> None:
    log.path.write_bytes(b"before\n" + b"x" * 10_000_000 + b"\nafter\n")
    before, long, after = log.seek().lines
    assert (before.text, after.text) == ("before", "after")
    assert long.text == "x" * MAX_LETTERS
    assert long.cut > 9_900_000
    assert log.texts(TAIL, -1, 1) == ["after"]
    assert [line.offset for line in log.seek(TAIL, -1, 2).lines] == [7, 10_000_008]
    assert log.texts(FIND, pattern="after") == ["after"]


def test_hours_of_progress_without_a_line_end_are_its_last_state(log: Log) -> None:
    log.path.write_bytes(b"start\n" + b"".join(b"\rrendering %d %%" % (n % 100) for n in range(500_000)))
    part = log.seek(TAIL, -1, 2)
    assert [line.text for line in part.lines] == ["start", "rendering 99 %"]
    assert part.partial
    assert part.next == 6, "it comes again when it has grown"


def test_tail_of_lines_longer_than_an_answer_goes_on_before_the_first(log: Log) -> None:
    lines = [bytes([97 + n % 26]) * 4000 for n in range(500)]
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    got: list[str] = []
    before, answers = -1, 0
    while len(got) < 500:
        part = log.seek(TAIL, before, 500 - len(got))
        got = [line.text for line in part.lines] + got
        before, answers = part.lines[0].offset, answers + 1
        assert part.complete == (len(got) == 500)
    assert 1 < answers < 10
    assert got == [line.decode() for line in lines]


def test_file_of_zero_bytes_is_told_in_a_few_letters(log: Log) -> None:
    with log.path.open("wb") as file:
        file.truncate(1 << 20)
    (line,) = log.seek().lines
    assert line.text.startswith("\u2400×")
    assert len(line.text) < 20


def test_lines_have_the_time_at_which_the_log_was_first_seen_to_hold_them(log: Log) -> None:
    log.path.write_bytes(b"one\ntwo\nthree\n")
    stamps = [(1_000, 4), (61_000, 8)]
    log.path.with_suffix(".times").write_bytes(b"".join(PAIR.pack(*pair) for pair in stamps) + b"torn")
    os.utime(log.path, ns=(0, 99_000 * 1_000_000))
    assert [line.at_ms for line in log.seek().lines] == [1_000, 61_000, 99_000]
    assert log.texts(since_ms=61_000) == ["two", "three"]
    assert log.texts(TAIL, -1, 10, since_ms=70_000) == ["three"]
    assert log.texts(since_ms=99_001) == []


def test_follow_is_silent_until_the_log_is_larger_than_seen(log: Log) -> None:
    log.path.write_bytes(b"one\ntw")
    first = log.seek()
    assert (first.next, first.size, first.partial) == (4, 6, True)
    assert log.seek(offset=4, size=6).lines == ()
    with log.path.open("ab") as file:
        file.write(b"o\n")
    assert log.texts(offset=4, size=6) == ["two"]


def test_log_that_is_not_here_is_not_found(log: Log) -> None:
    log.path.unlink()
    assert not log.seek().found
    assert not log.seek(FIND, pattern="x").found
