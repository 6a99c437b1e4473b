"""What is asked of a log, and what comes back: lines, never the whole.

The question travels to the node that has the log; only the lines that answer it travel back. Offsets are bytes from
the start of the log and name lines: they stay true while it grows.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

MAX_LINES = 10_000
MAX_PATTERN = 1_000
MAX_CONTEXT = 100


class How(IntFlag):
    """How a log is looked into; numbers travel and never change."""

    BACKWARDS = 1
    FIND = 2
    REGEX = 4
    IGNORE_CASE = 8
    ERRORS = 16
    NUMBERS = 32


class LogQuery(NamedTuple):
    """One question about a log.

    Attributes:
        how: `How` flags.
        offset: Where to begin; -1 is the end. Backwards, the lines before it are meant.
        lines: Most lines; of a search, most matches.
        size: Answer only when the log is larger than so many bytes; -1 answers at once.
        wait_ms: How long to wait for that.
        since_ms: Nothing written before this instant (milliseconds since the Unix epoch); 0 = all.
        pattern: What is searched for.
        context: Lines around a match.
        renderer: Whose error lines are meant.
    """

    how: int = 0
    offset: int = 0
    lines: int = 1000
    size: int = -1
    wait_ms: int = 0
    since_ms: int = 0
    pattern: str = ""
    context: int = 0
    renderer: str = ""


class LogLine(NamedTuple):
    """One line, harmless to print.

    Attributes:
        offset: Where it begins.
        next: Where the next one begins.
        text: Without its line end, at most `protocol.logtext.MAX_LETTERS` letters.
        number: From 1; 0 = not counted.
        at_ms: When it was written, to about a second; 0 = not known.
        level: "error", "warning", "farm" (the farm's own remark), or nothing.
        cut: Bytes of the line that are not in `text`.
        match: It matches what was searched for; False for the lines around a match.
        spans: Where in `text`, from and to.
    """

    offset: int
    next: int
    text: str
    number: int = 0
    at_ms: int = 0
    level: str = ""
    cut: int = 0
    match: bool = False
    spans: tuple[tuple[int, int], ...] = ()


class LogExcerpt(NamedTuple):
    """Lines that answer a question.

    Attributes:
        found: There is such a log.
        size: Of the log now, in bytes.
        next: Where to go on.
        complete: There is nothing more in that direction.
        partial: The last line is not at its end yet; `next` is where it begins.
        running: The attempt was running when this was read, so more may follow.
        lines: In the order of the log.
        fault: Why the question cannot be answered; empty if it is.
    """

    found: bool
    size: int = 0
    next: int = 0
    complete: bool = False
    partial: bool = False
    running: bool = False
    lines: tuple[LogLine, ...] = ()
    fault: str = ""
