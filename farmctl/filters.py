"""`--filter state=failed,owner=me,age>2h`: choose rows of a list by what they show.

Parts are joined by commas and all must hold. Words are compared with `=` and `!=`, several alternatives with `|`
(state=failed|cancelled); numbers and ages also with `<` and `>`.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import UsageError
from protocol.human import nearest_word, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmctl.output import View

_PART: Final = re.compile(r"([a-z_]+)(!=|=|<|>)(.+)")
_ORDERS: Final = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}
_WORDS: Final = ("state", "owner", "name", "renderer", "id")
_NUMBERS: Final = ("priority", "progress", "total", "done", "failed", "running")
_AGE: Final = "age"


class Asking(NamedTuple):
    """Who asks and when: what `owner=me` and `age` are relative to."""

    user: str
    now_ms: int


def parse_filter(text: str, asking: Asking) -> Callable[[View], bool]:
    """Read a filter of jobs.

    Raises:
        UsageError: It cannot be read.
    """
    tests = [_test(part.strip(), asking) for part in text.split(",") if part.strip()]
    return lambda row: all(test(row) for test in tests)


def _test(part: str, asking: Asking) -> Callable[[View], bool]:
    found = _PART.fullmatch(part)
    if found is None:
        raise UsageError(f"cannot read the filter {part!r}", "it is no comparison", "write state=failed or age>2h")
    name, sign, value = found.groups()
    if name in _WORDS:
        return _word_test(name, sign, value, asking)
    if name in _NUMBERS or name == _AGE:
        return _number_test(name, sign, value, asking)
    meant = nearest_word(name, (*_WORDS, *_NUMBERS, _AGE))
    hint = f"did you mean {meant}?" if meant else f"known are: {', '.join((*_WORDS, *_NUMBERS, _AGE))}"
    raise UsageError(f"cannot filter by {name!r}", "jobs have no such field", hint)


def _word_test(name: str, sign: str, value: str, asking: Asking) -> Callable[[View], bool]:
    if sign in "<>":
        raise UsageError(f"cannot compare {name} with {sign}", "it is a word", f"write {name}={value}")
    wanted = {asking.user if name == "owner" and word == "me" else word for word in value.split("|")}
    return lambda row: (str(row.get(name, "")) in wanted) is (sign == "=")


def _number_test(name: str, sign: str, value: str, asking: Asking) -> Callable[[View], bool]:
    compare = _ORDERS[sign]
    if name == _AGE:
        limit_ms = parse_duration(value) * 1000
        return lambda row: bool(compare(asking.now_ms - int(row.get("submitted_ms") or asking.now_ms), limit_ms))
    try:
        limit = float(value)
    except ValueError as error:
        raise UsageError(f"cannot compare {name} with {value!r}", "it is a number", f"write {name}{sign}10") from error
    return lambda row: bool(compare(float(row.get(name) or 0), limit))
