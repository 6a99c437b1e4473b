"""Words and numbers for people: sizes, durations, ages, percentages, plain tables, and what a typo may have meant.

Reading is strict (a size needs its unit: one program's 8 is gigabytes and another's is bytes), writing is short.
What is printed never claims more than is so: a job is 100.0% only when nothing is left. Text that comes from other
machines goes through `printable` before it reaches a terminal.

Called by farmctl, tui, the reasons and the config; pure, and only the standard library.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_SIZE_UNITS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?[ ]?([kmgtp]?)(i?b)?", re.IGNORECASE)
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|[smhdw])")
_DURATION = re.compile(f"(?:{_DURATION_PART.pattern})+|[0-9]{{1,12}}(?:\\.[0-9]{{1,9}})?")
_SPOKEN_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def parse_size(text: str) -> int:
    """Read a size such as 8G, 512m, 1.5T or 100B into bytes; units are powers of 1024.

    Raises:
        UsageError: It is not a size, or has no unit.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"not a size: {text[:40]!r}", "a size is a number and one of B K M G T P", "write 8G or 512M")
    whole, fraction, unit, suffix = found.groups("")
    if not unit and not suffix and (whole.strip("0") or fraction.strip("0")):
        raise UsageError(f"a size without a unit: {text[:40]!r}", "it could be bytes or gigabytes", f"write {whole}G")
    scale = 1 << _SIZE_UNITS[unit.lower()]
    return int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def format_size(size_bytes: int) -> str:
    """Write a size with at most one decimal, in the notation that `parse_size` reads."""
    sign, rest = ("-", -size_bytes) if size_bytes < 0 else ("", size_bytes)
    if rest < 1024:
        return f"{sign}{rest}B"
    value = float(rest)
    for letter in "KMGT":
        value /= 1024
        if round(value, 1) < 1024:
            return f"{sign}{value:.1f}".removesuffix(".0") + letter
    return f"{sign}{value / 1024:.1f}".removesuffix(".0") + "P"


def parse_duration(text: str) -> float:
    """Read a duration such as 90s, 5m, 1h30m or 3d into seconds; a bare number is seconds.

    Raises:
        UsageError: It is not a duration.
    """
    plain = text.strip().lower()
    if not _DURATION.fullmatch(plain):
        raise UsageError(
            f"not a duration: {text[:40]!r}", "a duration is numbers with ms, s, m, h, d or w", "write 90s or 1h30m"
        )
    parts = _DURATION_PART.findall(plain)
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts) if parts else float(plain)


def format_duration(seconds: float) -> str:
    """Write a duration by its two largest units: 2d 3h, 1h 30m, 45s, 0.25s."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 9.95:
        return f"{seconds:.2g}s"
    rest = round(seconds)
    parts = []
    for unit, length in _SPOKEN_UNITS:
        count, rest = divmod(rest, length)
        parts.append((count, unit))
    first = next(at for at, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def format_age(seconds: float) -> str:
    """Write an age by its largest unit only: 45s, 5m, 2h, 3d."""
    age = max(0, int(seconds))
    for unit, length in _SPOKEN_UNITS:
        if age >= length:
            return f"{age // length}{unit}"
    return "0s"


def relative_time(at_ms: int, now_ms: int) -> str:
    """Say when something was or will be: 5m ago, in 2h, now."""
    away_s = (now_ms - at_ms) / 1000
    if abs(away_s) < 1:
        return "now"
    return f"{format_age(away_s)} ago" if away_s > 0 else f"in {format_age(-away_s)}"


def format_percent(done: int, total: int) -> str:
    """Write a share with one decimal, rounded down: 100.0% means that all is done."""
    if total <= 0:
        return "-"
    tenths = max(0, min(1000, done * 1000 // total))
    return f"{tenths // 10}.{tenths % 10}%"


def format_progress(done: int, total: int) -> str:
    """Write progress as a count and a share: 50 / 100 (50.0%)."""
    return f"{done} / {total} ({format_percent(done, total)})"


def counted(count: int, noun: str) -> str:
    """Write a number with its noun: 1 frame, 2 frames."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str) -> str:
    """Make text harmless on a terminal: control, format and unpaired characters become a replacement mark."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata  # a large table; a daemon mostly needs none of it

    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cf", "Cs") else letter for letter in text)


def cell_width(text: str) -> int:
    """Return how many terminal cells a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def plain_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = (), gap: int = 2
) -> list[str]:
    """Align columns with blanks; no line ends in one.

    Args:
        header: Titles of the columns.
        rows: As many cells as there are titles.
        right: Positions of the columns that are aligned to the right.
        gap: Blanks between columns.
    """
    lines = [tuple(header), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(cell_width, column)) for column in zip(*lines, strict=True)]
    drawn = []
    for line in lines:
        fills = [" " * (width - cell_width(cell)) for cell, width in zip(line, widths, strict=True)]
        cells = (
            fill + cell if at in right else cell + fill for at, (cell, fill) in enumerate(zip(line, fills, strict=True))
        )
        drawn.append((" " * gap).join(cells).rstrip())
    return drawn


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a typo or a shortening most likely meant, or None."""
    from difflib import get_close_matches  # only after a mistake: it costs milliseconds at start

    words, small = list(known), word.lower()
    longer = (other for other in words if len(small) > 2 and other.startswith(small))
    return next(longer, None) or next(iter(get_close_matches(small, words, n=1, cutoff=0.6)), None)
