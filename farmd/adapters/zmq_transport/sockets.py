"""Socket options, addresses and descriptors of the transport: every figure that libzmq is given stands here.

Descriptors: the daemon's ROUTER 2, and per linked peer 2 (an event descriptor and a TCP connection), 1 for the peer's
own connection to us, and twice that again while bulk flows; the port for sealed bulk 2 more. There are no monitor sockets (they would add 2 a peer).
"""

from __future__ import annotations

import errno
import ipaddress
import resource
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import zmq

from protocol.api import ZAP_FARM, ZAP_LANES
from protocol.codec import MAX_JOIN_BYTES, MAX_MESSAGE_BYTES
from protocol.errors import UsageError, UserError

if TYPE_CHECKING:
    Socket = zmq.Socket[bytes]
    Context = zmq.Context[Socket]

WANTED_DESCRIPTORS = 8192
LEAST_DESCRIPTORS = 2048

HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 3000
"""Without heartbeats the first message after a cut of 60 s came 47 s after healing."""
INCOMING_HEARTBEAT_MS = 10_000
INCOMING_TIMEOUT_MS = 30_000
"""Whoever connected asks often enough for both; this only clears away the connections of machines that fell silent."""
CONNECT_TIMEOUT_MS = 1000
"""Else the kernel's SYN back-off delays healing."""
HANDSHAKE_MS = 2000
RECONNECT_MS = 100
RECONNECT_MAX_MS = 1000
CONTROL_QUEUE = 1000
"""Messages that wait for one slow peer before more are dropped (they are repeated by those who need them)."""
BULK_QUEUE = 64
"""Pieces that wait for one slow peer: twice what a peer may have asked for (32 pieces or 2 MiB), so none is dropped."""
RECEIVE_QUEUE = 0
"""No limit: at one, libzmq 4.3.5 (issues 4364, 4841) stops to read a connection, and if that connection then breaks,
its next heartbeat ends the whole process ("Assertion failed: !_io_error"). What is received is bounded by the queues of
the senders and by `Drain`, which leaves nothing here for longer than the loop is busy."""
MAX_SEAL_BYTES = 1024
"""What sealing adds to a message; generous."""
BACKLOG = 512
"""A whole farm may connect to a restarted node at once."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A CURVE key pair, raw: 32 bytes each."""

    public: bytes
    secret: bytes = field(repr=False)


def open_router(context: Context, keys: Keys) -> Socket:
    """Make the one socket that everything is received on."""
    router = context.socket(zmq.ROUTER)
    _set(
        router,
        {
            zmq.LINGER: 0,
            zmq.CURVE_SERVER: 1,
            zmq.CURVE_SECRETKEY: keys.secret,
            zmq.ZAP_DOMAIN: ZAP_FARM.encode(),
            zmq.ZAP_ENFORCE_DOMAIN: 1,
            zmq.ROUTER_MANDATORY: 1,
            zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES,
            zmq.RCVHWM: RECEIVE_QUEUE,
            zmq.SNDHWM: CONTROL_QUEUE,
            zmq.BACKLOG: BACKLOG,
            zmq.HEARTBEAT_IVL: INCOMING_HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: INCOMING_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
        },
    )
    return router


def open_dealer(context: Context, keys: Keys, server_key: bytes, *, bulk: bool = False) -> Socket:
    """Make a socket to one peer.

    Control is IMMEDIATE: nothing is queued for a peer that is not there, and the socket is writable exactly while it
    is connected. Bulk is not, so that the first piece may wait for the connection that it caused.
    """
    dealer = context.socket(zmq.DEALER)
    _set(
        dealer,
        {
            zmq.LINGER: 0,
            zmq.CURVE_SERVERKEY: server_key,
            zmq.CURVE_PUBLICKEY: keys.public,
            zmq.CURVE_SECRETKEY: keys.secret,
            zmq.IMMEDIATE: 0 if bulk else 1,
            zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES,
            zmq.SNDHWM: BULK_QUEUE if bulk else CONTROL_QUEUE,
            zmq.RCVHWM: BULK_QUEUE,
            zmq.CONNECT_TIMEOUT: CONNECT_TIMEOUT_MS,
            zmq.RECONNECT_IVL: RECONNECT_MS,
            zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
        },
    )
    return dealer


def open_pull(context: Context) -> Socket:
    """Make the socket that sealed messages are received on: no CURVE, since these are sealed one by one.

    Who may connect is asked for in the handshake (PLAIN): libzmq would take an endless message of a stranger into memory
    without showing any of it to us.
    """
    pull = context.socket(zmq.PULL)
    _set(
        pull,
        {
            zmq.LINGER: 0,
            zmq.PLAIN_SERVER: 1,
            zmq.ZAP_DOMAIN: ZAP_LANES.encode(),
            zmq.ZAP_ENFORCE_DOMAIN: 1,
            zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES + MAX_SEAL_BYTES,
            zmq.RCVHWM: RECEIVE_QUEUE,
            zmq.BACKLOG: BACKLOG,
            zmq.HEARTBEAT_IVL: INCOMING_HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: INCOMING_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
        },
    )
    return pull


def open_push(context: Context, name: bytes, word: bytes) -> Socket:
    """Make a socket that sends sealed messages along a lane; writable exactly while it is connected."""
    push = context.socket(zmq.PUSH)
    _set(
        push,
        {
            zmq.LINGER: 0,
            zmq.PLAIN_USERNAME: name,
            zmq.PLAIN_PASSWORD: word,
            zmq.IMMEDIATE: 1,
            zmq.MAXMSGSIZE: MAX_JOIN_BYTES,
            zmq.SNDHWM: BULK_QUEUE,
            zmq.CONNECT_TIMEOUT: CONNECT_TIMEOUT_MS,
            zmq.RECONNECT_IVL: RECONNECT_MS,
            zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
        },
    )
    return push


def _set(sock: Socket, options: dict[int, int | bytes]) -> None:
    for option, value in options.items():
        sock.setsockopt(option, value)


def bind(router: Socket, address: str) -> str:
    """Bind to HOST:PORT (port 0: any) and return HOST:PORT as bound.

    Raises:
        UserError: The address cannot be used.
    """
    host, port = split_address(address)
    if ":" in host:
        router.setsockopt(zmq.IPV6, 1)
    try:
        router.bind(f"tcp://{'*' if host in {'', '0.0.0.0'} else bracketed(host)}:{port or '*'}")  # noqa: S104  # asked for
    except zmq.ZMQError as error:
        raise _cannot_listen(address, error) from error
    endpoint = router.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    return endpoint.rstrip(b"\0").decode().removeprefix("tcp://")


def try_to_bind(address: str) -> None:
    """Find out whether HOST:PORT can be bound, and let go of it.

    Raises:
        UserError: It cannot.
    """
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        bind(router, address)


def _cannot_listen(address: str, error: zmq.ZMQError) -> UserError:
    what = f"cannot listen on {address}"
    if error.errno == errno.EADDRINUSE:
        hint = "stop the other program (ss -ltnp shows it), or choose another port with --listen"
        return UserError(what, "another program, perhaps another farmd, listens there already", hint)
    if error.errno == errno.EACCES:
        return UserError(what, "ports below 1024 need root", "choose a port above 1024 with --listen")
    return UserError(what, str(error.strerror), "choose an address of this machine, or 0.0.0.0 for all, with --listen")


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT ("[v6]:PORT" for IPv6).

    Raises:
        UsageError: It is not of that form.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"not an address: {address!r}", "an address is HOST:PORT", "for example 192.168.1.20:7000")
    return host.strip("[]"), int(port)


def bracketed(host: str) -> str:
    """Return a host as it stands before a colon and a port."""
    return f"[{host}]" if ":" in host else host


def is_number(host: str) -> bool:
    """Tell an IP address from a name, which somebody must look up (libzmq would, blocking all other connections)."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def reachable_address(bound: str) -> str:
    """Turn the bound HOST:PORT into one that other machines can use: all interfaces become the one to the outside."""
    host, port = split_address(bound)
    if not is_number(host) or not ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        return bound
    return f"{bracketed(_outward_host(socket.AF_INET6 if ':' in host else socket.AF_INET))}:{port}"


def _outward_host(family: socket.AddressFamily) -> str:
    """Ask the kernel which own address it would use towards the outside; no packet is sent."""
    six = family == socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if six else "198.51.100.1", 9))
            return str(probe.getsockname()[0])
        except OSError:  # no route: a machine on its own
            return "::1" if six else "127.0.0.1"


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files for a full mesh; returns the limit.

    Raises:
        UserError: It is so low that libzmq would hang at it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < WANTED_DESCRIPTORS:
        wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        soft = max(soft, wanted)
    if soft != resource.RLIM_INFINITY and soft < LEAST_DESCRIPTORS:
        raise UserError(
            f"only {soft} open files are allowed",
            f"a node needs {LEAST_DESCRIPTORS}: connections hang when they run out",
            f"raise the hard limit: ulimit -Hn {WANTED_DESCRIPTORS}, or LimitNOFILE={WANTED_DESCRIPTORS} in the unit",
        )
    return soft


def hang_up(frame: zmq.Frame) -> None:
    """Close the TCP connection that a message came over; its owner may dial again.

    The descriptor belongs to libzmq and may have been given to another connection since: only the one whose peer
    still has the address of the message is cut, and at worst an innocent one dials again.
    """
    try:
        number, peer = frame.get(zmq.SRCFD), frame.get("Peer-Address")
        assert isinstance(number, int)
        with socket.socket(fileno=socket.dup(number)) as connection:
            name = connection.getpeername()
            if isinstance(name, tuple) and name[0] == peer:  # a text: the descriptor is a local client's by now
                connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # zmq.ZMQError is none of these; already closed, or no socket any more
        return
    except zmq.ZMQError:
        return
