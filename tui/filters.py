"""The filter of a table: `state=failed,owner=me,age>2h` as at the command line, plain words, and `!` for all that does not match.

Comparisons are those of `protocol.filters`: same names, same signs, same refusals. Besides, parts may be joined by blanks
(a value with blanks stands in quotes), a word without a sign is looked for in what the row shows, letters of both sizes
alike, and `!` in front turns the whole round.

Called by `tui.model`; must not import textual.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protocol.filters import Kind, comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.filters import Fields
    from tui.columns import Moment, Row

_PARTS: Final = re.compile(
    r"""
    (?: [a-z_]+ (?:\.[a-z0-9_-]+)? \s* (?:!=|!~|<=|>=|=|~|<|>)  # a name and its sign; blanks round it, as in --filter,
        (?: \s+ (?! [^,\s"]* [=<>~] ) )?                         # unless what follows is a comparison of its own
    )?
    (?: "[^"]*" | [^,\s"] | " )+
    """,
    re.VERBOSE,
)
_SIGNS: Final = re.compile("[=<>~]")
_WITH_TIME: Final = frozenset({"age", "ended", "seen"})


@dataclass(frozen=True, slots=True)
class Filterable:
    """What rows of one kind can be filtered by.

    Attributes:
        fields: What can stand before a sign.
        searched: What a plain word is looked for in.
    """

    fields: Fields
    searched: tuple[Callable[[Row], str], ...]

    def completions(self, begun: str) -> list[str]:
        """Return parts that what is typed of one could become: names, and behind `state=` the states."""
        name, sign, value = begun.partition("=")
        if not sign:
            known = self.fields.known.items()
            return [f"{one}=" if field.kind is Kind.WORD else one for one, field in known if one.startswith(begun)]
        before, bar, last = value.rpartition("|")
        words = self.fields.known[name].all_words if name in self.fields.known else ()
        return [f"{name}={before}{bar}{word}" for word in words if word.startswith(last)]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read.

    Attributes:
        text: As it was written; empty lets everything through.
        names: What it asks of a row; a plain word asks for `*`.
    """

    text: str
    names: frozenset[str] = frozenset()
    _tests: tuple[Callable[[Row, Moment], bool], ...] = ()
    _inverse: bool = False

    def __bool__(self) -> bool:
        return bool(self._tests)

    def passes(self, row: Row, moment: Moment) -> bool:
        """Tell whether a row is shown."""
        for test in self._tests:
            if not test(row, moment):
                return self._inverse
        return not self._inverse or not self._tests

    @property
    def moves(self) -> bool:
        """Tell whether rows come and go with time alone."""
        return not self.names.isdisjoint(_WITH_TIME)


EVERYTHING: Final = Filter("")


def parse_filter(text: str, rows: Filterable) -> Filter:
    """Read a filter.

    Raises:
        UsageError: A comparison cannot be read, or could never hold.
    """
    wanted = text.strip()
    parts = [part.replace('"', "") for part in _PARTS.findall(wanted.removeprefix("!"))]
    names = frozenset(_SIGNS.split(part)[0].rstrip("!").strip() if _SIGNS.search(part) else "*" for part in parts)
    return Filter(wanted, names, tuple(_test(part, rows) for part in parts), wanted.startswith("!"))


def _test(part: str, rows: Filterable) -> Callable[[Row, Moment], bool]:
    if _SIGNS.search(part):
        return comparison(part, rows.fields)
    wanted, searched = part.casefold(), rows.searched
    return lambda row, _moment: any(wanted in getter(row).casefold() for getter in searched)
