from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
import zmq

from farmd.adapters.zap import STRANGERS_PER_S, Zap
from farmd.adapters.zmq_transport import sockets
from protocol.api import ZAP_LOCAL
from tests.adapters.loopback import closing, new_keys, raw_dealer, run, start_node, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def started(now: Callable[[], float] = time.monotonic) -> Zap:
    zap = Zap(now=now)
    closing(zap.close)
    zap.start()
    return zap


def judged(zap: Zap, mechanism: bytes, domain: bytes, address: bytes, *credentials: bytes) -> tuple[bytes, bytes]:
    """Ask as libzmq does; returns status and User-Id."""
    with zap.context.socket(zmq.DEALER) as asker:
        asker.connect("inproc://zeromq.zap.01")
        asker.send_multipart([b"", b"1.0", b"1", domain, address, b"", mechanism, *credentials])
        assert zap._take()
        frames = asker.recv_multipart(zmq.NOBLOCK)
        assert frames[1:3] == [b"1.0", b"1"]
        return frames[3], frames[5]


def test_trusted_key_is_named_by_its_hex_without_limit() -> None:
    async def story() -> None:
        zap, key = started(), new_keys().public
        zap.trust([key])
        for _ in range(3 * STRANGERS_PER_S):
            assert judged(zap, b"CURVE", b"farm", b"10.0.0.1", key) == (b"200", key.hex().encode())
        assert (zap.admitted, zap.strangers, zap.refused) == (3 * STRANGERS_PER_S, 0, 0)

    run(story())


def test_strangers_are_let_in_a_few_a_second_and_never_told_to_give_up() -> None:
    async def story() -> None:
        zap = started(now=lambda: 5.0)
        answers = [judged(zap, b"CURVE", b"farm", b"10.0.0.1", bytes([n]) * 32) for n in range(STRANGERS_PER_S + 3)]
        assert [status for status, _ in answers] == [b"200"] * STRANGERS_PER_S + [b"300"] * 3
        assert answers[0][1] == (b"\0" * 32).hex().encode()
        assert answers[-1][1] == b""

    run(story())


@pytest.mark.parametrize(
    ("mechanism", "domain", "address", "credentials"),
    [
        (b"NULL", b"farm", b"10.0.0.1", ()),
        (b"NULL", b"local", b"10.0.0.1", ()),
        (b"NULL", b"local", b"fe80::1:2:3", ()),
        (b"PLAIN", b"farm", b"10.0.0.1", (b"root", b"secret")),
        (b"CURVE", b"local", b"localhost:0:0:1", (b"k" * 32,)),
        (b"CURVE", b"farm", b"10.0.0.1", ()),
        (b"", b"", b"", ()),
    ],
)
def test_other_mechanisms_and_domains_are_refused(
    mechanism: bytes, domain: bytes, address: bytes, credentials: tuple[bytes, ...]
) -> None:
    async def story() -> None:
        zap = started()
        assert judged(zap, mechanism, domain, address, *credentials) == (b"300", b"")
        assert zap.refused == 1

    run(story())


def test_malformed_zap_request_is_ignored() -> None:
    async def story() -> None:
        zap = started()
        with zap.context.socket(zmq.DEALER) as asker:
            asker.connect("inproc://zeromq.zap.01")
            asker.send_multipart([b"", b"1.0", b"1"])
            asker.send_multipart([b"", b"2.0", b"1", b"farm", b"", b"", b"NULL"])
            assert zap._take()
            assert zap._take()
            assert not zap._take()

    run(story())


def test_local_peer_is_named_by_uid_gid_and_pid_as_the_kernel_says(tmp_path: Path) -> None:
    async def story() -> None:
        zap = started()
        router, dealer = zap.context.socket(zmq.ROUTER), zap.context.socket(zmq.DEALER)
        router.setsockopt(zmq.ZAP_DOMAIN, ZAP_LOCAL.encode())
        router.bind(f"ipc://{tmp_path}/s")
        dealer.connect(f"ipc://{tmp_path}/s")
        dealer.send(b"hello")
        await until(lambda: router.poll(0))
        frame = router.recv_multipart(copy=False)[-1]
        assert frame.get("User-Id") == f"{os.getuid()}:{os.getgid()}:{os.getpid()}"
        router.close()
        dealer.close()

    run(story())


def test_refused_stranger_is_let_in_when_it_tries_again() -> None:
    """A 400 would end the client's attempts for ever."""

    async def story() -> None:
        node, keys = start_node(), new_keys()
        while node.zap._allowance.spend():
            pass
        dealer = raw_dealer(node, keys)
        dealer.send(b"x")
        await until(lambda: node.zap.refused)
        await until(lambda: node.transport.tally.bad)

    run(story())


def test_plain_tcp_client_without_keys_is_never_heard() -> None:
    async def story() -> None:
        node = start_node()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        closing(context.term)
        dealer = context.socket(zmq.DEALER)
        closing(dealer.close)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"tcp://{node.transport.address}")
        dealer.send(b"hello")
        with socket.create_connection(sockets.split_address(node.transport.address)) as plug:
            plug.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
            raw_dealer(node, new_keys()).send(b"x")
            await until(lambda: node.transport.tally.bad == 1)
        assert node.zap.strangers == 1

    run(story())
