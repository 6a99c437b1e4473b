"""The node's ROUTER: takes in every message, asks whose it is, and hands on what its sender may say.

The sender of a message is the key that CURVE proved (`User-Id`, set by the ZAP handler), looked up in what is trusted
at the moment the message is read; never a routing id, never a field. So a revoked key is silenced at once, on open
connections too, and they are cut when it speaks. Whatever a sender does wrong costs that message and a count.

A trusted key may send messages, and client requests (first frame "api"); the key of a person client requests alone. Any
other key may send a `JoinAsk`.
Hello is the first message on each of our connections; until a peer's is seen, the common version is assumed.
All calls, all callbacks: the event loop's thread. Events are handed over synchronously; the receiver queues them.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import zmq

from farmd.adapters.zmq_transport import sockets
from farmd.adapters.zmq_transport.buffers import Buffers
from farmd.adapters.zmq_transport.clients import Clients
from farmd.adapters.zmq_transport.dialling import Dialling, endpoint_of
from farmd.adapters.zmq_transport.joining import Doors, Verdict, ask_to_join
from farmd.adapters.zmq_transport.lanes import LanePort
from farmd.adapters.zmq_transport.link import Link
from farmd.adapters.zmq_transport.tally import NotYetTrusted, Tally
from farmd.core.events import Connected, Disconnected, MessageReceived
from protocol.api import API_MARK
from protocol.codec import (
    MAX_JOIN_BYTES,
    NEWEST_VERSION,
    OLDEST_VERSION,
    decode,
    decode_bulk,
    encode,
    encode_bulk,
    negotiate,
)
from protocol.errors import PeerError
from protocol.ids import node_id_of
from protocol.messages import Hello, JoinAsk, JoinReply, Lane, PackAsk, PackIs, PieceAsk, PieceIs
from protocol.pacing import Drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from farmd.adapters.zmq_transport.sockets import Context, Keys
    from farmd.core.events import Event
    from protocol.ids import NodeId
    from protocol.messages import Message

KEEP_S = 5.0
FAULTS_OF_A_STRANGER = 50
"""So many bad messages cost a stranger its connection."""
MAX_FRAMES = 3
"""Kept of a message: ours have one or two, and a third shows that there are too many."""
JOIN_TIMEOUT_S = 5.0
GOODBYE_MS = 200


class ZmqTransport:
    """Sends and receives messages of this farm.

    Args:
        context: Of the ZAP handler, which must be started before this.
        keys: Own CURVE keys.
        listen: HOST:PORT to bind; port 0 takes any, 0.0.0.0 all interfaces.
        on_event: Takes each event; must not block.
        farm: Id of the farm, said in Hello.
        epoch: Of this life, said in Hello.
        judge: Says of a join token which role it grants and what is wrong with it ("" = nothing).
        on_api: Takes a client request of a trusted key: node, request, and where to answer (hashable; equal for
            equal connections).
        on_person: The same for a person's key: name, request, and where to answer.
        on_trust: Told the trusted keys, those of people too; the ZAP handler's `trust`.
        on_lanes: Told where the words for the second port stand; the ZAP handler's `admit_to_lanes`.
    """

    def __init__(  # noqa: PLR0913  # the composition root wires all of these once, by keyword
        self,
        context: Context,
        keys: Keys,
        listen: str,
        on_event: Callable[[Event], None],
        *,
        farm: str = "",
        epoch: int = 0,
        judge: Callable[[bytes], Verdict] = lambda _token: Verdict("", "this node admits nobody"),
        on_api: Callable[[NodeId, bytes, Callable[[bytes], bool]], None] | None = None,
        on_person: Callable[[str, bytes, Callable[[bytes], bool]], None] | None = None,
        on_trust: Callable[[Iterable[bytes]], None] = lambda _keys: None,
        on_lanes: Callable[[Mapping[bytes, bytes]], None] = lambda _words: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self.address = ""
        self._context, self._keys, self._listen = context, keys, listen
        self._on_event, self._on_trust = on_event, on_trust
        self._farm, self._epoch, self._now = farm, epoch, now
        self._nodes: dict[str, NodeId] = {}
        self._clients = Clients(on_api, on_person, self._answer_client)
        self._revoked: set[str] = set()
        self._dialling = Dialling(self._open_link, now)
        self._links = self._dialling.links
        self._epochs: dict[NodeId, int] = {}
        self._doors = Doors(judge, now)
        self._last: tuple[Message | None, bytes] = (None, b"")
        self._keeper: asyncio.TimerHandle | None = None
        self._is_skipping = False
        """In the middle of a message of more frames than there are: the rest is read in bursts, like other messages."""
        self._invited: set[NodeId] = set()
        self._buffers = Buffers()
        self._lanes = LanePort(context, self._buffers, self._heard_sealed, self._blame_sealed)
        on_lanes(self._lanes.words)
        self._router = sockets.open_router(context, keys)
        self._drain = Drain(self._router.fileno(), self._take)

    # -- life ------------------------------------------------------------------------------------------------------

    def bind(self) -> str:
        """Open the port; returns, and keeps in `address`, the HOST:PORT where others reach it.

        Raises:
            UserError: The address is taken or is not ours.
        """
        self.address = sockets.reachable_address(sockets.bind(self._router, self._listen))
        return self.address

    def start(self) -> None:
        """Begin to receive, in the running event loop; binds if that was not done.

        Raises:
            UserError: The address cannot be used, or too few open files are allowed.
        """
        sockets.raise_descriptor_limit()
        if not self.address:
            self.bind()
        self._drain.start()
        self._lanes.start(self._listen)
        self._keep()

    def close(self) -> None:
        """Close everything; what was sent last has a fifth of a second to leave in the background."""
        self._drain.stop()
        if self._keeper is not None:
            self._keeper.cancel()
        self._dialling.close(GOODBYE_MS)
        self._lanes.close()
        self._router.close()

    # -- what the core asks for ------------------------------------------------------------------------------------

    def send(self, node: NodeId, message: Message) -> bool:
        """Send a message, or drop and count it; True if a connection took it (which promises nothing)."""
        link = self._links.get(node)
        if link is None:
            self.tally.unsent += 1
            return False
        if isinstance(message, PieceIs | PackIs):
            sent = link.send_bulk(encode_bulk(message), self._now())
        else:
            if isinstance(message, PieceAsk | PackAsk) and node not in self._invited:
                self._invite(node, link)
            sent = link.send(self._frame_of(message), self._now())
        if sent:
            self.tally.sent += 1
        else:
            self.tally.unsent += 1
        return sent

    def link(self, node: NodeId, address: str, public_key: bytes) -> None:
        """Keep a connection to this node; a changed address or key replaces the one there is.

        An address that cannot be one (it came by gossip) is logged and gives no connection.
        """
        if not self._dialling.is_wanted(node, address, public_key):
            self.unlink(node)
            self._dialling.want(node, address, public_key)

    def unlink(self, node: NodeId) -> None:
        """Drop the connection to this node."""
        link = self._dialling.drop(node)
        if link is not None:
            link.close(GOODBYE_MS)
            if link.up:
                self._on_event(Disconnected(node))

    def trust(self, keys: Iterable[bytes]) -> None:
        """Believe exactly these public keys (raw) from now on; connections to all others are closed."""
        known = frozenset(keys)
        nodes = {key.hex(): node_id_of(key) for key in known}
        self._revoked = (self._revoked | self._nodes.keys()) - nodes.keys()
        self._nodes = nodes
        self._tell_trusted()
        for node in self._dialling.not_among(known):
            self.unlink(node)
        members = set(nodes.values())
        self._lanes.keep(members)
        self._epochs = {node: epoch for node, epoch in self._epochs.items() if node in members}

    def trust_people(self, people: Iterable[tuple[bytes, str]]) -> None:
        """Take client requests, and nothing else, of exactly these people: public keys (raw) with names."""
        self._revoked = (self._revoked | self._clients.know(people)) - self._clients.people.keys()
        self._tell_trusted()

    def _tell_trusted(self) -> None:
        self._on_trust([bytes.fromhex(user) for user in (*self._nodes, *self._clients.people)])

    def answer_join(self, door: int, reply: JoinReply) -> bool:
        """Answer a join request; False if whoever asked is gone."""
        routing_id = self._doors.leave(door)
        return routing_id is not None and self._answer([routing_id, encode(reply)])

    async def join(
        self, seeds: Sequence[tuple[str, bytes]], token: bytes, *, name: str, timeout_s: float = JOIN_TIMEOUT_S
    ) -> JoinReply:
        """Ask the seeds, (HOST:PORT, public key), in turn to be admitted.

        Raises:
            Unreachable: None answered, each within `timeout_s`.
        """
        endpoints = [(await endpoint_of(address), key) for address, key in seeds]
        reached = [(endpoint, key) for endpoint, key in endpoints if endpoint]
        ask = JoinAsk(token, self.address, name)
        return await ask_to_join(self._context, self._keys, reached, ask, timeout_s=timeout_s)

    # -- receiving -------------------------------------------------------------------------------------------------

    def _take(self) -> bool:
        router = self._router
        try:
            if self._is_skipping:
                self._is_skipping = router.recv(zmq.NOBLOCK, copy=False).more
                return True
            routing_id = router.recv(zmq.NOBLOCK)
        except zmq.Again:
            return False
        frames = [router.recv(zmq.NOBLOCK, copy=False)]  # not recv_multipart: half the time, for what mostly is one
        while frames[-1].more and len(frames) < MAX_FRAMES:
            frames.append(router.recv(zmq.NOBLOCK, copy=False))
        self._is_skipping = frames[-1].more
        user = _user_of(frames[0])
        node = self._nodes.get(user)
        try:
            self._hear(routing_id, user, node, frames)
        except PeerError as error:
            count = self.tally.blame(node or user, error, self._now())
            if node is None and (user in self._revoked or count % FAULTS_OF_A_STRANGER == 0):
                sockets.hang_up(frames[0])
        return True

    def _hear(self, routing_id: bytes, user: str, node: NodeId | None, frames: list[zmq.Frame]) -> None:
        """Hand on what one message says.

        Raises:
            PeerError: The sender may not say this, or nobody could read it.
        """
        head = frames[0].bytes
        if node is None and user in self._clients.people:
            self._clients.hear_person(routing_id, user, [frame.bytes for frame in frames])
            return
        if len(frames) > 1 and (node is None or head == API_MARK or len(frames) > 2):
            self._clients.hear_node(routing_id, user, node, [frame.bytes for frame in frames])
            return
        if len(frames) > 1:
            message = decode_bulk(head, frames[1].buffer)
        else:
            message = decode(head) if node is not None else decode(head, MAX_JOIN_BYTES)
        if type(message) is JoinAsk:
            self._on_event(self._doors.open(routing_id, bytes.fromhex(user), message))
            return
        if node is None:
            kind = PeerError if user in self._revoked else NotYetTrusted
            raise kind(f"{type(message).__name__} from a key that is not trusted")
        if type(message) is Hello:
            self._hear_hello(node, message)
        if type(message) is Lane:
            if (link := self._links.get(node)) is not None:
                link.lane.open(message, self._now())
            return
        self._heard(node, message)

    def _heard_sealed(self, node: NodeId, message: Message) -> None:
        self.tally.sealed += 1
        self._heard(node, message)

    def _blame_sealed(self, sender: str, error: PeerError) -> None:
        self.tally.blame(sender, error, self._now())

    def _heard(self, node: NodeId, message: Message) -> None:
        self.tally.received += 1
        self._on_event(MessageReceived(node, message))

    def _hear_hello(self, node: NodeId, hello: Hello) -> None:
        negotiate(hello.oldest, hello.newest)
        if hello.farm != self._farm:
            raise PeerError(f"speaks of another farm, {hello.farm[:40]!r}")
        self._invited.discard(node)  # its link to us is new, and knows of no lane
        if self._epochs.get(node) != hello.epoch:
            # A peer that restarted while our loop was busy may have missed our Hello: one more for each of its lives.
            self._epochs[node] = hello.epoch
            self.send(node, self._hello())

    def _answer_client(self, user: str, frames: list[bytes]) -> bool:
        """Answer a client, while its key is good: a stream that began before a revocation ends with it."""
        return (user in self._nodes or user in self._clients.people) and self._answer(frames)

    def _answer(self, frames: list[bytes]) -> bool:
        try:
            self._router.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError:  # gone, or it does not read
            self.tally.unsent += 1
            return False
        finally:
            self._drain.poke()
        self.tally.sent += 1
        return True

    # -- links -----------------------------------------------------------------------------------------------------

    def _open_link(self, node: NodeId, endpoint: str, key: bytes) -> Link:
        changed = partial(self._changed, node)
        return Link(self._context, self._keys, key, endpoint, on_change=changed, buffers=self._buffers)

    def _changed(self, node: NodeId, up: bool) -> None:  # callback of Link
        self._invited.discard(node)
        if up:
            self.send(node, self._hello())
        self._on_event(Connected(node) if up else Disconnected(node))

    def _invite(self, node: NodeId, link: Link) -> None:
        """Before the first question about contents: say where they may come, sealed."""
        lane = self._lanes.invite(node)
        if lane is not None and link.send(encode(lane), self._now()):
            self._invited.add(node)

    def _keep(self) -> None:
        self._keeper = asyncio.get_running_loop().call_later(KEEP_S, self._keep)
        self._buffers.keep()
        self._dialling.keep()

    def _hello(self) -> Hello:
        return Hello(OLDEST_VERSION, NEWEST_VERSION, self._farm, self._epoch, self.address)

    def _frame_of(self, message: Message) -> bytes:
        """Encode, once for a message that goes to several peers."""
        if self._last[0] is not message:
            self._last = (message, encode(message))
        return self._last[1]


def _user_of(frame: zmq.Frame) -> str:
    """Return what the ZAP handler called the sender."""
    try:
        user = frame.get("User-Id")
    except zmq.ZMQError:
        return ""
    assert isinstance(user, str)
    return user
