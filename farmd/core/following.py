"""What follows for the other machines when one of them has news: members, the leader, blobs that came.

No machine knows another; each only collects its news. They are carried on here, once in every turn and in this order:
who is there, who leads, what arrived. So a leader that begins in a turn already counts with the members of that turn.

Called by `farmd.core.node`. Never decides anything of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.states import MemberState

if TYPE_CHECKING:
    from farmd.core.node import Node
    from farmd.core.roster import MemberChange
    from farmd.core.turn import Turn


class Following:
    """Carries the news of each machine to the others."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def follow(self, turn: Turn) -> None:
        """Carry on all news since the last call."""
        self._members(turn)
        self._election(turn)
        self._swarm(turn)

    def _members(self, turn: Turn) -> None:
        node = self._node
        changes = node.membership.take_changes()
        for change in changes:
            self._member(turn, change)
        if any(change.new is MemberState.ALIVE for change in changes):
            node.outputs.lonely.rescan(turn)
        if changes:
            node.alerts.on_members_changed(turn)
            node.election.on_view_changed(turn)
            node.leader.on_nodes_changed()
        for gone, epoch in node.losses.take_gone():
            node.leader.on_node_gone(gone, epoch)

    def _member(self, turn: Turn, change: MemberChange) -> None:
        node = self._node
        node.losses.on_change(turn, change)
        member = node.membership.members().get(change.node)
        if member is not None:
            node.links.link(turn, change.node, member.address)
        if change.restarted:
            node.gossip.forget(change.node)
        if change.new in (MemberState.DEAD, MemberState.LEFT):
            node.swarm.lost(turn, change.node)
        node.arrivals.tell(turn, change)
        node.recalling.on_member(turn, change)
        if change.new is MemberState.ALIVE and change.old is not MemberState.SUSPECT:
            node.gossip.pull_from(turn, change.node)

    def _election(self, turn: Turn) -> None:
        node = self._node
        for suspect in node.election.take_hints():
            node.membership.suspect_now(turn, suspect)
        for change in node.election.take_changes():
            node.gossip.set_leader(change.new)
            if change.new == node.id:
                node.leader.begin(turn)
            elif node.leader.active:
                node.leader.leave()

    def _swarm(self, turn: Turn) -> None:
        node = self._node
        for key in node.swarm.take_finished():
            if isinstance(key, tuple) and key[0] == "outputs":
                node.outputs.on_fetched(turn, key)
            elif isinstance(key, tuple) and key[0] == "thumbnail":
                node.thumbnails.on_fetched(turn, key)
            else:
                node.assets.on_fetched(turn, key)
        for job_id in node.assets.take_newly_held():
            node.door.submitting.on_assets_held(turn, job_id)
