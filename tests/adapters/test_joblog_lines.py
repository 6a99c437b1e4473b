"""Lines of logs: tails, reads and searches against the plain way of doing it, and what no log should hold."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farmd.adapters.joblog import JobLogs, counts, searches
from farmd.adapters.joblog import lines as joblog_lines
from farmd.adapters.joblog.counts import LineCounts
from farmd.adapters.joblog.matching import Matcher
from farmd.adapters.joblog.search import LINE_BYTES, ROOM_BYTES, Question, search
from farmd.adapters.joblog.searches import Searches
from farmd.adapters.joblog.seeking import Seeker
from farmd.adapters.joblog.stamps import PAIR
from farmd.renderers.errorlines import errors_of, level_of
from protocol.codec import MAX_MESSAGE_BYTES, decode, encode
from protocol.logquery import MAX_CONTEXT, MAX_LINES, How, LogQuery
from protocol.logtext import MAX_LETTERS, harmless
from protocol.messages import LogSought
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
    while not log.seeker._searches._running.get(1):
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


# -- searches that are large, that break, and that look for what stands only in the shown text --------------------------


def question(path: Path, pattern: str, **rest: Any) -> Question:
    asked = Question(str(path), pattern, False, False, False, 0, MAX_LINES, 0, 5.0)
    return replace(asked, **rest)


@pytest.mark.parametrize("letter", ["x", "\N{RIGHTWARDS ARROW}"])
def test_search_with_long_lines_around_short_matches_fits_into_a_message(log: Log, letter: str) -> None:
    around = letter * MAX_LETTERS + "\n"
    log.path.write_text(("ERROR\n" + around * 20) * 100)
    part = log.seek(FIND, pattern="ERROR", lines=100, context=10)
    assert len(encode(LogSought(1, part))) < MAX_MESSAGE_BYTES // 2
    assert not part.complete
    matches = [line for line in part.lines if line.match]
    assert 1 < len(matches) < 100
    assert part.next == matches[-1].next, "the next question goes on behind the last match that was told"
    first = [line.match for line in part.lines[:11]]
    assert first == [True] + [False] * 10, "what is told of a match is told with all that is around it"


def test_match_whose_surroundings_alone_fill_an_answer_is_told_with_the_nearest_of_them(log: Log) -> None:
    around = "\N{RIGHTWARDS ARROW}" * MAX_LETTERS + "\n"
    log.path.write_text(around * MAX_CONTEXT + "ERROR\n" + around * MAX_CONTEXT + "ERROR\n")
    part = log.seek(FIND, pattern="ERROR", context=MAX_CONTEXT)
    assert 60 < len(part.lines) < 100
    (at,) = [index for index, line in enumerate(part.lines) if line.match]
    assert abs(at - len(part.lines) // 2) <= 1
    again = log.seek(FIND, part.next, pattern="ERROR", context=1)
    assert [line.match for line in again.lines] == [False, True]
    assert again.complete or log.seek(FIND, again.next, pattern="ERROR").lines == ()


@pytest.mark.parametrize("backwards", [False, True])
def test_portions_of_a_search_that_are_cut_for_their_weight_leave_no_match_out(log: Log, backwards: bool) -> None:
    log.path.write_text("".join(f"rare {n}\n" + "y" * 900 + "\n" for n in range(3000)))
    asked = question(log.path, "rare", backwards=backwards, context=1, offset=log.path.stat().st_size * backwards)
    found: list[str] = []
    portions = 0
    while True:
        part = search(asked)
        texts = [line[2] for line in part.lines if line[5]]
        found = [*texts, *found] if backwards else [*found, *texts]
        portions += 1
        assert sum(LINE_BYTES + len(line[2]) for line in part.lines) <= ROOM_BYTES
        if part.complete:
            break
        asked = replace(asked, offset=part.next)
    assert found == [f"rare {n}" for n in range(3000)]
    assert 2 < portions < 10


def test_as_many_matches_as_may_be_asked_for_fit_into_a_message(log: Log) -> None:
    log.path.write_bytes(b"aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa\n" * 3000)
    sought = LogSought(1, log.seek(FIND, pattern="a", lines=MAX_LINES))
    assert len(encode(sought)) < MAX_MESSAGE_BYTES
    assert decode(encode(sought)) == sought


def test_search_backwards_stops_at_the_instant_that_is_asked_for(log: Log) -> None:
    log.path.write_bytes(b"old rare\nnew rare\n")
    log.path.with_suffix(".times").write_bytes(PAIR.pack(1_000, 9) + PAIR.pack(61_000, 18))
    part = log.seek(FIND | TAIL, -1, pattern="rare", since_ms=30_000)
    assert ([line.text for line in part.lines], part.complete) == (["new rare"], True)
    assert len(log.texts(FIND | TAIL, -1, pattern="rare")) == 2


def test_search_that_cannot_run_says_why_and_does_not_blame_the_pattern(tmp_path: Path) -> None:
    asked = question(tmp_path / "x.log", "x", budget_s=0.1)
    broken = Searches((sys.executable, "-c", "raise ImportError('no module of that name')"))
    assert broken.ask(1, asked).fault == "the search ended with 1: ImportError: no module of that name"
    killed = Searches((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    assert killed.ask(1, asked).fault == "the search was ended by SIGKILL"
    assert "could be started" in Searches((str(tmp_path / "gone"),)).ask(1, asked).fault
    missing = Searches().ask(1, asked).fault
    assert missing.startswith("the log cannot be searched: FileNotFoundError")


def test_search_that_runs_out_of_time_names_the_pattern_only_if_a_person_gave_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "PATIENCE_S", 0.1)
    asked = question(tmp_path / "x.log", "x", budget_s=0.1)
    endless = Searches((sys.executable, "-c", "while True: pass"))
    assert endless.ask(1, asked).fault == "the pattern takes too long: try a simpler one"
    assert "pattern" not in endless.ask(1, replace(asked, words=("error",))).fault
    limited = Searches((sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"))
    assert limited.ask(1, replace(asked, budget_s=5.0)).fault == "the pattern takes too long: try a simpler one"


@pytest.mark.parametrize(
    ("content", "pattern", "regex", "ignore_case"),
    [
        (b"a\0b", "\u2400", False, False),
        (b"a\x01b", "[!-~]\u2401", True, False),
        (b"a\x01b", r"[\u2400-\u2410]b", True, False),
        (b"\0\0\0\0\0", "5", False, False),
        (b"\0\0\0\0\0", "^.{3}$", True, False),
        ("Mi\u017f\u017fing".encode(), "missing", False, True),
        ("f\u0131le".encode(), "file", False, True),
        (b"caf\xe9", "\ufffd", False, False),
        (b"\x1b[1mbo\x1b[0mld", "bold", False, False),
    ],
)
def test_block_is_not_passed_over_where_a_shown_line_of_it_matches(
    content: bytes, pattern: str, regex: bool, ignore_case: bool
) -> None:
    matcher = Matcher(pattern, regex=regex, ignore_case=ignore_case)
    assert matcher.spans(harmless(content))
    assert matcher.may_match(b"before\n" + content + b"\nafter\n")


def test_lines_counted_by_two_at_a_time_are_counted_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "STEP_BYTES", 64)
    log.path.write_bytes(b"x\n" * 32 * 4)
    both, counted = threading.Barrier(2), LineCounts()

    class Steps(list[int]):
        def append(self, step: int) -> None:
            with suppress(threading.BrokenBarrierError):
                both.wait(0.1)  # the other one may come so far, too
            super().append(step)

    counted._steps["log"] = steps = Steps([0])
    with log.path.open("rb") as file:
        ask = partial(counted.before, "log", file.fileno(), 256, always=True)
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert steps == [0, 32, 64, 96, 128]
        assert ask() == 128
