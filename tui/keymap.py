"""All keys of the dashboard, as data: what each does, where, under which name it can be given another key.

Screens take their bindings from here, the help of a screen is printed from here, and so is the bar at the bottom; nothing
else knows a key. A person remaps by id in the table `[tui.keys]` of the configuration (`"job.cancel" = "ctrl+x"`); two
actions on one key of one screen are refused, with their names.

Must not import textual; key names are Textual's (ctrl+p, slash, question_mark, upper case for shift).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Place(StrEnum):
    """A screen, or what is the same on all of them (ANYWHERE), on all tables (TABLE), wherever a job is chosen (JOBLIKE)."""

    ANYWHERE = "anywhere"
    TABLE = "table"
    JOBLIKE = "joblike"
    OVERVIEW = "overview"
    JOBS = "jobs"
    JOB = "job"
    NODES = "nodes"
    LOG = "log"
    EVENTS = "events"
    FARM = "farm"


INHERITED: Final[dict[Place, tuple[Place, ...]]] = {
    Place.OVERVIEW: (Place.TABLE, Place.JOBLIKE),
    Place.JOBS: (Place.TABLE, Place.JOBLIKE),
    Place.JOB: (Place.TABLE, Place.JOBLIKE),
    Place.NODES: (Place.TABLE,),
    Place.EVENTS: (Place.TABLE,),
    Place.LOG: (),
    Place.FARM: (),
}
"""Whose keys a screen has besides its own and those that are the same anywhere."""


@dataclass(frozen=True, slots=True)
class Key:
    """One binding.

    Attributes:
        id: For remapping; stable.
        keys: Key names; the first is shown.
        action: What the screen is asked to do.
        text: For help.
        short: For the bar at the bottom; empty stays out of it.
        place: Where it holds.
        group: Heading in the help.
        changes: It changes something in the farm; not there with --read-only.
        priority: It works inside of an input too.
    """

    id: str
    keys: tuple[str, ...]
    action: str
    text: str
    short: str = ""
    place: Place = Place.ANYWHERE
    group: str = "Go"
    changes: bool = False
    priority: bool = False


def _keys(place: Place, group: str, *rows: tuple[str, str, str, str, str], changes: bool = False) -> list[Key]:
    return [
        Key(f"{place.value}.{name}", tuple(keys.split()), action, text, short, place, group, changes)
        for name, keys, action, text, short in rows
    ]


_ANYWHERE: Final = [
    *_keys(
        Place.ANYWHERE,
        "Go",
        ("overview", "1", "show('overview')", "Overview", ""),
        ("jobs", "2", "show('jobs')", "Jobs", ""),
        ("nodes", "3", "show('nodes')", "Nodes", ""),
        ("events", "4", "show('events')", "Events", ""),
        ("farm", "5", "show('farm')", "Farm", ""),
        ("back", "escape", "back", "back: close, or clear; never quits", ""),
    ),
    *_keys(
        Place.ANYWHERE,
        "Everywhere",
        ("command", "colon", "command", "command line", ""),
        ("palette", "ctrl+p", "palette", "find a command, a job or a machine", ""),
        ("help", "question_mark f1", "help", "this help", "help"),
        ("refresh", "ctrl+r", "refresh", "draw and ask again", ""),
        ("quit", "q", "leave", "quit, from one of the five views", ""),
    ),
]
_TABLE: Final = [
    *_keys(
        Place.TABLE,
        "Move",
        ("down", "j down", "move(1)", "down", ""),
        ("up", "k up", "move(-1)", "up", ""),
        ("page_down", "pagedown ctrl+f ctrl+d", "page(1)", "a page down", ""),
        ("page_up", "pageup ctrl+b ctrl+u", "page(-1)", "a page up", ""),
        ("first", "g home", "go(0)", "first row", ""),
        ("last", "G end", "go(-1)", "last row", ""),
        ("open", "enter", "open", "open what the cursor is on", "open"),
    ),
    *_keys(
        Place.TABLE,
        "Choose",
        ("filter", "slash", "filter", "filter; /! shows the others", "filter"),
        ("mark", "space", "mark", "mark this row", ""),
        ("mark_range", "ctrl+@ ctrl+space", "mark_range", "mark up to here", ""),
        ("mark_all", "asterisk", "mark_all", "mark all shown, or none", ""),
        ("copy_id", "c", "copy('id')", "copy the id", ""),
        ("copy_path", "y", "copy('path')", "copy the path or address", ""),
        ("details", "d", "details", "details beside the table", ""),
    ),
]
_JOBLIKE: Final = [
    *_keys(
        Place.JOBLIKE,
        "Look",
        ("why", "w", "why", "why does it not run?", "why"),
        ("log", "l", "log", "what the renderer printed", "log"),
        ("thumbnail", "t", "thumbnail", "pictures of the test frames", ""),
    ),
    *_keys(
        Place.JOBLIKE,
        "Order",
        ("approve", "a", "order('approve')", "approve the test frames", ""),
        ("reject", "x", "order('reject')", "reject the test frames", ""),
        ("retry", "r", "order('retry')", "render again what failed", "retry"),
        ("pause", "p", "toggle_pause", "pause, or resume", "pause"),
        ("raise", "plus equals_sign", "priority(10)", "raise the priority by 10", ""),
        ("lower", "minus", "priority(-10)", "lower the priority by 10", ""),
        ("edit", "i", "edit", "edit: ram=16G priority=80 …", ""),
        ("archive", "z", "order('archive')", "archive: put an ended job away", ""),
        ("cancel", "X", "order('cancel')", "cancel; asks first", ""),
        ("delete", "D", "order('delete')", "delete; asks first", ""),
        changes=True,
    ),
]
_JOB: Final = _keys(
    Place.JOB,
    "Look",
    ("next_failed", "e", "next_failed(1)", "next failed task", ""),
    ("previous_failed", "E", "next_failed(-1)", "failed task before", ""),
)
_NODES: Final = _keys(
    Place.NODES,
    "Order",
    ("hold", "h p", "toggle_hold", "hold: no more work; or release", "hold/release"),
    ("drain", "D", "order('drain')", "drain: run empty; asks first", "drain"),
    changes=True,
)
_FARM: Final = _keys(
    Place.FARM,
    "Move",
    ("down", "j down", "move(1)", "down", ""),
    ("up", "k up", "move(-1)", "up", ""),
    ("page_down", "pagedown ctrl+f ctrl+d", "page(1)", "a page down", ""),
    ("page_up", "pageup ctrl+b ctrl+u", "page(-1)", "a page up", ""),
    ("first", "g home", "go(0)", "the begin", ""),
    ("last", "G end", "go(-1)", "the end", ""),
)
_LOG: Final = [
    *_keys(
        Place.LOG,
        "Move",
        ("down", "j down", "move(1)", "down", ""),
        ("up", "k up", "move(-1)", "up", ""),
        ("page_down", "pagedown ctrl+f ctrl+d", "page(1)", "a page down", ""),
        ("page_up", "pageup ctrl+b ctrl+u", "page(-1)", "a page up", ""),
        ("first", "g home", "go(0)", "first line", ""),
        ("last", "G end", "go(-1)", "last line", ""),
        ("follow", "f", "follow", "follow what is written", "follow"),
    ),
    *_keys(
        Place.LOG,
        "Find",
        ("find", "slash", "filter", "look for a text", "find"),
        ("next", "n", "find(1)", "next match", "next"),
        ("previous", "N", "find(-1)", "match before", ""),
        ("next_error", "e", "error(1)", "next error", "error"),
        ("previous_error", "E", "error(-1)", "error before", ""),
    ),
    *_keys(
        Place.LOG,
        "Show",
        ("wrap", "w", "wrap", "wrap long lines", "wrap"),
        ("times", "T", "times", "when each line was written", "times"),
        ("full", "z", "full", "full screen, for copying with the mouse", ""),
        ("copy", "c y", "copy('line')", "copy the line", ""),
        ("older", "left_square_bracket", "attempt(1)", "log of the attempt before", ""),
        ("newer", "right_square_bracket", "attempt(-1)", "log of the attempt after", ""),
    ),
]

KEYS: Final[tuple[Key, ...]] = (*_ANYWHERE, *_TABLE, *_JOBLIKE, *_JOB, *_NODES, *_FARM, *_LOG)
_SHOWN: Final = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "asterisk": "*",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "escape": "esc",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "ctrl+@": "ctrl-space",
    "up": "↑",
    "down": "↓",
}


def shown_key(key: str) -> str:
    """Write a key as people do."""
    return _SHOWN.get(key) or (key.upper() if key[0] == "f" and key[1:].isdigit() else key.replace("+", "-"))


class Keymap:
    """The keys with what a person changed.

    Args:
        changed: Id to key names, separated by commas or blanks.
        read_only: Without the keys that change anything in the farm.

    Raises:
        UsageError: An id does not exist, or two actions of one screen have the same key.
    """

    def __init__(self, changed: Mapping[str, str] | None = None, *, read_only: bool = False) -> None:
        wanted = dict(changed or {})
        known = {key.id for key in KEYS}
        for name in wanted:
            if name not in known:
                meant = nearest_word(name, known)
                raise UsageError(
                    f"no key is called {name!r}",
                    "see the ids in the help (?)",
                    f"did you mean {meant}?" if meant else "",
                )
        keys = [
            replace(key, keys=tuple(wanted[key.id].replace(",", " ").split())) if key.id in wanted else key
            for key in KEYS
        ]
        self._keys = [key for key in keys if key.keys and not (read_only and key.changes)]
        for place in INHERITED:
            self._refuse_clashes(place)

    def of(self, place: Place) -> list[Key]:
        """Return the keys of a screen: its own win over those that it inherits."""
        return [
            key
            for name in (place, *INHERITED.get(place, ()), Place.ANYWHERE)
            for key in self._keys
            if key.place == name
        ]

    def at(self, place: Place) -> list[Key]:
        """Return the keys that stand at one place only."""
        return [key for key in self._keys if key.place == place]

    def help(self, place: Place) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return headings with (keys, text), in the order in which they are shown."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for key in self.of(place):
            groups.setdefault(key.group, []).append((" ".join(dict.fromkeys(map(shown_key, key.keys[:2]))), key.text))
        order = ("Move", "Choose", "Look", "Find", "Show", "Order", "Go", "Everywhere")
        return [(name, groups[name]) for name in order if name in groups]

    def bar(self, place: Place) -> list[tuple[str, str]]:
        """Return (key, word) for the bar at the bottom."""
        return [(shown_key(key.keys[0]), key.short) for key in self.of(place) if key.short]

    def _refuse_clashes(self, place: Place) -> None:
        taken: dict[str, Key] = {}
        for key in self.of(place):
            for name in key.keys:
                other = taken.setdefault(name, key)
                if other is not key and {other.place, key.place} != {Place.TABLE, place}:
                    raise UsageError(
                        f"the key {shown_key(name)} does two things in {place.value}",
                        f"{other.id} and {key.id}",
                        "give one of them another key in [tui.keys]",
                    )


def sort_letters(columns: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the keys that sort: (letter, title of the column)."""
    return [(f"shift-{letter.lower()}", title) for letter, title in columns if letter]
