"""What admins order about who belongs to the farm: evict a machine, let another one stand in for it.

Evicting revokes the machine's key, for ever: it is silenced everywhere at once, also on open connections, and what it
alone had counts as lost, so that whatever somebody still waits for is rendered again. A machine cannot evict itself: it
would be the only one not to know.

Replacing is for a machine that is dead: it is evicted, and another one keeps and delivers what the dead one was to keep
and deliver. Dead is more than silent for a moment: whoever is only suspected is not evicted by that word.

What an order costs is told with it: what the machine alone has, what nobody will deliver, which signing key it could still
invite with. Evicting retires no key, since the key may have been restored on a machine that stays. With `dry_run` everything
is checked and told, and nothing is written. Called by `farmd.core.door`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import find_node, text_of, why_of
from farmd.core.effects import Reply
from farmd.core.offduty import findings_of
from protocol.bodies import ControlBody, pack_body
from protocol.errors import UserError
from protocol.ids import JobId, pack_node
from protocol.messages import Finding
from protocol.records import Kind, NodeField, Rank, node_control_pk
from protocol.states import MemberState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
        self._refuse_present(old, name)
        if old == new or not registry.is_admitted(new):
            why = "it is the same machine" if old == new else "it was evicted"
            raise UserError(f"{registry.name_of(new)} cannot stand in for {name}", why, "farmctl node list")
        is_news = not registry.is_revoked(old) or registry.heirs.of(old) != new
        data = self._data(old, heir=new) | {"by": new, "by_name": registry.name_of(new), "changed": is_news}
        self._write(turn, event, data, old, new)

    def _refuse_present(self, old: NodeId, name: str) -> None:
        state = self._node.membership.state_of(old)
        if state is MemberState.ALIVE:
            hint = f"stop its daemon first; or evict it, if it is not yours any more: farmctl node evict {name}"
            raise UserError(f"{name} cannot be replaced", "it answers: only a machine that is gone can be", hint)
        if state is MemberState.SUSPECT:
            why = "it has been silent for some seconds only, which may pass, and a replacement is for ever"
            raise UserError(f"{name} cannot be replaced yet", why, "wait until it is lost: farmctl node list")

    def _refuse_own(self, which: NodeId, done: str) -> None:
        if which == self._node.id:
            raise UserError(
                f"this machine cannot be {done} from here",
                "it would be the only one not to know",
                "ask another machine: farmctl --node HOST:PORT",
            )

    def _data(self, old: NodeId, *, heir: NodeId | None = None) -> dict[str, Any]:
        found = [*_signing(self._node, old), *_costs(self._node, old, heir)]
        return {
            "schema": "farm.eviction.v1",
            "node": old,
            "node_name": self._node.registry.name_of(old),
            "alive": self._node.membership.is_alive(old),
            "findings": [finding._asdict() for finding in found[:MOST_FINDINGS]],
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


def _signing(node: Node, old: NodeId) -> Iterator[Finding]:
    """Name the signing keys that were made on a machine: whoever has its disk can invite itself with them."""
    signers = [signer for signer in node.registry.signing_keys() if signer.good]
    for signer in signers:
        if node.registry.maker_of(signer) == old:
            first = "make another one on a machine that stays (farmd farm key new), then: " if len(signers) == 1 else ""
            text = f"its signing key {signer.id} stays good: whoever has the machine can let others in with it"
            yield Finding("signing", True, 1, text, f"{first}farmd farm key retire {signer.id}")


def _costs(node: Node, old: NodeId, heir: NodeId | None) -> Iterator[Finding]:
    """Tell what is lost with a machine, and what nobody does any more unless an heir does it."""
    name, is_revoked = node.registry.name_of(old), node.registry.is_revoked(old)
    if heir is not None and not node.membership.is_alive(heir):
        by = node.registry.name_of(heir)
        yield Finding("heir", True, 1, f"{by} does not answer: until it does, it keeps and delivers nothing", "")
    for finding in findings_of(node, old):
        if finding.what == "delivery" and heir is None:
            job = node.jobs.get(JobId(finding.job))
            called, hint = job.spec.name if job else finding.job, f"let another do it: farmctl node replace {name} NEW"
            text = f"results of {called} are delivered by {name}, so by nobody once it is evicted"
            yield finding._replace(blocks=True, text=text, hint=hint)
        elif finding.what == "delivered" and not is_revoked:
            hint = f"if that folder is on a disk of {name}, fetch them first: farmctl job download {finding.job}"
            yield finding._replace(blocks=True, hint=hint)
        elif finding.blocks and not is_revoked:
            yield finding
