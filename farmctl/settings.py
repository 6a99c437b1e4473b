"""Settings of the command line: flags > environment FARM_* > project .farm.toml > user > /etc/farm.

Four settings exist, all about this program: which node, which output, which progress, which colour. They stand in a
table `[farmctl]`, so that a file may serve other programs too. A file that is not there costs one failed open.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmctl.forms import ColourMode, Format, ProgressMode
from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.context import Session

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "node": (),
    "output": tuple(form.value for form in Format),
    "progress": tuple(mode.value for mode in ProgressMode),
    "color": tuple(mode.value for mode in ColourMode),
}
"""Names, and which words each takes; none named: any text."""
DEFAULTS: Final = {"node": "", "output": "table", "progress": "auto", "color": "auto"}
MEANINGS: Final = {
    "node": "Node to talk to: HOST:PORT or a data dir; empty finds one on this machine.",
    "output": "How data is printed.",
    "progress": "How waiting is shown.",
    "color": "When output is coloured.",
}
VARIABLES: Final = {
    "FARM_NODE": "node to talk to: HOST:PORT or a data dir",
    "FARM_OUTPUT": "how data is printed: table, wide, json, jsonl, name, csv",
    "FARM_PROGRESS": "how waiting is shown: auto, tty, plain, none",
    "FARM_COLOR": "when output is coloured: auto, always, never",
    "FARM_DEBUG": "1 shows a traceback with errors",
    "FARM_DATA_DIR": "where this machine's daemon keeps its data, if not in the usual place",
    "NO_COLOR": "anything: no colour",
    "TERM": "dumb: no colour, no bar",
    "XDG_CONFIG_HOME": "where farm/config.toml of the user is; ~/.config",
}
"""Variables that are read, and what for."""
_HEADING: Final = re.compile(r"\s*\[([^\]]*)\]")
_AT_LINE: Final = re.compile(r"\(at line (\d+)")


class Setting(NamedTuple):
    """One setting with its value and where that comes from."""

    name: str
    value: str
    origin: str


class Fault(NamedTuple):
    """What is wrong with a file, and in which line; 0 if no line is to blame."""

    path: Path
    line: int
    what: str
    why: str
    hint: str

    def error(self) -> UsageError:
        """Make the error that stops a command."""
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return UsageError(f"{where}: {self.what}", self.why, self.hint)


def apply_settings(session: Session) -> None:
    """Fill in what neither a flag nor the environment said.

    Raises:
        UsageError: A file cannot be read, or holds a setting that does not exist.
    """
    for setting in from_files():
        if getattr(session, setting.name) is None:
            setattr(session, setting.name, setting.value)


def from_files() -> list[Setting]:
    """Read all files; each setting once, from the strongest file.

    Raises:
        UsageError: A file cannot be read, or holds a setting that does not exist.
    """
    found: dict[str, Setting] = {}
    for path in files().values():
        settings, faults = read(path)
        if faults:
            raise faults[0].error()
        for setting in settings:
            found.setdefault(setting.name, setting)
    return list(found.values())


def files() -> dict[str, Path]:
    """Name the files that are looked for, strongest first: of the project, the user, the machine."""
    here = Path.cwd()
    folders = (folder for folder in (here, *here.parents) if (folder / ".farm.toml").is_file())
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "farm" / "config.toml"
    return {
        "project": next(folders, here) / ".farm.toml",
        "user": user,
        "system": Path("/etc/farm/config.toml"),
    }


def read(path: Path) -> tuple[list[Setting], list[Fault]]:
    """Read one file: what it sets, and all that is wrong with it."""
    if not path.is_file():
        return [], []
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        table: Any = tomllib.loads(text).get("farmctl", {})
    except (OSError, ValueError) as error:
        at = _AT_LINE.search(str(error))
        why = str(error.strerror if isinstance(error, OSError) else error)
        return [], [Fault(path, int(at[1]) if at else 0, "it cannot be read", why, "correct the file, or move it away")]
    if not isinstance(table, dict):
        why = "settings stand below a heading"
        return [], [Fault(path, line_of(text, "farmctl", ""), "farmctl is not a table", why, "write [farmctl]")]
    faults = [fault for name, value in table.items() for fault in _faults(path, text, name, value)]
    return [Setting(name, value, str(path)) for name, value in table.items() if isinstance(value, str)], faults


def dashboard_faults(path: Path) -> list[Fault]:
    """Find what the dashboard would refuse in a file; nothing in one that cannot be read, which `read` tells."""
    import tomllib

    from protocol.tuisettings import faults_of

    try:
        text = path.read_text(encoding="utf-8")
        table: Any = tomllib.loads(text).get("tui", {})
    except (OSError, ValueError):
        return []
    return [
        Fault(path, nearest_line(text, one.name, one.table), one.what, one.why, one.hint) for one in faults_of(table)
    ]


def _faults(path: Path, text: str, name: str, value: object) -> Iterator[Fault]:
    line = nearest_line(text, name)
    if name not in SETTINGS:
        from protocol.human import nearest_word

        meant = nearest_word(name, SETTINGS)
        hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(SETTINGS)}"
        yield Fault(path, line, f"no setting {name!r}", "farmctl does not know it", hint)
        return
    reason = refusal(name, value)
    if reason:
        yield Fault(path, line, f"{name} = {value!r}", reason, f'write {name} = "{DEFAULTS[name]}"')


def refusal(name: str, value: object) -> str:
    """Say why a setting cannot have a value; "" if it can."""
    words = SETTINGS[name]
    if isinstance(value, str) and (not words or value in words):
        return ""
    return f"it is {' or '.join(words) or 'a text'}"


def line_of(text: str, name: str, below: str = "farmctl") -> int:
    """Return the line where a setting of a table stands, from 1; 0 if it is not found."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        heading = _HEADING.match(line)
        table = heading[1].strip() if heading else table
        key = line.partition("=")[0].strip().strip("\"'")
        if (table == below and key == name) or (not table and key == f"{below}.{name}"):
            return number
    return 0


def nearest_line(text: str, name: str, below: str = "farmctl") -> int:
    """Return the line where a setting stands, or, within an inline table, the line of that; 0 if neither is found."""
    line = line_of(text, name, below)
    while not line and below:
        below, _, name = below.rpartition(".")
        line = line_of(text, name, below)
    return line
