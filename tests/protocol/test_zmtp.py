from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import PeerError
from protocol.zmtp import Dealer, Reader, framed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_BYTES = 1 << 20
GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = framed(b"\x05READY\x0bSocket-Type\0\0\0\x06ROUTER", 4)
OPENING = GREETING + READY


def read(data: bytes) -> list[bytes]:
    return Reader(LIMIT_BYTES).receive(data)


# -- what the other side sends ------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=600), max_size=5), st.integers(1, 300))
def test_messages_come_out_whole_however_the_bytes_arrive(bodies: list[bytes], step: int) -> None:
    sent = OPENING + b"".join(map(framed, bodies))
    reader = Reader(LIMIT_BYTES)
    got = [body for at in range(0, len(sent), step) for body in reader.receive(sent[at : at + step])]
    assert got == bodies
    assert reader.ready


def test_last_frame_of_a_message_counts() -> None:
    assert read(OPENING + framed(b"envelope", 1) + framed(b"content")) == [b"content"]


def test_command_that_is_not_known_is_passed_over() -> None:
    assert read(OPENING + framed(b"\x04PING\0\0", 4) + framed(b"a")) == [b"a"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 400", "not ZMTP"),
        (GREETING.replace(b"NULL", b"CURV"), "not ZMTP 3 with NULL"),
        (GREETING.replace(b"\x7f\x03", b"\x7f\x02"), "ZMTP 2"),
        (GREETING + framed(b"early"), "before READY"),
        (GREETING + framed(b"\x05ERROR\x02no", 4), "refused: no"),
        (OPENING + framed(b"x" * (LIMIT_BYTES + 1))[:9], "over the limit"),
        (OPENING + b"\x02" + b"\xff" * 8, "over the limit"),
    ],
)
def test_what_is_no_answer_of_a_daemon_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        read(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for opening in (b"", GREETING, OPENING):
        try:
            assert all(len(body) <= LIMIT_BYTES for body in read(opening + data))
        except PeerError:
            continue


# -- with libzmq at the other end ---------------------------------------------------------------------------------


@pytest.fixture
def router(tmp_path: Path) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, 5000)
        socket.bind(f"ipc://{tmp_path}/sock")
        yield socket


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 4 << 20])
def test_message_of_any_size_goes_there_and_back(router: zmq.Socket[bytes], tmp_path: Path, size: int) -> None:
    dealer = Dealer(str(tmp_path / "sock"), 4 << 20, 5.0)
    dealer.send(b"x" * size)
    envelope, message = router.recv_multipart()
    assert message == b"x" * size
    router.send_multipart([envelope, message])
    assert dealer.wait(5.0)
    assert dealer.take() == message
    assert not dealer.wait(0)
    dealer.close()


def test_message_arrives_though_the_client_hangs_up_at_once(router: zmq.Socket[bytes], tmp_path: Path) -> None:
    dealer = Dealer(str(tmp_path / "sock"), LIMIT_BYTES, 5.0)
    dealer.send(b"last words")
    dealer.close()
    assert router.recv_multipart()[1] == b"last words"
    assert not dealer.connected


def test_dealer_that_finds_nobody_says_so(tmp_path: Path) -> None:
    dealer = Dealer(str(tmp_path / "sock"), LIMIT_BYTES, 5.0)
    with pytest.raises(OSError, match="No such file"):
        dealer.send(b"x")
    assert not dealer.connected
