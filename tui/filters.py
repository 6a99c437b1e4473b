"""The filter of a table: `state=failed,owner=me,age>2h`, plain words, and `!` for all that does not match.

Parts are joined by commas or blanks, and all must hold. A comparison is NAME=VALUE, NAME!=VALUE (several values with
`|`), and for numbers and ages also `<` and `>`; sizes have their unit (ram>16G). A word without a sign is looked for in
what the row shows, letters of both sizes alike. `state=` takes the states and also the groups pending and running, which
the cards of the overview count. The same words as `farmctl job list --filter`.

Called by `tui.model`; must not import textual.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError
from protocol.human import nearest_word, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tui.columns import Moment, Row

Test = "Callable[[Row, Moment], bool]"
_PART: Final = re.compile(r"([a-z_]+)(!=|=|<|>)(\S+)")
_ORDERS: Final = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Fields:
    """What rows of one kind can be filtered by.

    Attributes:
        words: Name and how it is read from a row.
        numbers: The same, for numbers.
        sizes: The same, for numbers of bytes.
        ages: The same, for instants in milliseconds, compared by how long ago they are.
        group_of: Gives the colour group of a state, so that `state=pending` means all states of it.
        searched: Names among the words in which a plain word is looked for.
    """

    words: Mapping[str, Callable[[Row], str]]
    numbers: Mapping[str, Callable[[Row], float]]
    sizes: Mapping[str, Callable[[Row], float]]
    ages: Mapping[str, Callable[[Row], float]]
    group_of: Callable[[str], str]
    searched: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that can stand before a sign."""
        return (*self.words, *self.numbers, *self.sizes, *self.ages)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read.

    Attributes:
        text: As it was written; empty lets everything through.
    """

    text: str
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


EVERYTHING: Final = Filter("")


def parse_filter(text: str, fields: Fields) -> Filter:
    """Read a filter.

    Raises:
        UsageError: A comparison cannot be read.
    """
    wanted = text.strip()
    inverse = wanted.startswith("!")
    parts = [part for part in re.split(r"[,\s]+", wanted.removeprefix("!")) if part]
    return Filter(wanted, tuple(_test(part, fields) for part in parts), inverse)


def _test(part: str, fields: Fields) -> Callable[[Row, Moment], bool]:
    found = _PART.fullmatch(part)
    if found is None:
        return _contains(part, fields)
    name, sign, value = found.groups()
    if name in fields.words:
        return _word_test(fields, name, sign, value)
    if name in fields.numbers or name in fields.sizes:
        return _number_test(fields, name, sign, value)
    if name in fields.ages:
        return _age_test(fields.ages[name], sign, value)
    meant = nearest_word(name, fields.names)
    raise UsageError(
        f"cannot filter by {name!r}",
        "these rows have no such field",
        f"did you mean {meant}?" if meant else f"known are: {', '.join(fields.names)}",
    )


def _contains(part: str, fields: Fields) -> Callable[[Row, Moment], bool]:
    wanted, getters = part.casefold(), [fields.words[name] for name in fields.searched]
    return lambda row, _moment: any(wanted in getter(row).casefold() for getter in getters)


def _word_test(fields: Fields, name: str, sign: str, value: str) -> Callable[[Row, Moment], bool]:
    if sign in "<>":
        raise UsageError(f"cannot compare {name} with {sign}", "it is a word", f"write {name}={value}")
    getter, wanted = fields.words[name], frozenset(value.casefold().split("|"))
    holds = sign == "="
    if name == "state":
        return _state_test(getter, wanted, fields.group_of, holds=holds)
    if name == "owner" and "me" in wanted:
        return lambda row, moment: (getter(row).casefold() in wanted - {"me"} | {moment.user.casefold()}) is holds
    return lambda row, _moment: (getter(row).casefold() in wanted) is holds


def _state_test(
    getter: Callable[[Row], str], wanted: frozenset[str], group_of: Callable[[str], str], *, holds: bool
) -> Callable[[Row, Moment], bool]:
    verdicts: dict[str, bool] = {}  # there are ten states, and a hundred thousand rows

    def test(row: Row, _moment: Moment) -> bool:
        state = getter(row)
        verdict = verdicts.get(state)
        if verdict is None:
            verdict = verdicts[state] = _state_is(state, wanted, group_of) is holds
        return verdict

    return test


def _state_is(state: str, wanted: frozenset[str], group_of: Callable[[str], str]) -> bool:
    """Compare with states, and with groups that are no state: `failed` is one, so it does not mean cancelled too."""
    return state in wanted or (group_of(state) in wanted - {"failed", "completed"})


def _number_test(fields: Fields, name: str, sign: str, value: str) -> Callable[[Row, Moment], bool]:
    compare, is_size = _ORDERS[sign], name in fields.sizes
    getter = fields.sizes[name] if is_size else fields.numbers[name]
    if is_size:
        limit = float(parse_size(value))
    else:
        try:
            limit = float(value)
        except ValueError as error:
            raise UsageError(
                f"cannot compare {name} with {value[:40]!r}", "it is a number", f"write {name}{sign}10"
            ) from error
    return lambda row, _moment: bool(compare(getter(row), limit))


def _age_test(getter: Callable[[Row], float], sign: str, value: str) -> Callable[[Row, Moment], bool]:
    compare, limit_ms = _ORDERS[sign], parse_duration(value) * 1000
    return lambda row, moment: bool(compare(moment.now_ms - (getter(row) or moment.now_ms), limit_ms))
