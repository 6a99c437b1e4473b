"""Addresses that this process listens at: read, bound, and written as people open them."""

from __future__ import annotations

import errno
import socket

from protocol.errors import UsageError, UserError


class AddressTaken(UserError):
    """Somebody else listens there: another try may mend it."""


def place_in(address: str) -> tuple[str, int]:
    """Read HOST:PORT; an address of version 6 stands in brackets.

    Raises:
        UsageError: It is none.
    """
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535 or not host:
        raise UsageError(f"{address!r} is no HOST:PORT", "", "write 127.0.0.1:8766")
    return host.strip("[]"), int(port)


def bind(address: str) -> socket.socket:
    """Bind HOST:PORT; port 0 is any that is free.

    Raises:
        AddressTaken: Somebody listens there.
        UserError: It cannot be.
    """
    host, port = place_in(address)
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise _cannot_serve(address, error) from error
    listening.setblocking(False)
    return listening


def _cannot_serve(address: str, error: OSError) -> UserError:
    kind = AddressTaken if error.errno == errno.EADDRINUSE else UserError
    why = str(error.strerror or error)
    return kind(f"cannot serve at {address}", why, "choose another HOST:PORT, or end what holds it")


def url_of(listening: socket.socket) -> str:
    """Return where a bound socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
