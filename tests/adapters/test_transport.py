from __future__ import annotations

import asyncio
import logging
import random
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import pytest
import zmq

from farmd.adapters.zmq_transport import Verdict, raise_descriptor_limit, sockets
from farmd.adapters.zmq_transport.buffers import Buffers
from farmd.adapters.zmq_transport.link import Link
from farmd.core.events import Connected, Disconnected, JoinAsked, MessageReceived
from protocol.codec import MAX_JOIN_BYTES, encode
from protocol.errors import Unreachable, UserError
from protocol.ids import BlobAddress, NodeId, node_id_of
from protocol.messages import Hello, JoinAsk, JoinReply, PieceIs, Ping, PingAck
from tests.adapters.loopback import FARM, closing, link, new_keys, pair, raw_dealer, run, start_node, until

if TYPE_CHECKING:
    from collections.abc import Callable


def test_message_between_trusted_nodes_arrives_with_the_proved_sender() -> None:
    async def story() -> None:
        one, other = await pair()
        assert one.transport.send(other.id, Ping(7))
        await until(lambda: other.heard(Ping))
        assert MessageReceived(one.id, Ping(7)) in other.events
        assert other.heard(Hello)[0] == Hello(1, 1, FARM, 1, one.transport.address)
        assert other.of(MessageReceived)[0].message == other.heard(Hello)[0], "Hello comes first"

    run(story())


def test_large_pieces_do_not_delay_control_messages_and_arrive_over_bulk() -> None:
    async def story() -> None:
        one, other = await pair()
        piece = PieceIs(BlobAddress(1, 2, b"m" * 16), 0, 3, b"x" * (1 << 20))
        assert [one.transport.send(other.id, piece) for _ in range(8)] == [True] * 8
        one.transport.send(other.id, Ping(1))
        await until(lambda: len(other.heard(PieceIs)) == 8 and other.heard(Ping))
        assert other.heard(PieceIs)[0] == piece

    run(story())


def test_bulk_queue_that_is_full_drops_and_counts_instead_of_blocking() -> None:
    async def story() -> None:
        one = start_node()
        absent = new_keys()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            one.transport.link(NodeId("0" * 16), f"127.0.0.1:{silent.getsockname()[1]}", absent.public)
            piece = PieceIs(BlobAddress(1, 2, b"m" * 16), 0, 3, b"x")
            sent = [one.transport.send(NodeId("0" * 16), piece) for _ in range(sockets.BULK_QUEUE + 5)]
            assert sent.count(True) == sockets.BULK_QUEUE
            assert one.transport.tally.unsent == 5
            assert not one.transport.send(NodeId("0" * 16), Ping(1)), "control is not queued for one who is not there"

    run(story())


def test_message_to_an_unknown_node_is_dropped_and_counted() -> None:
    async def story() -> None:
        one = start_node()
        assert not one.transport.send(NodeId("f" * 16), Ping(1))
        assert one.transport.tally.unsent == 1

    run(story())


def test_peer_that_restarts_at_the_same_address_is_connected_again() -> None:
    async def story() -> None:
        one, other = await pair()
        address, keys = other.transport.address, other.keys
        other.stop()
        await until(lambda: one.of(Disconnected))
        other = start_node(keys=keys, listen=address, epoch=2)
        other.transport.trust([one.keys.public])
        await until(lambda: len(one.of(Connected)) == 2)
        one.transport.send(other.id, Ping(2))
        await until(lambda: other.heard(Ping))

    run(story())


def test_link_that_met_another_program_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """libzmq gives up for ever when the other side does not speak ZMTP."""
    monkeypatch.setattr("farmd.adapters.zmq_transport.transport.KEEP_S", 0.1)
    monkeypatch.setattr("farmd.adapters.zmq_transport.link.REDIAL_S", 1.0)

    async def story() -> None:
        one, keys = start_node(), new_keys()
        one.transport.trust([keys.public])
        web = socket.create_server(("127.0.0.1", 0))
        web.setblocking(False)
        address = f"127.0.0.1:{web.getsockname()[1]}"
        one.transport.link(node_id_of(keys.public), address, keys.public)
        plug, _ = await asyncio.get_running_loop().sock_accept(web)
        plug.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
        again = asyncio.get_running_loop().sock_accept(web)
        with pytest.raises(TimeoutError):  # the proof that it does not come back by itself
            await asyncio.wait_for(again, 0.4)
        plug.close()
        web.close()
        other = start_node(keys=keys, listen=address)
        other.transport.trust([one.keys.public])
        await until(lambda: one.of(Connected))

    run(story())


def test_peer_whose_key_is_admitted_late_is_heard_on_the_open_connection() -> None:
    async def story() -> None:
        one, other = start_node(), start_node()
        one.transport.trust([other.keys.public])
        link(one, other)
        await until(lambda: one.of(Connected))
        one.transport.send(other.id, Ping(1))
        await until(lambda: other.transport.tally.bad >= 2)
        assert not other.events
        other.transport.trust([one.keys.public])
        one.transport.send(other.id, Ping(2))
        await until(lambda: other.heard(Ping))
        assert other.heard(Ping) == [Ping(2)]

    run(story())


def test_revoked_key_is_silenced_at_once_and_its_connections_are_closed() -> None:
    async def story() -> None:
        one, other = await pair()
        one.transport.trust([])
        assert one.of(Disconnected) == [Disconnected(other.id)]
        assert not one.transport.send(other.id, Ping(1))
        before = len(one.events)
        other.transport.send(one.id, Ping(1))
        await until(lambda: one.transport.tally.bad)
        await until(lambda: other.of(Disconnected))  # cut off when it spoke
        assert len(one.events) == before

    run(story())


def test_unlinked_peer_is_not_reached_any_more() -> None:
    async def story() -> None:
        one, other = await pair()
        one.transport.unlink(other.id)
        assert one.of(Disconnected)
        assert not one.transport.send(other.id, Ping(1))

    run(story())


def test_address_that_cannot_be_one_is_logged_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        one = start_node()
        for n, address in enumerate(("nowhere", "1.2.3.4:0", "1.2.3.4:99999", "host.invalid:7000", "[::1]:x", "a b:1")):
            one.transport.link(NodeId(f"{n:016x}"), address, new_keys().public)
        one.transport.link(NodeId("a" * 16), "127.0.0.1:7000", b"short key")
        await until(lambda: len(caplog.records) >= 6)

    run(story())


def test_name_as_an_address_is_looked_up() -> None:
    async def story() -> None:
        one, other = start_node(), start_node()
        for node in (one, other):
            node.transport.trust([one.keys.public, other.keys.public])
        port = other.transport.address.rpartition(":")[2]
        one.transport.link(other.id, f"localhost:{port}", other.keys.public)
        await until(lambda: one.of(Connected), 3)

    run(story())


def test_hello_of_another_farm_or_version_is_dropped_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        one, stranger = start_node(), new_keys()
        one.transport.trust([stranger.public])
        dealer = raw_dealer(one, stranger)
        for _ in range(3):
            dealer.send(encode(Hello(8, 9, FARM, 1, "")))
        dealer.send(encode(Hello(1, 1, "elsewhere", 1, "")))
        dealer.send(encode(Ping(1)))
        await until(lambda: one.heard(Ping))
        assert one.transport.tally.bad == 4
        assert len([record for record in caplog.records if "speaks versions" in record.message]) == 1

    run(story())


# -- joining ------------------------------------------------------------------------------------------------------


def judge(token: bytes) -> Verdict:
    return Verdict("node", "") if token == b"good" else Verdict("", "the token is damaged")


def test_stranger_with_a_token_is_announced_and_answered() -> None:
    async def story() -> None:
        seed, joiner = start_node(judge=judge), start_node()
        seeds = [("127.0.0.1:1", new_keys().public), (seed.transport.address, seed.keys.public)]
        asking = asyncio.create_task(joiner.transport.join(seeds, b"good", name="ws07\x1b[31m", timeout_s=0.5))
        await until(lambda: seed.of(JoinAsked))
        asked = seed.of(JoinAsked)[0]
        assert asked == JoinAsked(asked.door, joiner.keys.public, "ws07[31m", joiner.transport.address, "node", "")
        reply = JoinReply(True, "", ((seed.transport.address, seed.keys.public),))
        assert seed.transport.answer_join(asked.door, reply)
        assert await asking == reply
        assert not seed.transport.answer_join(asked.door, reply), "a door opens once"

    run(story())


def test_stranger_with_a_bad_token_is_announced_with_its_fault() -> None:
    async def story() -> None:
        seed, joiner = start_node(judge=judge), start_node()
        seeds = [(seed.transport.address, seed.keys.public)]
        asking = asyncio.create_task(joiner.transport.join(seeds, b"bad", name="x", timeout_s=5))
        await until(lambda: seed.of(JoinAsked))
        assert seed.of(JoinAsked)[0].fault == "the token is damaged"
        seed.transport.answer_join(seed.of(JoinAsked)[0].door, JoinReply(False, "no"))
        assert not (await asking).admitted

    run(story())


def test_join_without_an_answer_is_unreachable() -> None:
    async def story() -> None:
        joiner = start_node()
        with pytest.raises(Unreachable, match="no node of the farm answered"):
            await joiner.transport.join([("127.0.0.1:1", new_keys().public)], b"", name="", timeout_s=0.2)

    run(story())


def test_message_of_a_key_that_is_not_trusted_yet_is_counted_and_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        one, keys = start_node(judge=judge), new_keys()
        dealer = raw_dealer(one, keys)
        dealer.send(encode(Hello(1, 1, FARM, 1, "")))
        dealer.send(encode(Ping(1)))
        await until(lambda: one.transport.tally.bad == 2)
        said = [
            (record.levelname, record.message.partition(": ")[2])
            for record in caplog.records
            if keys.public.hex() in record.message
        ]
        assert said == [
            ("DEBUG", "Hello from a key that is not trusted"),
            ("DEBUG", "Ping from a key that is not trusted"),
        ]

    run(story())


def test_stranger_may_say_nothing_but_join_and_not_much_of_it() -> None:
    async def story() -> None:
        one, keys = start_node(judge=judge), new_keys()
        dealer = raw_dealer(one, keys)
        dealer.send(encode(Ping(1)))
        dealer.send(encode(JoinAsk(b"x" * MAX_JOIN_BYTES, "", "")))
        dealer.send_multipart([b"api", b"x"])
        dealer.send_multipart([b"1", b"2", b"3", b"4", b"5"])
        await until(lambda: one.transport.tally.bad == 4)
        for _ in range(20):
            dealer.send(encode(JoinAsk(b"good", "", "")))
        await until(lambda: one.transport.tally.bad > 10)
        assert len(one.of(JoinAsked)) <= 7
        assert one.transport.tally.faults == {keys.public.hex(): one.transport.tally.bad}

    run(story())


# -- client requests over the nodes' socket -----------------------------------------------------------------------


def test_client_request_of_a_trusted_key_is_handed_on_and_answered() -> None:
    async def story() -> None:
        asked: list[tuple[NodeId, bytes, Callable[[bytes], bool]]] = []

        def on_api(node: NodeId, request: bytes, answer: Callable[[bytes], bool]) -> None:
            asked.append((node, request, answer))
            assert answer(b"yes")

        one, keys = start_node(on_api=on_api), new_keys()
        one.transport.trust([keys.public])
        dealer = raw_dealer(one, keys)
        dealer.send_multipart([b"api", b"question"])
        await until(lambda: dealer.poll(0))
        assert dealer.recv_multipart() == [b"api", b"yes"]
        raw_dealer(one, keys).send_multipart([b"api", b"question"])
        dealer.send_multipart([b"api", b"another"])
        await until(lambda: len(asked) == 3)
        assert {node for node, _, _ in asked} == {node_id_of(keys.public)}
        assert len({answer for _, _, answer in asked}) == 2, "one for each connection"

    run(story())


def test_key_of_a_person_may_ask_as_a_client_and_say_nothing_else() -> None:
    async def story() -> None:
        asked: list[tuple[str, bytes]] = []

        def on_person(name: str, request: bytes, answer: Callable[[bytes], bool]) -> None:
            asked.append((name, request))
            assert answer(b"yes")

        one, keys = start_node(on_person=on_person, judge=judge), new_keys()
        one.transport.trust_people([(keys.public, "anna")])
        dealer = raw_dealer(one, keys)
        dealer.send_multipart([b"api", b"question"])
        await until(lambda: dealer.poll(0))
        assert dealer.recv_multipart() == [b"api", b"yes"]
        assert asked == [("anna", b"question")]
        for said in (Ping(1), Hello(1, 1, FARM, 1, "127.0.0.1:1"), JoinAsk(b"good", "127.0.0.1:1", "ws99")):
            dealer.send(encode(said))
        dealer.send_multipart([b"api", b"x", b"y"])
        await until(lambda: one.transport.tally.bad == 4)
        assert one.events == [], "no message, no request to join"

    run(story())


def test_stream_to_a_person_ends_when_the_key_is_revoked_and_the_connection_when_it_speaks() -> None:
    async def story() -> None:
        answers: list[Callable[[bytes], bool]] = []
        one, keys = start_node(on_person=lambda _name, _request, answer: answers.append(answer)), new_keys()
        one.transport.trust_people([(keys.public, "anna")])
        dealer = raw_dealer(one, keys)
        dealer.send_multipart([b"api", b"follow"])
        await until(lambda: answers)
        assert answers[0](b"first")
        one.transport.trust_people([])
        assert not answers[0](b"second")
        gone = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        closing(gone.close)
        dealer.send_multipart([b"api", b"more"])
        await until(lambda: gone.poll(0))
        assert len(answers) == 1

    run(story())


# -- bad weather --------------------------------------------------------------------------------------------------


def mutated(rng: random.Random) -> bytes:
    frame = bytearray(encode(PingAck(1, NodeId("f" * 16))))
    for _ in range(rng.randint(1, 4)):
        where = rng.randrange(len(frame))
        match rng.randrange(3):
            case 0:
                frame[where] = rng.randrange(256)
            case 1:
                del frame[where:]
                frame += rng.randbytes(2)
            case _:
                frame[where:where] = rng.randbytes(rng.randint(1, 8))
    return bytes(frame)


def garbage(rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randint(0, 200))
        case 1:
            return bytes(msgpack.packb([1, rng.randrange(70), *rng.choices([1, "x", b"y", None, [[]], {"a": 1}], k=3)]))
        case 2:
            return b"\x91" * rng.randint(1, 3000)
        case _:
            return mutated(rng)


@pytest.mark.timeout(60)
def test_ten_thousand_bad_frames_cost_their_sender_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    async def story() -> None:
        rng = random.Random(1)
        one, other = await pair()
        vandal, unknown = new_keys(), new_keys()
        one.transport.trust([one.keys.public, other.keys.public, vandal.public])
        dealers = [raw_dealer(one, vandal), raw_dealer(one, unknown)]
        plugs = [socket.create_connection(sockets.split_address(one.transport.address)) for _ in range(5)]
        for n in range(5_000):
            for dealer in dealers:
                dealer.send(garbage(rng), zmq.NOBLOCK)
            if n % 1000 == 0:
                plugs[n // 1000].sendall(rng.randbytes(5000))
                other.transport.send(one.id, Ping(n))
                await asyncio.sleep(0)
        await until(lambda: len(one.heard(Ping)) >= 5, 20)
        await until(lambda: one.transport.tally.faults.get(unknown.public.hex(), 0) >= 50, 20)
        await until(lambda: sum(one.transport.tally.faults.values()) > 4_000, 20)
        assert other.transport.send(one.id, Ping(99_999))
        await until(lambda: Ping(99_999) in one.heard(Ping))
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        for plug in plugs:
            plug.close()

    run(story())


# -- addresses and descriptors ------------------------------------------------------------------------------------


def test_port_in_use_names_the_address() -> None:
    async def story() -> None:
        one = start_node()
        with pytest.raises(UserError) as caught:
            start_node(listen=one.transport.address)
        assert one.transport.address in caught.value.what
        assert caught.value.why
        assert caught.value.hint
        assert caught.value.code == 1

    run(story())


def test_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(UserError, match="cannot listen"):
        run(_start_at("198.51.100.7:0"))


async def _start_at(address: str) -> None:
    start_node(listen=address)


def test_all_interfaces_are_advertised_as_one_that_others_can_reach() -> None:
    async def story() -> None:
        one = start_node(listen="0.0.0.0:0")
        host, port = one.transport.address.split(":")
        assert host not in {"0.0.0.0", ""}
        assert int(port) > 0

    run(story())


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:7000", ("127.0.0.1", 7000)), ("[::1]:7000", ("::1", 7000)), ("ws07:1", ("ws07", 1))],
)
def test_address_is_split_at_its_last_colon(address: str, expected: tuple[str, int]) -> None:
    assert sockets.split_address(address) == expected


@pytest.mark.parametrize("address", ["", "7000", "host:", "host:port", "host:70000"])
def test_nonsense_address_is_a_usage_error(address: str) -> None:
    with pytest.raises(UserError, match="not an address"):
        sockets.split_address(address)


def test_descriptor_limit_is_raised_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _what: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _what, pair: limits.append(pair))
    assert raise_descriptor_limit() == 4096
    limits.append((1024, 1024))
    with pytest.raises(UserError, match="only 1024 open files"):
        raise_descriptor_limit()


def test_link_costs_two_descriptors_and_no_monitor() -> None:
    async def story() -> None:
        one, hub = start_node(), start_node()
        hub.transport.trust([one.keys.public])
        before = _descriptors()
        for n in range(10):
            one.transport.link(NodeId(f"{n:016x}"), hub.transport.address, hub.keys.public)
        await until(lambda: len(one.of(Connected)) == 10)
        assert _descriptors() - before <= 10 * 3 + 2, "two here, and one at the other end, which is this process too"

    run(story())


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_send_looks_again_because_it_may_have_swallowed_the_news_of_a_connection() -> None:
    class Watched:
        pokes = 0

        def poke(self) -> None:
            self.pokes += 1

        def stop(self) -> None:
            pass

    async def story() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        one = Link(
            context,
            new_keys(),
            new_keys().public,
            "tcp://127.0.0.1:1",
            on_change=lambda _up: None,
            buffers=Buffers(),
        )
        watched = one._drain = Watched()  # type: ignore[assignment]  # counts
        assert not one.send(b"hello", 0.0)
        assert watched.pokes
        watched.pokes, one.up = 0, True
        assert not one.send(b"hello", 0.0)
        assert watched.pokes == 1
        one.close()
        context.term()

    run(story())
