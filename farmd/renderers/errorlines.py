"""Which lines of a log tell of an error or a warning, by renderer: for "next error" and for colours.

Unlike the verdict over a failed process, which must be right, this is for a person's eye: better one line too many than
the one that matters passed over. Expressions for what programs in general print, then what single renderers print
besides; each comes with words of which a line must have one, since most lines have none and a search for words is
fifty times faster.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class ErrorLines(NamedTuple):
    """How error lines are known.

    Attributes:
        pattern: A regular expression.
        words: In small letters, without one of which no line matches.
        unless: A regular expression of beginnings of lines that are none in any case.
    """

    pattern: str
    words: tuple[str, ...]
    unless: str = r"\[farmd\] \S+ (?!ended: )"  # the farm's own remarks repeat command lines, which may say anything


_GENERAL: Final = ErrorLines(
    r"(?i:\b(?:fatal|panic|traceback \(most recent call last\)|segmentation fault|core dumped|aborted|assertion failed))"
    r"|\b(?:[Ee]rror|ERROR)\b(?!s?[ :=]+0\b)(?! ?(?:free|diffusion|threshold|rate))"
    r"|\b[A-Z]\w*(?:Error|Exception)\b"
    r"|(?i:out of memory|cannot allocate memory|bad_alloc|no space left on device|permission denied)"
    r"|(?i:no such file or directory|\b(?:file|texture|image|library)\b[^\n]{0,80} (?:not found|does not exist))"
    r"|(?i:\b(?:failed|unable|could not|cannot|can't) (?:to )?(?:find|open|load|read|write|create|allocate|render|start))"
    r"|^\[farmd\] \S+ ended: ",
    (
        *("fatal", "panic", "traceback", "segmentation fault", "core dumped", "aborted", "assertion", "error"),
        *("exception", "out of memory", "cannot", "bad_alloc", "no space left", "permission denied", "no such file"),
        *("not found", "does not exist", "failed", "unable", "could not", "can't", " ended: "),
    ),
)
"""Python, C libraries, most command-line renderers; and the farm's own remark of a bad end."""
_BY_RENDERER: Final = {
    "arnold": ErrorLines(r"signal caught|could not resolve ", ("signal caught", "could not")),
    "blender": ErrorLines(
        r"File format is not supported|[mc]alloc returns null|EXCEPTION_",
        ("not supported", "returns null", "exception"),
    ),
    "mitsuba": ErrorLines(r"\b[Cc]ritical\b", ("critical",)),
    "povray": ErrorLines(r"Render failed", ("failed",)),
}
_WARNING: Final = re.compile(r"\b(?:[Ww]arn(?:ing)?|WARN(?:ING)?)\b")
_LOOKED_AT: Final = 1000
"""Letters of a line that are looked at."""


@lru_cache(32)
def errors_of(renderer: str) -> ErrorLines:
    """Say how error lines of a renderer are known."""
    own = _BY_RENDERER.get(renderer)
    if own is None:
        return _GENERAL
    return ErrorLines(f"{_GENERAL.pattern}|{own.pattern}", tuple(dict.fromkeys((*_GENERAL.words, *own.words))))


@lru_cache(32)
def _compiled(renderer: str) -> re.Pattern[str]:
    return re.compile(errors_of(renderer).pattern)


def level_of(renderer: str, line: str) -> str:
    """Say what a line is: "error", "warning", "farm" (a remark of the farm's own), or nothing of these."""
    if line.startswith("[farmd] "):
        return "error" if " ended: " in line[:40] else "farm"
    small = line[:_LOOKED_AT].lower()
    for word in errors_of(renderer).words:
        if word in small:
            return "error" if _compiled(renderer).search(line, 0, _LOOKED_AT) else _warning(small, line)
    return _warning(small, line)


def _warning(small: str, line: str) -> str:
    return "warning" if "warn" in small and _WARNING.search(line, 0, _LOOKED_AT) else ""
