"""`state=failed,owner=me,age>2h`: choose rows by what they show, in the same words at the command line and on the dashboard.

Parts are joined by commas and all must hold. Words are compared with `=` and `!=`, several alternatives with `|`
(state=failed|cancelled), and with a pattern by `~` and `!~` (name~shot_*; without a wildcard: anywhere in it); numbers,
sizes, durations and ages also with `<`, `<=`, `>` and `>=`. A word that can never match is refused: `state=faild`
would else choose nothing, silently. `state=` also takes the groups that cards and badges count (pending, running, …);
where a state is called like a group, the state is meant.

What each kind of row can be chosen by is a table, from which help and completion are made. Imports the standard library
and this package only.
"""

from __future__ import annotations

import operator
import re
from enum import Enum
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from protocol.errors import UsageError
from protocol.human import nearest_word, parse_duration, parse_size
from protocol.states import JOB_LOOKS, TASK_LOOKS, JobState, NodeState, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.states import Look

    View = dict[str, Any]

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


class Onlooker(Protocol):
    """Who looks and when: what `owner=me` and `age` are relative to."""

    @property
    def user(self) -> str:
        """The account of who looks."""

    @property
    def now_ms(self) -> int:
        """The wall clock, in milliseconds."""


class Asking(NamedTuple):
    """An onlooker for whom time stands still."""

    user: str
    now_ms: int


class Field(NamedTuple):
    """One thing that rows can be chosen by.

    Attributes:
        kind: How it is compared.
        key: Where it stands in a row; of an age, the instant in milliseconds that it counts from.
        words: All words that there are; none named: any.
        groups: Words that stand for several of them.
        read: Makes it of a row, where it does not stand there as it is; `key` is then only its name.
    """

    kind: Kind
    key: str
    words: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = {}
    read: Callable[[View, Onlooker], Any] | None = None

    @property
    def all_words(self) -> tuple[str, ...]:
        """Everything that it can be compared with, groups too."""
        return (*self.words, *self.groups)

    def value(self, row: View, onlooker: Onlooker) -> Any:
        """Return what a row says."""
        return row.get(self.key) if self.read is None else self.read(row, onlooker)


class Fields(NamedTuple):
    """What the rows of one kind can be chosen by."""

    rows: str
    known: Mapping[str, Field]


def _state(looks: Mapping[Any, Look]) -> Field:
    """Make the field of a state, with the groups that no state is called by."""
    words = tuple(str(state.value) for state in looks)
    groups: dict[str, tuple[str, ...]] = {}
    for state, look in looks.items():
        if look.group.value not in words:
            groups[look.group.value] = (*groups.get(look.group.value, ()), str(state.value))
    return Field(Kind.WORD, "state", words, groups)


def _plain(kind: Kind, *names: str) -> dict[str, Field]:
    return {name: Field(kind, name) for name in names}


LABEL: Final = "label."
"""Before the name of a label: label.shot=s010."""
JOB_FIELDS: Final = Fields(
    "jobs",
    {
        "state": _state({state: JOB_LOOKS[state] for state in JobState}),
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
        "state": _state({state: TASK_LOOKS[state] for state in TaskState}),
        "node": Field(Kind.WORD, "node_name"),
        **_plain(Kind.WORD, "frames", "text", "result"),
        **_plain(Kind.NUMBER, "index", "attempts", "copies", "generation"),
        "time": Field(Kind.DURATION, "seconds"),
        "memory": Field(Kind.SIZE, "peak_ram_bytes"),
    },
)


def parse_filter(text: str, asking: Onlooker, fields: Fields = JOB_FIELDS) -> Callable[[View], bool]:
    """Read a filter whose parts are joined by commas.

    Raises:
        UsageError: It cannot be read, or names what these rows do not have.
    """
    tests = [comparison(part.strip(), fields) for part in text.split(",") if part.strip()]
    return lambda row: all(test(row, asking) for test in tests)


def comparison(part: str, fields: Fields) -> Callable[[View, Onlooker], bool]:
    """Read one part.

    Raises:
        UsageError: It cannot be read, or names what these rows do not have.
    """
    found = _PART.fullmatch(part)
    if found is None or not found[3]:
        raise UsageError(f"cannot read the filter {part!r}", "it is no comparison", "write state=failed or age>2h")
    name, sign, value = found.groups()
    field = fields.known.get(name)
    if fields.rows == JOB_FIELDS.rows and name.startswith(LABEL):
        field = Field(Kind.WORD, name)
    if field is None:
        meant = nearest_word(name, fields.known)
        hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(fields.known)}"
        raise UsageError(f"cannot filter by {name!r}", f"{fields.rows} have no such field", hint)
    if field.kind is Kind.WORD:
        return _word_test(name, field, sign, value)
    return _number_test(name, field, sign, value)


def _word_test(name: str, field: Field, sign: str, value: str) -> Callable[[View, Onlooker], bool]:
    if sign not in ("=", "!=", "~", "!~"):
        raise UsageError(f"cannot compare {name} with {sign}", "it is a word", f"write {name}={value}")
    words, positive = value.split("|"), not sign.startswith("!")
    mine = name == "owner" and "me" in words
    if sign.endswith("~"):
        return _pattern_test(field, [word for word in words if not (mine and word == "me")], positive, mine=mine)
    _refuse_unknown(name, field, words)
    wanted = frozenset(one for word in words for one in field.groups.get(word, (word,)) if not (mine and one == "me"))

    def holds(row: View, onlooker: Onlooker) -> bool:
        texts = _texts(row, field, onlooker)
        for text in texts:  # no generator: a dashboard holds a hundred thousand rows against it at each key
            if text in wanted or (mine and text == onlooker.user):
                return positive
        return not positive

    return holds


def _pattern_test(field: Field, words: list[str], positive: bool, *, mine: bool) -> Callable[[View, Onlooker], bool]:
    matches = re.compile("|".join(translate(_pattern(word)) for word in words) or "(?!)").match

    def holds(row: View, onlooker: Onlooker) -> bool:
        for text in _texts(row, field, onlooker):
            small = text.lower()
            if matches(small) or (mine and fnmatchcase(small, _pattern(onlooker.user))):
                return positive
        return not positive

    return holds


def _refuse_unknown(name: str, field: Field, words: list[str]) -> None:
    for word in words if field.words else ():
        if word not in field.all_words:
            meant = nearest_word(word, field.all_words)
            hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(field.all_words)}"
            raise UsageError(f"no {name} is called {word!r}", f"no {name} can ever be that", hint)


def _pattern(word: str) -> str:
    """Make a pattern of shells; a word without a wildcard is looked for anywhere."""
    small = word.lower()
    return small if any(letter in small for letter in "*?[") else f"*{small}*"


def _texts(row: View, field: Field, onlooker: Onlooker) -> tuple[str, ...]:
    """List the words of a field: of a reason its code and its text, of a list the names in it."""
    value = row.get(field.key) if field.read is None else field.read(row, onlooker)
    if isinstance(value, str):
        return (value,)
    if field.key.startswith(LABEL):
        return (str((row.get("labels") or {}).get(field.key.removeprefix(LABEL), "")),)
    if isinstance(value, dict):
        return tuple(str(value.get(key) or "") for key in ("code", "text"))
    if isinstance(value, list):
        return tuple(str(item.get("name") or "") if isinstance(item, dict) else str(item) for item in value)
    return ("" if value is None else str(value),)


def _number_test(name: str, field: Field, sign: str, value: str) -> Callable[[View, Onlooker], bool]:
    if sign in ("~", "!~"):
        raise UsageError(f"cannot compare {name} with {sign}", f"it is a {field.kind.value}", f"write {name}>{value}")
    compare, limit = _ORDERS[sign], _limit(name, field, sign, value)

    def holds(row: View, onlooker: Onlooker) -> bool:
        number = _number(row, field, onlooker)
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


def _number(row: View, field: Field, onlooker: Onlooker) -> float | None:
    """Return the number of a row; a duration, size or age that a row does not have matches nothing."""
    value = field.value(row, onlooker)
    if field.kind is Kind.AGE:
        return (onlooker.now_ms - int(value)) / 1000 if value else None
    if isinstance(value, list):
        return float(len(value))
    if value is None:
        return 0.0 if field.kind is Kind.NUMBER else None
    return float(value)
