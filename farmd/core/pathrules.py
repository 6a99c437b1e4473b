"""The path rules of the farm: the fold of PATH_RULE rows.

One register per platform and written prefix, as with holds of nodes: the larger (ver, hlc, origin) wins, and *removed*
is a value like any other, so that a rule may come back. Rules that cannot be read, or are no good here, are passed over
and relayed all the same.

Invariant: `rules` is a function of the rows alone, in one order, so that every node gives a renderer the same; it is a
tuple that is made once after a change, so that a grant only passes it on. Called by `farmd.core.node`; what people ask is
in `farmd.core.pathorders`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.bodies import PathRuleBody, unpack_body
from protocol.clock import wall_ms_of
from protocol.errors import PeerError
from protocol.pathrules import PLATFORMS, PathRule, fault_of, prefix_key
from protocol.records import Kind, path_rule_pk

if TYPE_CHECKING:
    from protocol.records import Rec


class PathRules:
    """Which rules hold."""

    def __init__(self) -> None:
        self._standing: dict[bytes, tuple[PathRuleBody, int]] = {}
        self._rules: tuple[PathRule, ...] | None = ()

    def apply(self, rec: Rec) -> None:
        """Take a row that stands; rows of other kinds change nothing."""
        if rec.kind != Kind.PATH_RULE:
            return
        try:
            body = unpack_body(PathRuleBody, rec.body)
        except PeerError:
            body = None  # what stood before was overwritten, whatever by
        if body is not None and body.value and fault_of(rule_of(body)) is None:
            self._standing[rec.pk] = (body, wall_ms_of(rec.hlc))
        else:
            self._standing.pop(rec.pk, None)
        self._rules = None

    @property
    def rules(self) -> tuple[PathRule, ...]:
        """All rules, for every platform, sorted by their keys."""
        if self._rules is None:
            self._rules = tuple([rule_of(self._standing[pk][0]) for pk in sorted(self._standing)])
        return self._rules

    def get(self, pk: bytes) -> PathRuleBody | None:
        """Return the rule of a key, or None."""
        found = self._standing.get(pk)
        return None if found is None else found[0]

    def of_prefix(self, written: str) -> list[PathRuleBody]:
        """Return the rules for one prefix, in the order of the platforms."""
        keys = [path_rule_pk(written, platform) for platform in PLATFORMS]
        return [self._standing[pk][0] for pk in keys if pk in self._standing]

    def __len__(self) -> int:
        return len(self._standing)

    def views(self) -> list[dict[str, Any]]:
        """Describe all rules for clients, by prefix."""
        rows = [view_of(body) | {"set_at_ms": at_ms} for body, at_ms in self._standing.values()]
        return sorted(rows, key=lambda row: (prefix_key(row["written"]), PLATFORMS.index(row["platform"])))


def rule_of(body: PathRuleBody) -> PathRule:
    """Return the rule that a body speaks of."""
    return PathRule(body.written, body.becomes, body.platform)


def view_of(body: PathRuleBody) -> dict[str, Any]:
    """Describe a rule for clients."""
    return {
        "written": body.written,
        "becomes": body.becomes,
        "platform": body.platform,
        "note": body.note,
        "actor": body.actor,
    }
