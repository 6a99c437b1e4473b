"""`--filter state=failed,owner=me,age>2h`: choose rows of a list by what they show.

Parts are joined by commas and all must hold. Words are compared with `=` and `!=`, several alternatives with `|`
(state=failed|cancelled), and with a pattern by `~` and `!~` (name~shot_*; without a wildcard: anywhere in it); numbers,
sizes, durations and ages also with `<`, `<=`, `>` and `>=`. A word that can never match is refused: `state=faild`
would else choose nothing, silently.

What each kind of row can be chosen by is a table, from which help and completion are made.
"""

from __future__ import annotations

import operator
import re
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.errors import UsageError
from protocol.human import nearest_word, parse_duration, parse_size
from protocol.states import JobState, NodeState, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmctl.output import View

_PART: Final = re.compile(r"([a-z_]+(?:\.[a-z0-9_-]+)?)\s*(!=|!~|<=|>=|=|~|<|>)\s*(.*)")
_ORDERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class Kind(Enum):
    """What can be said of a field, and how its value is written."""

    WORD = "word"
    NUMBER = "number"
    SIZE = "size"
    DURATION = "duration"
    AGE = "age"


class Field(NamedTuple):
    """One thing that rows can be chosen by.

    Attributes:
        kind: How it is compared.
        key: Where it stands in a row; of an age, the instant in milliseconds that it counts from.
        words: All words that there are; none named: any.
    """

    kind: Kind
    key: str
    words: tuple[str, ...] = ()


class Fields(NamedTuple):
    """What the rows of one kind can be chosen by."""

    rows: str
    known: Mapping[str, Field]


def _plain(kind: Kind, *names: str) -> dict[str, Field]:
    return {name: Field(kind, name) for name in names}


LABEL: Final = "label."
"""Before the name of a label: label.shot=s010."""
JOB_FIELDS: Final = Fields(
    "jobs",
    {
        "state": Field(Kind.WORD, "state", tuple(state.value for state in JobState)),
        **_plain(Kind.WORD, "owner", "name", "project", "renderer", "id", "reason"),
        **_plain(Kind.NUMBER, "priority", "progress", "total", "done", "failed", "running", "waiting"),
        "left": Field(Kind.DURATION, "eta_s"),
        "age": Field(Kind.AGE, "submitted_ms"),
        "ended": Field(Kind.AGE, "ended_ms"),
    },
)
NODE_FIELDS: Final = Fields(
    "machines",
    {
        "state": Field(Kind.WORD, "state", tuple(state.value for state in NodeState)),
        **_plain(Kind.WORD, "name", "id", "address", "software", "reason"),
        **_plain(Kind.NUMBER, "cores", "slots", "running", "load"),
        "ram": Field(Kind.SIZE, "ram_bytes"),
        "free_ram": Field(Kind.SIZE, "free_ram_bytes"),
        "free_disk": Field(Kind.SIZE, "free_disk_bytes"),
        "gpus": Field(Kind.NUMBER, "gpus"),
        "renderer": Field(Kind.WORD, "renderers"),
        "seen": Field(Kind.DURATION, "last_seen_s"),
    },
)
TASK_FIELDS: Final = Fields(
    "tasks",
    {
        "state": Field(Kind.WORD, "state", tuple(state.value for state in TaskState)),
        "node": Field(Kind.WORD, "node_name"),
        **_plain(Kind.WORD, "frames", "text", "result"),
        **_plain(Kind.NUMBER, "index", "attempts", "copies", "generation"),
        "time": Field(Kind.DURATION, "seconds"),
        "memory": Field(Kind.SIZE, "peak_ram_bytes"),
    },
)


class Asking(NamedTuple):
    """Who asks and when: what `owner=me` and `age` are relative to."""

    user: str
    now_ms: int


def parse_filter(text: str, asking: Asking, fields: Fields = JOB_FIELDS) -> Callable[[View], bool]:
    """Read a filter.

    Raises:
        UsageError: It cannot be read, or names what these rows do not have.
    """
    tests = [_test(part.strip(), asking, fields) for part in text.split(",") if part.strip()]
    return lambda row: all(test(row) for test in tests)


def _test(part: str, asking: Asking, fields: Fields) -> Callable[[View], bool]:
    found = _PART.fullmatch(part)
    if found is None or not found[3]:
        raise UsageError(f"cannot read the filter {part!r}", "it is no comparison", "write state=failed or age>2h")
    name, sign, value = found.groups()
    field = fields.known.get(name)
    if fields is JOB_FIELDS and name.startswith(LABEL):
        field = Field(Kind.WORD, name)
    if field is None:
        meant = nearest_word(name, fields.known)
        hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(fields.known)}"
        raise UsageError(f"cannot filter by {name!r}", f"{fields.rows} have no such field", hint)
    if field.kind is Kind.WORD:
        return _word_test(name, field, sign, value, asking)
    return _number_test(name, field, sign, value, asking)


def _word_test(name: str, field: Field, sign: str, value: str, asking: Asking) -> Callable[[View], bool]:
    if sign not in ("=", "!=", "~", "!~"):
        raise UsageError(f"cannot compare {name} with {sign}", "it is a word", f"write {name}={value}")
    wanted = [asking.user if name == "owner" and word == "me" else word for word in value.split("|")]
    positive = not sign.startswith("!")
    if sign.endswith("~"):
        patterns = [_pattern(word) for word in wanted]
        return lambda row: (
            any(fnmatchcase(text.lower(), p) for p in patterns for text in _texts(row, field)) is positive
        )
    for word in wanted:
        if field.words and word not in field.words:
            meant = nearest_word(word, field.words)
            hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(field.words)}"
            raise UsageError(f"no {name} is called {word!r}", f"no {name} can ever be that", hint)
    return lambda row: any(text in wanted for text in _texts(row, field)) is positive


def _pattern(word: str) -> str:
    """Make a pattern of shells; a word without a wildcard is looked for anywhere."""
    small = word.lower()
    return small if any(letter in small for letter in "*?[") else f"*{small}*"


def _texts(row: View, field: Field) -> list[str]:
    """List the words of a field: of a reason its code and its text, of a list the names in it."""
    if field.key.startswith(LABEL):
        return [str((row.get("labels") or {}).get(field.key.removeprefix(LABEL), ""))]
    value = row.get(field.key)
    if isinstance(value, dict):
        return [str(value.get(key) or "") for key in ("code", "text")]
    if isinstance(value, list):
        return [str(item.get("name") or "") if isinstance(item, dict) else str(item) for item in value]
    return ["" if value is None else str(value)]


def _number_test(name: str, field: Field, sign: str, value: str, asking: Asking) -> Callable[[View], bool]:
    if sign in ("~", "!~"):
        raise UsageError(f"cannot compare {name} with {sign}", f"it is a {field.kind.value}", f"write {name}>{value}")
    compare, limit = _ORDERS[sign], _limit(name, field, sign, value)

    def holds(row: View) -> bool:
        number = _number(row, field, asking)
        return number is not None and bool(compare(number, limit))

    return holds


def _limit(name: str, field: Field, sign: str, value: str) -> float:
    if field.kind is Kind.SIZE:
        return float(parse_size(value))
    if field.kind in (Kind.DURATION, Kind.AGE):
        return parse_duration(value)
    try:
        return float(value)
    except ValueError as error:
        raise UsageError(f"cannot compare {name} with {value!r}", "it is a number", f"write {name}{sign}10") from error


def _number(row: View, field: Field, asking: Asking) -> float | None:
    """Return the number of a row; a duration, size or age that a row does not have matches nothing."""
    value = row.get(field.key)
    if field.kind is Kind.AGE:
        return (asking.now_ms - int(value)) / 1000 if value else None
    if isinstance(value, list):
        return float(len(value))
    if value is None:
        return 0.0 if field.kind is Kind.NUMBER else None
    return float(value)
