"""What can be set in the table `[tui]` of a configuration file: the dashboard reads it, `farmctl config validate` checks it.

    [tui]
    theme = "farm-light"
    read_only = true
    [tui.keys]
    "joblike.cancel" = "ctrl+x"

Which themes and keys there are is known to the dashboard alone. Imports the standard library and this package only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN: Final[dict[str, tuple[type, str]]] = {
    "theme": (str, "a text"),
    "read_only": (bool, "true or false"),
    "keys": (dict, "a table: [tui.keys]"),
}


class Fault(NamedTuple):
    """What is wrong: in which table, with which name, and what to try."""

    table: str
    name: str
    what: str
    why: str
    hint: str = ""


def faults_of(table: object) -> Iterator[Fault]:
    """Find all that is wrong with what stands below `[tui]`."""
    if not isinstance(table, dict):
        yield Fault("", "tui", "tui is not a table", "settings stand below a heading", "write [tui]")
        return
    for name, value in table.items():
        if name not in KNOWN:
            meant = nearest_word(name, KNOWN)
            hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(KNOWN)}"
            yield Fault("tui", name, f"no setting {name!r} in [tui]", "the dashboard does not know it", hint)
        elif not isinstance(value, KNOWN[name][0]):
            yield Fault("tui", name, f"{name} = {value!r}", f"it is {KNOWN[name][1]}")
        elif isinstance(value, dict):
            yield from _faults_of_keys(value)


def _faults_of_keys(keys: dict[str, object]) -> Iterator[Fault]:
    for name, value in keys.items():
        if not isinstance(value, str):
            hint = f'write "{name}" = "ctrl+x"'
            yield Fault("tui.keys", name, f"{name} = {value!r}", "keys are named in a text, several with commas", hint)
