"""What admins order about who belongs to the farm: evict a machine, let another one stand in for it.

Evicting revokes the machine's key, for ever: it is silenced everywhere at once, also on open connections, and what it
alone had counts as lost, so that whatever somebody still waits for is rendered again. A machine cannot evict itself: it
would be the only one not to know.

Replacing is for a machine that is dead: it is evicted, and another one keeps and delivers what the dead one was to keep
and deliver. With `dry_run` everything is checked and told, and nothing is written. Called by `farmd.core.door`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import find_node, text_of, why_of
from farmd.core.effects import Reply
from farmd.core.offduty import findings_of
from protocol.bodies import ControlBody, pack_body
from protocol.errors import UserError
from protocol.ids import pack_node
from protocol.records import Kind, NodeField, Rank, node_control_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.records import Rec

MOST_FINDINGS = 200


class MemberOrders:
    """Answers `node.evict` and `node.replace`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "node.evict": self._evict,
            "node.replace": self._replace,
        }

    def _evict(self, turn: Turn, event: ClientAsked) -> None:
        old = find_node(self._node, text_of(event, "node"))
        self._refuse_own(old, "evicted")
        data = self._data(old)
        self._write(turn, event, data | {"changed": not self._node.registry.is_revoked(old)}, old, None)

    def _replace(self, turn: Turn, event: ClientAsked) -> None:
        node, registry = self._node, self._node.registry
        old, new = find_node(node, text_of(event, "node")), find_node(node, text_of(event, "by"))
        self._refuse_own(old, "replaced")
        name = registry.name_of(old)
        if node.membership.is_alive(old):
            hint = f"stop its daemon first; or evict it, if it is not yours any more: farmctl node evict {name}"
            raise UserError(f"{name} cannot be replaced", "it answers: only a machine that is gone can be", hint)
        if old == new or not registry.is_admitted(new):
            why = "it is the same machine" if old == new else "it was evicted"
            raise UserError(f"{registry.name_of(new)} cannot stand in for {name}", why, "farmctl node list")
        is_news = not registry.is_revoked(old) or registry.heirs.of(old) != new
        data = self._data(old) | {"by": new, "by_name": registry.name_of(new), "changed": is_news}
        self._write(turn, event, data, old, new)

    def _refuse_own(self, which: NodeId, done: str) -> None:
        if which == self._node.id:
            raise UserError(
                f"this machine cannot be {done} from here",
                "it would be the only one not to know",
                "ask another machine: farmctl --node HOST:PORT",
            )

    def _data(self, old: NodeId) -> dict[str, Any]:
        found = [] if self._node.registry.is_revoked(old) else findings_of(self._node, old)
        findings = [finding._asdict() for finding in found if finding.blocks]
        return {
            "schema": "farm.eviction.v1",
            "node": old,
            "node_name": self._node.registry.name_of(old),
            "alive": self._node.membership.is_alive(old),
            "findings": findings[:MOST_FINDINGS],
        }

    def _write(self, turn: Turn, event: ClientAsked, data: dict[str, Any], old: NodeId, new: NodeId | None) -> None:
        if event.args.get("dry_run"):
            turn.effects.append(Reply(event.client, data | {"dry_run": True}))
            return
        written: list[Rec] = []
        replica, registry = self._node.replica, self._node.registry
        if new is not None and registry.heirs.of(old) != new:
            order = ControlBody(1, event.actor, why_of(event), text=new)
            pk = node_control_pk(old, NodeField.REPLACED)
            written.append(replica.write(turn, Kind.NODE_CONTROL, pk, pack_body(order)))
        key = registry.keys.get(old)
        if key is not None:
            body = key._replace(revoked=True, actor=event.actor, why=why_of(event))
            written.append(replica.write(turn, Kind.KEY, pack_node(old), pack_body(body), rank=Rank.ENDED))
        answer_order(self._node, turn, event, data, written)
