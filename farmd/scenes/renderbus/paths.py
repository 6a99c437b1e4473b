"""Paths of the service: the whole tree of the artist's machine below one root, `C:/Project/x` as `/C/Project/x`.

The first slash of a POSIX path and both slashes of a network share stay: `/home/ada/x`, `//filer/show/x`. A path rule is
a pair of prefixes, the one that is written and the one that is read instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from protocol.errors import UsageError
from protocol.pathrules import PathRule, apply

if TYPE_CHECKING:
    from collections.abc import Iterable

Rules = tuple[tuple[str, str], ...]
_DRIVE: Final = re.compile(r"([A-Za-z]):/")
_TOP: Final = re.compile(r"[A-Za-z]:/|//[^/]+/[^/]+/|/[^/]+/")


def slashed(path: str) -> str:
    """Write a path with slashes, each run of them as one, but for the two before a network share.

    Raises:
        UsageError: It is not absolute, or leads upwards.
    """
    share = path.startswith(("//", "\\\\"))
    plain = re.sub(r"[\\/]+", "/", path.strip())
    if ".." in plain.split("/") or not (plain.startswith("/") or _DRIVE.match(plain)):
        raise UsageError(
            f"{path[:90]!r} cannot be imported", "it is not a plain absolute path", "correct the files of the task"
        )
    return f"/{plain}" if share else plain


def server_path(local: str) -> str:
    """Say where the service keeps a file.

    Raises:
        UsageError: Its path is not absolute.
    """
    return _DRIVE.sub(r"/\1/", slashed(local), count=1)


def top_of(path: str) -> str:
    """Return what a rule for a path is for: its drive, its share, or its first folder; all with a slash at the end."""
    found = _TOP.match(path)
    return found[0] if found else "/"


def mapped(path: str, rules: Iterable[tuple[str, str]]) -> str:
    """Put in what is read instead."""
    return apply([PathRule(written, becomes) for written, becomes in rules], path)[0]


def inverse(rules: Iterable[tuple[str, str]]) -> Rules:
    """Return the rules that lead back."""
    return tuple((becomes, written) for written, becomes in rules)
