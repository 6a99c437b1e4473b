"""Which farmd this is, as it was installed."""

from __future__ import annotations

import sys
from pathlib import Path

_SUFFIX = ".dist-info"


def installed_version(package: str = "farmd") -> str:
    """Return the version of an installed package, empty if it is not installed.

    The folder's name says it; `importlib.metadata`, which reads the same, takes 3 MiB of the daemon for ever.
    """
    for folder in sys.path:
        for info in Path(folder).glob(f"{package}-*{_SUFFIX}"):
            return info.name[len(package) + 1 : -len(_SUFFIX)]
    return ""
