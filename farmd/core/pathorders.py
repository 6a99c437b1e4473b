"""What people ask of the farm's path rules: list them, add one, remove one, try one out.

As with other controls, asking for what already holds writes nothing and is no error, and every check comes before the
write; with `dry_run` the write is left out and the answer is the same. Called by `farmd.core.door`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.effects import Reply
from farmd.core.pathrules import rule_of, view_of
from protocol.bodies import PathRuleBody, pack_body
from protocol.errors import NotFound, UsageError, UserError
from protocol.pathrules import PLATFORMS, PathRule, apply, fault_of, for_platform
from protocol.records import Kind, path_rule_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.acknowledge import Acknowledge
    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.turn import Turn

MAX_RULES = 1000
MAX_TEXT = 400
MAX_PATH_CHARS = 4096


class PathOrders:
    """Answers the operations `path.*`."""

    def __init__(self, node: Node, acknowledge: Acknowledge) -> None:
        self._node = node
        self._acknowledge = acknowledge
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "path.list": self.list,
            "path.add": self.add,
            "path.remove": self.remove,
            "path.test": self.test,
        }

    def list(self, turn: Turn, event: ClientAsked) -> None:
        """Answer with all rules."""
        turn.effects.append(Reply(event.client, {"schema": "farm.paths.v1", "rules": self._node.path_rules.views()}))

    def add(self, turn: Turn, event: ClientAsked) -> None:
        """Let a rule hold, in place of another for the same prefix and platform."""
        rule = PathRule(_text(event, "written"), _text(event, "becomes"), _text(event, "platform", "any"))
        fault = fault_of(rule)
        if fault is not None:
            raise UsageError(f"no rule can be made for {rule.written[:80]!r}", *fault)
        old = self._node.path_rules.get(path_rule_pk(rule.written, rule.platform))
        if old is None and len(self._node.path_rules) >= MAX_RULES:
            raise UserError(
                f"the farm has {MAX_RULES} path rules", "more are not kept", "make one for a folder above several"
            )
        note = _text(event, "note", "")
        body = PathRuleBody(1, event.actor[:MAX_TEXT], *rule, note[:MAX_TEXT])
        same = old is not None and rule_of(old) == rule and old.note == body.note
        self._write(turn, event, body, old, changed=not same)

    def remove(self, turn: Turn, event: ClientAsked) -> None:
        """Let a rule hold no longer."""
        written = _text(event, "written")
        found = self._node.path_rules.of_prefix(written)
        platform = _text(event, "platform", "")
        meant = [body for body in found if platform in ("", body.platform)]
        if not meant:
            raise NotFound(f"no path rule is for {written[:80]!r}", _others(found), "farmctl path list")
        if len(meant) > 1:
            platforms = ", ".join(body.platform for body in meant)
            raise UsageError(
                f"{len(meant)} path rules are for {written[:80]!r}", f"on {platforms}", "name one with --platform"
            )
        body = meant[0]._replace(value=0, actor=event.actor[:MAX_TEXT], note=_text(event, "note", "")[:MAX_TEXT])
        self._write(turn, event, body, meant[0], changed=True)

    def test(self, turn: Turn, event: ClientAsked) -> None:
        """Answer what becomes of a path on each platform, and by which rule."""
        path, rules = _text(event, "path"), self._node.path_rules.rules
        outcomes = [(platform, *apply(for_platform(rules, platform), path)) for platform in PLATFORMS[1:]]
        rows = [
            {"platform": platform, "becomes": becomes, "rule": None if rule is None else rule._asdict()}
            for platform, becomes, rule in outcomes
        ]
        data = {"schema": "farm.path-test.v1", "path": path, "platforms": rows}
        turn.effects.append(Reply(event.client, data))

    def _write(
        self, turn: Turn, event: ClientAsked, body: PathRuleBody, old: PathRuleBody | None, *, changed: bool
    ) -> None:
        data: dict[str, Any] = {
            "schema": "farm.path.v1",
            "rule": view_of(body),
            "holds": bool(body.value),
            "replaced": old.becomes if old is not None and body.value and old.becomes != body.becomes else None,
            "changed": changed,
        }
        if event.args.get("dry_run"):
            turn.effects.append(Reply(event.client, data | {"dry_run": True}))
            return
        replica = self._node.replica
        stamp = replica.origin, replica.seq
        if changed:
            pk = path_rule_pk(body.written, body.platform)
            rec = replica.write(turn, Kind.PATH_RULE, pk, pack_body(body))
            stamp = rec.origin, rec.seq
            self._node.fold(turn)
        level = str(event.args.get("ack") or "peer")
        if level == "leader" and self._node.election.is_leader:
            level = "local"
        self._acknowledge.reply(turn, event.client, data, stamp=stamp, level=level)


def _others(found: list[PathRuleBody]) -> str:
    return "it has one for " + ", ".join(body.platform for body in found) if found else "rules are for exact prefixes"


def _text(event: ClientAsked, name: str, default: str | None = None) -> str:
    value = event.args.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (not value and default is None) or len(value) > MAX_PATH_CHARS:
        raise UsageError(f"the request {event.op} needs a text {name!r}", f"it carries {str(value)[:80]!r}", "")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UsageError(f"the request {event.op} needs a text {name!r}", "it is not valid UTF-8", "")
    return value
