"""Who belongs to the farm and what each machine is: the fold of FARM, KEY, NODE and NODE_CONTROL rows.

A node is *admitted* when a KEY row that is not revoked names its public key and the node id is derived from that very
key; revoked is absorbing. It may do everything from then on, so it is found and listed from then on, whether it has ever
described itself (its NODE row, which it writes itself) or not. Unreadable bodies are passed over. Called by
`farmd.core.node`; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.heirs import Heirs
from farmd.core.prices import Prices, is_hardware_price
from farmd.core.signers import FOUNDER, Signers
from protocol.bodies import ControlBody, FarmBody, KeyBody, NodeBody, unpack_body
from protocol.errors import PeerError
from protocol.ids import node_id_of, unpack_node
from protocol.records import Kind, NodeField, Rank

if TYPE_CHECKING:
    from farmd.core.signers import Signer
    from protocol.ids import NodeId
    from protocol.records import Rec


class Registry:
    """Members by right (keys), by description (node rows) and by order (holds).

    Attributes:
        prices: What an hour of each costs.
        heirs: Who stands in for whom.
    """

    def __init__(self) -> None:
        self.farm: FarmBody | None = None
        self.keys: dict[NodeId, KeyBody] = {}
        self.bodies: dict[NodeId, NodeBody] = {}
        self.prices = Prices()
        self.heirs = Heirs()
        self._signers = Signers()
        self._held: dict[NodeId, ControlBody] = {}
        self._revoked: dict[NodeId, None] = {}
        self._admitted: dict[NodeId, KeyBody] = {}

    def apply(self, rec: Rec) -> NodeId | None:
        """Take a row of ours; return the node whose facts changed, if any."""
        try:
            match rec.kind:
                case Kind.FARM:
                    self.farm = unpack_body(FarmBody, rec.body)
                case Kind.KEY:
                    return self._apply_key(rec)
                case Kind.NODE:
                    node = unpack_node(rec.pk)
                    self.bodies[node] = unpack_body(NodeBody, rec.body)
                    return node
                case Kind.SIGNER:
                    self._signers.apply(rec)
                case Kind.NODE_CONTROL:
                    return self._apply_control(rec)
        except PeerError:
            return None
        return None

    def _apply_control(self, rec: Rec) -> NodeId | None:
        if is_hardware_price(rec.pk):
            self.prices.put_hardware(rec.pk, unpack_body(ControlBody, rec.body))
        elif len(rec.pk) == 9 and rec.pk[8] == NodeField.HELD:
            node = unpack_node(rec.pk[:8])
            self._held[node] = unpack_body(ControlBody, rec.body)
            return node
        elif len(rec.pk) == 9 and rec.pk[8] == NodeField.REPLACED:
            self.heirs.put(unpack_node(rec.pk[:8]), unpack_body(ControlBody, rec.body))
        elif len(rec.pk) == 9 and rec.pk[8] == NodeField.PRICE:
            node = unpack_node(rec.pk[:8])
            self.prices.put_node(node, unpack_body(ControlBody, rec.body))
            return node
        return None

    def _apply_key(self, rec: Rec) -> NodeId | None:
        node, body = unpack_node(rec.pk), unpack_body(KeyBody, rec.body)
        if node_id_of(body.public_key) != node:
            return None
        self._admitted[node] = body
        if body.revoked or rec.rank >= Rank.ENDED:
            self._revoked[node] = None
            self.keys.pop(node, None)
        elif node not in self._revoked:
            self.keys[node] = body
        return node

    def is_admitted(self, node: NodeId) -> bool:
        """True if the node's key is good."""
        return node in self.keys

    def is_revoked(self, node: NodeId) -> bool:
        """True if the node was evicted; that is for ever."""
        return node in self._revoked

    def signing_keys(self) -> list[Signer]:
        """List all keys that sign or have signed invitations, the founding one first; none before a farm is known."""
        return self._signers.all(self.farm.verify_key) if self.farm is not None else []

    def maker_of(self, signer: Signer) -> str:
        """Return the node where a signing key was made; "" if nobody knows."""
        if signer.body is not None and signer.body.node:
            return signer.body.node
        if self.farm is None or signer.verify_key != self.farm.verify_key:
            return ""
        return next((node for node, key in self._admitted.items() if key.admitted_by == FOUNDER), "")

    def uses_of(self, token: str) -> int:
        """Count the machines that were admitted by an invitation, as far as is known here."""
        return sum([body.token == token for body in self._admitted.values()])

    def revoked(self) -> list[NodeId]:
        """List the nodes that were evicted."""
        return list(self._revoked)

    def hold_of(self, node: NodeId) -> ControlBody | None:
        """Return who holds a node and why, or None if it may work."""
        held = self._held.get(node)
        return held if held is not None and held.value else None

    def name_of(self, node: NodeId) -> str:
        """Return the name that people gave a node, or its id."""
        body = self.bodies.get(node)
        return body.name if body is not None else node

    def body_of(self, node: NodeId) -> NodeBody:
        """Return what a node says that it is; of one that has said nothing yet, that it offers nothing."""
        return self.bodies.get(node) or NodeBody(node, "", 0, 0, 0, (), 0, (), "", 0, 0)

    def admitted(self) -> list[NodeId]:
        """List the nodes whose key is good, those that have described themselves first."""
        described = [node for node in self.bodies if node in self.keys]
        return described + self.undescribed()

    def undescribed(self) -> list[NodeId]:
        """List the nodes whose key is good and that have never said what they are."""
        return [node for node in self.keys if node not in self.bodies]

    def listening_at(self, text: str) -> list[NodeId]:
        """Return the admitted nodes that HOST:PORT may mean: by their address, or by the name of the host and the port."""
        exact = [node for node in self.admitted() if text in (self.body_of(node).address, self.name_of(node), node)]
        host, _, port = text.lower().rpartition(":")
        label = host.partition(".")[0]
        names = {host, "" if label.isdecimal() else label} - {""}
        return exact or [
            node
            for node, body in self.bodies.items()
            if node in self.keys and body.name.lower() in names and body.address.rpartition(":")[2] == port
        ]

    def find(self, text: str) -> list[NodeId]:
        """Return the nodes that a person may mean: by id, by name, by a prefix of the id."""
        known = dict.fromkeys([*self.bodies, *self._admitted])
        if text in known:
            return [node for node in known if node == text]
        named = [node for node, body in self.bodies.items() if body.name == text]
        named = [node for node in named if node not in self._revoked] or named  # its successor may have its name
        return named or [node for node in known if len(text) >= 4 and node.startswith(text)]
