"""Answers questions about logs: tails, reads, what is new, searches.

Each question is answered in bounded time and with a bounded text, on the caller's thread; searches run in processes
(`searches`) that are killed when nobody waits for them any more. What a line is, and where it begins, is `lines`' business.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.adapters.joblog.counts import LineCounts
from farmd.adapters.joblog.lines import BUDGET_BYTES, raw_lines, shown, start_of_last, start_of_line
from farmd.adapters.joblog.search import Question
from farmd.adapters.joblog.searches import Searches
from farmd.adapters.joblog.stamps import Stamps, changed_ms
from protocol.logquery import MAX_CONTEXT, MAX_LINES, MAX_PATTERN, How, LogExcerpt, LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from farmd.adapters.joblog.files import JobLogs
    from farmd.adapters.joblog.lines import Shown
    from protocol.ids import AttemptRef
    from protocol.logquery import LogQuery

SEARCH_S: Final = 2.0
"""After so long a search says how far it came."""
_NOT_FOUND: Final = LogExcerpt(found=False, complete=True)


class _Log(NamedTuple):
    """A log that is looked into: where it stands, its times, and where what is asked for begins."""

    path: Path
    fd: int
    stamps: Stamps
    begin: int

    @property
    def size(self) -> int:
        """Its bytes now; it may be growing."""
        return os.fstat(self.fd).st_size


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
        self._searches = Searches()

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
        self._searches.leave(ask)

    # -- one question -------------------------------------------------------------------------------------------------

    def _seek(self, ask: int, path: Path, fd: int, query: LogQuery) -> LogExcerpt:
        size = os.fstat(fd).st_size
        if query.size >= 0 and size <= query.size:
            return LogExcerpt(True, size, min(max(0, query.offset), size), complete=True)
        stamps = Stamps.of(path, changed_ms(fd))
        begin = start_of_line(fd, stamps.offset_since(query.since_ms, size)) if query.since_ms else 0
        log = _Log(path, fd, stamps, begin)
        if query.how & How.FIND:
            return self._find(ask, log, query)
        if query.how & How.BACKWARDS:
            return self._before(log, query)
        return self._onwards(log, query)

    def _before(self, log: _Log, query: LogQuery) -> LogExcerpt:
        """Read the last lines in front of an offset, as many as fit into an answer."""
        size = log.size
        end = size if query.offset < 0 else min(query.offset, size)
        count = max(0, min(query.lines, MAX_LINES))
        start = max(log.begin, start_of_last(log.fd, end, count))
        raw = list(raw_lines(log.fd, start, end))[-count:] if count else []
        lines = _last_that_fit([shown(line) for line in raw])
        first = lines[0].offset if lines else end
        partial = bool(raw) and not raw[-1].ended
        return LogExcerpt(
            True,
            size,
            raw[-1].offset if partial else end,
            complete=first <= log.begin,
            partial=partial,
            lines=self._told(log, lines, query),
        )

    def _onwards(self, log: _Log, query: LogQuery) -> LogExcerpt:
        """Read lines from an offset on, as many as fit into an answer."""
        size = log.size
        lines: list[Shown] = []
        weight, partial, at = 0, False, min(max(log.begin, query.offset), size)
        for raw in islice(raw_lines(log.fd, at, size), max(0, min(query.lines, MAX_LINES))):
            line = shown(raw)
            weight += len(line.text)
            if lines and weight > BUDGET_BYTES:
                break
            lines.append(line)
            partial = not raw.ended
            at = raw.offset if partial else raw.next
        complete = partial or at >= size
        return LogExcerpt(True, size, at, complete, partial, lines=self._told(log, lines, query))

    def _told(self, log: _Log, lines: Sequence[Shown], query: LogQuery) -> tuple[LogLine, ...]:
        return self._dressed(log, [LogLine(line.offset, line.next, line.text, cut=line.cut) for line in lines], query)

    def _dressed(self, log: _Log, lines: Iterable[LogLine], query: LogQuery) -> tuple[LogLine, ...]:
        """Add number, time and level to lines."""
        always, dressed = bool(query.how & How.NUMBERS), []
        name, number, known_next = log.path.name + log.path.parent.name, 0, -1
        for line in lines:
            if line.offset == known_next and number:
                number += 1
            else:
                counted = self._counts.before(name, log.fd, line.offset, always=always)
                number = 0 if counted is None else counted + 1
            known_next = line.next
            level = self._level_of(query.renderer, line.text)
            dressed.append(line._replace(number=number, at_ms=log.stamps.at_ms(line.next), level=level))
        return tuple(dressed)

    # -- searching ----------------------------------------------------------------------------------------------------

    def _find(self, ask: int, log: _Log, query: LogQuery) -> LogExcerpt:
        how, size = query.how, log.size
        offset = size if query.offset < 0 else min(query.offset, size)
        if not how & How.BACKWARDS:
            offset = max(offset, log.begin)
        errors = bool(how & How.ERRORS)
        pattern, words, unless = self._errors_of(query.renderer) if errors else (query.pattern[:MAX_PATTERN], (), "")
        question = Question(
            str(log.path),
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
            begin=log.begin,
        )
        found = self._searches.ask(ask, question)
        if found.fault:
            return LogExcerpt(True, size, offset, fault=found.fault)
        lines = [LogLine(at, to, text, 0, 0, "", cut, match, spans) for at, to, text, cut, spans, match in found.lines]
        return LogExcerpt(True, found.size, found.next, found.complete, lines=self._dressed(log, lines, query))


def _last_that_fit(lines: list[Shown]) -> list[Shown]:
    weight = 0
    for number, line in enumerate(reversed(lines)):
        weight += len(line.text)
        if weight > BUDGET_BYTES and number:
            return lines[len(lines) - number :]
    return lines
