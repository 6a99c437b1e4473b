"""What admins order about the keys that sign invitations: list them, add one, retire one.

The last good key cannot be retired: nobody could be invited any more, and nothing could change that. Called by
`farmd.core.door`; which machine has the secret half of a key is known to that machine alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import text_of
from farmd.core.effects import Reply
from farmd.core.signers import FOUNDER, KEY_BYTES
from protocol.bodies import SignerBody, pack_body
from protocol.errors import NotFound, UsageError, UserError
from protocol.ids import NodeId
from protocol.records import Kind, Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.registry import Registry
    from farmd.core.signers import Signer
    from farmd.core.turn import Turn

MAX_SIGNERS = 100
MAX_TEXT = 200


class SignerOrders:
    """Answers `signer.list`, `signer.add` and `signer.retire`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "signer.list": self._list,
            "signer.add": self._add,
            "signer.retire": self._retire,
        }

    def _list(self, turn: Turn, event: ClientAsked) -> None:
        rows = [_view(self._node.registry, signer) for signer in self._node.registry.signing_keys()]
        turn.effects.append(Reply(event.client, {"schema": "farm.signers.v1", "signers": rows}))

    def _add(self, turn: Turn, event: ClientAsked) -> None:
        key, known = event.args.get("verify_key"), self._node.registry.signing_keys()
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            raise UsageError("the request signer.add needs a public key", "it has 32 raw bytes", "")
        found = next((signer for signer in known if signer.verify_key == key), None)
        if found is not None and not found.good:
            raise UserError("this key was retired", "that is for ever", "make another one: farmd farm key rotate")
        if len(known) >= MAX_SIGNERS:
            raise UserError(f"the farm has had {MAX_SIGNERS} signing keys", "more are not kept", "")
        label = text_of(event, "label", "")[:MAX_TEXT]
        body = SignerBody(event.actor[:MAX_TEXT], self._node.id, label, turn.now.wall_ms)
        self._write(turn, event, key, body, changed=found is None)

    def _retire(self, turn: Turn, event: ClientAsked) -> None:
        wanted, known = text_of(event, "id"), self._node.registry.signing_keys()
        found = [signer for signer in known if signer.verify_key.hex().startswith(wanted)]
        if len(found) != 1:
            why = "several begin so" if found else "the farm has none that begins so"
            raise NotFound(f"no single signing key is called {wanted[:80]!r}", why, "farmd farm key list")
        if found[0].good and sum([signer.good for signer in known]) == 1:
            raise UserError(
                f"signing key {found[0].id} cannot be retired",
                "it is the only one that is good, so no machine could ever be added",
                "make another one first: farmd farm key rotate does both",
            )
        body = found[0].body or SignerBody("", "", FOUNDER)
        body = body._replace(actor=event.actor[:MAX_TEXT])
        self._write(turn, event, found[0].verify_key, body, changed=found[0].good, rank=Rank.ENDED)

    def _write(
        self, turn: Turn, event: ClientAsked, key: bytes, body: SignerBody, *, changed: bool, rank: Rank = Rank.NORMAL
    ) -> None:
        written = []
        if changed:
            written.append(self._node.replica.write(turn, Kind.SIGNER, key, pack_body(body), rank=rank))
            self._node.fold(turn)
        signer = next(signer for signer in self._node.registry.signing_keys() if signer.verify_key == key)
        data = {"schema": "farm.signer.v1", "signer": _view(self._node.registry, signer), "changed": changed}
        answer_order(self._node, turn, event, data, written)


def _view(registry: Registry, signer: Signer) -> dict[str, Any]:
    body, maker = signer.body or SignerBody("", "", FOUNDER), NodeId(registry.maker_of(signer))
    return {
        "id": signer.id,
        "verify_key": signer.verify_key.hex(),
        "good": signer.good,
        "label": body.label,
        "node": maker,
        "node_name": registry.name_of(maker),
        "actor": body.actor,
        "made_ms": body.made_ms,
    }
