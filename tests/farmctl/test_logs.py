"""`farmctl logs` over real files: whole, tail, search, follow, raw; what is dangerous in them stays in them."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from farmd.adapters.joblog import JobLogs
from farmd.adapters.joblog.seeking import Seeker
from farmd.renderers.errorlines import errors_of, level_of
from protocol.errors import NotFound, Unreachable
from protocol.logquery import How, LogQuery
from protocol.schemas import SCHEMAS
from tests.adapters.runnerkit import ref_of
from tests.farmctl.fakes import JOB, NODE_A, NOW_MS, FakeNode, farm, job_view, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = [f"line {number}" for number in range(1, 2_001)]


class LogNode(FakeNode):
    """A node with logs on a real disk, which grow by the next of `later` whenever somebody stood at their end."""

    def __init__(self, folder: Path, *texts: bytes, ended: bool = True) -> None:
        super().__init__(farm() | {"log.list": self.listed, "logs": self.bytes})
        for op in ("log.tail", "log.read", "log.find", "log.follow"):
            self.answers[op] = self._asking(op)
        self._logs = JobLogs(folder)
        self._seeker = Seeker(self._logs, errors_of, level_of)
        self._numbers = count()
        self.ended = ended
        self.later: list[bytes] = []
        self.away: dict[str, Any] | None = None
        for task, text in enumerate(texts):
            self.path(task).parent.mkdir(parents=True, exist_ok=True)
            self.path(task).write_bytes(text)
        self.tasks = len(texts)

    def path(self, task: int = 0) -> Path:
        return self._logs.path(ref_of(task))

    def _asking(self, op: str) -> Callable[..., Any]:
        return lambda **args: self._answer(op, **args)

    def _answer(self, op: str, job: str, task: int = 0, **args: Any) -> dict[str, Any]:
        how = {"log.tail": How.BACKWARDS, "log.find": How.FIND}.get(op, How(0))
        for name, flag in (("errors", How.ERRORS), ("regex", How.REGEX), ("numbers", How.NUMBERS)):
            how |= flag if args.get(name) else How(0)
        pattern = args.get("pattern") or ""
        how |= How.IGNORE_CASE if args.get("ignore_case", pattern == pattern.lower()) else How(0)
        offset = args.get("before", args.get("from", args.get("offset", -1 if op == "log.tail" else 0)))
        lines = args.get("lines", args.get("limit", 100))
        query = LogQuery(int(how), offset, lines, args.get("size", -1), 0, args.get("since_ms", 0), pattern)
        excerpt = self._seeker.seek(next(self._numbers), ref_of(task), query._replace(context=args.get("context", 0)))
        ended = self.ended and not self.later  # as it was when the log was read
        if op == "log.follow" and not excerpt.lines and self.later:
            with self.path(task).open("ab") as file:
                file.write(self.later.pop(0))
        return self._shown(task) | {
            "schema": "farm.log.v1",
            "ended": ended,
            "found": excerpt.found and self.away is None,
            "away": self.away,
            "size": excerpt.size,
            "lines": [
                line._asdict() | {"number": line.number or None, "spans": [list(span) for span in line.spans]}
                for line in excerpt.lines
            ],
            "next": excerpt.next,
            "complete": excerpt.complete,
            "partial": excerpt.partial,
        }

    def _shown(self, task: int) -> dict[str, Any]:
        state = "done" if self.ended and not self.later else "running"
        facts = {"job": JOB, "task": task, "frames": str(task + 1), "attempt": f"1.n.{task}", "state": state}
        return facts | {"node": NODE_A, "node_name": "ws07"}

    def listed(self, job: str, **args: Any) -> dict[str, Any]:
        rest = {"generation": 0, "here": True, "cause": "", "text": "", "started_ms": NOW_MS, "ended_ms": None}
        rows = [self._shown(task) | rest | {"size": self.path(task).stat().st_size} for task in range(self.tasks)]
        return {"schema": "farm.loglist.v1", "job": JOB, "total": len(rows), "attempts": rows}

    def bytes(self, job: str, offset: int, limit: int, task: int = 0, **which: Any) -> dict[str, Any]:
        part = self._logs.read(ref_of(task), offset, limit)
        assert part is not None
        ended = self.ended and not self.later
        if not part.data and limit and self.later:
            with self.path(task).open("ab") as file:
                file.write(self.later.pop(0))
        shown = {"found": True, "ended": ended, "node_name": "ws07", "attempt": "1.n.0"}
        return {"size": part.size, "data": part.data} | shown


def text_of(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_whole_log_is_printed_line_by_line(tmp_path: Path) -> None:
    result = run(LogNode(tmp_path, text_of(LINES * 20)), "logs", JOB, "--frame", "1")
    assert result.stdout.splitlines() == LINES * 20
    assert "ws07, frame 1, attempt 1.n.0" in result.stderr


def test_what_would_steer_a_terminal_is_harmless_unless_raw_is_asked_for(tmp_path: Path) -> None:
    nasty = b"\x1b[31mred\x1b[0m\x1b]0;title\x07 \xff\x00\n10%\r20%\r30%\r\nbell\x07\x1b[2J\xe2\x80\xae\n"
    node = LogNode(tmp_path, nasty)
    assert run(node, "logs", JOB).stdout.splitlines() == ["red \ufffd\u2400", "30%", "bell\u2407\ufffd"]
    assert run(node, "logs", JOB, "--raw").stdout_bytes == nasty


@pytest.mark.parametrize("lines", [0, 1, 7, 1000, 1999, 2000, 5000])
@pytest.mark.parametrize("raw", [(), ("--raw",)])
def test_the_tail_is_the_last_lines(tmp_path: Path, lines: int, raw: tuple[str, ...]) -> None:
    expected = LINES[-lines:] if lines else []
    result = run(LogNode(tmp_path, text_of(LINES)), "logs", JOB, "--tail", str(lines), *raw)
    assert result.stdout.splitlines() == expected


def test_numbers_stand_before_the_lines_of_a_tail(tmp_path: Path) -> None:
    result = run(LogNode(tmp_path, text_of(LINES)), "logs", JOB, "--tail", "2", "--numbers")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["1999", "line", "1999"],
        ["2000", "line", "2000"],
    ]


def test_log_is_followed_to_its_end_and_a_begun_line_is_printed_once(tmp_path: Path) -> None:
    node = LogNode(tmp_path, b"a\nb")
    node.later = [b"egun", b"\nc\n", b"last"]
    result = run(node, "logs", JOB, "--frame", "1", "-f", "--tail", "2")
    assert result.stdout.splitlines() == ["a", "begun", "c", "last"]


def test_raw_log_is_followed_to_its_end(tmp_path: Path) -> None:
    node = LogNode(tmp_path, b"a\n")
    node.later = [b"b\n", b"c\n"]
    assert run(node, "logs", JOB, "-f", "--raw", "--tail", "1").stdout == "a\nb\nc\n"


def test_matches_are_searched_at_the_node_and_shown_with_lines_around(tmp_path: Path) -> None:
    node = LogNode(tmp_path, text_of(LINES))
    assert run(node, "logs", JOB, "--grep", "LINE 77").stdout == ""
    assert "nothing matches" in run(node, "logs", JOB, "--grep", "LINE 77").stderr
    assert run(node, "logs", JOB, "--grep", "LINE 77", "--ignore-case").stdout.splitlines()[0] == "line 77"
    result = run(node, "logs", JOB, "--grep", r"^line (5|9)$", "--regex", "--context", "1")
    assert result.stdout.splitlines() == [
        *("line 4", "line 5", "line 6"),
        "--",
        *("line 8", "line 9", "line 10"),
    ]


def test_more_matches_than_fit_into_an_answer_are_all_printed(tmp_path: Path) -> None:
    node = LogNode(tmp_path, text_of(LINES))
    assert run(node, "logs", JOB, "--grep", "line").stdout.splitlines() == LINES
    assert len(node.asked("log.find")) > 10


@pytest.mark.parametrize("apart", [1, 3, 9])
def test_lines_around_matches_are_printed_once_also_where_answers_meet(tmp_path: Path, apart: int) -> None:
    rows = [f"rare {n}" if n % apart == 0 else f"dull {n}" for n in range(150 * apart)]
    node = LogNode(tmp_path, text_of(rows))
    printed = run(node, "logs", JOB, "--grep", "rare", "--context", "2").stdout.splitlines()
    assert len(node.asked("log.find")) > 1
    assert [line for line in printed if line != "--"] == [
        row for n, row in enumerate(rows) if min(n % apart, -n % apart if n < 149 * apart else 99) <= 2
    ]
    assert printed.count("--") == (149 if apart > 5 else 0)


def test_errors_are_found_as_renderers_print_them(tmp_path: Path) -> None:
    node = LogNode(tmp_path, text_of(["fine", "Error: no camera", "0 errors = 0", "Warning: odd"]))
    assert run(node, "logs", JOB, "--errors").stdout.splitlines() == ["Error: no camera"]


def test_json_is_one_document_and_jsonl_a_line_for_each(tmp_path: Path) -> None:
    node = LogNode(tmp_path, text_of(LINES * 20))
    document = json.loads(run(node, "logs", JOB, "-o", "json").stdout)
    assert (document["schema"], len(document["lines"])) == ("farm.log.v1", 40_000)
    jsonschema_rs.validate(SCHEMAS["farm.log.v1"], document)
    lines = run(node, "logs", JOB, "-o", "jsonl", "--tail", "3").stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == LINES[-3:]


def test_whole_job_is_followed_with_frame_and_machine_before_each_line(tmp_path: Path) -> None:
    node = LogNode(tmp_path, text_of(["one"]), text_of(["two"]))
    node.ended = False
    states = iter(["rendering", "completed"])

    def show(job: str) -> dict[str, Any]:
        state = next(states, "completed")
        node.ended = state == "completed"
        return job_view(state=state)

    node.answers["job.show"] = show
    assert sorted(run(node, "logs", JOB, "-f").stdout.splitlines()) == ["1@ws07 | one", "2@ws07 | two"]


def test_whole_job_whose_node_goes_away_ends_with_the_lines_that_were_begun(tmp_path: Path) -> None:
    node = LogNode(tmp_path, b"one\ntw", ended=False)
    node.answers["job.show"] = iter([job_view(), Unreachable("no answer from ws07")])
    result = run(node, "logs", JOB, "-f")
    assert (result.exit_code, result.stdout) == (7, "1@ws07 | one\n1@ws07 | tw\n")


def test_attempts_are_listed_with_machine_and_size(tmp_path: Path) -> None:
    result = run(LogNode(tmp_path, b"x" * 2048, b""), "logs", JOB, "--list")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ATTEMPT", "1.n.0", "1.n.1"]
    listed = json.loads(run(LogNode(tmp_path, b"x"), "logs", JOB, "--list", "-o", "json").stdout)
    jsonschema_rs.validate(SCHEMAS["farm.loglist.v1"], listed)
    assert " 2K" in result.stdout


def test_log_of_a_machine_that_is_off_is_1_with_its_last_lines(tmp_path: Path) -> None:
    node = LogNode(tmp_path, b"")
    node.away = {"node": NODE_A, "node_name": "ws07", "since_ms": NOW_MS - 7_200_000, "why": "it was shut down"}
    blank = {"offset": None, "next": None, "number": None, "at_ms": None, "level": "", "cut": 0}
    answer = node._answer("log.tail", JOB) | {"lines": [blank | {"text": "Error: the end"}]}
    node.answers["log.tail"] = answer
    result = run(node, "logs", JOB)
    assert result.exit_code == 1
    assert result.stdout == "Error: the end\n"
    assert "the log is on ws07; it was shut down (2h ago)" in result.stderr


@pytest.mark.parametrize("is_swept", [False, True])
@pytest.mark.parametrize(
    ("words", "op"), [((), "log.read"), (("--tail", "11000"), "log.tail"), (("--grep", "line"), "log.find")]
)
def test_log_that_breaks_off_while_it_is_read_is_1_and_its_last_lines_are_not_taken_for_more(
    tmp_path: Path, words: tuple[str, ...], op: str, is_swept: bool
) -> None:
    node = LogNode(tmp_path, b"".join(b"line %d\n" % number for number in range(12_000)))
    away = {"node": NODE_A, "node_name": "ws07", "since_ms": NOW_MS, "why": "it does not answer"}
    blank = {"offset": None, "next": None, "number": None, "at_ms": None, "level": "", "cut": 0, "match": False}
    gossiped = [blank | {"text": "line of the end", "spans": []}]
    real, times = node.answers[op], count()
    whole_pages = 2 if op == "log.tail" else 1  # it is asked once, at first, whether the log is there

    def breaks(**args: Any) -> dict[str, Any]:
        answer: dict[str, Any] = real(**args)
        if next(times) < whole_pages:
            return answer
        gone = {"found": False, "away": None if is_swept else away, "lines": gossiped, "complete": True, "next": 0}
        return answer | gone

    node.answers[op] = breaks
    result = run(node, "logs", JOB, *words)
    assert result.exit_code == 1
    assert "the log broke off" in result.stderr
    assert ("ws07 keeps it no more" if is_swept else "it does not answer") in result.stderr
    assert "line of the end" not in result.stdout


def test_followed_log_whose_machine_goes_away_ends_with_the_line_that_was_begun_and_nothing_twice(
    tmp_path: Path,
) -> None:
    node = LogNode(tmp_path, b"a\nbegu", ended=False)
    away = {"node": NODE_A, "node_name": "ws07", "since_ms": NOW_MS, "why": "it does not answer"}
    blank: dict[str, Any] = {"offset": None, "next": None, "number": None, "at_ms": None, "level": "", "cut": 0}
    gone = {
        "found": False,
        "away": away,
        "lines": [blank | {"text": "a"}],
        "complete": True,
        "next": 0,
        "partial": False,
    }
    real = node.answers["log.follow"]
    node.answers["log.follow"] = lambda **args: real(**args) | gone
    result = run(node, "logs", JOB, "--frame", "1", "-f")
    assert (result.exit_code, result.stdout) == (1, "a\nbegu\n")
    assert "the log broke off" in result.stderr


def test_raw_log_that_is_removed_while_it_is_read_is_1(tmp_path: Path) -> None:
    node = LogNode(tmp_path, b"x" * 300_000)
    real = node.answers["logs"]
    node.answers["logs"] = lambda offset, **args: (
        real(offset=offset, **args) | ({"found": False, "data": b""} if offset else {})
    )
    result = run(node, "logs", JOB, "--raw")
    assert (result.exit_code, len(result.stdout)) == (1, 256 << 10)
    assert "ws07 keeps it no more" in result.stderr


def test_log_that_is_not_there_is_5_and_with_follow_waited_for(tmp_path: Path) -> None:
    assert run(FakeNode({"log.tail": NotFound("no log yet")}), "logs", JOB).exit_code == 5
    node = LogNode(tmp_path, b"a\n")
    real, times = node.answers["log.tail"], count()
    node.answers["log.tail"] = lambda **args: real(**args) if next(times) else NotFound("no log yet")
    assert run(node, "logs", JOB, "-f", "--frame", "1").stdout == "a\n"
    over = FakeNode({"log.tail": NotFound("no log yet"), "job.show": job_view(state="cancelled")})
    assert run(over, "logs", JOB, "-f", "--frame", "1").exit_code == 5


@pytest.mark.parametrize(
    "words",
    [("--frame", "1", "--task", "1"), ("--grep", "x", "--errors"), ("-f", "--errors"), ("--raw", "--grep", "x")],
)
def test_words_that_exclude_one_another_are_2(words: tuple[str, ...]) -> None:
    assert run(FakeNode(), "logs", JOB, *words).exit_code == 2
