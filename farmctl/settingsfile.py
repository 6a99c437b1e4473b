"""Change one line of a configuration file, and nothing else of it: comments and other programs' tables stay.

The new text is read back before it replaces the old one, in one step; a file that could not be read before is refused.
"""

from __future__ import annotations

import json
import os
import tomllib
from typing import TYPE_CHECKING, Final

from farmctl.settings import line_of, read
from protocol.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_HEADING: Final = "[farmctl]"


def write_setting(path: Path, name: str, value: str) -> None:
    """Set a value, or take it out if it is empty.

    Raises:
        UsageError: The file is damaged, or says it in a way that cannot be changed by a line.
        OSError: It cannot be written.
    """
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    damaged = next((fault for fault in read(path)[1] if not fault.what.startswith(("no setting", name))), None)
    if damaged is not None:
        raise damaged.error()
    new = _changed(old, name, value)
    _check(path, new, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(new, encoding="utf-8")
    if path.is_file():
        draft.chmod(path.stat().st_mode & 0o777)
    draft.replace(path)


def _changed(text: str, name: str, value: str) -> str:
    lines = text.splitlines()
    at = line_of(text, name) - 1
    said = f"{name} = {json.dumps(value, ensure_ascii=False)}"  # a JSON string is a basic string of TOML
    if at >= 0:
        lines[at : at + 1] = [said] if value else []
    elif value:
        heading = next((number for number, line in enumerate(lines) if line.strip() == _HEADING), None)
        if heading is None:
            lines += [*([""] if lines else []), _HEADING, said]
        else:
            lines.insert(heading + 1, said)
    return "\n".join(lines) + "\n" if lines else ""


def _check(path: Path, text: str, name: str, value: str) -> None:
    try:
        found = tomllib.loads(text).get("farmctl", {}).get(name, "")
    except (ValueError, AttributeError):
        found = None
    if found != value:
        raise UsageError(f"cannot set {name} in {path}", "the file says it in an unusual way", "edit it by hand")
