"""Whom this node talks to: admitted keys, the connections to them, and what to do when a key is no longer good.

A node is *trusted* when a KEY row admits it, or when the farm's own key vouches for it (a token, an answer to a join)
and nothing has revoked it. To every trusted node whose address is known a connection is kept: a full mesh. Addresses
come from NODE rows, membership gossip, seeds and discovery; the newest wins.

Called by `farmd.core.node`. Never decides who may join: that is the door for strangers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.effects import Link, Trust, Unlink
from protocol.ids import node_id_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.registry import Registry
    from farmd.core.turn import Turn
    from protocol.ids import NodeId


class Links:
    """Keys and connections of one node.

    Attributes:
        join_fault: Why no member has admitted this node so far; set by whoever asks them.
    """

    def __init__(
        self,
        node: NodeId,
        registry: Registry,
        *,
        learn: Callable[[Turn, NodeId, str], None],
        forget: Callable[[Turn, NodeId], None],
    ) -> None:
        """Prepare.

        Args:
            node: This node.
            registry: Who is admitted.
            learn: Told that a trusted node may be at an address.
            forget: Told that a node is trusted no longer.
        """
        self._node = node
        self._registry = registry
        self._learn = learn
        self._forget = forget
        self._linked: dict[NodeId, str] = {}
        self._trusted: dict[NodeId, bytes] = {}
        self._vouched: dict[NodeId, tuple[str, bytes]] = {}
        self._dirty = True
        self.join_fault = ""

    def is_trusted(self, node: NodeId) -> bool:
        """True if messages of this node are taken."""
        return node in self._registry.keys or (node in self._vouched and not self._registry.is_revoked(node))

    def expects_others(self) -> bool:
        """True if any other node is admitted or vouched for."""
        return any(node != self._node and self.is_trusted(node) for node in (*self._registry.keys, *self._vouched))

    def keys_changed(self) -> None:
        """A KEY row changed."""
        self._dirty = True

    def hear_of(self, turn: Turn, address: str, public_key: bytes, *, vouched: bool) -> None:
        """Discovery, a seed or an admission names a possible member."""
        node = node_id_of(public_key)
        if node == self._node:
            return
        if vouched and not self._registry.is_admitted(node):
            self._vouched[node] = (address, public_key)
            self._dirty = True
            self.follow_keys(turn)
        if self.is_trusted(node):
            self.link(turn, node, address)
            self._learn(turn, node, address)

    def follow_keys(self, turn: Turn) -> None:
        """Have exactly the trusted keys accepted; drop connections to nodes that are trusted no longer."""
        if not self._dirty:
            return
        self._dirty = False
        nodes = (*self._registry.keys, *self._vouched)
        trusted = {node: key for node in nodes if self.is_trusted(node) and (key := self._key_of(node)) is not None}
        if trusted == self._trusted:
            return
        for node in [node for node in self._trusted if node not in trusted and node != self._node]:
            self._unlink(turn, node)
        self._trusted = trusted
        turn.effects.append(Trust(tuple(trusted.values())))
        for node in trusted:
            body = self._registry.bodies.get(node)
            if body is not None and node not in self._linked:
                self.link(turn, node, body.address)

    def link(self, turn: Turn, node: NodeId, address: str) -> None:
        """Keep a connection to a trusted node at this address."""
        key = self._key_of(node)
        if node == self._node or key is None or not address or self._linked.get(node) == address:
            return
        if node in self._linked:
            turn.effects.append(Unlink(node))
        self._linked[node] = address
        turn.effects.append(Link(node, address, key))

    def _unlink(self, turn: Turn, node: NodeId) -> None:
        if self._linked.pop(node, None) is not None:
            turn.effects.append(Unlink(node))
        self._forget(turn, node)
        turn.note("evicted", "its key is no longer accepted", node=node)

    def _key_of(self, node: NodeId) -> bytes | None:
        body = self._registry.keys.get(node)
        if body is not None:
            return body.public_key
        vouched = self._vouched.get(node)
        return vouched[1] if vouched is not None else None
