"""Path rules as scenes need them: which prefixes would turn a written path into a file that was found.

What a rule means is `protocol.pathrules`' to say, and the same in every renderer; here rules are made. The shortest
prefix repairs most and harms most, so `repair` walks the list from there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from protocol.pathrules import PathRule, apply

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from farmd.scenes.report import Missing

Rule: TypeAlias = tuple[str, str]
"""Written prefix, what it becomes; as in `JobSpec.path_rules`."""


def applied(written: str, rules: Sequence[Rule]) -> str:
    """Rewrite a path by the longest rule that fits; unchanged if none does."""
    return apply([PathRule(*rule) for rule in rules], written)[0] if rules else written


def covers(prefix: str, written: str) -> bool:
    """Tell whether a rule for this prefix speaks of a path."""
    return apply((PathRule(prefix, "/"),), written)[1] is not None


def rules_of(missing: Iterable[Missing]) -> tuple[Rule, ...]:
    """Collect the rules of all repairs, the longest prefix first."""
    rules = {one.repair.written: one.repair.becomes for one in missing if one.repair is not None}
    return tuple(sorted(rules.items(), key=lambda rule: (-len(rule[0]), rule)))


def prefixes_of(written: str, target: str) -> list[Rule]:
    """List the rules that would turn a written path into another, the shortest prefix first, the whole path last.

    Args:
        written: As the scene has it.
        target: Absolute, with forward slashes.
    """
    cuts = [(prefix, becomes) for prefix, becomes in cuts_of(written, target) if becomes is not None]
    return [rule for rule in cuts if rule[0].strip("/\\.")]


def cuts_of(written: str, target: str) -> list[tuple[str, str | None]]:
    """Cut a written path at each of its components, the shortest prefix first, the whole path last.

    Returns:
        Each prefix with what it would have to become, None if the rest of the two paths differs.
    """
    ends, target_ends = _starts(written), _starts(target)
    cuts: list[tuple[str, str | None]] = [(written, target)]
    same = True
    for at in range(1, len(ends)):
        same = same and at < len(target_ends) and _nth(written, ends, at - 1) == _nth(target, target_ends, at - 1)
        cuts.append((written[: ends[-at]], target[: target_ends[-at]] if same else None))
    return cuts[::-1]


def _starts(path: str) -> list[int]:
    """Return where each component starts."""
    return [found.start() for found in re.finditer(r"[^\\/]+", path)]


def _nth(path: str, starts: list[int], at: int) -> str:
    """Return the component that stands `at` places before the last."""
    return re.split(r"[\\/]", path[starts[-1 - at] :], maxsplit=1)[0]
