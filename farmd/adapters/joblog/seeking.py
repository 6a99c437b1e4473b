"""Answers questions about logs: tails, reads, what is new, searches.

Each question is answered in bounded time and with a bounded text, on the caller's thread; searches run in a process
(`search`) that is killed when nobody waits for it any more. What a line is, and where it begins, is `lines`' business.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from farmd.adapters.joblog.counts import LineCounts
from farmd.adapters.joblog.lines import BUDGET_BYTES, raw_lines, shown, start_of_last, start_of_line
from farmd.adapters.joblog.search import Question
from farmd.adapters.joblog.stamps import Stamps, changed_ms
from protocol.logquery import MAX_CONTEXT, MAX_LINES, MAX_PATTERN, How, LogExcerpt, LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from farmd.adapters.joblog.files import JobLogs
    from farmd.adapters.joblog.lines import Shown
    from protocol.ids import AttemptRef
    from protocol.logquery import LogQuery

SEARCH_S: Final = 2.0
"""After so long a search says how far it came."""
PATIENCE_S: Final = 3.0
"""So much longer it may take before it is killed: a pattern that never ends."""
_ROOT: Final = Path(__file__).resolve().parents[3]
_NOT_FOUND: Final = LogExcerpt(found=False, complete=True)


class Seeker:
    """Looks into the logs of this node.

    Args:
        logs: Where they are.
        errors_of: Says how error lines of a renderer are known (see `Matcher`): an expression, words, exceptions.
        level_of: Says what a line is: "error", "warning", "farm" or "".
    """

    def __init__(
        self,
        logs: JobLogs,
        errors_of: Callable[[str], tuple[str, tuple[str, ...], str]],
        level_of: Callable[[str, str], str],
    ) -> None:
        self._logs = logs
        self._errors_of = errors_of
        self._level_of = level_of
        self._counts = LineCounts()
        self._searches: dict[int, subprocess.Popen[bytes] | None] = {}
        self._left: set[int] = set()
        self._lock = Lock()

    def seek(self, ask: int, ref: AttemptRef, query: LogQuery) -> LogExcerpt:
        """Answer one question.

        Args:
            ask: Names the question, for `leave`.
            ref: Whose log.
            query: What is wanted; numbers are cut to what is allowed.
        """
        path = self._logs.path(ref)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return _NOT_FOUND
        try:
            return self._seek(ask, path, fd, query)
        except OSError as error:
            return LogExcerpt(found=True, fault=f"the log cannot be read: {error.strerror}")
        finally:
            os.close(fd)

    def leave(self, ask: int) -> None:
        """Nobody waits for this answer any more: end its search."""
        with self._lock:
            if ask not in self._searches:
                return
            self._left.add(ask)
            process = self._searches[ask]
        if process is not None:
            process.kill()

    # -- one question -------------------------------------------------------------------------------------------------

    def _seek(self, ask: int, path: Path, fd: int, query: LogQuery) -> LogExcerpt:
        size = os.fstat(fd).st_size
        if query.size >= 0 and size <= query.size:
            return LogExcerpt(True, size, min(max(0, query.offset), size), complete=True)
        stamps = Stamps.of(path, changed_ms(fd))
        begin = start_of_line(fd, stamps.offset_since(query.since_ms, size)) if query.since_ms else 0
        if query.how & How.FIND:
            return self._find(ask, path, fd, query, stamps)
        if query.how & How.BACKWARDS:
            return self._before(path, fd, query, stamps, begin)
        return self._onwards(path, fd, query, stamps, max(begin, query.offset))

    def _before(self, path: Path, fd: int, query: LogQuery, stamps: Stamps, begin: int) -> LogExcerpt:
        """Read the last lines in front of an offset, as many as fit into an answer."""
        size = os.fstat(fd).st_size
        end = size if query.offset < 0 else min(query.offset, size)
        count = max(0, min(query.lines, MAX_LINES))
        start = max(begin, start_of_last(fd, end, count))
        raw = list(raw_lines(fd, start, end))[-count:] if count else []
        lines = _last_that_fit([shown(line) for line in raw])
        first = lines[0].offset if lines else end
        partial = bool(raw) and not raw[-1].ended
        return LogExcerpt(
            True,
            size,
            raw[-1].offset if partial else end,
            complete=first <= begin,
            partial=partial,
            lines=self._told(path, fd, lines, query, stamps),
        )

    def _onwards(self, path: Path, fd: int, query: LogQuery, stamps: Stamps, start: int) -> LogExcerpt:
        """Read lines from an offset on, as many as fit into an answer."""
        size = os.fstat(fd).st_size
        lines: list[Shown] = []
        weight, partial, at = 0, False, min(start, size)
        for raw in islice(raw_lines(fd, at, size), max(0, min(query.lines, MAX_LINES))):
            line = shown(raw)
            weight += len(line.text)
            if lines and weight > BUDGET_BYTES:
                break
            lines.append(line)
            partial = not raw.ended
            at = raw.offset if partial else raw.next
        complete = partial or at >= size
        return LogExcerpt(True, size, at, complete, partial, lines=self._told(path, fd, lines, query, stamps))

    def _told(
        self, path: Path, fd: int, lines: Sequence[Shown], query: LogQuery, stamps: Stamps
    ) -> tuple[LogLine, ...]:
        return self._dressed(
            path, fd, [LogLine(line.offset, line.next, line.text, cut=line.cut) for line in lines], query, stamps
        )

    def _dressed(
        self, path: Path, fd: int, lines: Iterable[LogLine], query: LogQuery, stamps: Stamps
    ) -> tuple[LogLine, ...]:
        """Add number, time and level to lines."""
        always, dressed = bool(query.how & How.NUMBERS), []
        number, known_next = 0, -1
        for line in lines:
            if line.offset == known_next and number:
                number += 1
            else:
                counted = self._counts.before(path.name + path.parent.name, fd, line.offset, always=always)
                number = 0 if counted is None else counted + 1
            known_next = line.next
            level = self._level_of(query.renderer, line.text)
            dressed.append(line._replace(number=number, at_ms=stamps.at_ms(line.next), level=level))
        return tuple(dressed)

    # -- searching ----------------------------------------------------------------------------------------------------

    def _find(self, ask: int, path: Path, fd: int, query: LogQuery, stamps: Stamps) -> LogExcerpt:
        how, size = query.how, os.fstat(fd).st_size
        offset = size if query.offset < 0 else min(query.offset, size)
        if query.since_ms and not how & How.BACKWARDS:
            offset = max(offset, start_of_line(fd, stamps.offset_since(query.since_ms, size)))
        errors = bool(how & How.ERRORS)
        pattern, words, unless = self._errors_of(query.renderer) if errors else (query.pattern[:MAX_PATTERN], (), "")
        question = Question(
            str(path),
            pattern,
            regex=errors or bool(how & How.REGEX),
            ignore_case=not errors and bool(how & How.IGNORE_CASE),
            backwards=bool(how & How.BACKWARDS),
            offset=offset,
            limit=max(1, min(query.lines, MAX_LINES)),
            context=max(0, min(query.context, MAX_CONTEXT)),
            budget_s=SEARCH_S,
            words=words,
            unless=unless,
        )
        answer = self._in_process(ask, question)
        if isinstance(answer, str):
            return LogExcerpt(True, size, offset, fault=answer)
        lines = [LogLine(at, to, text, 0, 0, "", cut, match, spans) for at, to, text, cut, spans, match in answer[3]]
        return LogExcerpt(True, answer[0], answer[1], answer[2], lines=self._dressed(path, fd, lines, query, stamps))

    def _in_process(
        self, ask: int, question: Question
    ) -> str | tuple[int, int, bool, list[tuple[int, int, str, int, tuple[tuple[int, int], ...], bool]]]:
        """Ask a process; returns why it gave no answer, or what it found."""
        process = self._started(ask)
        if process is None:
            return "nobody waits for it"
        try:
            out, _ = process.communicate(json.dumps(asdict(question)).encode(), question.budget_s + PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "the pattern takes too long: try a simpler one"
        finally:
            with self._lock:
                self._searches.pop(ask, None)
                self._left.discard(ask)
        if process.returncode:
            return "the pattern takes too long: try a simpler one"
        found = json.loads(out)
        if found["fault"]:
            return str(found["fault"])
        lines = [
            (at, to, text, cut, tuple((begin, end) for begin, end in spans), match)
            for at, to, text, cut, spans, match in found["lines"]
        ]
        return found["size"], found["next"], found["complete"], lines

    def _started(self, ask: int) -> subprocess.Popen[bytes] | None:
        with self._lock:
            self._searches[ask] = None
        argv = [sys.executable, "-S", "-P", "-c", "from farmd.adapters.joblog.search import main; main()"]
        env = {**os.environ, "PYTHONPATH": str(_ROOT)}
        process = subprocess.Popen(
            argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with self._lock:
            self._searches[ask] = process
            left = ask in self._left
        if left:
            process.kill()
        return process


def _last_that_fit(lines: list[Shown]) -> list[Shown]:
    weight = 0
    for number, line in enumerate(reversed(lines)):
        weight += len(line.text)
        if weight > BUDGET_BYTES and number:
            return lines[len(lines) - number :]
    return lines
