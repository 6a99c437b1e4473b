"""The first words of a connection, and how an unknown machine comes into the farm."""

from __future__ import annotations

from typing import NamedTuple


class Hello(NamedTuple):
    """First message on a connection: the versions spoken, and who speaks."""

    oldest: int
    newest: int
    farm: str
    epoch: int
    address: str


class Lane(NamedTuple):
    """Contents of files may come to this port of mine, sealed with this key; use no older lane of mine any more.

    Attributes:
        name: 8 bytes, said in each sealed message.
        port: TCP port, on the machine where I listen.
        key: Of AES-256-GCM, 32 bytes; for you alone, and for one life of yours.
        word: What lets your connection in at the port (ZMTP PLAIN), 16 bytes.
    """

    name: bytes
    port: int
    key: bytes
    word: bytes


class JoinAsk(NamedTuple):
    """From an unknown key: admit me. The token proves an admission signed by the farm's key."""

    token: bytes
    address: str
    name: str


class JoinReply(NamedTuple):
    """Admitted, with members to talk to as (address, CURVE public key); or refused with a reason."""

    admitted: bool
    reason: str
    members: tuple[tuple[str, bytes], ...] = ()
