"""Which machine an event or a message concerns: two tables, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core import events as ev
from farmd.core.effects import AnswerJoin
from farmd.core.users import KEY
from protocol import messages as ms
from protocol.bodies import KeyBody, pack_body
from protocol.errors import PeerError
from protocol.human import counted
from protocol.ids import node_id_of, pack_job, pack_node
from protocol.jobspec import spec_from_bytes
from protocol.records import Kind
from protocol.states import FailureClass

if TYPE_CHECKING:
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

_SWIM = (ms.Ping, ms.PingAck, ms.PingReq, ms.PingNack)
_ELECTION = (ms.PreVoteAsk, ms.PreVoteReply, ms.VoteAsk, ms.VoteReply, ms.Heartbeat, ms.HeartbeatNack)


class Dispatch:
    """Hands events and messages to the machines of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.peer_errors: dict[NodeId, int] = {}

    def event(self, turn: Turn, event: ev.Event) -> None:
        """Hand an event on."""
        node = self._node
        match event:
            case ev.MessageReceived(sender, message):
                self._from_peer(turn, sender, message)
            case ev.TimerFired(late_s):
                node.timers.ring(turn, late_s)
            case ev.ClientAsked():
                node.door.ask(turn, event)
            case ev.ClientLeft(client):
                node.door.left(client)
                node.logs.left(turn, client)
            case ev.Measured():
                node.measure(turn, event)
            case ev.StoreFailed(error):
                turn.note("store-failed", error, node=node.id)
                node.condition.set_store_fault(error)
            case ev.StoreHealed():
                turn.note("store-healed", "the disk takes writes again", node=node.id)
                node.condition.set_store_fault("")
            case ev.Stopping():
                self._stopping(turn)
            case ev.Connected() | ev.Disconnected() | ev.PeerHeardOf() | ev.JoinAsked():
                self._network(turn, event)
            case _:
                self._work(turn, event)

    def _network(self, turn: Turn, event: ev.Event) -> None:
        node = self._node
        match event:
            case ev.Connected(peer):
                node.membership.heard(turn, peer)
            case ev.Disconnected(peer):
                node.membership.suspect_now(turn, peer)
                node.swarm.lost(turn, peer)
            case ev.PeerHeardOf(address, public_key, vouched):
                if public_key is not None:
                    node.links.hear_of(turn, address, public_key, vouched=vouched)
            case ev.JoinAsked():
                self._join(turn, event)

    def _work(self, turn: Turn, event: ev.Event) -> None:
        node = self._node
        match event:
            case ev.AttemptProgressed():
                node.worker.on_progress(event)
            case ev.AttemptEnded():
                self._look_after_files(turn, event)
                node.worker.on_ended(turn, event)
            case ev.Delivered():
                node.outputs.on_delivered(turn, event)
            case ev.LogRead():
                node.logs.bytes.on_read(turn, event)
            case ev.LogFound():
                node.logs.on_found(turn, event)
            case ev.NotesRead():
                node.recalling.on_read(turn, event)
            case ev.Notified():
                node.notices.on_notified(turn, event)
            case _:
                self._files(turn, event)

    def _files(self, turn: Turn, event: ev.Event) -> None:
        node = self._node
        match event:
            case ev.BlobRead():
                node.thumbnails.on_read(turn, event)
            case ev.BlobsFound():
                if not (node.rounds.on_found(turn, event) or node.swarm.on_found_for_peer(turn, event)):
                    node.swarm.on_found(turn, event)
            case ev.ManifestRead():
                node.assets.on_manifest(turn, event)
                node.rounds.on_manifest(turn, event)
                node.room.eviction.on_manifest(turn, event)
            case ev.BlobsSettled():
                node.outputs.on_settled(turn, event.ref)
                node.chronicle.touch(event.ref.job)
            case ev.PieceWritten() | ev.PackWritten() | ev.BlobFinished():
                self._arrived(turn, event)
            case _:
                self._room(turn, event)

    def _room(self, turn: Turn, event: ev.Event) -> None:
        room = self._node.room
        match event:
            case ev.BlobVerified():
                self._node.swarm.doubts.on_verified(turn, event)
                room.pledges.on_verified(turn, event)
            case ev.BlobLost():
                self._node.rounds.hurry(turn)
            case ev.BlobsListed():
                room.eviction.on_listed(turn, event)
            case ev.BlobsEvicted():
                room.eviction.on_evicted(turn, event)
            case ev.CheckoutsFound():
                room.tidying.on_found(turn, event)

    def _arrived(self, turn: Turn, event: ev.PieceWritten | ev.PackWritten | ev.BlobFinished) -> None:
        receiving = self._node.swarm.receiving
        match event:
            case ev.PieceWritten():
                receiving.on_written(turn, event)
            case ev.PackWritten():
                receiving.on_pack_written(turn, event)
            case ev.BlobFinished():
                receiving.on_finished(turn, event)

    def _look_after_files(self, turn: Turn, event: ev.AttemptEnded) -> None:
        """An attempt that missed a file: look whether all that we said to hold is still here."""
        live = self._node.worker.live.get(event.ref)
        if event.cause in (FailureClass.MISSING_ASSET, FailureClass.FILES_LOST) and live is not None:
            is_certain = event.cause == FailureClass.FILES_LOST
            self._node.assets.lost(turn, event.ref.job, live.spec, again=True, is_certain=is_certain)

    def _stopping(self, turn: Turn) -> None:
        """Say goodbye: end what runs, hand the lead over, leave."""
        node = self._node
        node.worker.stop_all(turn, "the daemon was stopped")
        node.outputs.flush(turn)
        node.election.resign(turn)
        node.membership.leave(turn)

    def _join(self, turn: Turn, event: ev.JoinAsked) -> None:
        """Admit a new node whose token is good, and name the members to it."""
        node, joiner = self._node, node_id_of(event.public_key)
        fault = event.fault
        if not fault and node.registry.is_revoked(joiner):
            fault = "this key was evicted from the farm"
        elif not fault and node.users.holder_of(KEY, event.public_key) is not None:
            fault = "this is the key of a person"
        elif not fault and event.uses and not node.registry.is_admitted(joiner):
            spent = node.registry.uses_of(event.token) >= event.uses
            fault = f"the token was good for {counted(event.uses, 'machine')}" if spent else ""
        if fault:
            turn.note("join-refused", f"{event.name} at {event.address}: {fault}")
            turn.effects.append(AnswerJoin(event.door, False, fault))
            return
        if not node.registry.is_admitted(joiner):
            key = KeyBody(event.public_key, event.role or "node", node.id, token=event.token)
            key = key._replace(name=event.name, address=event.address)
            node.replica.write(turn, Kind.KEY, pack_node(joiner), pack_body(key))
        node.fold(turn)
        members = [
            (body.address, node.registry.keys[known].public_key)
            for known, body in node.registry.bodies.items()
            if node.registry.is_admitted(known) and known != joiner
        ]
        own = (node.body.address, node.public_key)
        turn.effects.append(AnswerJoin(event.door, True, "", tuple(dict.fromkeys([own, *members]))))
        node.links.hear_of(turn, event.address, event.public_key, vouched=True)

    def _from_peer(self, turn: Turn, sender: NodeId, message: ms.Message) -> None:
        """A message of an admitted node; what is wrong with it costs its sender, never this node."""
        try:
            self.message(turn, sender, message)
        except PeerError as error:
            count = self.peer_errors[sender] = self.peer_errors.get(sender, 0) + 1
            if count & (count - 1) == 0:
                turn.note("peer-error", f"{type(message).__name__}: {error} ({count} so far)", node=sender)

    def message(self, turn: Turn, sender: NodeId, message: ms.Message) -> None:
        """Hand a message on.

        Raises:
            PeerError: The sender erred.
        """
        node = self._node
        if isinstance(message, _SWIM):
            node.membership.on_message(turn, sender, message)
            return
        if sender != node.id:
            node.membership.heard(turn, sender)
        if node.gossip.on_message(turn, sender, message):
            return
        if isinstance(message, _ELECTION):
            node.election.on_message(turn, sender, message)
            return
        self._order(turn, sender, message)

    def _order(self, turn: Turn, sender: NodeId, message: ms.Message) -> None:
        node = self._node
        match message:
            case ms.HeartbeatAck():
                node.election.on_message(turn, sender, message)
                if message.advert is not None and message.advert.node == sender:
                    node.membership.hear_advert(message.advert)
                    node.leader.on_advert(turn, message.advert)
            case ms.Grant():
                node.worker.on_grant(turn, sender, message)
            case ms.GrantReply():
                node.leader.on_reply(turn, sender, message)
            case ms.InventoryAsk(term):
                node.worker.on_inventory_ask(turn, sender, term)
            case ms.Inventory():
                node.leader.on_inventory(turn, sender, message)
            case ms.Stop():
                node.worker.on_stop(turn, sender, message)
            case ms.Prefetch(job, packed):
                pack_job(job)
                spec = spec_from_bytes(packed)
                if node.room.quota.may_prefetch(turn.now.mono):
                    node.assets.want(turn, job, spec, (sender, spec.submit_node))
            case _:
                self._data(turn, sender, message)

    def _data(self, turn: Turn, sender: NodeId, message: ms.Message) -> None:
        node = self._node
        match message:
            case ms.Keep():
                node.outputs.on_keep(turn, sender, message)
            case ms.PledgeAsk():
                node.room.pledges.on_ask(turn, sender, message)
            case ms.PledgeIs():
                node.room.eviction.on_pledge(turn, sender, message)
            case ms.EventsAsk():
                node.recalling.on_ask(turn, sender, message)
            case ms.EventsAre():
                node.recalling.on_are(turn, sender, message)
            case ms.LogAsk() | ms.LogIs() | ms.LogSeek() | ms.LogSought() | ms.LogLeave():
                self._logs(turn, sender, message)
            case ms.SafeAsk():
                node.door.off_duty.on_ask(turn, sender, message)
            case ms.SafeIs():
                node.door.off_duty.on_is(turn, sender, message)
            case ms.Hello(_, _, _, epoch, address):
                node.membership.greeted(turn, sender, epoch, address)
            case _:
                self._pieces(turn, sender, message)

    def _logs(
        self, turn: Turn, sender: NodeId, message: ms.LogAsk | ms.LogIs | ms.LogSeek | ms.LogSought | ms.LogLeave
    ) -> None:
        logs = self._node.logs
        match message:
            case ms.LogAsk():
                logs.bytes.on_ask(turn, sender, message)
            case ms.LogIs():
                logs.bytes.on_is(turn, sender, message)
            case ms.LogSeek():
                logs.on_seek(turn, sender, message)
            case ms.LogSought():
                logs.on_sought(turn, sender, message)
            case ms.LogLeave():
                logs.on_leave(turn, sender, message)

    def _pieces(self, turn: Turn, sender: NodeId, message: ms.Message) -> None:
        node = self._node
        match message:
            case ms.HaveAsk():
                node.swarm.on_have_ask(turn, sender, message)
            case ms.HaveIs():
                node.swarm.on_have(turn, sender, message)
            case ms.PieceAsk():
                node.swarm.serving.on_piece_ask(turn, sender, message)
            case ms.PieceIs():
                node.swarm.receiving.on_piece(turn, sender, message)
            case ms.PieceRefused():
                node.swarm.receiving.on_refused(turn, sender, message)
            case ms.Doubt():
                node.swarm.serving.on_doubt(turn, sender, message)
            case _:
                self._packs(turn, sender, message)

    def _packs(self, turn: Turn, sender: NodeId, message: ms.Message) -> None:
        node = self._node
        match message:
            case ms.PackAsk():
                node.swarm.serving.on_pack_ask(turn, sender, message)
            case ms.PackIs():
                node.swarm.receiving.on_pack(turn, sender, message)
            case ms.PartIs():
                node.swarm.on_part(turn, sender, message)
            case ms.PartHas():
                node.swarm.on_part_has(turn, sender, message)
