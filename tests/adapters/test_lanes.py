"""Contents of files along the second port: sealed, only from whom they were asked of, and never a way that must exist."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from farmd.adapters.zmq_transport import lanes, sockets
from farmd.adapters.zmq_transport.buffers import MOST_BUFFERS, Buffers
from farmd.adapters.zmq_transport.sealing import SEEN_WINDOW, Opener, Sealer, new_lane
from farmd.core.events import Connected, MessageReceived
from farmd.core.incoming import SMALL_BYTES
from farmd.core.packs import MOST_PACK_BYTES, PACK_BLOBS
from protocol.codec import encode, encode_bulk
from protocol.errors import PeerError
from protocol.ids import BlobAddress
from protocol.messages import Hello, Lane, PackIs, PieceAsk, PieceIs, Ping
from tests.adapters.loopback import Node, closing, link, pair, raw_dealer, run, start_node, until

if TYPE_CHECKING:
    from farmd.adapters.zmq_transport.sockets import Socket
    from protocol.pacing import Drain

NULL_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL".ljust(55, b"\0")
"""Of ZMTP 3.0 (RFC 23): without a word."""
BLOB = BlobAddress(1, 2, b"m" * 16)
PIECE = PieceIs(BLOB, 0, 3, b"secret of the artist" * 1000)


async def ask(one: Node, other: Node) -> None:
    """Let `one` ask `other` for a piece, as everybody does before contents travel; then the lane stands."""
    before = len(other.heard(PieceAsk))
    assert one.transport.send(other.id, PieceAsk(BLOB, 0))
    await until(lambda: len(other.heard(PieceAsk)) > before)


async def deliver(source: Node, target: Node, count: int = 1) -> None:
    """Send pieces until `count` more have come sealed."""
    before = target.transport.tally.sealed

    def sealed() -> bool:
        source.transport.send(target.id, PIECE)
        return target.transport.tally.sealed >= before + count

    await until(sealed)


def test_pieces_that_were_asked_for_come_sealed_and_whole() -> None:
    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one, 3)
        assert MessageReceived(other.id, PIECE) in one.events
        assert all(piece == PIECE for piece in one.heard(PieceIs))

    run(story())


def test_pieces_that_nobody_asked_for_come_over_the_one_port() -> None:
    async def story() -> None:
        one, other = await pair()
        other.transport.send(one.id, PIECE)
        await until(lambda: one.heard(PieceIs))
        assert one.transport.tally.sealed == 0

    run(story())


LARGEST = PackIs(
    tuple(BlobAddress((1 << 64) - 1 - number, SMALL_BYTES, b"m" * 16) for number in range(PACK_BLOBS)),
    b"largest" * (MOST_PACK_BYTES // 7),
    MOST_PACK_BYTES,
)


@pytest.mark.parametrize("is_asked", [False, True], ids=["over the one port", "sealed"])
def test_largest_pack_comes_whole(is_asked: bool) -> None:
    async def story() -> None:
        one, other = await pair()
        if is_asked:
            await ask(one, other)
            await deliver(other, one)
        assert other.transport.send(one.id, LARGEST)
        await until(lambda: one.heard(PackIs))
        assert one.heard(PackIs) == [LARGEST]
        assert isinstance(one.heard(PackIs)[0].data, memoryview)
        assert (one.transport.tally.sealed > 0) == is_asked
        assert len(one.of(Connected)) == 1

    run(story())


def test_second_port_behind_a_firewall_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmd.adapters.zmq_transport.transport.KEEP_S", 0.05)
    monkeypatch.setattr(lanes, "LANE_TRY_S", 0.2)

    async def story() -> None:
        one, other = await pair()
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        one.transport._lanes.number = port
        await ask(one, other)
        other.transport.send(one.id, PIECE)
        await until(lambda: one.heard(PieceIs))
        way = other.transport._links[one.id].lane
        await until(lambda: way._push is None)
        assert other.transport.send(one.id, PIECE), "it rests, and does not dial for each piece"
        assert way._push is None
        await until(lambda: len(one.heard(PieceIs)) == 2)
        assert one.transport.tally.sealed == 0

    run(story())


def test_source_that_restarts_is_given_a_new_key() -> None:
    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one)
        address, keys = other.transport.address, other.keys
        other.stop()
        other = start_node(keys=keys, listen=address, epoch=2)
        other.transport.trust([one.keys.public])
        link(other, one)
        await until(lambda: other.of(Connected) and len(one.of(Connected)) == 2)
        await ask(one, other)
        await deliver(other, one)
        assert one.transport.tally.bad == 0

    run(story())


def test_who_receives_and_restarts_is_sent_nothing_with_the_old_key() -> None:
    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one)
        address, keys = one.transport.address, one.keys
        one.stop()
        one = start_node(keys=keys, listen=address, epoch=2)
        one.transport.trust([other.keys.public])
        link(one, other)
        await until(lambda: one.of(Connected) and len(other.of(Connected)) == 2)
        assert other.transport.send(one.id, PIECE), "what was read for the earlier life goes over the one port"
        await until(lambda: one.heard(PieceIs))
        assert one.transport.tally.sealed == 0
        await ask(one, other)
        await deliver(other, one)
        assert all(piece == PIECE for piece in one.heard(PieceIs))
        assert one.transport.tally.bad == 0

    run(story())


def test_memory_of_messages_is_not_used_again_while_anybody_has_them() -> None:
    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one)
        size = 300_000
        for number in range(1, 3 * MOST_BUFFERS + 1):
            piece = PIECE._replace(number=number, data=number.to_bytes(2) * (size // 2))
            await until(lambda piece=piece: other.transport.send(one.id, piece))  # type: ignore[misc]
        await until(lambda: one.heard(PieceIs)[-1].number == 3 * MOST_BUFFERS)
        for piece in [piece for piece in one.heard(PieceIs) if piece.number]:
            assert piece.data == piece.number.to_bytes(2) * (size // 2)

    run(story())


def visitor(node: Node, lane: Lane) -> Socket:
    """Whoever has a lane's name and word can connect to the second port."""
    context: zmq.Context[Socket] = zmq.Context()
    closing(context.term)
    push = sockets.open_push(context, lanes.user_of(lane), lanes.password_of(lane))
    closing(push.close)
    push.connect(f"tcp://127.0.0.1:{node.transport._lanes.number}")
    return push


async def say(push: Socket, *frames: bytes) -> None:
    await until(lambda: push.poll(0, zmq.POLLOUT))
    push.send_multipart(frames, zmq.NOBLOCK)


def frames_of(lane: Lane, frames: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    first, second = Sealer(lane, Buffers()).seal(*frames)
    return first, bytes(second)


def lane_from(node: Node, other: Node) -> Lane:
    lane = node.transport._lanes.invite(other.id)
    assert lane is not None
    return lane


async def say_in_vain(node: Node, lane: Lane, *frames: bytes) -> None:
    """Say what the node drops."""
    bad = node.transport.tally.bad
    await say(visitor(node, lane), *frames)
    await until(lambda: node.transport.tally.bad == bad + 1)


def test_who_does_not_know_the_word_is_not_let_in() -> None:
    async def story() -> None:
        one, other = await pair()
        lane = lane_from(one, other)
        for wrong in (lane._replace(word=bytes(16)), lane._replace(name=bytes(8))):
            refused = one.zap.refused
            push = visitor(one, wrong)
            await until(lambda refused=refused: one.zap.refused > refused)  # type: ignore[misc]
            assert not push.poll(0, zmq.POLLOUT)
        with socket.create_connection(("127.0.0.1", one.transport._lanes.number)) as unasked:
            unasked.setblocking(False)
            unasked.sendall(NULL_GREETING)
            answer = b"?"
            while answer:
                answer = await asyncio.get_running_loop().sock_recv(unasked, 1000)
        await ask(one, other)
        await deliver(other, one)

    run(story())


@pytest.mark.parametrize(
    "frames", [(b"",), (b"x" * 100,), (b"x" * 100, b"y" * 1000), (b"x" * 100, b"y", b"z"), encode_bulk(PIECE)]
)
def test_who_is_let_in_and_talks_nonsense_is_hung_up_on_and_harms_nobody(frames: tuple[bytes, ...]) -> None:
    async def story() -> None:
        one, other = await pair()
        push = visitor(one, lane_from(one, other))
        await say(push, *frames)
        admitted = one.zap.admitted
        await until(lambda: one.zap.admitted > admitted, 3.0)  # it was cut off, and dials again
        assert one.transport.tally.bad == 1
        assert not one.heard(PieceIs)
        await ask(one, other)
        await deliver(other, one)

    run(story())


def counted(drain: Drain) -> list[None]:
    """Return a list that grows with each look at the socket."""
    takes: list[None] = []
    take = drain._take

    def counting() -> bool:
        takes.append(None)
        return take()

    drain._take = counting
    return takes


def test_message_of_very_many_frames_is_dropped_in_bursts() -> None:
    async def story() -> None:
        one, other = await pair()
        lane = lane_from(one, other)
        takes = counted(one.transport._lanes._drain)
        push = visitor(one, lane)
        await say(push, *frames_of(lane, encode_bulk(PIECE)), *[b""] * 3000)
        await until(lambda: one.transport.tally.bad == 1)
        await until(lambda: len(takes) > 2900)
        await say(push, *frames_of(lane, encode_bulk(PIECE)))
        await until(lambda: one.heard(PieceIs))

    run(story())


def test_message_of_very_many_frames_at_the_one_port_is_dropped_in_bursts() -> None:
    async def story() -> None:
        one, other = await pair()
        takes = counted(one.transport._drain)
        dealer = raw_dealer(one, other.keys)
        dealer.send_multipart([b""] * 3000)
        await until(lambda: len(takes) > 2900)
        assert one.transport.tally.bad == 1
        other.transport.send(one.id, Ping(5))
        await until(lambda: one.heard(Ping))

    run(story())


def test_overheard_names_and_words_and_repeated_messages_are_of_no_use() -> None:
    async def story() -> None:
        one, other = await pair()
        lane = lane_from(one, other)
        sealed = frames_of(lane, encode_bulk(PIECE))
        for wrong in (
            frames_of(lane._replace(key=bytes(32)), encode_bulk(PIECE)),
            (sealed[0], b"short"),
            (sealed[0], sealed[1][:-1] + bytes([sealed[1][-1] ^ 1])),
            (sealed[0][:-1] + bytes([sealed[0][-1] ^ 1]), sealed[1]),
            (sealed[0], frames_of(lane, (b"", b"other body"))[0]),
        ):
            await say_in_vain(one, lane, *wrong)
        assert not one.heard(PieceIs)
        await say(visitor(one, lane), *sealed)
        await until(lambda: one.heard(PieceIs))
        await say_in_vain(one, lane, *sealed)
        assert one.heard(PieceIs) == [PIECE]

    run(story())


def test_lane_of_a_revoked_node_is_closed_at_once() -> None:
    async def story() -> None:
        one, other = await pair()
        lane = lane_from(one, other)
        push = visitor(one, lane)
        await until(lambda: push.poll(0, zmq.POLLOUT))
        one.transport.trust([])
        await say(push, *frames_of(lane, encode_bulk(PIECE)))
        await until(lambda: one.transport.tally.bad == 1)
        assert not one.heard(PieceIs)
        refused = one.zap.refused
        visitor(one, lane)
        await until(lambda: one.zap.refused > refused)

    run(story())


def test_lane_before_the_newest_is_still_good_and_the_one_before_it_is_not() -> None:
    async def story() -> None:
        one, other = await pair()
        first = lane_from(one, other)
        push = visitor(one, first)
        await until(lambda: push.poll(0, zmq.POLLOUT))
        second, third = lane_from(one, other), lane_from(one, other)
        for lane in (second, third):
            await say(visitor(one, lane), *frames_of(lane, encode_bulk(PIECE)))
        await until(lambda: one.transport.tally.sealed == 2)
        await say(push, *frames_of(first, encode_bulk(PIECE)))
        await until(lambda: one.transport.tally.bad == 1)

    run(story())


def test_link_that_is_made_anew_is_invited_anew() -> None:
    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one)
        other.transport.unlink(one.id)
        link(other, one)
        await until(lambda: len(other.of(Connected)) == 2)
        await until(lambda: len(one.heard(Hello)) >= 2)
        await ask(one, other)
        await deliver(other, one)

    run(story())


def test_lane_that_was_idle_is_dialled_again_and_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmd.adapters.zmq_transport.transport.KEEP_S", 0.02)
    monkeypatch.setattr(lanes, "LANE_IDLE_S", 0.1)
    monkeypatch.setattr(lanes, "LANE_TRY_S", 0.05)

    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one)
        way = other.transport._links[one.id].lane
        for _ in range(3):
            await until(lambda: way._push is None)
            await deliver(other, one)
        assert way._rests_until == 0.0

    run(story())


def test_lane_that_cannot_be_dialled_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptor(*_: object) -> Socket:
        raise zmq.ZMQError(24)

    monkeypatch.setattr(sockets, "open_push", no_descriptor)

    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        assert other.transport.send(one.id, PIECE)
        await until(lambda: one.heard(PieceIs))
        assert one.transport.tally.sealed == 0

    run(story())


def test_lane_that_breaks_while_a_message_is_sealed_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        one, other = await pair()
        await ask(one, other)
        await deliver(other, one)
        way = other.transport._links[one.id].lane
        assert way._sealer is not None
        seal = way._sealer.seal

        def seal_too_late(head: bytes, body: bytes | memoryview) -> tuple[bytes, memoryview]:
            assert way._push is not None
            way._push.close(linger=0)
            return seal(head, body)

        monkeypatch.setattr(way._sealer, "seal", seal_too_late)
        assert other.transport.send(one.id, PIECE._replace(number=77))
        await until(lambda: PIECE._replace(number=77) in one.heard(PieceIs))

    run(story())


LANE = Lane(b"n" * 8, 7, bytes(32), bytes(16))


@pytest.mark.parametrize(
    "wrong", [{"name": b"n"}, {"key": b"k"}, {"word": b"w"}, {"port": 0}, {"port": 1 << 16}], ids=str
)
def test_lane_that_cannot_be_one_is_blamed_on_its_sender(wrong: dict[str, Any]) -> None:
    async def story() -> None:
        one, other = await pair()
        other.transport._links[one.id].send(encode(LANE._replace(**wrong)), 0.0)
        await until(lambda: one.transport.tally.bad == 1)
        assert one.transport.tally.faults == {other.id: 1}
        one.transport.send(other.id, PIECE)
        one.transport.send(other.id, Ping(1))
        await until(lambda: other.heard(PieceIs) and other.heard(Ping))

    run(story())


def test_lane_that_is_told_twice_is_opened_once() -> None:
    async def story() -> None:
        one, other = await pair()
        for _ in range(2):
            other.transport._links[one.id].send(encode(LANE), 0.0)
        await until(lambda: one.transport.tally.bad == 1)

    run(story())


def test_numbers_may_come_a_little_out_of_order_but_not_twice() -> None:
    sealer, opener = Sealer(LANE, Buffers()), Opener(LANE, Buffers())
    messages = [(first, bytes(second)) for first, second in (sealer.seal(b"h", b"b") for _ in range(2 * SEEN_WINDOW))]
    for number in (5, 3, 4, 0, SEEN_WINDOW, 6):
        opener.open(*messages[number])
    for number in (5, 3, 4, 0, SEEN_WINDOW, 6):
        with pytest.raises(PeerError, match="been here before"):
            opener.open(*messages[number])
    opener.open(*messages[-1])
    with pytest.raises(PeerError, match="been here before"):
        opener.open(*messages[7])


def test_second_port_lies_beside_the_first_or_anywhere() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1] % 60_000
        one = start_node(listen=f"127.0.0.1:{port}")
        assert one.transport._lanes.number == port + lanes.PORT_STEP
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            other = start_node(listen=f"127.0.0.1:{number - lanes.PORT_STEP}")
            assert other.transport._lanes.number not in {0, number}

    run(story())


def test_sealed_messages_show_nothing_and_never_repeat() -> None:
    lane = new_lane(7)
    sealer, opener = Sealer(lane, Buffers()), Opener(lane, Buffers())
    messages = [(first, bytes(second)) for first, second in (sealer.seal(b"head of it", PIECE.data) for _ in range(4))]
    frames = [frame for message in messages for frame in message]
    assert len(set(frames)) == len(frames)
    assert not any(b"secret" in frame or b"head" in frame for frame in frames)
    for message in messages:
        head, body = opener.open(*message)
        assert (head, bytes(body)) == (b"head of it", PIECE.data)
    for message in messages:
        with pytest.raises(PeerError, match="been here before"):
            opener.open(*message)


def test_buffer_is_used_again_when_nobody_refers_to_it_and_given_back_when_idle() -> None:
    buffers = Buffers()
    first = buffers.take(100)
    inner = first[10:20]
    del first
    second = buffers.take(100)
    assert len(buffers) == 2, "a part of the first is still referred to"
    del inner, second
    again = buffers.take(50)
    assert len(again) == 50
    assert len(buffers) == 2
    held = [buffers.take(100) for _ in range(2 * MOST_BUFFERS)]
    assert len(buffers) == MOST_BUFFERS
    assert len({id(view.obj) for view in held}) == len(held)
    buffers.keep()
    assert len(buffers) == MOST_BUFFERS
    buffers.keep()
    assert len(buffers) == 0
