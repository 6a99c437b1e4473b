"""Path rules of one job, as they are given with `--map`: what the scene writes, and where that is on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from protocol.errors import NotFound, UsageError

_EXAMPLE = "write --map 'Y:/show=/mnt/show'"


def path_rules_of(pairs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Read the rules.

    Args:
        pairs: Each `WRITTEN=FOLDER`; the first `=` parts them.

    Raises:
        UsageError: One is no rule.
        NotFound: A folder is not here.
    """
    return tuple(map(_rule_of, pairs))


def _rule_of(pair: str) -> tuple[str, str]:
    written, equals, named = pair.partition("=")
    if not equals or not written.strip() or not named.strip():
        raise UsageError(f"cannot read the rule {pair!r}", "it is no prefix and folder", _EXAMPLE)
    place = os.path.abspath(Path(named).expanduser())  # noqa: PTH100  # resolve() would follow links
    if not os.path.exists(place):  # noqa: PTH110  # the text above is what is sent
        raise NotFound(f"no file or folder {place}", f"the rule {pair!r} leads there", _EXAMPLE)
    return written, place
