"""Settings of the command line: flags > environment FARM_* > project .farm.toml > user > /etc/farm.

Three settings exist, all about this program: which node, which output, which progress. They stand in a table
`[farmctl]`, so that a file may serve other programs too. A file that is not there costs one failed open.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.context import Session

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "node": (),
    "output": ("table", "wide", "json", "jsonl", "name"),
    "progress": ("auto", "tty", "plain", "none"),
}
"""Names, and which words each takes; none named: any text."""
DEFAULTS: Final = {"node": "", "output": "table", "progress": "auto"}


class Setting(NamedTuple):
    """One setting with its value and where that comes from."""

    name: str
    value: str
    origin: str


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
    for path in files():
        for setting in _read(path):
            found.setdefault(setting.name, setting)
    return list(found.values())


def files() -> Iterator[Path]:
    """Name the files that are looked for, strongest first."""
    here = Path.cwd()
    yield next((folder / ".farm.toml" for folder in (here, *here.parents) if (folder / ".farm.toml").is_file()), here)
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "farm" / "config.toml"
    yield Path("/etc/farm/config.toml")


def _read(path: Path) -> Iterator[Setting]:
    if not path.is_file():
        return
    import tomllib

    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8")).get("farmctl", {})
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", str(error), "correct the file, or move it away") from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: farmctl is not a table", "settings stand below a heading", "write [farmctl]")
    for name, value in table.items():
        if name not in SETTINGS:
            from protocol.human import nearest_word

            meant = nearest_word(name, SETTINGS) or ", ".join(SETTINGS)
            raise UsageError(f"{path}: no setting {name!r}", "farmctl does not know it", f"did you mean {meant}?")
        words = SETTINGS[name]
        if not isinstance(value, str) or (words and value not in words):
            expected = " or ".join(words) or "a text"
            raise UsageError(
                f"{path}: {name} = {value!r}", f"it is {expected}", f'write {name} = "{words[0] if words else ""}"'
            )
        yield Setting(name, value, str(path))
