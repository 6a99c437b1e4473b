"""What a person has set for the dashboard, read from the files that the command line reads, too. Must not import textual."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.errors import UsageError
from protocol.tuisettings import faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What was set.

    Attributes:
        theme: Name of a theme; empty is the dark one.
        read_only: Never change anything in the farm.
        keys: Other keys, by id of the binding.
    """

    theme: str = ""
    read_only: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)


def files() -> list[Path]:
    """Name the files that are looked for, strongest first."""
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "farm" / "config.toml"
    return [user, Path("/etc/farm/config.toml")]


def read_settings(paths: list[Path] | None = None) -> Settings:
    """Read the files; a setting of a stronger file wins, keys are put together.

    Raises:
        UsageError: A file cannot be read, or holds a setting that does not exist.
    """
    found: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for path in files() if paths is None else paths:
        table = _table(path)
        keys = dict(table.pop("keys", {})) | keys
        found = table | found
    return Settings(**found, keys=keys)


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tui", {})
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", str(error), "correct the file, or move it away") from error
    for fault in faults_of(table):
        raise UsageError(f"{path}: {fault.what}", fault.why, fault.hint)
    return dict(table)
