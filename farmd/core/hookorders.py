"""What people ask of the farm's hooks: list them, add one, remove one, try one out.

As with other controls, asking for what already holds writes nothing and is no error, and every check comes before the
write; with `dry_run` the write is left out and the answer is the same. A test is sent by the node that is asked, at
once and once, and its outcome is the answer. Called by `farmd.core.door`, after `farmd.core.permissions` agreed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import find_node, text_of
from farmd.core.effects import Reply
from farmd.core.hooks import view_of
from protocol.bodies import HookBody, pack_body
from protocol.errors import UsageError, UserError
from protocol.hooks import (
    COMMAND,
    DEFAULT_EVENTS,
    KINDS,
    STYLES,
    URL,
    fault_of_pattern,
    fault_of_target,
    style_for,
)
from protocol.records import Kind, Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.turn import Turn

MAX_HOOKS = 100
MAX_TARGET_CHARS = 2000
MAX_TEXT = 200
MAX_PATTERNS = 50
ID_BITS = 64


class HookOrders:
    """Answers the operations `hook.*`."""

    def __init__(self, node: Node, rng: Random) -> None:
        self._node = node
        self._rng = rng
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "hook.list": self.list,
            "hook.add": self.add,
            "hook.remove": self.remove,
            "hook.test": self.test,
        }

    def list(self, turn: Turn, event: ClientAsked) -> None:
        """Answer with all hooks, and how telling them went on this node."""
        rows = [self._view(pk, body) for pk, body in self._node.hooks.standing.items()]
        rows.sort(key=lambda row: (row["made_ms"], row["id"]))
        turn.effects.append(Reply(event.client, {"schema": "farm.hooks.v1", "hooks": rows}))

    def add(self, turn: Turn, event: ClientAsked) -> None:
        """Let an address or a program be told from now on."""
        body = self._body(turn, event)
        hooks = self._node.hooks
        same = (pk for pk, known in hooks.standing.items() if _essence(known) == _essence(body))
        pk = next(same, None)
        if pk is None and len(hooks) >= MAX_HOOKS:
            raise UserError(f"the farm has {MAX_HOOKS} hooks", "more are not kept", "remove what nobody reads")
        changed = pk is None
        if pk is None:
            pk = self._rng.getrandbits(ID_BITS).to_bytes(ID_BITS // 8, "big")
        else:
            body = hooks.standing[pk]
        self._answer(turn, event, pk, body, changed=changed)

    def remove(self, turn: Turn, event: ClientAsked) -> None:
        """Tell a hook nothing more, for ever."""
        pk = self._node.hooks.find(text_of(event, "hook"))
        self._answer(turn, event, pk, self._node.hooks.standing[pk], changed=True, removes=True)

    def test(self, turn: Turn, event: ClientAsked) -> None:
        """Send a test notice from here; the answer is how that went."""
        pk = self._node.hooks.find(text_of(event, "hook"))
        self._node.notices.test(turn, event.client, pk, event.actor)

    # -- reading what was asked ----------------------------------------------------------------------------------------

    def _body(self, turn: Turn, event: ClientAsked) -> HookBody:
        kind, target = text_of(event, "kind"), _line(event, "target", MAX_TARGET_CHARS)
        if kind not in KINDS:
            raise UsageError(f"no hook is of the kind {kind[:80]!r}", "", "one of " + ", ".join(KINDS))
        fault = fault_of_target(kind, target)
        if fault is not None:
            raise UsageError(f"nothing can be told to {target[:80]!r}", *fault)
        style, secret = text_of(event, "style", style_for(target) if kind == URL else STYLES[0]), _line(event, "secret")
        if style not in STYLES or (kind == COMMAND and style != STYLES[0]):
            allowed = STYLES if kind == URL else STYLES[:1]
            raise UsageError(f"a {kind} is not told in the style {style[:80]!r}", "", "one of " + ", ".join(allowed))
        if kind == COMMAND and secret:
            raise UsageError("a command needs no secret", "what it reads comes from the daemon that starts it", "")
        wanted = text_of(event, "node", "")
        node = find_node(self._node, wanted) if wanted else ""
        note, events = _line(event, "note", MAX_TEXT), _patterns(event)
        return HookBody(kind, target, events, turn.now.wall_ms, event.actor[:MAX_TEXT], style, secret, node, note)

    # -- writing and answering -----------------------------------------------------------------------------------------

    def _answer(
        self, turn: Turn, event: ClientAsked, pk: bytes, body: HookBody, *, changed: bool, removes: bool = False
    ) -> None:
        data = {"schema": "farm.hook.v1", "hook": self._view(pk, body), "holds": not removes, "changed": changed}
        if event.args.get("dry_run"):
            turn.effects.append(Reply(event.client, data | {"dry_run": True}))
            return
        written = []
        if changed:
            rank = Rank.ENDED if removes else Rank.NORMAL
            if removes:
                note = _line(event, "note", MAX_TEXT)
                body = body._replace(removed=True, target="", secret="", note=note, made_by=event.actor[:MAX_TEXT])
            written.append(self._node.replica.write(turn, Kind.HOOK, pk, pack_body(body), rank=rank))
        answer_order(self._node, turn, event, data, written)

    def _view(self, pk: bytes, body: HookBody) -> dict[str, Any]:
        return view_of(pk, body, self._node.registry.name_of) | self._node.notices.standing_of(pk)


def _essence(body: HookBody) -> tuple[object, ...]:
    """What makes two hooks the same."""
    return body.kind, body.target, sorted(body.events), body.style, body.secret, body.node


def _patterns(event: ClientAsked) -> tuple[str, ...]:
    given = event.args.get("events")
    if given is None or given == []:
        return DEFAULT_EVENTS
    if not isinstance(given, list) or len(given) > MAX_PATTERNS or not all(isinstance(word, str) for word in given):
        raise UsageError("the request hook.add needs a list of events", f"it carries {str(given)[:80]!r}", "")
    for pattern in given:
        fault = fault_of_pattern(pattern)
        if fault is not None:
            raise UsageError("a hook cannot wait for this event", *fault)
    return tuple(dict.fromkeys(given))


def _line(event: ClientAsked, name: str, longest: int = MAX_TEXT) -> str:
    """Read a printable line, which may be missing."""
    text = text_of(event, name, "")
    if len(text) > longest or not text.isprintable():
        raise UsageError(
            f"the request {event.op} needs a line {name!r}", f"printable, at most {longest} characters", ""
        )
    return text
